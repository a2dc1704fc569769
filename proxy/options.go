// Package proxy is the proxy: it wires the parts below it and runs them. It
// takes its table from its spoke, keeps the last good one on disk, listens as
// the table says, and carries requests. Everything it needs from outside comes
// by Options and Deps, so that it runs the same in a pod, under a supervisor
// and in a test. It never talks to a hub, nor to Kubernetes.
package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/proxy/observe"
)

// Options are the proxy's settings, as they stand in its options file.
type Options struct {
	Fleet   string `json:"fleet"`
	Cluster string `json:"cluster"`
	Tenant  string `json:"tenant"`
	// Gateway is namespace/name, "" for a tenant's proxy without listeners.
	Gateway string `json:"gateway,omitempty"`
	// ID is unique in the cluster and survives a restart.
	ID string `json:"id"`
	// Spoke is host:port of the spoke's config port.
	Spoke string `json:"spoke"`
	// Ticket proves the proxy to its spoke, once; it is not needed again while
	// State holds an identity.
	Ticket string `json:"ticket,omitempty"`
	// State is what is kept over restarts, mode 0700.
	State string `json:"state"`
	// Address is the IP that every port is opened on, "" all.
	Address string `json:"address,omitempty"`
	// Advertise is the IP by which others reach the proxy [Address].
	Advertise string `json:"advertise,omitempty"`
	// Heartbeat on the stream to the spoke.
	Heartbeat time.Duration `json:"heartbeat,omitempty"`
	// Standalone admits of loopback addresses what the table's endpoints and
	// hosts name.
	Standalone bool `json:"standalone,omitempty"`
	// AnyPort takes a free port where the wanted one cannot be opened.
	AnyPort bool `json:"anyPort,omitempty"`
}

// The ports besides the Gateway's listeners.
const (
	LinkPort    = 15443
	AdminPort   = 15000
	MetricsPort = 15020
	HealthPort  = 15021
)

func (o *Options) fill() {
	if o.Heartbeat <= 0 {
		o.Heartbeat = 10 * time.Second
	}
	if o.Advertise == "" {
		o.Advertise = o.Address
	}
}

// Deps are what the proxy is given by whoever starts it.
type Deps struct {
	Log *slog.Logger
	// Level and Format are Log's, which the table may change.
	Level    *slog.LevelVar
	Format   *observe.Format
	Registry *prometheus.Registry
	// AccessLog gets the access log [none].
	AccessLog io.Writer
	Listen    func(ctx context.Context, network, address string) (net.Listener, error)
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	Now       func() time.Time
}

func (d *Deps) fill() {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Level == nil {
		d.Level = &slog.LevelVar{}
	}
	if d.Format == nil {
		d.Format = &observe.Format{}
	}
	if d.Registry == nil {
		d.Registry = prometheus.NewRegistry()
	}
	if d.Listen == nil {
		var c net.ListenConfig
		d.Listen = c.Listen
	}
	if d.Dial == nil {
		var c net.Dialer
		d.Dial = c.DialContext
	}
	if d.Now == nil {
		d.Now = time.Now
	}
}

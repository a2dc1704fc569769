// Package spoke is the spoke: it wires the parts below it and runs them. It
// reads what is declared in its cluster, translates it with its assignment into
// one table per local proxy, serves the proxies, writes statuses, and pushes
// declarations to the hub. With the hub gone it goes on from what it has.
package spoke

import (
	"context"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are the spoke's settings, as they stand in its options file.
type Options struct {
	Cluster string `json:"cluster"`
	Region  string `json:"region,omitempty"`
	// Hub is host:port of the hub's port for streams.
	Hub string `json:"hub"`
	// Token is the join token, needed while State holds no identity.
	Token string `json:"token,omitempty"`
	// Dir holds what is declared in the cluster.
	Dir string `json:"dir"`
	// State is what is kept over restarts, mode 0700; Statuses where statuses
	// are written.
	State    string `json:"state"`
	Statuses string `json:"statuses"`
	// Config, Metrics and Health are the addresses to open, host:port.
	Config  string `json:"config"`
	Metrics string `json:"metrics"`
	Health  string `json:"health"`
	// API is where the spoke answers `--via`, and Gossip, TCP and UDP, where it
	// meets other spokes; "" leaves either out.
	API    string `json:"api,omitempty"`
	Gossip string `json:"gossip,omitempty"`
	// APIToken is the file with the secret that the API wants.
	APIToken string `json:"apiToken,omitempty"`
	// Advertise is the IP by which others reach the spoke, where the addresses
	// above do not say it.
	Advertise string `json:"advertise,omitempty"`
	// KeyPeriod is how long a key that seals MCP session ids is used [a year].
	KeyPeriod time.Duration `json:"keyPeriod,omitempty"`
	// Supervisor is the socket at which proxies are asked for.
	Supervisor string        `json:"supervisor"`
	Heartbeat  time.Duration `json:"heartbeat,omitempty"`
	// AnyPort takes free ports, also for the proxies, where the wanted ones cannot
	// be opened.
	AnyPort bool `json:"anyPort,omitempty"`
}

// Deps are what the spoke is given by whoever starts it.
type Deps struct {
	Log      *slog.Logger
	Registry *prometheus.Registry
	Listen   func(ctx context.Context, network, address string) (net.Listener, error)
	// ListenPacket opens the port of gossip's packets.
	ListenPacket func(ctx context.Context, network, address string) (net.PacketConn, error)
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
	// Env gives the variables that Secrets of the folder may name.
	Env func(string) (string, bool)
	Now func() time.Time
}

func (o *Options) fill() {
	if o.Heartbeat <= 0 {
		o.Heartbeat = 10 * time.Second
	}
}

func (d *Deps) fill() {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Registry == nil {
		d.Registry = prometheus.NewRegistry()
	}
	if d.Listen == nil {
		var c net.ListenConfig
		d.Listen = c.Listen
	}
	if d.ListenPacket == nil {
		var c net.ListenConfig
		d.ListenPacket = c.ListenPacket
	}
	if d.Dial == nil {
		var c net.Dialer
		d.Dial = c.DialContext
	}
	if d.Env == nil {
		d.Env = os.LookupEnv
	}
	if d.Now == nil {
		d.Now = time.Now
	}
}

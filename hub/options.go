// Package hub is the hub: it wires the parts below it and runs them. It reads
// the platform team's objects, takes the declarations that spokes push, keeps
// the plan that follows, and publishes it. Everything it needs from outside
// comes by Options and Deps, so that it runs the same in a cluster, in a folder
// and in a test.
package hub

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are the hub's settings, as they stand in its options file.
type Options struct {
	// Fleet is the name that identities carry.
	Fleet string `json:"fleet"`
	// Dir holds the platform team's objects, hosts.yaml among them.
	Dir string `json:"dir"`
	// Clusters is a folder with one folder a cluster, each registered as it
	// stands; "" registers those only that Cluster objects declare.
	Clusters string `json:"clusters,omitempty"`
	// State is what is kept over restarts, mode 0700.
	State string `json:"state"`
	// Addresses, host:port each.
	Streams string `json:"streams"`
	API     string `json:"api"`
	Metrics string `json:"metrics"`
	Health  string `json:"health"`
	// Token is the file with the secret of the CLI.
	Token string `json:"token"`
	// Audit is the file of what was ordered.
	Audit string `json:"audit,omitempty"`
	// Heartbeat on streams; a cluster unheard for Suspect, then Lost, is called so.
	Heartbeat time.Duration `json:"heartbeat"`
	Suspect   time.Duration `json:"suspect"`
	Lost      time.Duration `json:"lost"`
	// Hear is how long to wait for the spokes after a start before publishing.
	Hear time.Duration `json:"hear"`
}

func (o *Options) fill() {
	if o.Fleet == "" {
		o.Fleet = "fleet"
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 10 * time.Second
	}
	if o.Suspect <= 0 {
		o.Suspect = 3 * o.Heartbeat
	}
	if o.Lost <= 0 {
		o.Lost = 9 * o.Heartbeat
	}
	if o.Hear <= 0 {
		o.Hear = o.Heartbeat
	}
}

// Deps are what the hub is given by whoever starts it.
type Deps struct {
	Log      *slog.Logger
	Registry *prometheus.Registry
	Listen   func(network, address string) (net.Listener, error)
	Now      func() time.Time
}

func (d *Deps) fill() {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Registry == nil {
		d.Registry = prometheus.NewRegistry()
	}
	if d.Listen == nil {
		d.Listen = func(network, address string) (net.Listener, error) {
			var c net.ListenConfig
			return c.Listen(context.Background(), network, address)
		}
	}
	if d.Now == nil {
		d.Now = time.Now
	}
}

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
	// Supervisor is the socket at which proxies are asked for.
	Supervisor string        `json:"supervisor"`
	Heartbeat  time.Duration `json:"heartbeat,omitempty"`
	// AnyPort lets proxies take free ports where the wanted ones cannot be opened.
	AnyPort bool `json:"anyPort,omitempty"`
}

// Deps are what the spoke is given by whoever starts it.
type Deps struct {
	Log      *slog.Logger
	Registry *prometheus.Registry
	Listen   func(ctx context.Context, network, address string) (net.Listener, error)
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
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

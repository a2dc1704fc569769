// Package publish serves the cluster's proxies their tables: one session per
// proxy, known by its certificate; a revision goes out at its mark. What
// proxies refuse and report is handed on. It decides nothing about a table.
package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/api/wire"
)

// Options of a Publisher.
type Options struct {
	// Name is the spoke's identity.
	Name      string
	Heartbeat time.Duration
	// Table is the table of a Gateway as of now, with its revision.
	Table func(name string) (t table.Table, revision string, ok bool)
	// Changed is told when a proxy came, went, reported, acknowledged or refused.
	Changed func()
	// Refused takes what a proxy refused of a table.
	Refused func(table string, nacks []stream.Nack)
	// Sample takes what a proxy measured.
	Sample func(*assignment.Sample)
	Log    *slog.Logger
}

// Publisher serves tables. It is safe for concurrent use.
type Publisher struct {
	wire.UnimplementedSpokeServer
	opts Options

	mu      sync.Mutex
	proxies map[pki.Name]*proxy
}

// proxy is one proxy as it is known here.
type proxy struct {
	name    pki.Name
	table   string
	session *wire.Session
	up      bool
	facts   *assignment.ProxyFacts
}

// New serves nobody yet.
func New(opts Options) *Publisher { return &Publisher{opts: opts, proxies: map[pki.Name]*proxy{}} }

// Connect serves the proxy that the certificate names.
func (p *Publisher) Connect(str grpc.BidiStreamingServer[wire.Frame, wire.Frame]) error {
	id, ok := wire.Caller(str.Context())
	if !ok {
		return status.Error(codes.Unauthenticated, "no identity")
	}
	return wire.Status(p.proxy(id.Name).session.Run(str.Context(), str))
}

// proxy finds a proxy, or meets it: its session then holds its table.
func (p *Publisher) proxy(name pki.Name) *proxy {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.proxies[name]; x != nil {
		return x
	}
	x := &proxy{name: name, table: name.Namespace + "/" + name.Gateway}
	x.session = wire.New(wire.Options{
		Name: p.opts.Name, Peer: name.String(), Build: version.Version, Heartbeat: p.opts.Heartbeat, Log: p.opts.Log.With("proxy", name.Proxy),
		Handler: wire.Handler{
			OnHello:      func(wire.Greeting) error { p.set(x, true); return nil },
			OnDisconnect: func(error) { p.set(x, false) },
			OnChanges:    func(r stream.Release) []stream.Nack { return p.take(x, r.Changes) },
			OnAcked:      func(_ string, nacks []stream.Nack, _ string) { p.acked(x, nacks) },
		},
	})
	p.proxies[name] = x
	if t, revision, ok := p.opts.Table(x.table); ok {
		x.session.Update(func(src *stream.Source) {
			for r := range t.All() {
				p.put(src, r)
			}
			src.Mark(revision, true)
		})
	}
	return x
}

func (p *Publisher) set(x *proxy, up bool) {
	p.mu.Lock()
	x.up = up
	p.mu.Unlock()
	p.opts.Changed()
}

func (p *Publisher) acked(x *proxy, nacks []stream.Nack) {
	if len(nacks) > 0 {
		p.opts.Log.Warn("a proxy refuses its table", "proxy", x.name.Proxy, "table", x.table, "resources", len(nacks), "err", nacks[0].Error)
		p.opts.Refused(x.table, nacks)
	}
	p.opts.Changed()
}

// take takes what a proxy reports.
func (p *Publisher) take(x *proxy, changes []stream.Change) []stream.Nack {
	var nacks []stream.Nack
	for _, c := range changes {
		if c.Deleted {
			continue
		}
		if err := p.one(x, c); err != nil {
			nacks = append(nacks, stream.Nack{ID: c.ID(), Hash: c.Hash, Error: err.Error()})
		}
	}
	return nacks
}

func (p *Publisher) one(x *proxy, c stream.Change) error {
	switch assignment.Kind(c.Kind) {
	case assignment.KindFacts:
		var f assignment.ProxyFacts
		if err := json.Unmarshal(c.Payload, &f); err != nil {
			return fmt.Errorf("read a proxy's facts: %w", err)
		}
		// Who it is, its certificate says.
		f.ID, f.Tenant = x.name.Proxy, x.name.Tenant
		p.mu.Lock()
		x.facts = &f
		p.mu.Unlock()
		p.opts.Changed()
	case assignment.KindSample:
		r, err := assignment.Decode(assignment.KindSample, c.Key, c.Payload)
		if err != nil {
			return err
		}
		if s := r.(*assignment.Sample); s.From == x.name.Cluster {
			p.opts.Sample(s)
		}
	}
	return nil
}

func (p *Publisher) put(src *stream.Source, r table.Resource) {
	payload, err := table.Encode(r)
	if err == nil {
		err = src.Set(stream.Resource{Kind: string(r.ID().Kind), Key: r.ID().Name, Payload: payload})
	}
	if err != nil {
		p.opts.Log.Error("publish a resource", "resource", r.ID().String(), "err", err)
	}
}

// Publish sends what changed in a table to its proxies, as one revision.
func (p *Publisher) Publish(name string, changes []table.Change, revision string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.proxies {
		if x.table != name {
			continue
		}
		x.session.Update(func(src *stream.Source) {
			for _, c := range changes {
				if c.Resource == nil {
					src.Delete(stream.ID{Kind: string(c.ID.Kind), Key: c.ID.Name})
				} else {
					p.put(src, c.Resource)
				}
			}
			// A spoke owns its proxies' tables: nobody has to confirm.
			src.Mark(revision, true)
		})
	}
}

// Proxy is one proxy as others see it.
type Proxy struct {
	Table string
	Up    bool
	Facts assignment.ProxyFacts
}

// Proxies lists those that have reported, by id.
func (p *Publisher) Proxies() []Proxy {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Proxy
	for _, x := range p.proxies {
		if x.facts != nil {
			// A lost stream says nothing of what a proxy carries: it stays as it
			// last reported itself until it is no longer wanted.
			out = append(out, Proxy{x.table, x.up, *x.facts})
		}
	}
	slices.SortFunc(out, func(a, b Proxy) int {
		if a.Facts.ID < b.Facts.ID {
			return -1
		}
		return 1
	})
	return out
}

// Forget drops proxies that are no longer wanted.
func (p *Publisher) Forget(wanted map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.proxies, func(name pki.Name, x *proxy) bool {
		if wanted[name.Proxy] {
			return false
		}
		x.session.Close()
		return true
	})
}

// Ask asks a connected proxy of a table, any of them.
func (p *Publisher) Ask(ctx context.Context, tableName, path string, body []byte) ([]byte, error) {
	p.mu.Lock()
	var session *wire.Session
	for _, x := range p.proxies {
		if x.up && x.table == tableName {
			session = x.session
		}
	}
	p.mu.Unlock()
	if session == nil {
		return nil, fmt.Errorf("ask a proxy of %q: none is connected", tableName)
	}
	return session.Ask(ctx, path, body)
}

// Close ends every session.
func (p *Publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.proxies {
		x.session.Close()
	}
}

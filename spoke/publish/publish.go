// Package publish serves the cluster's proxies their tables: one session per
// proxy, known by its certificate; a revision goes out at its mark. What
// proxies refuse and report is handed on. It decides nothing about a table.
package publish

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

// Options of a Publisher. Name, Table, Changed, Refused, Sample and Log are
// required.
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
	Sample     func(proxy string, s *assignment.Sample)
	Registerer prometheus.Registerer
	Log        *slog.Logger
}

// Publisher serves tables. It is safe for concurrent use.
type Publisher struct {
	wire.UnimplementedSpokeServer
	opts    Options
	metrics metrics

	mu      sync.Mutex
	proxies map[pki.Name]*proxy
	// shared are the samples that every proxy gets, by key.
	shared map[string]stream.Resource
}

// proxy is one proxy as it is known here.
type proxy struct {
	name    pki.Name
	table   string
	session *wire.Session
	// id is who is connected, or was last.
	id pki.Identity
	up bool
	// acked is the last revision that it answered; due is when the one that is
	// under way was published.
	acked string
	due   time.Time
	facts *assignment.ProxyFacts
	// held is set while a part of its table cannot be sent. Nothing of the table is
	// then: without one of its parts it may allow what it refuses.
	held bool
}

// New serves nobody yet.
func New(opts Options) *Publisher {
	return &Publisher{opts: opts, metrics: newMetrics(opts.Registerer), proxies: map[pki.Name]*proxy{}, shared: map[string]stream.Resource{}}
}

// Connect serves the proxy that the certificate names.
func (p *Publisher) Connect(str grpc.BidiStreamingServer[wire.Frame, wire.Frame]) error {
	id, ok := wire.Caller(str.Context())
	if !ok {
		return status.Error(codes.Unauthenticated, "no identity")
	}
	return wire.Status(p.proxy(id).session.Run(str.Context(), str))
}

// proxy finds a proxy, or meets it: its session then holds its table.
func (p *Publisher) proxy(id pki.Identity) *proxy {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.proxies[id.Name]; x != nil {
		x.id = id
		return x
	}
	x := &proxy{name: id.Name, id: id, table: id.Namespace + "/" + id.Gateway}
	x.session = wire.New(wire.Options{
		Name: p.opts.Name, Peer: id.String(), Build: version.Version, Heartbeat: p.opts.Heartbeat, Log: p.opts.Log.With("proxy", id.Proxy),
		Handler: wire.Handler{
			OnHello: func(g wire.Greeting) error {
				p.metrics.resyncs.WithLabelValues(g.Why()).Inc()
				p.set(x, true)
				return nil
			},
			OnDisconnect: func(error) { p.set(x, false) },
			OnChanges:    func(r stream.Release) []stream.Nack { return p.take(x, r.Changes) },
			OnAcked:      func(mark string, nacks []stream.Nack, _ string) { p.acked(x, mark, nacks) },
		},
	})
	p.proxies[id.Name] = x
	x.session.Update(func(src *stream.Source) {
		for _, r := range p.shared {
			p.share(src, r)
		}
	})
	if _, revision, ok := p.opts.Table(x.table); ok {
		x.held = true
		p.publish(x, nil, revision)
	}
	return x
}

func (p *Publisher) set(x *proxy, up bool) {
	p.mu.Lock()
	x.up = up
	p.mu.Unlock()
	p.opts.Changed()
}

func (p *Publisher) acked(x *proxy, mark string, nacks []stream.Nack) {
	p.mu.Lock()
	if mark == x.acked && len(nacks) == 0 {
		p.mu.Unlock()
		return // something that was shared, and no revision
	}
	x.acked = mark
	if !x.due.IsZero() {
		p.metrics.acked.Observe(time.Since(x.due).Seconds())
		x.due = time.Time{}
	}
	p.mu.Unlock()
	if len(nacks) > 0 {
		p.metrics.nacks.Add(float64(len(nacks)))
		p.opts.Log.Warn("a proxy refuses its table", "proxy", x.name.Proxy, "table", x.table, "resources", len(nacks), "err", nacks[0].Error)
		p.opts.Refused(x.table, nacks)
	}
	p.opts.Changed()
}

func (p *Publisher) share(src *stream.Source, r stream.Resource) {
	if err := src.Set(r); err != nil {
		p.opts.Log.Error("share a sample", "resource", r.ID().String(), "err", err)
	}
}

// publish sends one proxy a revision of its table: what changed, or all of it where
// the ones before were held back.
func (p *Publisher) publish(x *proxy, changes []table.Change, revision string) {
	all := x.held
	if all {
		t, now, ok := p.opts.Table(x.table)
		if !ok {
			return
		}
		changes, revision = table.Diff(table.New(), t), now
	}
	list, err := encode(changes)
	if x.held = err != nil; x.held {
		p.opts.Log.Error("hold a table back, since a part of it cannot be sent; the proxy keeps the one that it has",
			"proxy", x.name.Proxy, "table", x.table, "revision", revision, "err", err)
		return
	}
	x.session.Update(func(src *stream.Source) {
		if all {
			for _, id := range src.IDs() {
				if _, shared := p.shared[id.Key]; !shared || id.Kind != string(assignment.KindSample) {
					src.Delete(id)
				}
			}
		}
		for _, c := range list {
			if c.Deleted {
				src.Delete(c.ID())
			} else if err := src.Set(c.Resource); err != nil {
				p.opts.Log.Error("publish a resource", "resource", c.ID().String(), "err", err)
			}
		}
		// A spoke owns its proxies' tables: nobody has to confirm.
		src.Mark(revision, true)
	})
}

func encode(changes []table.Change) ([]stream.Change, error) {
	out := make([]stream.Change, 0, len(changes))
	for _, c := range changes {
		r := stream.Resource{Kind: string(c.ID.Kind), Key: c.ID.Name}
		if c.Resource == nil {
			out = append(out, stream.Change{Resource: r, Deleted: true})
			continue
		}
		var err error
		if r.Payload, err = table.Encode(c.Resource); err != nil {
			return nil, err
		}
		if err := r.Check(); err != nil {
			return nil, err
		}
		out = append(out, stream.Change{Resource: r})
	}
	return out, nil
}

// Publish sends what changed in a table to its proxies, as one revision.
func (p *Publisher) Publish(name string, changes []table.Change, revision string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.proxies {
		if x.table != name {
			continue
		}
		if x.due.IsZero() && x.up {
			x.due = time.Now()
		}
		p.publish(x, changes, revision)
	}
}

// Share tells every proxy what was measured elsewhere. It makes no revision.
func (p *Publisher) Share(s *assignment.Sample) {
	kind, key := s.ID()
	payload, err := assignment.Encode(s)
	if err != nil {
		p.opts.Log.Error("share a sample", "sample", key, "err", err)
		return
	}
	r := stream.Resource{Kind: string(kind), Key: key, Payload: payload}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shared[key] = r
	for _, x := range p.proxies {
		x.session.Update(func(src *stream.Source) { p.share(src, r) })
	}
}

// Revoke ends the streams of proxies whose identity is revoked.
func (p *Publisher) Revoke(ids pki.Revoked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.proxies {
		if ids.Has(x.id.UID, x.id.Serial) {
			x.session.Disconnect(pki.ErrRevoked)
		}
	}
}

// Proxy is one proxy as others see it.
type Proxy struct {
	Table string
	Up    bool
	Facts assignment.ProxyFacts
}

// Proxies lists those that have reported, by id. A lost stream says nothing of
// what a proxy carries: it stays as it last reported itself until it is no
// longer wanted.
func (p *Publisher) Proxies() []Proxy {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Proxy
	for _, x := range p.proxies {
		if x.facts != nil {
			out = append(out, Proxy{x.table, x.up, *x.facts})
		}
	}
	slices.SortFunc(out, func(a, b Proxy) int { return strings.Compare(a.Facts.ID, b.Facts.ID) })
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

package forward

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/mirror"
	"github.com/navehq/nave/proxy/latency"
	"github.com/navehq/nave/proxy/match"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/upstream"
)

// Options of a Forwarder. Upstream, Health and Observer are required.
type Options struct {
	Upstream *upstream.Upstream
	Health   *upstream.Health
	Observer *observe.Observer
	// Link reaches other clusters; nil reaches none.
	Link Link
	// Now is the time [time.Now]; Word gives random words [math/rand].
	Now  func() time.Time
	Word func() uint64
	// Registerer gets the metrics; nil is silent.
	Registerer prometheus.Registerer
}

// Forwarder serves requests by an index that can be replaced at any time: a
// request lives by the one that it was matched by. It is safe for concurrent use.
type Forwarder struct {
	opt       Options
	index     atomic.Pointer[indexed]
	protocols map[table.BackendKind]Protocol
	budgets   *upstream.Budgets
	mirror    *mirror.Mirror

	mu          sync.Mutex
	preferences map[string]latency.Preference // by backend
}

// indexed is an index with what every request asks of it.
type indexed struct {
	*match.Index
	self *table.Self
	find func(table.ID) table.Resource
}

// Bounds of mirrored copies: how many are on their way, and for how long.
const (
	mirrorLimit   = 64
	mirrorTimeout = 30 * time.Second
)

// New makes a Forwarder that serves nothing until it has an index. Close ends it.
func New(o Options) *Forwarder {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Word == nil {
		o.Word = rand.Uint64
	}
	f := &Forwarder{
		opt: o, protocols: map[table.BackendKind]Protocol{}, budgets: upstream.NewBudgets(),
		preferences: map[string]latency.Preference{},
	}
	f.mirror = mirror.New(f.copy, mirrorLimit, mirrorTimeout, o.Registerer)
	f.SetIndex(match.Empty())
	return f
}

// Protocol says who serves backends of a kind. It is called before the first request.
func (f *Forwarder) Protocol(kind table.BackendKind, p Protocol) { f.protocols[kind] = p }

// SetIndex replaces the index for requests that begin from now on.
func (f *Forwarder) SetIndex(x *match.Index) {
	self, _ := x.Find((&table.Self{}).ID()).(*table.Self)
	if self == nil {
		self = &table.Self{}
	}
	f.index.Store(&indexed{x, self, x.Find})
}

// Index is the index in force.
func (f *Forwarder) Index() *match.Index { return f.index.Load().Index }

// Close ends the copies on their way.
func (f *Forwarder) Close() { f.mirror.Close() }

// Handler serves the requests of one port.
func (f *Forwarder) Handler(port uint16, secure bool) message.Handler {
	return message.HandlerFunc(func(x message.Exchange) { f.serve(x, port, secure) })
}

// copy sends a mirrored request to the first candidate of its backend.
func (f *Forwarder) copy(ctx context.Context, backend string, s *table.Steering, r *message.Request) {
	x := f.index.Load()
	call := &Call{
		Exchange: silent{ctx, r}, Request: r, Self: x.self, Backend: x.Backend(backend), Find: x.find,
		Record: &observe.Record{}, Word: f.opt.Word(),
	}
	call.steer(s)
	if call.Backend == nil || call.Backend.Closed != "" {
		f.mirror.Drop()
		return
	}
	d := f.Decide(call, needsNothing)
	if len(d.Order) == 0 || !d.Order[0].Local {
		f.mirror.Drop()
		return
	}
	start := f.opt.Now()
	resp, err := f.Send(ctx, call, d.Order[0].Candidate, r)
	f.opt.Observer.Call("Mirror", "Http", f.opt.Now().Sub(start))
	if err == nil && resp.Body != nil {
		drain(resp.Body)
	}
}

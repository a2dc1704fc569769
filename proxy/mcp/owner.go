package mcp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/pick"
)

// owner keeps the sessions with servers that this proxy owns.
type owner struct {
	p      *Protocol
	held   *lru[place, *held]
	copies *copies
}

// held is one session at one server. Its state is stepped under mu; what the
// steps ask for is done outside of it.
type held struct {
	place place
	facts session.Facts
	ask   sync.Once // asking other owners, before the first use

	mu    sync.Mutex
	state session.Upstream
	// done is closed when the initialisation under way ends.
	done chan struct{}
	used time.Time
	// call and to are how the owner reaches the server by itself; call is only
	// ever copied.
	call *forward.Call
	to   pick.Candidate
	// greeting is the server's answer to initialize.
	greeting jsontext.Value
	legacy   *legacy   // the connection of a server of 2024-11-05
	feed     *feed     // the event stream that an entry proxy listens to
	fed      time.Time // since when
	notices  [][]byte
	// busy counts the calls under way at the server, by turn; parted are the
	// sessions there that end with the last of theirs.
	busy   map[int]int
	parted []live
}

// job is one order at the owner, with the session that it is for.
type job struct {
	call *forward.Call
	to   pick.Candidate
	order
	h *held
}

// live is a session as one request uses it.
type live struct {
	turn        int
	id, version string
	legacy      *legacy
	moved       string
}

func newOwner(p *Protocol) *owner {
	o := &owner{p: p}
	o.held = newLRU(p.limits.Sessions, func(_ place, h *held) { o.act(h, o.step(h, session.Idle{})) })
	o.copies = newCopies(o)
	return o
}

// find returns the session of an order, begun as an absent one where it is new.
func (o *owner) find(call *forward.Call, to pick.Candidate, ord order) *held {
	at := place{ord.facts.Handle, clone(call.Backend.Name), to.Member.Name}
	h := o.held.getOrPut(at, func() *held {
		return &held{
			place: at, facts: ord.facts,
			state: session.Upstream{
				Cluster: to.Cluster, Phase: session.Absent,
				Begun: ord.op != opOpen && ord.facts.Served[at.server] != "",
			},
		}
	}, false)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.used, h.to = o.p.now(), to
	h.call = detach(call)
	return h
}

// step makes one step and keeps the gauge right.
func (o *owner) step(h *held, e session.Event) []session.Action {
	h.mu.Lock()
	defer h.mu.Unlock()
	return o.stepLocked(h, e)
}

func (o *owner) stepLocked(h *held, e session.Event) []session.Action {
	before := h.state.Phase
	next, actions := h.state.Step(e)
	h.state = next
	if i := slices.IndexFunc(actions, func(a session.Action) bool { return a.Do == session.DoPart }); i >= 0 {
		h.parted = append(h.parted, live{turn: next.Turn, id: actions[i].What, version: next.Version, legacy: h.legacy})
		h.legacy = nil
	}
	switch {
	case before != session.Live && next.Phase == session.Live:
		o.p.metrics.sessions.Inc()
	case before == session.Live && next.Phase != session.Live:
		o.p.metrics.sessions.Dec()
	}
	return actions
}

// act does what a step asked for.
func (o *owner) act(h *held, actions []session.Action) {
	for _, a := range actions {
		switch a.Do {
		case session.DoCount:
			o.p.metrics.moves.WithLabelValues(a.What).Inc()
		case session.DoShare:
			o.copies.add(h)
		case session.DoRelease:
			o.release(h, a.What)
		case session.DoPart:
			o.part(h)
		case session.DoSetLevel:
			o.replay(h, "logging/setLevel", "level", a.What)
		case session.DoSubscribe:
			o.replay(h, "resources/subscribe", "uri", a.What)
		case session.DoCompare:
			o.p.spawn(func(ctx context.Context) { o.compare(ctx, h) })
		}
	}
}

// spawn runs f until it ends or the Protocol is closed; Close waits for it.
func (p *Protocol) spawn(f func(ctx context.Context)) {
	if p.life.Err() != nil {
		return
	}
	p.work.Go(func() {
		defer p.caught("keeping a session")
		f(p.life)
	})
}

// ensure makes the session ready for a request: as it is, taken over from
// another proxy, or begun anew by exactly one of the requests that need it.
// Where it cannot, the fault or the reply says why. A message counts as under way
// from then on, until its caller says that it is done.
func (o *owner) ensure(ctx context.Context, j job) (live, *reply, *fault) {
	h := j.h
	if j.op != opOpen {
		h.ask.Do(func() { o.askOthers(ctx, h) })
	}
	moved := ""
	for {
		h.mu.Lock()
		begun := h.state.Begun
		actions := o.stepLocked(h, session.Wanted{Here: j.here})
		last := actions[len(actions)-1]
		if last.Do == session.DoInitialise {
			h.done = make(chan struct{})
		}
		now := live{h.state.Turn, h.state.ID, h.state.Version, h.legacy, moved}
		done := h.done
		if last.Do == session.DoGo && j.op == opMessage {
			h.begin(now.turn)
		}
		h.mu.Unlock()
		o.act(h, actions[:len(actions)-1])
		switch last.Do {
		case session.DoGo:
			if len(actions) > 1 {
				now.moved = session.Restored
			}
			return now, nil, nil
		case session.DoRedirect:
			return live{}, &reply{elsewhere: last.What}, nil
		case session.DoGone:
			return live{}, &reply{gone: true}, nil
		case session.DoJoin:
			select {
			case <-done:
			case <-ctx.Done():
				return live{}, nil, undone(table.OnTimeout, "waiting for the session to begin: "+ctx.Err().Error())
			}
		case session.DoInitialise:
			if f := o.initialise(ctx, j, done); f != nil {
				return live{}, nil, f
			}
			if begun {
				moved = session.Reinitialised
			}
		}
	}
}

// initialise begins the session at the server, whether or not the request that
// needs it is still waited for, and sets anew what the client had set.
func (o *owner) initialise(ctx context.Context, j job, done chan struct{}) *fault {
	h := j.h
	defer close(done)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.p.limits.Initialise)
	defer cancel()
	h.mu.Lock()
	old := h.legacy
	h.legacy = nil
	h.mu.Unlock()
	if old != nil {
		old.close()
	}
	g, f := o.greet(ctx, j)
	if f != nil {
		o.act(h, o.step(h, session.Refused{}))
		return f
	}
	h.mu.Lock()
	h.greeting, h.legacy = g.result, g.legacy
	h.state.Bound = g.legacy != nil
	actions := o.stepLocked(h, session.Opened{ID: g.id, Version: g.version})
	h.mu.Unlock()
	o.act(h, actions)
	return nil
}

// greeted is what beginning a session gave.
type greeted struct {
	id, version string
	result      jsontext.Value
	legacy      *legacy
}

// greet shakes hands with the server by its transport.
func (o *owner) greet(ctx context.Context, j job) (greeted, *fault) {
	server := j.to.Member.Server
	if server == nil {
		return greeted{}, undone(table.OnServer, fmt.Sprintf("the table says nothing of server %q", j.server))
	}
	j.call = j.h.calling()
	f := j.h.facts
	hello := request(helloID, "initialize", catalog.Hello(catalog.Negotiate(f.Asked), f.Capabilities, f.Client))
	if server.SSE {
		return o.greetLegacy(ctx, j, hello)
	}
	return o.greetStreamable(ctx, j, hello)
}

// reap ends sessions that were not used for long, and forgets those that are
// long over.
func (o *owner) reap() {
	tick := time.NewTicker(min(30*time.Second, o.p.limits.Idle/2))
	defer tick.Stop()
	for {
		select {
		case <-o.p.life.Done():
			for _, h := range o.held.values() {
				h.shut()
			}
			return
		case <-tick.C:
		}
		now := o.p.now()
		for _, h := range o.held.values() {
			h.mu.Lock()
			unused := now.Sub(h.used)
			listening := h.feed != nil
			h.mu.Unlock()
			if unused > o.p.limits.Idle && !listening {
				o.act(h, o.step(h, session.Idle{}))
			}
			if now.Sub(time.Unix(h.facts.Began, 0)) > o.p.limits.Life+o.p.limits.Idle {
				o.held.remove(h.place)
			}
		}
	}
}

// shut closes the connections of a session.
func (h *held) shut() {
	h.mu.Lock()
	old, f := h.legacy, h.feed
	h.legacy, h.feed = nil, nil
	h.mu.Unlock()
	if old != nil {
		old.close()
	}
	if f != nil {
		f.end()
	}
}

// release ends the session of that id at the server, in the background.
func (o *owner) release(h *held, id string) {
	h.shut()
	if id == "" {
		return
	}
	h.mu.Lock()
	version := h.state.Version
	h.mu.Unlock()
	o.endAt(h, live{id: id, version: version})
}

// endAt ends a session at the server, in the background.
func (o *owner) endAt(h *held, l live) {
	h.mu.Lock()
	call, to := h.call, h.to
	h.mu.Unlock()
	if call == nil || to.Member == nil || to.Member.Server == nil {
		return
	}
	call = beside(call)
	o.p.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, o.p.limits.Initialise)
		defer cancel()
		resp, f := o.send(ctx, job{call: call, to: to}, "DELETE", l, nil)
		if f == nil {
			drain(resp)
		}
	})
}

// tomb remembers that a session was ended by its client.
func (p *Protocol) tomb(h session.Handle) { p.ended.put(h, p.now()) }

// dead tells whether the client ended the session, as far as is known here.
func (p *Protocol) dead(h session.Handle) bool {
	_, ok := p.ended.get(h)
	return ok
}

// media is a Content-Type without its parameters.
func media(kind string) string {
	kind, _, _ = strings.Cut(kind, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// Package load is agents' traffic by the official SDKs, whose own retries are
// off: requests begin at their scheduled times whether or not earlier ones have
// ended, and are counted from then. It says what became of each, and judges
// nothing.
package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is what a request is.
type Kind string

// The kinds of requests. Count is a tool call with an effect.
const (
	Chat   Kind = "chat"
	Stream Kind = "chat, streamed"
	Tool   Kind = "tool"
	Count  Kind = "tool count"
)

// Kinds lists them.
var Kinds = []Kind{Chat, Stream, Tool, Count}

// Fate is what became of a request.
type Fate int

const (
	// Served is as it should be.
	Served Fate = iota
	// Lost is a failure that a client should not have seen.
	Lost
	// Cut is a stream that ended early after it had begun, and said so.
	Cut
	// Unrepeated is a call with an effect of which the gateway says that it was
	// under way: to send it again could have done it twice.
	Unrepeated
)

// Result is one request as its client saw it.
type Result struct {
	Kind      Kind
	Scheduled time.Time
	Ended     time.Time
	// Cluster is who served, by the answer's header.
	Cluster string
	Fate    Fate
	Err     error
}

// Took is the time from when it was due.
func (r Result) Took() time.Duration { return r.Ended.Sub(r.Scheduled) }

const (
	// patience is how long a client waits.
	patience = 15 * time.Second
	// dearShare is one in how many requests goes to a model that costs money.
	dearShare = 40
	// closing is how long the sessions' ends may take.
	closing = 5 * time.Second
)

// Farewell bounds how long Stop takes.
const Farewell = patience + closing

// Options of Traffic. Models and Tools are the proxies of each gateway,
// host:port, to which requests go in turn.
type Options struct {
	// Rate is requests a second.
	Rate          int
	Models, Tools []string
	// Path is where the gateway has the models [/azureopenai/].
	Path string
	// Sessions is how many agents hold an MCP session [21].
	Sessions int
	// Dear is for models that cost money: they get fewer of the requests.
	Dear bool
	// Home is the cluster that has to serve before the traffic begins, and where the
	// sessions are then; "" any.
	Home string
}

// Traffic is what the agents send.
type Traffic struct {
	opts   Options
	models *models
	agents []*Agent

	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	turn   atomic.Uint64 // of the sessions

	mu  sync.Mutex
	all []Result
}

// Start opens the agents' sessions and begins.
func Start(ctx context.Context, opts Options) (*Traffic, error) {
	if opts.Path == "" {
		opts.Path = "/azureopenai/"
	}
	if opts.Sessions == 0 {
		opts.Sessions = 21
	}
	t := &Traffic{opts: opts, models: newModels(opts.Models, opts.Path)}
	if err := t.models.warm(ctx, opts.Home); err != nil {
		return nil, err
	}
	for range opts.Sessions {
		a, err := reach(ctx, opts.Tools, opts.Home)
		if err == nil {
			_, err = a.count(ctx) // so that a counter that begins anew is seen to do so
		}
		if err != nil {
			return nil, err
		}
		t.agents = append(t.agents, a)
	}
	ctx, t.cancel = context.WithCancel(ctx)
	t.wg.Go(func() { t.send(ctx) })
	return t, nil
}

// send sends at the rate, whether or not earlier requests have ended.
func (t *Traffic) send(ctx context.Context) {
	start, gap := time.Now(), time.Second/time.Duration(t.opts.Rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		scheduled := start.Add(time.Duration(n) * gap)
		timer.Reset(time.Until(scheduled))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		t.wg.Go(func() {
			// What has begun is waited for also when the sending ends.
			ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), scheduled.Add(patience))
			defer cancel()
			t.note(t.one(ctx, n, scheduled))
		})
	}
}

func (t *Traffic) note(r Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, r)
}

// next mixes the kinds: six of ten are for models, two of these streamed; one
// in eight of the others has an effect.
func (t *Traffic) next(n int) Kind {
	if t.opts.Dear && n%dearShare != 0 {
		n = n - n%10 + 6 + n%4
	}
	switch {
	case n%10 == 1 || n%10 == 4:
		return Stream
	case n%10 < 6:
		return Chat
	case n%20 == 7:
		return Count
	}
	return Tool
}

func (t *Traffic) one(ctx context.Context, n int, scheduled time.Time) Result {
	seen := &sighting{}
	ctx = context.WithValue(ctx, sightingKey{}, seen)
	r := Result{Kind: t.next(n), Scheduled: scheduled}
	agent := func() *Agent { return t.agents[t.turn.Add(1)%uint64(len(t.agents))] }
	switch r.Kind {
	case Chat:
		r.Fate, r.Err = t.models.chat(ctx)
	case Stream:
		r.Fate, r.Err = t.models.stream(ctx)
	case Count:
		r.Fate, r.Err = agent().count(ctx)
	case Tool:
		r.Fate, r.Err = agent().tool(ctx, n)
	}
	r.Ended, r.Cluster = time.Now(), seen.cluster()
	return r
}

// Stop sends no more, and waits for what is under way.
func (t *Traffic) Stop() {
	t.once.Do(func() {
		t.cancel()
		t.wg.Wait()
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			var all sync.WaitGroup
			for _, a := range t.agents {
				all.Go(a.close)
			}
			all.Wait()
		}()
		select {
		case <-closed:
		case <-time.After(closing): // nothing is left to lose
		}
	})
}

// Results are those of the requests that have ended. The slice is the caller's.
func (t *Traffic) Results() []Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Result(nil), t.all...)
}

// Rate is requests a second.
func (t *Traffic) Rate() int { return t.opts.Rate }

// Sessions is what became of the agents' MCP sessions.
type Sessions struct {
	// All were opened; of Changed the id is another one than at first. Restarts
	// is how often a server's own counter of a session began anew.
	All, Changed, Restarts int
	// Counted are those in which the server has counted at all.
	Counted int
}

// Sessions tells what became of the sessions.
func (t *Traffic) Sessions() Sessions {
	s := Sessions{All: len(t.agents)}
	for _, a := range t.agents {
		if !a.same() {
			s.Changed++
		}
		s.Restarts += a.restarted()
		if a.begun() {
			s.Counted++
		}
	}
	return s
}

// Loss is a part of the fleet going away: From is before it began, To after.
type Loss struct{ From, To time.Time }

// Unnoticed is how long a loss may stay so: what begins until then may still
// run into it.
const Unnoticed = 3 * time.Second

// met tells whether a request was under way when something was lost, or before
// that could be noticed.
func (l Loss) met(r Result) bool {
	return !r.Ended.Before(l.From) && !r.Scheduled.After(l.To.Add(Unnoticed))
}

// Held are the results held against what was lost in the meantime: a stream that
// was cut, or a call that was not repeated, without having met a loss is lost.
// The slice is the caller's.
func Held(results []Result, losses ...Loss) []Result {
	out := slices.Clone(results)
	for i, r := range out {
		if r.Fate != Cut && r.Fate != Unrepeated || slices.ContainsFunc(losses, func(l Loss) bool { return l.met(r) }) {
			continue
		}
		out[i].Fate, out[i].Err = Lost, fmt.Errorf("nothing was lost that it could have met: %w", r.Err)
	}
	return out
}

// Failed describes the requests that were lost, at most n of them.
func Failed(results []Result, n int) string {
	out := ""
	for _, r := range results {
		if r.Fate == Lost && n > 0 {
			out += fmt.Sprintf("\n  %s %s after %s: %v", r.Scheduled.Format("15:04:05.000"), r.Kind, r.Took().Round(time.Millisecond), r.Err)
			n--
		}
	}
	return out
}

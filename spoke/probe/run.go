package probe

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/navehq/nave/api/probe"
)

// run is one time of probing.
type run struct {
	p      *Prober
	rate   int
	counts counts
	room   chan struct{} // one for each request in flight

	all []*course

	mu      sync.Mutex
	targets []*course // of all, those that are probed
}

// course is a target as it is being probed.
type course struct {
	Target
	client   *http.Client
	sessions []*session // of an MCP target

	mu   sync.Mutex
	last string // the cluster that served last
}

// outcome is what a client saw of one request.
type outcome struct {
	cluster       string
	attempts      int
	failed, lost  bool
	reinitialised bool
	// bound: the request belongs to a session, which stays where it is.
	bound bool
	// status is of the answer, 0 where there is none.
	status int
	err    error
}

func newRun(p *Prober, targets []Target, rate int) *run {
	r := &run{p: p, rate: rate, room: make(chan struct{}, maxInFlight)}
	for _, t := range targets {
		c := &course{Target: t, client: p.clientOf(&t)}
		if t.Kind == MCP {
			for range sessionsPerTarget {
				c.sessions = append(c.sessions, &session{})
			}
		}
		r.all = append(r.all, c)
	}
	r.targets = r.all
	r.counts.start = p.opts.Now().Truncate(probe.Width)
	return r
}

// names are the URLs that are probed.
func (r *run) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, c := range r.targets {
		out = append(out, c.URLs...)
	}
	return out
}

// drive sends until ctx ends, and returns when every request has ended.
func (r *run) drive(ctx context.Context) {
	var wg sync.WaitGroup
	defer func() {
		wg.Wait()
		for _, c := range r.all {
			c.client.CloseIdleConnections()
		}
	}()
	targets := r.answering(ctx)
	if len(targets) == 0 {
		return
	}
	start, gap := r.p.opts.Now(), time.Second/time.Duration(r.rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		scheduled := start.Add(time.Duration(n) * gap)
		timer.Reset(scheduled.Sub(r.p.opts.Now()))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		c, turn := targets[n%len(targets)], n/len(targets)
		bucket, ok := r.counts.begin(scheduled, c.served())
		if !ok {
			return
		}
		at := c.served()
		select {
		case r.room <- struct{}{}:
		default:
			// A client that cannot even send has no answer either.
			r.counts.end(bucket, at, &outcome{lost: true}, patience)
			continue
		}
		wg.Go(func() {
			defer func() { <-r.room }()
			r.one(ctx, c, turn, bucket, at, scheduled)
		})
	}
}

// one sends one request and counts what came of it.
func (r *run) one(ctx context.Context, c *course, turn, bucket int, at string, scheduled time.Time) {
	limited, cancel := context.WithDeadline(ctx, scheduled.Add(patience))
	defer cancel()
	o := r.send(limited, c, turn)
	if o.lost && ctx.Err() != nil {
		r.counts.end(bucket, at, nil, 0)
		return
	}
	if o.failed || o.lost {
		r.p.opts.Log.Debug("a probe failed", "target", c.Name, "status", o.status, "err", o.err)
	} else {
		c.mu.Lock()
		c.last = o.cluster
		c.mu.Unlock()
	}
	r.counts.end(bucket, at, &o, r.p.opts.Now().Sub(scheduled))
}

func (c *course) served() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// answering tries each target once, and leaves out those that refuse a prober
// as a client: they would show nothing of a loss.
func (r *run) answering(ctx context.Context) []*course {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	refused := make([]bool, len(r.targets))
	var wg sync.WaitGroup
	for i, c := range r.targets {
		wg.Go(func() {
			o := r.send(ctx, c, 0)
			if refused[i] = o.status >= 400 && o.status < 500; refused[i] {
				r.p.opts.Log.Info("not probed: it refuses", "target", c.Name, "status", o.status)
			} else if !o.failed && !o.lost {
				c.mu.Lock()
				c.last = o.cluster
				c.mu.Unlock()
			}
		})
	}
	wg.Wait()
	var out []*course
	for i, c := range r.targets {
		if !refused[i] {
			out = append(out, c)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.targets = out
	return out
}

func (r *run) send(ctx context.Context, c *course, turn int) outcome {
	url := c.URLs[turn%len(c.URLs)]
	if c.Kind == MCP {
		return r.p.call(ctx, c, url, turn)
	}
	return r.p.request(ctx, c, url)
}

var errTooLong = errors.New("the answer is too long")

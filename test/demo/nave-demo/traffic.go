package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// kind is what a request is.
type kind string

const (
	chat   kind = "chat"
	stream kind = "chat, streamed"
	tool   kind = "tool"
	count  kind = "tool count"
)

var kinds = []kind{chat, stream, tool, count}

// fate is what became of a request.
type fate int

const (
	served fate = iota
	// lost is a failure that a client should not have seen.
	lost
	// cut is a stream that ended early after it had begun, and said so.
	cut
	// unrepeated is a call with an effect that was under way: to send it again
	// could have done it twice.
	unrepeated
)

// result is one request as its client saw it.
type result struct {
	kind      kind
	scheduled time.Time
	ended     time.Time
	// cluster is who served, by the answer's header.
	cluster string
	fate    fate
	err     error
}

func (r result) took() time.Duration { return r.ended.Sub(r.scheduled) }

const (
	// patience is how long a client waits.
	patience = 15 * time.Second
	// realShare is one in how many requests goes to a model that costs money.
	realShare = 40
)

// traffic is what the agents send.
type traffic struct {
	rate     int
	real     bool
	models   *models
	sessions []*agent

	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	turn   atomic.Uint64 // of the sessions

	mu  sync.Mutex
	all []result
}

// startTraffic opens the agents' sessions and begins.
func startTraffic(ctx context.Context, f *fleet, rate int) (*traffic, error) {
	t := &traffic{rate: rate, real: f.real != "", models: newModels(f.models)}
	if err := t.models.warm(ctx); err != nil {
		return nil, err
	}
	for range sessions {
		a, err := connect(ctx, f.tools)
		if err != nil {
			return nil, err
		}
		t.sessions = append(t.sessions, a)
	}
	ctx, t.cancel = context.WithCancel(ctx)
	t.wg.Go(func() { t.send(ctx) })
	return t, nil
}

// send sends at the rate, whether or not earlier requests have ended.
func (t *traffic) send(ctx context.Context) {
	start, gap := time.Now(), time.Second/time.Duration(t.rate)
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
		k := t.next(n)
		t.wg.Go(func() {
			// What has begun is waited for also when the sending ends.
			ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), scheduled.Add(patience))
			defer cancel()
			seen := &sighting{}
			r := result{kind: k, scheduled: scheduled}
			r.fate, r.err = t.one(context.WithValue(ctx, sightingKey{}, seen), k, n)
			r.ended, r.cluster = time.Now(), seen.cluster()
			t.mu.Lock()
			t.all = append(t.all, r)
			t.mu.Unlock()
		})
	}
}

// next mixes the kinds: six of ten are for models, two of these streamed; one
// in eight of the others has an effect.
func (t *traffic) next(n int) kind {
	if t.real && n%realShare != 0 {
		n = n - n%10 + 6 + n%4
	}
	switch {
	case n%10 == 1 || n%10 == 4:
		return stream
	case n%10 < 6:
		return chat
	case n%20 == 7:
		return count
	}
	return tool
}

func (t *traffic) one(ctx context.Context, k kind, n int) (fate, error) {
	switch k {
	case chat:
		return t.models.chat(ctx)
	case stream:
		return t.models.stream(ctx)
	}
	a := t.sessions[t.turn.Add(1)%uint64(len(t.sessions))]
	if k == count {
		return a.count(ctx)
	}
	return a.tool(ctx, n)
}

// stop sends no more, and waits for what is under way.
func (t *traffic) stop() {
	t.once.Do(func() {
		t.cancel()
		t.wg.Wait()
		for _, a := range t.sessions {
			a.close()
		}
	})
}

func (t *traffic) results() []result {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all
}

// sighting is who answered a request.
type sighting struct{ by atomic.Pointer[string] }

type sightingKey struct{}

func (s *sighting) cluster() string {
	if by := s.by.Load(); by != nil {
		return *by
	}
	return ""
}

// spread sends requests to several proxies in turn.
type spread struct {
	hosts []string
	turn  atomic.Uint64
	base  http.RoundTripper
}

func newSpread(hosts []string) *spread {
	return &spread{hosts: hosts, base: &http.Transport{
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute,
	}}
}

// RoundTrip goes to the next proxy, and notes who served.
func (s *spread) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = s.hosts[s.turn.Add(1)%uint64(len(s.hosts))]
	resp, err := s.base.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", r.URL.Host, err)
	}
	seen, _ := r.Context().Value(sightingKey{}).(*sighting)
	if cluster, _, found := strings.Cut(resp.Header.Get("x-nave-served-by"), "/"); found && seen != nil {
		seen.by.Store(&cluster)
	}
	return resp, nil
}

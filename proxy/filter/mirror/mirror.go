// Package mirror sends copies of requests whose answers nobody waits for. It
// decides whether a request is among the mirrored share and bounds how many
// copies are on their way; it never delays or fails the request itself.
package mirror

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
)

// Send sends a copy to a backend, steered so or nil, and is done with its answer
// when it returns.
type Send func(ctx context.Context, backend string, s *table.Steering, r *message.Request)

// Mirror sends copies. Close waits for those on their way.
type Mirror struct {
	send    Send
	limit   chan struct{}
	timeout time.Duration
	dropped prometheus.Counter
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup
}

// New makes a Mirror with at most limit copies on their way, each ended after
// timeout. r gets the metrics; nil is silent.
func New(send Send, limit int, timeout time.Duration, r prometheus.Registerer) *Mirror {
	m := &Mirror{
		send: send, limit: make(chan struct{}, limit), timeout: timeout,
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nave_mirror_dropped_total",
			Help: "Copies not sent because too many were on their way or the body was too large.",
		}),
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if r != nil {
		r.MustRegister(m.dropped)
	}
	return m
}

// Among tells whether a request with that random word is mirrored.
func Among(f *table.Mirror, word uint64) bool {
	if f.Denominator <= 0 {
		return true
	}
	return int64(word%uint64(f.Denominator)) < int64(f.Numerator)
}

// Copy sends a copy of r with that body, which is shared and never changed. The
// copy holds none of r's memory, which is the engine's. s steers it, or is nil.
func (m *Mirror) Copy(backend string, s *table.Steering, r *message.Request, body []byte) {
	select {
	case m.limit <- struct{}{}:
	default:
		m.dropped.Inc()
		return
	}
	c := clone(r, body)
	m.work.Go(func() {
		defer func() { <-m.limit }()
		ctx, cancel := context.WithTimeout(m.ctx, m.timeout)
		defer cancel()
		m.send(ctx, backend, s, c)
	})
}

// Drop counts a copy that could not be made.
func (m *Mirror) Drop() { m.dropped.Inc() }

// Close ends the copies on their way and waits for them.
func (m *Mirror) Close() {
	m.cancel()
	m.work.Wait()
}

func clone(r *message.Request, body []byte) *message.Request {
	c := &message.Request{
		Method: strings.Clone(r.Method), Scheme: strings.Clone(r.Scheme), Authority: strings.Clone(r.Authority),
		Path: strings.Clone(r.Path), Query: strings.Clone(r.Query), HasQuery: r.HasQuery, Protocol: r.Protocol,
		Remote: r.Remote, Local: r.Local, ContentLength: int64(len(body)),
	}
	if len(body) > 0 {
		c.Body = bytes.NewReader(body)
	}
	c.Header.Grow(r.Header.Len())
	for f := range r.Header.All() {
		c.Header.Add(strings.Clone(f.Name), strings.Clone(f.Value))
	}
	return c
}

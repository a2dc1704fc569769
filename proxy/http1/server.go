package http1

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// Options of a Server. Zero values mean the defaults in brackets.
type Options struct {
	Limits parse.Limits // [parse.Default]
	// HeaderTimeout is how long a head may take from its first byte [10 s].
	HeaderTimeout time.Duration
	// IdleTimeout is how long a connection may wait for its next request [10 min].
	IdleTimeout time.Duration
	// StallTimeout ends a connection that takes or gives no byte of a body for
	// that long while the handler waits for it [1 min].
	StallTimeout time.Duration
	// MaxAge is when a connection is asked to close: at the end of its exchange,
	// at once if it is idle [never].
	MaxAge time.Duration
	// Unread is how much of a request's body, left unread by the handler, is
	// read and dropped so that the connection can be kept [64 KiB].
	Unread int64
	// HTTP2, where set, takes over a connection that begins with the preface of
	// HTTP/2, which it reads again. It returns when it has done with it.
	HTTP2 func(ctx context.Context, conn net.Conn)
	// Log gets the panics of handlers [none].
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.OrDefault()
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 10*time.Minute)
	o.StallTimeout = cmp.Or(o.StallTimeout, time.Minute)
	o.Unread = cmp.Or(o.Unread, 64<<10)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// lingerTimeout bounds the wait for a client that still sends after its answer
// was complete; sweepEvery is how far apart the sweeps are at most, which bounds
// how late a timeout fires and how late a client that is gone is noticed.
const (
	lingerTimeout = 2 * time.Second
	sweepEvery    = 400 * time.Millisecond
)

// Server serves HTTP/1.1 connections. One goroutine per connection, and one
// sweeper for all of them: it keeps the time, ends what takes too long, and
// looks for clients that are gone, so that no request costs a timer or a
// goroutine. Shutdown must be called to end it.
type Server struct {
	handler  message.Handler
	opt      Options
	base     context.Context
	cut      context.CancelFunc
	start    time.Time
	now      atomic.Int64           // milliseconds since start, as of the last sweep; from 1
	date     atomic.Pointer[string] // the Date header's value
	draining atomic.Bool

	mu      sync.Mutex
	conns   map[*conn]struct{}
	empty   chan struct{} // closed when draining and no connection is left
	sweeper sync.WaitGroup
	stop    chan struct{}
}

// NewServer makes a server and starts its sweeper.
func NewServer(h message.Handler, o Options) *Server {
	s := &Server{
		handler: h, opt: o.withDefaults(), start: time.Now(),
		conns: map[*conn]struct{}{}, empty: make(chan struct{}), stop: make(chan struct{}),
	}
	s.base, s.cut = context.WithCancel(context.Background())
	s.tick(time.Now())
	s.sweeper.Go(s.sweep)
	return s
}

// Serve accepts connections until ctx ends or l is closed, and closes l. The
// connections live on until Shutdown. It returns nil unless accepting broke.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			go s.ServeConn(c, nil)
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case !wait(ctx, 5*time.Millisecond):
			return nil
		case !temporary(err):
			return err
		}
	}
}

// temporary errors of Accept are those that leave the socket good: too many
// files, a connection reset while it waited.
func temporary(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Temporary() //nolint:staticcheck // nothing else tells it
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ServeConn serves one connection to its end and closes it. tls is nil for plain
// TCP; nc has done its handshake otherwise.
func (s *Server) ServeConn(nc net.Conn, tls *message.TLS) {
	c := newConn(s, nc, tls)
	if !s.add(c) {
		nc.Close()
		return
	}
	defer s.remove(c)
	c.serve()
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.draining.Load() && len(s.conns) == 0 {
		close(s.empty)
	}
}

// Connections is the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown drains: no new connections, idle ones are closed, answers say
// "Connection: close". What still runs when ctx ends is cut, its exchange's
// context first. It returns when every connection and the sweeper have ended,
// with ctx's error if something was cut. It is called once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	if len(s.conns) == 0 {
		close(s.empty)
	}
	s.mu.Unlock()
	s.each((*conn).retire)
	var err error
	select {
	case <-s.empty:
	case <-ctx.Done():
		err = ctx.Err()
		s.cut()
		s.each((*conn).cut)
		<-s.empty
	}
	s.cut()
	close(s.stop)
	s.sweeper.Wait()
	return err
}

// each calls f for every connection, not holding the lock.
func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

func (s *Server) sweep() {
	every := sweepEvery
	for _, d := range []time.Duration{s.opt.HeaderTimeout, s.opt.IdleTimeout, s.opt.StallTimeout} {
		every = min(every, max(d/4, time.Millisecond))
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			s.tick(now)
			s.each((*conn).sweep)
		case <-s.stop:
			return
		}
	}
}

// tick moves the clock that connections read: so a request costs no system time.
func (s *Server) tick(now time.Time) {
	s.now.Store(now.Sub(s.start).Milliseconds() + 1)
	date := now.UTC().Format(http.TimeFormat)
	if old := s.date.Load(); old == nil || *old != date {
		s.date.Store(&date)
	}
}

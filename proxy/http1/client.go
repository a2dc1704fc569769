package http1

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// Destination is where a request is sent: a socket address and, where TLS is
// not nil, the identity that is asked for and shown there. Connections are kept
// per (Network, Address, TLS): two requests share them only if their TLS is the
// same pointer, so whoever makes a tls.Config keeps it.
type Destination struct {
	Network string // "tcp" where empty
	Address string // host:port
	TLS     *tls.Config
}

// ClientOptions of a Client. Zero values mean the defaults in brackets.
type ClientOptions struct {
	// Dial opens connections [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Connected is told of each connection that was made and how long it took,
	// the TLS handshake included [nobody].
	Connected func(secure bool, took time.Duration)
	// ConnectTimeout bounds dialing and the TLS handshake together [10 s].
	ConnectTimeout time.Duration
	// IdleTimeout is how long a connection is kept for the next request [55 s,
	// below the minute after which many servers close].
	IdleTimeout time.Duration
	// MaxIdle is how many connections are kept per destination [256].
	MaxIdle int
	Limits  parse.Limits // of answers' heads and trailers [parse.Default]
}

func (o ClientOptions) withDefaults() ClientOptions {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Connected == nil {
		o.Connected = func(bool, time.Duration) {}
	}
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 55*time.Second)
	o.MaxIdle = cmp.Or(o.MaxIdle, 256)
	o.Limits = o.Limits.OrDefault()
	return o
}

// Client sends requests. It keeps connections and never sends a request twice.
type Client struct {
	opt ClientOptions

	mu      sync.Mutex
	idle    map[Destination][]*clientConn // the youngest last
	closed  bool
	sweeper sync.WaitGroup
	stop    chan struct{}
}

// NewClient makes a client and starts the goroutine that closes idle
// connections; Close ends it.
func NewClient(o ClientOptions) *Client {
	c := &Client{opt: o.withDefaults(), idle: map[Destination][]*clientConn{}, stop: make(chan struct{})}
	c.sweeper.Go(c.sweep)
	return c
}

// Close closes idle connections and keeps no more. Requests in flight go on. It
// is called once.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	for _, conns := range idle {
		closeAll(conns)
	}
	close(c.stop)
	c.sweeper.Wait()
	return nil
}

// Idle is the number of kept connections that wait for a request.
func (c *Client) Idle() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conns := range c.idle {
		n += len(conns)
	}
	return n
}

func closeAll(conns []*clientConn) {
	for _, cc := range conns {
		cc.net.Close()
	}
}

func (c *Client) sweep() {
	t := time.NewTicker(min(time.Second, max(c.opt.IdleTimeout/4, time.Millisecond)))
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			c.expire(now)
		case <-c.stop:
			return
		}
	}
}

// expire closes connections that have waited too long or whose peer is gone.
func (c *Client) expire(now time.Time) {
	var dead []*clientConn
	c.mu.Lock()
	for d, conns := range c.idle {
		keep := conns[:0]
		for _, cc := range conns {
			if now.Sub(cc.idleSince) > c.opt.IdleTimeout || !cc.fresh() {
				dead = append(dead, cc)
			} else {
				keep = append(keep, cc)
			}
		}
		clear(conns[len(keep):])
		c.idle[d] = keep
		if len(keep) == 0 {
			delete(c.idle, d)
		}
	}
	c.mu.Unlock()
	closeAll(dead)
}

// take gives the youngest kept connection that is still good, or nil.
func (c *Client) take(d Destination) *clientConn {
	for {
		c.mu.Lock()
		conns := c.idle[d]
		if len(conns) == 0 {
			c.mu.Unlock()
			return nil
		}
		cc := conns[len(conns)-1]
		conns[len(conns)-1] = nil
		c.idle[d] = conns[:len(conns)-1]
		c.mu.Unlock()
		if cc.fresh() {
			return cc
		}
		cc.net.Close()
	}
}

func (c *Client) keep(cc *clientConn) {
	cc.reused, cc.idleSince = true, time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle[cc.dest]) >= c.opt.MaxIdle {
		cc.net.Close()
		return
	}
	c.idle[cc.dest] = append(c.idle[cc.dest], cc)
}

// connect opens a connection. Its error is a *message.SendError.
func (c *Client) connect(ctx context.Context, d Destination) (*clientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.ConnectTimeout)
	defer cancel()
	began := time.Now()
	nc, err := Connect(ctx, c.opt.Dial, d)
	if err != nil {
		return nil, err
	}
	c.opt.Connected(d.TLS != nil, time.Since(began))
	cc := &clientConn{client: c, dest: d, net: nc, tls: d.TLS != nil, peek: newPeeker(underlying(nc))}
	cc.in.src, cc.out.dst = nc, nc
	cc.abort = func() { nc.SetDeadline(time.Unix(1, 0)) }
	return cc, nil
}

// Connect dials d and, where it has TLS, shakes hands; the connection is a
// *tls.Conn then. Its error is a *message.SendError.
func Connect(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), d Destination) (net.Conn, error) {
	nc, err := dial(ctx, cmp.Or(d.Network, "tcp"), d.Address)
	if err != nil {
		return nil, connectError(ctx, d, message.StageConnect, err)
	}
	if d.TLS == nil {
		return nc, nil
	}
	t := tls.Client(nc, d.TLS)
	if err := t.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, connectError(ctx, d, message.StageHandshake, err)
	}
	return t, nil
}

func connectError(ctx context.Context, d Destination, at message.Stage, err error) error {
	var dns *net.DNSError
	if at == message.StageConnect && errors.As(err, &dns) {
		at = message.StageResolve
	}
	return &message.SendError{
		Stage: at, Address: d.Address, Unprocessed: true, Timeout: timedOut(ctx, err), Err: err,
	}
}

func timedOut(ctx context.Context, err error) bool {
	var ne net.Error
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout() && ctx.Err() == nil
}

// Do sends r and returns the head of its final answer, whose Body reads on from
// the connection. It writes and reads on the caller's goroutine; only a body of
// more than 64 KiB, or of unknown length, is sent by a second one while the
// answer is awaited, so that neither direction can block the other. ctx ends
// the exchange at any time, inside the answer's body too. Errors, the body's
// included, are *message.SendError.
func (c *Client) Do(ctx context.Context, r *message.Request, d Destination) (*message.Response, error) {
	d.Network = cmp.Or(d.Network, "tcp")
	if err := cmp.Or(checkRequest(r), ctx.Err()); err != nil {
		return nil, &message.SendError{Stage: message.StageSend, Address: d.Address, Unprocessed: true, Timeout: err == context.DeadlineExceeded, Err: err}
	}
	cc := c.take(d)
	if cc == nil {
		var err error
		if cc, err = c.connect(ctx, d); err != nil {
			return nil, err
		}
	}
	call := &call{conn: cc, ctx: ctx, request: r, stop: watch(ctx, cc.abort)}
	return call.do()
}

// watch is context.AfterFunc, without its detour for an exchange's own context.
// It is nil for a context that never ends.
func watch(ctx context.Context, f func()) (stop func() bool) {
	if x, ok := ctx.(*exchangeContext); ok {
		return x.watch(f)
	}
	if ctx.Done() == nil {
		return nil
	}
	return context.AfterFunc(ctx, f)
}

// clientConn is a connection to a server: one call's, or kept for the next.
type clientConn struct {
	client    *Client
	dest      Destination
	net       net.Conn
	tls       bool
	peek      *peeker
	in        input
	out       output
	abort     func() // ends reads and writes that wait
	reused    bool
	idleSince time.Time
}

// fresh tells whether a kept connection can be used: its peer has not closed it
// and has sent nothing unasked, which would be taken for the next answer. Below
// TLS, what it has sent may be TLS's own.
func (cc *clientConn) fresh() bool {
	if cc.tls {
		return !cc.peek.gone()
	}
	return cc.peek.silent()
}

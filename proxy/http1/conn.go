package http1

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// phase is what a connection is doing, for the sweeper.
type phase = int32

const (
	phaseIdle    phase = iota // waits for a first byte
	phaseHead                 // reads a head
	phaseServe                // the handler runs
	phaseHanded               // upgraded, or given to HTTP/2
	phaseLinger               // reads on to drop what comes
	phaseRetired              // the sweeper has ended an idle connection
)

// conn is one client's connection. Its goroutine owns everything but the
// atomics, by which the sweeper sees what it is at and since when.
type conn struct {
	server *Server
	net    net.Conn // speaks HTTP
	under  net.Conn // below TLS, else the same
	peek   *peeker  // nil where the connection is no socket
	in     input
	out    output
	x      exchange
	born   int64

	phase   atomic.Int32
	since   atomic.Int64 // when phase began
	reading atomic.Int64 // since when a read waits; 0 for none
	writing atomic.Int64
	context atomic.Pointer[exchangeContext]
}

func newConn(s *Server, nc net.Conn, tls *message.TLS) *conn {
	c := &conn{server: s, net: nc, under: underlying(nc), born: s.now.Load()}
	c.peek = newPeeker(c.under)
	c.in.src, c.out.dst = c, c
	c.x.conn = c
	c.x.request.TLS = tls
	c.x.request.Scheme = "http"
	if tls != nil {
		c.x.request.Scheme = "https"
	}
	c.x.request.Remote = addrPort(nc.RemoteAddr())
	c.x.request.Local = addrPort(nc.LocalAddr())
	c.enter(phaseIdle)
	return c
}

func underlying(nc net.Conn) net.Conn {
	for {
		w, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = w.NetConn()
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

func (c *conn) enter(p phase) {
	c.since.Store(c.server.now.Load())
	c.phase.Store(p)
}

// Read, Write and writeBuffers are the connection's own input and output: they
// say since when they wait.

func (c *conn) Read(p []byte) (int, error) {
	c.reading.Store(c.server.now.Load())
	n, err := c.net.Read(p)
	c.reading.Store(0)
	return n, err
}

// pieceSize bounds one write, so that a slow client that does take bytes is
// told from one that takes none.
const pieceSize = 256 << 10

func (c *conn) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		var m int
		c.writing.Store(c.server.now.Load())
		m, err = c.net.Write(p[:min(len(p), pieceSize)])
		c.writing.Store(0)
		n, p = n+m, p[m:]
	}
	return n, err
}

func (c *conn) writeBuffers(b *net.Buffers) (int64, error) {
	c.writing.Store(c.server.now.Load())
	defer c.writing.Store(0)
	if w, ok := c.net.(interface {
		WriteBuffers(*net.Buffers) (int64, error)
	}); ok {
		return w.WriteBuffers(b) // it is wrapped: WriteTo would write them one by one
	}
	return b.WriteTo(c.net)
}

// sweep is called by the sweeper alone, at any moment of the connection's life.
func (c *conn) sweep() {
	s, opt := c.server, &c.server.opt
	now := s.now.Load()
	lasted := time.Duration(now-c.since.Load()) * time.Millisecond
	switch c.phase.Load() {
	case phaseIdle:
		if s.draining.Load() || c.aged() || lasted > opt.IdleTimeout {
			c.retire()
		}
	case phaseHead:
		if lasted > opt.HeaderTimeout {
			c.expire()
		}
	case phaseServe:
		if t := c.reading.Load(); t != 0 {
			if time.Duration(now-t)*time.Millisecond > opt.StallTimeout {
				c.expire()
			}
		} else if c.peek.gone() {
			c.context.Load().cancel()
		}
	case phaseLinger:
		if lasted > lingerTimeout {
			c.expire()
		}
	}
	if t := c.writing.Load(); t != 0 && time.Duration(now-t)*time.Millisecond > opt.StallTimeout {
		c.under.Close()
	}
}

func (c *conn) aged() bool {
	max := c.server.opt.MaxAge
	return max > 0 && time.Duration(c.server.now.Load()-c.born)*time.Millisecond > max
}

// expire ends a read that waits.
func (c *conn) expire() { c.net.SetReadDeadline(time.Unix(1, 0)) }

// retire ends a connection if it is idle, unless a byte has just come. Anybody may
// call it.
func (c *conn) retire() {
	if c.phase.CompareAndSwap(phaseIdle, phaseRetired) {
		c.expire()
	}
}

// cut ends the connection at once, whatever it is doing.
func (c *conn) cut() {
	if x := c.context.Load(); x != nil {
		x.cancel()
	}
	c.under.Close()
}

// serve runs the connection to its end.
func (c *conn) serve() {
	defer c.in.release()
	defer c.out.release()
	defer c.net.Close()
	for first := true; ; first = false {
		head, fields, err := c.head()
		if err != nil {
			c.refuse(err)
			return
		}
		if first && head == preface && c.server.opt.HTTP2 != nil {
			c.handOver()
			return
		}
		if !c.x.run(head, fields) {
			return
		}
	}
}

// preface is how a connection of HTTP/2 begins, as far as it is a head.
const preface = "PRI * HTTP/2.0\r\n\r\n"

func (c *conn) handOver() {
	c.enter(phaseHanded)
	raw := c.raw()
	raw.ahead = append([]byte(preface), raw.ahead...)
	c.server.opt.HTTP2(c.server.base, raw)
}

// raw is the connection as it goes on after HTTP/1, with what was read ahead.
func (c *conn) raw() *rawConn {
	r := &rawConn{Conn: c.net, ahead: append([]byte(nil), c.in.buffered()...)}
	c.in.skip(len(r.ahead))
	c.in.release()
	return r
}

// head waits for a request and reads its head.
func (c *conn) head() (string, int, error) {
	for skipped := false; ; skipped = true {
		if err := c.first(); err != nil {
			return "", 0, err
		}
		// One empty line before a request is a known habit of old clients.
		b := c.in.buffered()
		if skipped || len(b) < 2 || b[0] != '\r' || b[1] != '\n' {
			break
		}
		c.in.skip(2)
	}
	scan := parse.Scan{}
	head, err := c.in.head(&scan, c.server.opt.Limits)
	return head, scan.Fields(), err
}

var errRetired = errors.New("reading a request: the connection was idle")

// first waits for the first byte of a request, which makes the connection busy.
func (c *conn) first() error {
	if len(c.in.buffered()) > 0 {
		c.enter(phaseHead)
		return nil
	}
	c.enter(phaseIdle)
	if c.server.draining.Load() {
		return errRetired
	}
	if err := c.in.fill(); err != nil {
		return errRetired
	}
	c.since.Store(c.server.now.Load())
	if !c.phase.CompareAndSwap(phaseIdle, phaseHead) {
		return errRetired
	}
	return nil
}

// refuse answers what is no request, where it can be answered.
func (c *conn) refuse(err error) {
	var bad *parse.Error
	status := 0
	switch {
	case errors.As(err, &bad):
		status = bad.Status
	case errors.Is(err, os.ErrDeadlineExceeded):
		status = 408
	default:
		return
	}
	c.out.open()
	c.out.status(status)
	c.out.field("Date", *c.server.date.Load())
	c.out.buf = append(c.out.buf, "Connection: close\r\nContent-Length: 0\r\n\r\n"...)
	if c.out.flush() == nil {
		c.linger()
	}
}

// linger ends the connection for a client that may still be sending: without
// it the reset that its bytes provoke could overtake the answer.
func (c *conn) linger() {
	w, ok := c.net.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	c.enter(phaseLinger)
	c.net.SetReadDeadline(time.Time{})
	c.drop(1 << 20)
}

// drop reads and forgets at most n bytes.
func (c *conn) drop(n int64) {
	b := getBuffer()
	defer putBuffer(b)
	for n > 0 {
		m, err := c.Read(b)
		if n -= int64(m); err != nil {
			return
		}
	}
}

// handle runs the handler; a panic in it is told and ends the connection.
func (c *conn) handle(x *exchange) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			c.server.opt.Log.Error("handler panicked", "panic", p, "remote", x.request.Remote.String(), "stack", string(debug.Stack()))
		}
	}()
	c.server.handler.Serve(x)
	return true
}

// rawConn is a connection behind an upgrade.
type rawConn struct {
	net.Conn
	ahead []byte
}

// Read gives what was read ahead first.
func (r *rawConn) Read(p []byte) (int, error) {
	if len(r.ahead) > 0 {
		n := copy(p, r.ahead)
		r.ahead = r.ahead[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// CloseWrite ends this direction and leaves the other open, where the
// connection can.
func (r *rawConn) CloseWrite() error {
	if w, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return r.Conn.Close()
}

// NetConn is the connection below.
func (r *rawConn) NetConn() net.Conn { return r.Conn }

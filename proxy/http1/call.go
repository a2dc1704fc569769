package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// inlineBody is the largest body that is written before the answer is read. It
// fits the sockets' buffers, so that a server that answers while it reads
// cannot stand still with us.
const inlineBody = 64 << 10

// maxInforms bounds the 1xx answers before a final one.
const maxInforms = 32

// call is one request on a connection. It is the answer's body too.
type call struct {
	conn     *clientConn
	ctx      context.Context
	request  *message.Request
	response message.Response
	stop     func() bool // ends the watch over ctx; nil for none
	pump     *pump       // nil where the body is sent
	body     bodyReader
	keep     bool // the server keeps the connection
	over     bool // the connection was given back or closed
}

func checkRequest(r *message.Request) error {
	if !parse.Token(r.Method) || !parse.Target(r.Path) || r.Query != "" && !parse.Target(r.Query) ||
		r.Authority != "" && !parse.Host(r.Authority) || !parse.Value(r.Upgrade) {
		return fmt.Errorf("writing a request: method, target, host or upgrade holds bytes that none may hold")
	}
	return checkFields(&r.Header)
}

func (c *call) do() (*message.Response, error) {
	c.head()
	early := false
	if err := c.send(); err != nil {
		if !c.conn.out.failed {
			return nil, c.fail(message.StageSource, err)
		}
		// A server may answer and close before it has read everything.
		if early = c.conn.out.wrote > 0 && c.answered(); !early {
			return nil, c.fail(message.StageSend, err)
		}
	}
	f, err := c.await()
	if err != nil {
		return nil, err
	}
	r := &c.response
	c.keep = !f.Close && !early
	switch {
	case r.Status == 101:
		return c.switched()
	case !f.Body():
		c.done()
	default:
		c.body = newBodyReader(&c.conn.in, f, c.conn.client.opt.Limits, &r.Trailer)
		r.Body = c
	}
	return r, nil
}

// head writes the request's head into the buffer.
func (c *call) head() {
	out, r := &c.conn.out, c.request
	out.wrote, out.failed = 0, false
	out.open()
	b := append(out.buf, r.Method...)
	b = append(b, ' ')
	b = append(b, r.Path...)
	if r.HasQuery || r.Query != "" {
		b = append(b, '?')
		b = append(b, r.Query...)
	}
	out.buf = append(b, " HTTP/1.1\r\n"...)
	out.field("Host", r.Authority)
	out.fields(&r.Header)
	trailers := r.Header.Get("TE") == "trailers"
	switch {
	case r.Upgrade != "":
		out.field("Connection", "Upgrade")
		out.field("Upgrade", r.Upgrade)
	case trailers:
		out.field("Connection", "TE")
	}
	if trailers {
		out.field("TE", "trailers")
	}
	switch {
	case r.Body == nil || r.ContentLength == 0:
		if r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
			out.number("Content-Length", 0)
		}
	case r.ContentLength > 0:
		out.number("Content-Length", r.ContentLength)
	default:
		out.field("Transfer-Encoding", "chunked")
	}
	out.buf = append(out.buf, "\r\n"...)
}

// send writes head and body, or leaves a large body to a pump.
func (c *call) send() error {
	r, out := c.request, &c.conn.out
	if r.Body == nil || r.ContentLength == 0 {
		return out.flush()
	}
	w := bodyWriter{out: out, mode: modeChunked}
	if r.ContentLength > 0 {
		w.mode, w.left = modeLength, r.ContentLength
	}
	if r.ContentLength < 0 || r.ContentLength > inlineBody {
		if err := out.flush(); err != nil {
			return err
		}
		c.pump = startPump(r, w, c.conn.abort)
		return nil
	}
	if err := copyBody(&w, r.Body); err != nil {
		return err
	}
	return w.end(nil)
}

// pieces are what bodies are copied through: large enough that a usual prompt
// takes one read and one write.
var pieces = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copyBody writes a body through its own WriteTo where it has one, which gives
// what lies in memory in one piece.
func copyBody(w *bodyWriter, body io.Reader) error {
	if t, ok := body.(io.WriterTo); ok {
		_, err := t.WriteTo(w)
		return err
	}
	p := pieces.Get().(*[32 << 10]byte)
	defer pieces.Put(p)
	small := w.mode == modeLength && w.left <= inlineBody
	for {
		n, err := 0, error(nil)
		if small {
			n, err = gather(body, p[:min(int64(len(p)), max(w.left, 1))])
		} else {
			n, err = body.Read(p[:])
		}
		if n > 0 {
			if _, err := w.Write(p[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case w.mode == modeChunked:
			// A sender that streams waits for what it has sent to arrive.
			if err := w.out.flush(); err != nil {
				return err
			}
		}
	}
}

// gather fills p, as far as the body goes.
func gather(body io.Reader, p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		var m int
		m, err = body.Read(p[n:])
		n += m
	}
	return n, err
}

// answered tells, after a write failed, whether an answer came all the same.
func (c *call) answered() bool {
	cc := c.conn
	cc.out.release()
	cc.net.SetReadDeadline(time.Now().Add(time.Second))
	err := cc.in.fill()
	cc.net.SetReadDeadline(time.Time{})
	if c.ctx.Err() != nil {
		cc.abort() // its deadline may just have been overwritten
	}
	return err == nil
}

// await reads heads until the final one.
func (c *call) await() (parse.Framing, error) {
	for n := 0; ; n++ {
		if len(c.conn.in.buffered()) == 0 {
			if err := c.conn.in.fill(); err != nil {
				return parse.Framing{}, c.fail(message.StageAwait, err)
			}
		}
		scan := parse.Scan{}
		head, err := c.conn.in.head(&scan, c.conn.client.opt.Limits)
		if err != nil {
			return parse.Framing{}, c.fail(message.StageHead, err)
		}
		r := &c.response
		r.Header.Reset()
		f, err := parse.Response(head, scan.Fields(), c.request.Method, r)
		if err == nil && (n > maxInforms || r.Status == 101 && c.request.Upgrade == "") {
			err = errors.New("reading an answer: a 1xx that was not asked for, or too many")
		}
		if err != nil {
			return parse.Framing{}, c.fail(message.StageHead, err)
		}
		if r.Status >= 200 || r.Status == 101 {
			return f, nil
		}
		if r.Status != 100 && c.request.Inform != nil {
			c.request.Inform(r.Status, &r.Header)
		}
	}
}

// switched gives the connection to the caller. It stays bound to ctx.
func (c *call) switched() (*message.Response, error) {
	c.over = true
	raw := &rawConn{Conn: c.conn.net, ahead: append([]byte(nil), c.conn.in.buffered()...)}
	c.conn.in.skip(len(raw.ahead))
	c.conn.in.release()
	c.response.Switched = &switchedConn{rawConn: raw, stop: c.stop}
	return &c.response, nil
}

// switchedConn lets go of the context when it is closed.
type switchedConn struct {
	*rawConn
	stop func() bool
}

func (s *switchedConn) Close() error {
	if s.stop != nil {
		s.stop()
	}
	return s.rawConn.Close()
}

var _ net.Conn = (*switchedConn)(nil)

// Read reads the answer's body. With its last bytes the connection goes back to
// be used again.
func (c *call) Read(p []byte) (int, error) {
	if c.over {
		if c.body.err != nil {
			return 0, c.body.err
		}
		return 0, errBodyOver
	}
	n, err := c.body.read(p)
	switch {
	case c.body.whole():
		c.done()
	case c.body.err != nil:
		err = c.fail(message.StageBody, c.body.err)
		c.body.err = err
	}
	if n > 0 {
		err = nil
	}
	return n, err
}

var errBodyOver = errors.New("reading an answer's body: it is closed")

// Close gives the answer up, if it was not read to its end, and its connection.
func (c *call) Close() error {
	if !c.over {
		c.keep = false
		c.done()
	}
	return nil
}

// done ends the call and keeps or closes the connection.
func (c *call) done() {
	c.over = true
	if c.pump != nil && !c.pump.ended() {
		c.keep = false
	}
	if c.stop != nil && !c.stop() {
		c.keep = false // the context has ended; its abort may still be under way
	}
	cc := c.conn
	if !c.keep || len(cc.in.buffered()) > 0 {
		c.discard()
		return
	}
	cc.in.release()
	cc.client.keep(cc)
}

// discard closes the connection and waits for the pump.
func (c *call) discard() {
	cc := c.conn
	cc.net.Close()
	if c.pump != nil {
		c.pump.end(c.request.Body)
	} else {
		cc.out.release()
	}
	if len(cc.in.buffered()) > 0 {
		cc.in.skip(len(cc.in.buffered()))
	}
	cc.in.release()
}

// fail ends the call with an error that says how far it came.
func (c *call) fail(at message.Stage, err error) error {
	e := &message.SendError{Stage: at, Address: c.conn.dest.Address, Reused: c.conn.reused, Err: err}
	e.Unprocessed = at <= message.StageSend && c.conn.out.wrote == 0
	if c.pump != nil {
		if perr, source := c.pump.failure(); source {
			e.Stage, e.Err = message.StageSource, perr
		} else if perr != nil && at == message.StageAwait {
			e.Stage, e.Err = message.StageSend, perr
		}
	}
	if cerr := c.ctx.Err(); cerr != nil {
		e.Err = cerr
		e.Timeout = errors.Is(cerr, context.DeadlineExceeded)
	} else if e.Stage != message.StageSource {
		e.Timeout = errors.Is(err, os.ErrDeadlineExceeded)
	}
	c.over = true
	if c.stop != nil {
		c.stop()
	}
	c.discard()
	return e
}

package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// exchange is the one exchange that a connection has at a time; its memory
// serves one after the other.
type exchange struct {
	conn    *conn
	request message.Request
	framing parse.Framing
	context *exchangeContext
	body    *requestBody // nil for none
	answer  bodyWriter

	started  bool
	finished bool
	switched bool
	close    bool // the connection ends after this exchange
}

// run parses the head, has it handled and ends the answer. It tells whether the
// connection can take another request.
func (x *exchange) run(head string, fields int) bool {
	if err := x.begin(head, fields); err != nil {
		x.conn.refuse(err)
		return false
	}
	x.conn.enter(phaseServe)
	ok := x.conn.handle(x)
	x.context.cancel()
	body := x.body
	if body != nil {
		_ = body.Close() // what is left unread ends the connection below
	}
	switch {
	case x.switched:
		return false
	case !ok || !x.started || !x.finished:
		x.abort()
		return false
	case body != nil && !x.settle(body):
		x.conn.linger()
		return false
	}
	if x.close && len(x.conn.in.buffered()) > 0 {
		x.conn.linger()
	}
	return !x.close
}

func (x *exchange) begin(head string, fields int) (err error) {
	c, r := x.conn, &x.request
	x.started, x.finished, x.switched, x.close = false, false, false, false
	r.Header.Reset()
	r.Trailer.Reset()
	r.Body, r.Upgrade, x.body = nil, "", nil
	if x.framing, err = parse.Request(head, fields, r); err != nil {
		return err
	}
	if x.framing.Body() {
		x.body = &requestBody{x: x, reader: newBodyReader(&c.in, x.framing, c.server.opt.Limits, &r.Trailer)}
		x.body.expected = x.framing.Continue
		r.Body = x.body
	}
	x.context = newContext()
	c.context.Store(x.context)
	return nil
}

// abort ends an answer that its handler gave up, so that the client sees that
// it is cut. Where only the connection's end marks a body's end, that takes a
// reset.
func (x *exchange) abort() {
	c := x.conn
	if x.started {
		_ = c.out.flush() // the connection ends either way
	}
	if x.started && x.answer.mode == modeToEnd {
		if t, ok := c.under.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		c.under.Close()
	}
}

// settle reads what the handler left of the request's body, if it is little. It
// tells whether the next request can be read.
func (x *exchange) settle(b *requestBody) bool {
	if b.reader.whole() {
		return true
	}
	if b.expected || b.interrupted || b.reader.err != nil {
		return false
	}
	x.conn.enter(phaseLinger)
	p := getBuffer()
	defer putBuffer(p)
	for left := x.conn.server.opt.Unread; left > 0; {
		n, err := b.reader.read(p)
		if err != nil {
			return err == io.EOF
		}
		left -= int64(n)
	}
	return b.reader.whole()
}

func (x *exchange) Context() context.Context  { return x.context }
func (x *exchange) Request() *message.Request { return &x.request }
func (x *exchange) Started() bool             { return x.started }

func (x *exchange) Inform(status int, h *message.Header) error {
	switch {
	case status < 100 || status > 199 || status == 101:
		return errInform
	case x.started:
		return errStarted
	case x.request.Protocol == message.HTTP10:
		return nil
	}
	if b := x.body; b != nil {
		b.answering.Lock()
		defer b.answering.Unlock()
		b.expected = b.expected && status != 100
	}
	return x.inform(status, h)
}

func (x *exchange) inform(status int, h *message.Header) error {
	out := &x.conn.out
	if h != nil {
		if err := checkFields(h); err != nil {
			return err
		}
	}
	out.open()
	out.status(status)
	if h != nil {
		out.fields(h)
	}
	out.buf = append(out.buf, "\r\n"...)
	return out.flush()
}

func (x *exchange) Start(status int, h *message.Header, length int64) error {
	switch {
	case status < 200 || status > 999:
		return errStatus
	case x.started:
		return errStarted
	}
	if err := checkFields(h); err != nil {
		return err
	}
	if b := x.body; b != nil {
		b.answering.Lock()
		defer b.answering.Unlock()
		b.answered = true
	}
	c := x.conn
	x.started = true
	x.close = x.framing.Close || c.server.draining.Load() || c.aged()
	x.answer = bodyWriter{out: &c.out}
	c.out.open()
	c.out.status(status)
	c.out.fields(h)
	if !h.Has("Date") {
		c.out.field("Date", *c.server.date.Load())
	}
	x.frame(status, length)
	x.keep()
	c.out.buf = append(c.out.buf, "\r\n"...)
	return nil
}

// frame writes how long the body is and sets the writer of it.
func (x *exchange) frame(status int, length int64) {
	out := &x.conn.out
	if status != 204 && length >= 0 {
		out.number("Content-Length", length)
	}
	switch {
	case x.request.Method == "HEAD" || status == 204 || status == 304:
		x.answer.mode = modeNone
	case length >= 0:
		x.answer.mode, x.answer.left = modeLength, length
	case x.request.Protocol == message.HTTP11:
		x.answer.mode = modeChunked
		out.field("Transfer-Encoding", "chunked")
	default:
		x.answer.mode, x.close = modeToEnd, true
	}
}

// keep writes what becomes of the connection, where it is not the default.
func (x *exchange) keep() {
	if x.body != nil && x.body.expected {
		x.close = true // the client may or may not send the body now
	}
	switch {
	case x.close:
		x.conn.out.field("Connection", "close")
	case x.request.Protocol == message.HTTP10:
		x.conn.out.field("Connection", "keep-alive")
	}
}

func (x *exchange) Write(p []byte) (int, error) {
	switch {
	case !x.started || x.switched:
		return 0, errUnstarted
	case x.finished:
		return 0, errFinished
	}
	return x.answer.Write(p)
}

func (x *exchange) Flush() error {
	if !x.started || x.switched {
		return errUnstarted
	}
	return x.conn.out.flush()
}

func (x *exchange) Finish(t *message.Header) error {
	switch {
	case !x.started || x.switched:
		return errUnstarted
	case x.finished:
		return errFinished
	}
	if err := x.answer.end(t); err != nil {
		return err
	}
	x.finished = true
	return nil
}

var errNoSwitch = errors.New("switching protocols: the request did not ask for it, or its body was not read")

// Switch answers 101. The connection it returns lives as long as the handler.
func (x *exchange) Switch(h *message.Header) (io.ReadWriteCloser, error) {
	switch {
	case x.started:
		return nil, errStarted
	case x.request.Upgrade == "" || x.body != nil && !x.body.reader.whole():
		return nil, errNoSwitch
	}
	if err := checkFields(h); err != nil {
		return nil, err
	}
	out := &x.conn.out
	out.open()
	out.status(101)
	out.fields(h)
	upgrade, ok := h.Lookup("Upgrade")
	if !ok {
		upgrade = x.request.Upgrade
	}
	out.field("Connection", "Upgrade")
	out.field("Upgrade", upgrade)
	out.buf = append(out.buf, "\r\n"...)
	x.started, x.switched = true, true
	x.conn.enter(phaseHanded)
	if err := out.flush(); err != nil {
		return nil, err
	}
	return x.conn.raw(), nil
}

// status writes the status line.
func (o *output) status(code int) {
	b := append(o.buf, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(code)...)
	o.buf = append(b, "\r\n"...)
}

// requestBody is one request's body. It is made anew for each, so that whoever
// reads too late reads an error and not the next request. One goroutine may read
// it while another answers.
type requestBody struct {
	x *exchange

	mu          sync.Mutex // held while reading
	reader      bodyReader
	closed      bool
	interrupted bool // a read was ended from outside: its place is lost

	answering sync.Mutex // orders the 100 before the answer
	expected  bool       // the client still waits for a 100
	answered  bool
}

var errBodyClosed = errors.New("reading a request's body: the exchange is over")

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errBodyClosed
	}
	if err := b.invite(); err != nil {
		return 0, err
	}
	n, err := b.reader.read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.interrupted = true
	}
	return n, err
}

// invite sends the 100 that the client waits for, unless an answer has begun.
func (b *requestBody) invite() error {
	if !b.x.framing.Continue {
		return nil
	}
	b.answering.Lock()
	defer b.answering.Unlock()
	if !b.expected || b.answered {
		return nil
	}
	b.expected = false
	_, err := b.x.conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

// Close ends a read that waits and makes every later one fail.
func (b *requestBody) Close() error {
	if !b.mu.TryLock() {
		b.x.conn.expire()
		b.mu.Lock()
		b.interrupted = true
		b.x.conn.net.SetReadDeadline(time.Time{})
	}
	b.closed = true
	b.mu.Unlock()
	return nil
}

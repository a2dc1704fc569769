package mcptest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/pick"
)

// serve answers what came over the link.
func (n *Node) serve(x *Piped, only *pick.Candidate) {
	c := n.call(x, "")
	c.Only = only
	n.Protocol.Serve(x.Context(), c)
	x.End()
}

// Handler is the proxy's endpoint for clients. The header x-principal says who
// was authenticated.
func (n *Node) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.life.Err() != nil {
			panic(http.ErrAbortHandler)
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(n.life, cancel)()
		local, _ := netip.ParseAddrPort("127.0.0.1:80")
		req := &message.Request{
			Method: r.Method, Scheme: "http", Authority: r.Host, Path: r.URL.Path, Query: r.URL.RawQuery,
			Protocol: message.HTTP11, Body: r.Body, ContentLength: r.ContentLength, Local: local,
		}
		for name, values := range r.Header {
			for _, v := range values {
				req.Header.Add(name, v)
			}
		}
		x := &served{w: w, ctx: ctx, request: req}
		principal := r.Header.Get("X-Principal")
		if principal == "" {
			principal = n.fleet.Principal
		}
		c := n.call(x, principal)
		n.mu.Lock()
		n.records = append(n.records, c.Record)
		n.mu.Unlock()
		n.Protocol.Serve(ctx, c)
		if !x.finished {
			panic(http.ErrAbortHandler)
		}
	})
}

// served is an exchange over net/http.
type served struct {
	w                 http.ResponseWriter
	ctx               context.Context
	request           *message.Request
	started, finished bool
}

func (x *served) Context() context.Context          { return x.ctx }
func (x *served) Request() *message.Request         { return x.request }
func (x *served) Inform(int, *message.Header) error { return nil }
func (x *served) Started() bool                     { return x.started }

func (x *served) Start(status int, h *message.Header, _ int64) error {
	if x.started {
		return errors.New("started twice")
	}
	x.started = true
	for f := range h.All() {
		x.w.Header().Add(f.Name, f.Value)
	}
	x.w.WriteHeader(status)
	return nil
}

func (x *served) Write(p []byte) (int, error) {
	if err := x.ctx.Err(); err != nil {
		return 0, err
	}
	return x.w.Write(p)
}

func (x *served) Flush() error {
	return http.NewResponseController(x.w).Flush()
}

func (x *served) Finish(*message.Header) error {
	x.finished = true
	return x.ctx.Err()
}

func (x *served) Switch(*message.Header) (io.ReadWriteCloser, error) {
	return nil, errors.ErrUnsupported
}

// Piped is an exchange between two proxies of one process.
type Piped struct {
	ctx     context.Context
	cancel  context.CancelFunc
	request *message.Request
	out     *io.PipeWriter
	in      *io.PipeReader
	heads   chan *message.Response
	mu      sync.Mutex
	started bool
	done    bool
}

// Pipe makes an exchange of a request; the link breaks when one of the lives ends.
func Pipe(ctx context.Context, req *message.Request, lives ...context.Context) *Piped {
	var data []byte
	if req.Body != nil {
		data, _ = io.ReadAll(req.Body)
	}
	copied := *req
	copied.Header = req.Header.Clone()
	copied.Body, copied.ContentLength = bytes.NewReader(data), int64(len(data))
	x := &Piped{request: &copied, heads: make(chan *message.Response, 1)}
	x.ctx, x.cancel = context.WithCancel(ctx)
	x.in, x.out = io.Pipe()
	for _, life := range lives {
		stop := context.AfterFunc(life, func() { x.abort(errors.New("the link broke")) })
		context.AfterFunc(x.ctx, func() { stop() })
	}
	context.AfterFunc(ctx, func() { x.abort(context.Cause(ctx)) })
	return x
}

func (x *Piped) abort(err error) {
	x.out.CloseWithError(err)
	x.cancel()
}

// Head waits for the answer's head.
func (x *Piped) Head() (*message.Response, error) {
	select {
	case r := <-x.heads:
		return r, nil
	case <-x.ctx.Done():
	}
	select {
	case r := <-x.heads:
		return r, nil
	default:
		return nil, &message.SendError{Stage: message.StageAwait, Address: "link", Err: errors.New("the link broke")}
	}
}

// End is for a handler that has returned.
func (x *Piped) End() {
	x.mu.Lock()
	done := x.done
	x.mu.Unlock()
	if !done {
		x.abort(errors.New("the answer was cut"))
	}
}

func (x *Piped) Context() context.Context          { return x.ctx }
func (x *Piped) Request() *message.Request         { return x.request }
func (x *Piped) Inform(int, *message.Header) error { return nil }

func (x *Piped) Started() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.started
}

func (x *Piped) Start(status int, h *message.Header, length int64) error {
	x.mu.Lock()
	x.started = true
	x.mu.Unlock()
	x.heads <- &message.Response{
		Status: status, Header: h.Clone(), ContentLength: length,
		Body: &body{x.in, func() { x.abort(errors.New("the reader has gone")) }},
	}
	return nil
}

func (x *Piped) Write(p []byte) (int, error) { return x.out.Write(p) }
func (x *Piped) Flush() error                { return nil }

func (x *Piped) Finish(*message.Header) error {
	x.mu.Lock()
	x.done = true
	x.mu.Unlock()
	return x.out.Close()
}

func (x *Piped) Switch(*message.Header) (io.ReadWriteCloser, error) {
	return nil, errors.ErrUnsupported
}

// Order sends a request to the proxy as another one would over the link, and
// returns the status of the answer, 0 for none.
func (n *Node) Order(server string, header map[string]string, text string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req := &message.Request{Method: "POST", Path: "/mcp", Protocol: message.HTTP2, Body: strings.NewReader(text)}
	for name, value := range header {
		req.Header.Add(name, value)
	}
	x := Pipe(ctx, req, n.life)
	d := sender{n}.Decide(n.call(x, ""), pick.Needs{Member: server})
	for _, c := range d.Order {
		if c.Cluster == n.Cluster {
			go n.serve(x, &c.Candidate)
		}
	}
	r, err := x.Head()
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return r.Status
}

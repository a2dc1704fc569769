package mcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/message"
)

// legacy is the connection to a server of the transport of 2024-11-05: one
// event stream that brings everything, and a path to post to. The session is
// the connection.
type legacy struct {
	o      *owner
	h      *held
	path   string
	cancel context.CancelFunc

	mu      sync.Mutex
	turn    int
	over    bool
	pending map[jsonrpc.ID]*feed
	latest  *feed
}

// greetLegacy opens the stream, learns where to post, and shakes hands.
func (o *owner) greetLegacy(ctx context.Context, j job, hello jsonrpc.Message) (g greeted, f *fault) {
	streamCtx, cancel := context.WithCancel(o.p.life)
	resp, f := o.opened(ctx, streamCtx, j)
	if f != nil {
		cancel()
		return g, f
	}
	c := &legacy{o: o, h: j.h, cancel: cancel, pending: map[jsonrpc.ID]*feed{}}
	j.h.mu.Lock()
	c.turn = j.h.state.Turn + 1
	j.h.mu.Unlock()
	path := make(chan string, 1)
	o.p.spawn(func(context.Context) { c.read(streamCtx, resp.Body, path) })
	select {
	case c.path = <-path:
	case <-ctx.Done():
		cancel()
		return g, undone(table.OnTimeout, "waiting for the server's endpoint: "+ctx.Err().Error())
	}
	if c.path == "" {
		cancel()
		return g, undone(table.OnServer, "the server named no endpoint of its own to post to")
	}
	answer, err := c.ask(ctx, j, hello)
	if err == nil {
		g, f = welcomed(answer)
		ready := jsonrpc.Message{Method: "notifications/initialized"}
		if f == nil {
			err = c.post(ctx, j, ready.Bytes())
		}
	}
	if err != nil {
		f = undone(table.OnServer, err.Error())
	}
	if f != nil {
		cancel()
		return g, f
	}
	g.legacy = c
	return g, nil
}

// opened asks for the stream. The context that the stream lives by is not the
// one that waits for its head.
func (o *owner) opened(ctx, life context.Context, j job) (*message.Response, *fault) {
	req, err := o.upstream(j.call, j.to, "GET", live{}, nil)
	if err != nil {
		return nil, undone(table.OnServer, err.Error())
	}
	life, cancel := context.WithCancel(life)
	stop := context.AfterFunc(ctx, cancel)
	resp, f := o.sendRequest(life, j, req)
	if !stop() && f == nil {
		f = undone(table.OnTimeout, "opening the server's stream took too long")
	}
	if f == nil && (resp.Status != 200 || resp.Body == nil || media(resp.Header.Get("Content-Type")) != kindEvents) {
		f = undone(table.OnServer, fmt.Sprintf("the server's stream answered with status %d", resp.Status))
		drain(resp)
	}
	if f != nil {
		cancel()
		return nil, undone(f.why, f.text)
	}
	return resp, nil
}

// read hands out what the stream brings until it ends; then the session is lost.
func (c *legacy) read(ctx context.Context, body io.ReadCloser, path chan<- string) {
	defer close(path)
	named := false
	_ = c.o.p.listen(ctx, body, nil, func(e heard) error {
		switch {
		case e.name == "endpoint" && !named:
			named = true
			path <- endpoint(string(e.data))
		case !e.silent:
			c.route(e.message)
		}
		return nil
	})
	c.close()
	c.o.act(c.h, c.o.step(c.h, session.Gone{Turn: c.turn}))
}

// endpoint is the path and query of the URI to post to, "" for one that is
// no path: the host is the declared one, whatever the server says.
func endpoint(text string) string {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || !strings.HasPrefix(u.EscapedPath(), "/") || u.User != nil {
		return ""
	}
	if u.RawQuery == "" {
		return u.EscapedPath()
	}
	return u.EscapedPath() + "?" + u.RawQuery
}

// route gives an answer to whoever asked, and anything else to the latest that
// asked and still waits, or to the session's stream.
func (c *legacy) route(m jsonrpc.Message) {
	text := event("", &m)
	c.mu.Lock()
	if m.Answers() {
		f := c.pending[m.ID]
		delete(c.pending, m.ID)
		if c.latest == f {
			c.latest = nil
		}
		c.mu.Unlock()
		if f != nil {
			f.write(text)
			f.end()
		}
		return
	}
	f := c.latest
	c.mu.Unlock()
	if f == nil || !f.write(text) {
		c.h.notice(text)
	}
}

// exchange posts a request; the answer's body is the part of the stream that
// belongs to it.
func (c *legacy) exchange(ctx context.Context, j job, m jsonrpc.Message) (*message.Response, *fault) {
	var f *feed
	f = newFeed(c.o.p.limits.Answer, func() { c.forget(m.ID, f) })
	c.mu.Lock()
	if c.over || c.pending[m.ID] != nil {
		over := c.over
		c.mu.Unlock()
		if over {
			return plain(404), nil // to be begun anew
		}
		return nil, undone(table.OnServer, "a request with this id is under way")
	}
	c.pending[m.ID], c.latest = f, f
	c.mu.Unlock()
	if err := c.post(ctx, j, m.Bytes()); err != nil {
		_ = f.Close()
		var known *fault
		if errors.As(err, &known) {
			return nil, known
		}
		return plain(404), nil
	}
	r := plain(200)
	r.Header.Set("Content-Type", kindEvents)
	r.Body, r.ContentLength = f, message.UnknownLength
	return r, nil
}

func (c *legacy) forget(id jsonrpc.ID, f *feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[id] == f {
		delete(c.pending, id)
	}
	if c.latest == f {
		c.latest = nil
	}
}

// ask posts a request of the gateway's own and waits for its answer.
func (c *legacy) ask(ctx context.Context, j job, m jsonrpc.Message) (jsonrpc.Message, error) {
	resp, f := c.exchange(ctx, j, m)
	if f != nil {
		return jsonrpc.Message{}, f
	}
	return c.o.only(ctx, resp, m.ID)
}

var errForgotten = errors.New("the server no longer knows the session")

// post posts one message. A fault is one of the way; errForgotten means that
// the server did not take it because it does not know the session.
func (c *legacy) post(ctx context.Context, j job, body []byte) error {
	req, err := c.o.upstream(j.call, j.to, "POST", live{}, body)
	if err != nil {
		return undone(table.OnServer, err.Error())
	}
	req.Path, req.Query, req.HasQuery = strings.Cut(c.path, "?")
	resp, f := c.o.sendRequest(ctx, j, req)
	if f != nil {
		return f
	}
	defer drain(resp)
	switch {
	case resp.Status/100 == 2:
		return nil
	case resp.Status == 404 || resp.Status == 400:
		c.close()
		return errForgotten
	}
	return perhaps(table.OnServer, fmt.Sprintf("the server answered a post with status %d", resp.Status))
}

// close ends the connection and whoever waits on it.
func (c *legacy) close() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, f := range c.pending {
		f.end()
	}
	clear(c.pending)
	c.latest = nil
}

// calling is a call by which the owner reaches the server by itself, for one use
// at a time.
func (h *held) calling() *forward.Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return beside(h.call)
}

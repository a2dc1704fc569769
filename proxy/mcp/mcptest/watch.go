package mcptest

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// Watch is an event stream that a client has open.
type Watch struct {
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	status int
	lines  []string
}

// Open sends a request and reads its answer as it comes, until the test or Close ends.
func (c *Client) Open(method, text string) *Watch {
	server := httptest.NewServer(c.Handler)
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watch{cancel: cancel, done: make(chan struct{})}
	r, err := http.NewRequestWithContext(ctx, method, server.URL+"/mcp", strings.NewReader(text))
	if err != nil {
		c.T.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Mcp-Session-Id", c.Session)
	r.Header.Set("Mcp-Protocol-Version", c.Version)
	for name, values := range c.Header {
		r.Header[name] = values
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		c.T.Fatal(err)
	}
	w.status = resp.StatusCode
	go w.read(resp.Body)
	c.T.Cleanup(func() { w.Close(); server.Close() })
	return w
}

func (w *Watch) read(body io.ReadCloser) {
	defer close(w.done)
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 32<<20)
	for lines.Scan() {
		w.mu.Lock()
		w.lines = append(w.lines, lines.Text())
		w.mu.Unlock()
	}
}

// Close ends the request.
func (w *Watch) Close() {
	w.cancel()
	<-w.done
}

// Done is closed when the answer has ended.
func (w *Watch) Done() <-chan struct{} { return w.done }

// Lines are the lines that came, comments and empty ones left out.
func (w *Watch) Lines() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if l != "" && !strings.HasPrefix(l, ":") {
			out = append(out, l)
		}
	}
	return out
}

// Find is the first line that holds what, "" for none.
func (w *Watch) Find(what string) string {
	for _, l := range w.Lines() {
		if strings.Contains(l, what) {
			return l
		}
	}
	return ""
}

// Comments counts the comments that came.
func (w *Watch) Comments() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if strings.HasPrefix(l, ":") {
			n++
		}
	}
	return n
}

package mcptest

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Client is a client written out by hand, for what the official one hides.
type Client struct {
	T       testing.TB
	Handler http.Handler
	Session string
	Version string
	Header  http.Header
}

// Answer is what came of one request.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do sends a request and reads its whole answer.
func (c *Client) Do(method, text string) Answer {
	r := httptest.NewRequest(method, "http://gateway/mcp", strings.NewReader(text))
	r.Header.Set("Accept", "application/json, text/event-stream")
	if method == "POST" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.Session != "" {
		r.Header.Set("Mcp-Session-Id", c.Session)
	}
	if c.Version != "" {
		r.Header.Set("Mcp-Protocol-Version", c.Version)
	}
	for name, values := range c.Header {
		r.Header.Del(name)
		for _, v := range values {
			if v != "" {
				r.Header.Add(name, v)
			}
		}
	}
	w := httptest.NewRecorder()
	c.Handler.ServeHTTP(w, r)
	data, err := io.ReadAll(w.Result().Body)
	if err != nil {
		c.T.Fatal(err)
	}
	return Answer{w.Code, w.Result().Header, string(data)}
}

// Initialize begins a session and keeps its id.
func (c *Client) Initialize(version string) Answer {
	a := c.Do("POST", `{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"`+version+
		`","capabilities":{"sampling":{}},"clientInfo":{"name":"test","version":"1"}}}`)
	c.Session, c.Version = a.Header.Get("Mcp-Session-Id"), version
	return a
}

// Call sends a request and returns the message that answers it.
func (c *Client) Call(id, method, params string) map[string]any {
	c.T.Helper()
	if params == "" {
		params = "{}"
	}
	a := c.Do("POST", `{"jsonrpc":"2.0","id":`+id+`,"method":"`+method+`","params":`+params+`}`)
	for _, text := range a.Messages() {
		var m map[string]any
		if json.Unmarshal([]byte(text), &m) == nil && m["method"] == nil {
			return m
		}
	}
	c.T.Fatalf("%s: status %d, no answer in %q", method, a.Status, a.Body)
	return nil
}

// Messages are the messages of an answer, whether JSON or events.
func (a Answer) Messages() (out []string) {
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/event-stream") {
		return []string{a.Body}
	}
	lines := bufio.NewScanner(strings.NewReader(a.Body))
	lines.Buffer(nil, 32<<20)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok && text != "" {
			out = append(out, text)
		}
	}
	return out
}

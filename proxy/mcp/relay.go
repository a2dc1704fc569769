package mcp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/message"
)

const maxRefusal = 64 << 10

// lost tells whether an answer means that the server no longer knows the
// session: 404 to a request with a session id, and no JSON-RPC error that
// answers the request or says that there is no such method. The body stays
// readable.
func (o *owner) lost(resp *message.Response, l live, m jsonrpc.Message) bool {
	if l.legacy != nil {
		return resp.Status == 404
	}
	if resp.Status != 404 || l.id == "" {
		return false
	}
	var body []byte
	if resp.Body != nil {
		body, _ = io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		resp.Body.Close()
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	parsed, _, err := jsonrpc.Parse(body, o.p.answer())
	if err != nil || len(parsed) != 1 || parsed[0].Error == nil {
		return true
	}
	code := string(jsonrpc.Get(parsed[0].Error, "code"))
	return parsed[0].ID != m.ID && code != strconv.Itoa(jsonrpc.CodeMethodNotFound)
}

// relay makes a server's answer what entry proxies understand: JSON or events
// with status 200, or a fault.
func (o *owner) relay(j job, resp *message.Response, m jsonrpc.Message) *message.Response {
	kind := media(resp.Header.Get("Content-Type"))
	if resp.Status/100 == 2 && (kind == kindEvents || kind == kindJSON) && resp.Body != nil {
		out := plain(200)
		out.Header.Set("Content-Type", kind)
		out.Body, out.ContentLength = o.watch(j, m, kind, resp.Body), message.UnknownLength
		return out
	}
	var body []byte
	if resp.Body != nil {
		body, _ = io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		resp.Body.Close()
	}
	parsed, _, err := jsonrpc.Parse(body, o.p.answer())
	if err == nil && len(parsed) == 1 && parsed[0].Error != nil {
		parsed[0].ID = m.ID
		return withJSON(parsed[0].Bytes())
	}
	text := fmt.Sprintf("server %q answered with status %d and type %q", j.server, resp.Status, kind)
	if resp.Status >= 500 {
		return perhaps(table.OnServer, text).response()
	}
	failure := jsonrpc.Fail(m.ID, jsonrpc.CodeInternal, text, []byte(fmt.Sprintf(`{"status":%d}`, resp.Status)))
	return withJSON(failure.Bytes())
}

// watch lets an answer pass and remembers of it what a move would need.
func (o *owner) watch(j job, m jsonrpc.Message, kind string, body io.ReadCloser) io.ReadCloser {
	param := func(name string) string {
		text, _ := jsonrpc.Text(jsonrpc.Get(m.Params, name))
		return text
	}
	var learn func(answer jsonrpc.Message) session.Event
	switch m.Method {
	case "tools/list":
		if param("cursor") != "" {
			return body
		}
		learn = func(a jsonrpc.Message) session.Event { return session.Listed{Digest: catalog.Digest(a.Result)} }
	case "logging/setLevel":
		learn = func(jsonrpc.Message) session.Event { return session.LevelSet{Level: clip(param("level"), 32)} }
	case "resources/subscribe":
		learn = func(jsonrpc.Message) session.Event { return session.Subscribed{URI: param("uri")} }
	case "resources/unsubscribe":
		learn = func(jsonrpc.Message) session.Event { return session.Unsubscribed{URI: param("uri")} }
	default:
		return body
	}
	return &witness{ReadCloser: body, most: o.p.limits.Answer, seen: func(data []byte) {
		var found *jsonrpc.Message
		if kind == kindEvents {
			_ = o.p.scan(bytes.NewReader(data), func(h heard) error {
				if h.message.Answers() && h.message.ID == m.ID {
					found = &h.message
				}
				return nil
			})
		} else if parsed, _, err := jsonrpc.Parse(data, o.p.answer()); err == nil {
			found = &parsed[0]
		}
		if found != nil && found.Result != nil {
			o.act(j.h, o.step(j.h, learn(*found)))
		}
	}}
}

func clip(s string, most int) string {
	if len(s) > most {
		return s[:most]
	}
	return s
}

// witness keeps what was read through it and shows it once, at the end. It may
// be closed while a Read waits.
type witness struct {
	io.ReadCloser
	most int
	mu   sync.Mutex
	data []byte
	seen func([]byte)
}

func (w *witness) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.mu.Lock()
	if w.seen != nil && len(w.data)+n <= w.most {
		w.data = append(w.data, p[:n]...)
	}
	w.mu.Unlock()
	if errors.Is(err, io.EOF) {
		w.show()
	}
	return n, err
}

func (w *witness) show() {
	w.mu.Lock()
	f, data := w.seen, w.data
	w.seen, w.data = nil, nil
	w.mu.Unlock()
	if f != nil {
		f(data)
	}
}

// Close shows what was read: a reader that has found the answer it waited for
// does not read to the end of an event stream.
func (w *witness) Close() error {
	err := w.ReadCloser.Close()
	w.show()
	return err
}

package mcp_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// fake is an MCP server written out by hand: sessionful unless told otherwise,
// with a counter in each session and a record of what it was told.
type fake struct {
	name string
	// lone servers keep no sessions; jsonGone answers unknown sessions with a
	// JSON-RPC error, as some kits do.
	lone, jsonGone bool
	listsInEvents  bool
	tools          string
	version        string

	mu       sync.Mutex
	next     int
	sessions map[string]*state
	inits    int
	deleted  []string
	told     []string        // "session method params"
	ids      map[string]bool // of requests, by session
	headers  []http.Header
	hold     chan struct{} // where set, tool "hold" waits for it to close
	held     chan struct{} // gets one element per call that holds
}

type state struct {
	count  int
	events chan string
	asked  chan string // answers of the client
}

const tools = `[{"name":"add","annotations":{"readOnlyHint":true}},{"name":"count"},{"name":"ask"},{"name":"hold"},{"name":"holdsafe","annotations":{"idempotentHint":true}}]`

func newFake(name string) *fake {
	return &fake{name: name, tools: tools, version: "2025-06-18", sessions: map[string]*state{}, ids: map[string]bool{}, held: make(chan struct{}, 100)}
}

// forget drops all sessions, as a restart does.
func (f *fake) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions = map[string]*state{}
}

func (f *fake) saw(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, t := range f.told {
		if strings.Contains(t, what) {
			n++
		}
	}
	return n
}

func (f *fake) started() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inits
}

func (f *fake) ended() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.deleted)
}

func (f *fake) live() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sessions)
}

// push sends an event on the stream of every session.
func (f *fake) push(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		s.events <- text
	}
}

type rpc struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var m rpc
	_ = json.Unmarshal(body, &m)
	id := r.Header.Get("Mcp-Session-Id")
	f.mu.Lock()
	f.headers = append(f.headers, r.Header.Clone())
	again := strings.HasPrefix(string(m.ID), `"nave:`) && f.ids[id+string(m.ID)]
	f.ids[id+string(m.ID)] = true
	f.told = append(f.told, strings.TrimSpace(id+" "+r.Method+" "+m.Method+" "+string(m.Params)+string(m.Result)))
	s := f.sessions[id]
	f.mu.Unlock()
	if m.Method == "initialize" {
		f.initialize(w, m)
		return
	}
	if again && !f.lone {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32600,"message":"the id was used before"}}`, m.ID)
		return
	}
	if s == nil && f.lone {
		s = &state{}
	}
	if s == nil {
		f.unknown(w)
		return
	}
	switch r.Method {
	case "DELETE":
		f.mu.Lock()
		delete(f.sessions, id)
		f.deleted = append(f.deleted, id)
		f.mu.Unlock()
	case "GET":
		f.stream(w, r, s)
	default:
		f.answer(w, r, m, s)
	}
}

func (f *fake) initialize(w http.ResponseWriter, m rpc) {
	f.mu.Lock()
	f.inits++
	if !f.lone {
		f.next++
		id := fmt.Sprintf("%s-%d", f.name, f.next)
		f.sessions[id] = &state{events: make(chan string, 16), asked: make(chan string, 1)}
		w.Header().Set("Mcp-Session-Id", id)
	}
	f.mu.Unlock()
	reply(w, m.ID, `{"protocolVersion":"`+f.version+`","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"`+f.name+`","version":"1"}}`)
}

func (f *fake) unknown(w http.ResponseWriter) {
	if f.jsonGone {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(404)
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}`)
		return
	}
	http.Error(w, "session not found", 404)
}

func reply(w http.ResponseWriter, id json.RawMessage, result string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "{\"jsonrpc\":\"2.0\",\n \"id\":%s,\"result\":%s}", id, result)
}

func (f *fake) stream(w http.ResponseWriter, r *http.Request, s *state) {
	if id, ok := strings.CutPrefix(r.Header.Get("Last-Event-ID"), "poll-"); ok {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "id: poll-%s\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"the rest\"}]}}\n\n", id, id)
		return
	}
	if f.lone {
		w.WriteHeader(405)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	for n := 1; ; n++ {
		select {
		case text := <-s.events:
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", n, text)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (f *fake) answer(w http.ResponseWriter, r *http.Request, m rpc, s *state) {
	switch m.Method {
	case "":
		if m.Result != nil && s.asked != nil {
			s.asked <- string(m.ID) + " " + string(m.Result)
		}
		w.WriteHeader(202)
	case "tools/list":
		f.mu.Lock()
		list := f.tools
		f.mu.Unlock()
		if f.listsInEvents {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"tools\":%s}}\n\n", m.ID, list)
			return
		}
		reply(w, m.ID, `{"tools":`+list+`}`)
	case "resources/list":
		reply(w, m.ID, `{"resources":[{"uri":"file:///`+f.name+`","name":"x"}]}`)
	case "resources/read":
		reply(w, m.ID, `{"contents":[{"uri":"file:///`+f.name+`","text":"from `+f.name+`"}]}`)
	case "tools/call":
		f.tool(w, r, m, s)
	case "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
		reply(w, m.ID, `{}`)
	default:
		if strings.HasPrefix(m.Method, "notifications/") {
			w.WriteHeader(202)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(404)
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}`, m.ID)
	}
}

func (f *fake) tool(w http.ResponseWriter, r *http.Request, m rpc, s *state) {
	var p struct {
		Name string `json:"name"`
	}
	_ = json.Unmarshal(m.Params, &p)
	text := f.name
	switch p.Name {
	case "count":
		f.mu.Lock()
		s.count++
		text = fmt.Sprintf("%s %d", f.name, s.count)
		f.mu.Unlock()
	case "hold", "holdsafe":
		f.held <- struct{}{}
		f.mu.Lock()
		hold := f.hold
		f.mu.Unlock()
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	case "poll":
		// The server closes the stream before the answer, to be asked for the rest.
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "id: poll-%s\nretry: 5\ndata: \n\n", m.ID)
		return
	case "ask":
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "id: 7\ndata: {\"jsonrpc\":\"2.0\",\"id\":41,\"method\":\"sampling/createMessage\",\"params\":{\"_meta\":{\"progressToken\":5}}}\n\n")
		w.(http.Flusher).Flush()
		select {
		case got := <-s.asked:
			fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":%q}]}}\n\n", m.ID, got)
		case <-r.Context().Done():
		}
		return
	}
	reply(w, m.ID, fmt.Sprintf(`{"content":[{"type":"text","text":%q}]}`, text))
}

package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
)

// sessionsPerTarget are the MCP sessions that a run keeps with each target.
const sessionsPerTarget = 4

// protocolVersion of MCP is what the prober asks for.
const protocolVersion = "2025-06-18"

// session is one MCP session, begun when it is first used.
type session struct {
	mu      sync.Mutex
	id      string
	version string
	begun   bool
	lost    bool // an earlier one ended without being asked to
	next    int64
}

// call makes a call in one of the target's sessions that is safe to repeat.
func (p *Prober) call(ctx context.Context, c *course, url string, turn int) outcome {
	s := c.sessions[turn/len(c.URLs)%len(c.sessions)]
	anew, o := p.begin(ctx, s, c, url)
	if o != nil {
		return *o
	}
	id, version, n := s.take()
	got, _, _ := p.rpc(ctx, c, url, id, version, n, "tools/list", json.RawMessage(`{}`))
	if got.status == http.StatusNotFound && id != "" {
		s.forget(id)
	}
	got.reinitialised, got.bound = got.reinitialised || anew, true
	return got
}

// begin initialises a session unless it is; anew tells that it was there
// before. An outcome says why it is not.
func (p *Prober) begin(ctx context.Context, s *session, c *course, url string) (anew bool, failed *outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return false, nil
	}
	params := json.RawMessage(`{"protocolVersion":"` + protocolVersion + `","capabilities":{},"clientInfo":{"name":"nave-prober","version":"1"}}`)
	o, resp, result := p.rpc(ctx, c, url, "", "", 0, "initialize", params)
	if o.failed || o.lost {
		return false, &o
	}
	var greeting struct {
		ProtocolVersion string `json:"protocolVersion"`
	}
	if err := json.Unmarshal(result, &greeting); err != nil || greeting.ProtocolVersion == "" {
		return false, &outcome{failed: true, status: o.status, err: fmt.Errorf("probe %q: initialize gave no protocol version", c.Name)}
	}
	s.id, s.version, s.next = resp.Header.Get("Mcp-Session-Id"), greeting.ProtocolVersion, 1
	body := []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	resp, _, err := p.exchange(ctx, c, http.MethodPost, url, headers(s.id, s.version), body)
	if err != nil {
		return false, &outcome{lost: true, err: err}
	}
	if resp.StatusCode >= 300 {
		return false, &outcome{failed: true, status: resp.StatusCode}
	}
	s.begun = true
	anew, s.lost = s.lost, false
	return anew, nil
}

func (s *session) take() (id, version string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.id, s.version, s.next
}

// forget begins the session anew next time, unless that has happened already.
func (s *session) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id == id {
		s.begun, s.lost = false, true
	}
}

func headers(id, version string) http.Header {
	return http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Session-Id": {id}, "Mcp-Protocol-Version": {version},
	}
}

// rpc sends one JSON-RPC request and gives its result.
func (p *Prober) rpc(ctx context.Context, c *course, url, id, version string, n int64, method string, params json.RawMessage) (outcome, *http.Response, json.RawMessage) {
	body := []byte(`{"jsonrpc":"2.0","id":` + strconv.FormatInt(n, 10) + `,"method":"` + method + `","params":` + string(params) + `}`)
	resp, data, err := p.exchange(ctx, c, http.MethodPost, url, headers(id, version), body)
	if err != nil {
		return outcome{lost: true, err: err}, nil, nil
	}
	o := p.told(resp)
	result, err := answer(data, n)
	if resp.StatusCode != http.StatusOK || err != nil {
		o.failed, o.err = true, err
	}
	return o, resp, result
}

// answer finds the result of request n in a JSON message or in events.
func answer(data []byte, n int64) (json.RawMessage, error) {
	messages := [][]byte{data}
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '{' {
		messages = events(data)
	}
	for _, m := range messages {
		var r struct {
			ID     *int64          `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  *struct {
				Code int `json:"code"`
			} `json:"error"`
		}
		if err := json.Unmarshal(m, &r); err != nil || r.ID == nil || *r.ID != n {
			continue
		}
		if r.Error != nil {
			return nil, fmt.Errorf("the answer is JSON-RPC error %d", r.Error.Code)
		}
		return r.Result, nil
	}
	return nil, fmt.Errorf("%d bytes hold no answer to request %d", len(data), n)
}

// events are the data of a stream's events.
func events(stream []byte) [][]byte {
	var out [][]byte
	var event []byte
	for line := range bytes.Lines(append(stream, "\n\n"...)) {
		line = bytes.TrimRight(line, "\r\n")
		if value, found := bytes.CutPrefix(line, []byte("data:")); found {
			event = append(append(event, bytes.TrimPrefix(value, []byte(" "))...), '\n')
		} else if len(line) == 0 && len(event) > 0 {
			out, event = append(out, event), nil
		}
	}
	return out
}

package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/pick"
)

// request is a request of the gateway's own.
func request(id jsonrpc.ID, method string, params jsontext.Value) jsonrpc.Message {
	return jsonrpc.Message{ID: id, Method: method, Params: params}
}

// helloID is the id of the request that begins a session, of which there is one.
var helloID = jsonrpc.StringID("nave:hello")

// ownID is the id of another request that the gateway sends by itself. No id may
// come twice in a session, and several proxies send in one; clients' ids with
// that beginning are theirs all the same, since each answer comes on the
// exchange of its request.
func ownID(what string) jsonrpc.ID {
	return jsonrpc.StringID("nave:" + what + ":" + strconv.FormatUint(rand.Uint64(), 36))
}

// upstream is a request to the server itself. What the client sent along goes
// with it, but for its credentials and what belongs to the hop; the session,
// the version and the credential that the server is to see are put on.
func (o *owner) upstream(call *forward.Call, to pick.Candidate, method string, l live, body []byte) (*message.Request, error) {
	path, query, has := strings.Cut(serverPath(to.Member.Server), "?")
	req := &message.Request{
		Method: method, Path: path, Query: query, HasQuery: has, Scheme: "http",
		Authority: call.Request.Authority, Protocol: message.HTTP11, Remote: call.Request.Remote,
	}
	for f := range call.Request.Header.All() {
		if !private(f.Name) && !message.EqualFold(f.Name, "authorization") && !message.EqualFold(f.Name, "proxy-authorization") {
			req.Header.Add(f.Name, f.Value)
		}
	}
	switch method {
	case "POST":
		req.Header.Set("Content-Type", kindJSON)
		req.Header.Set("Accept", kindJSON+", "+kindEvents)
		req.Body, req.ContentLength = bytes.NewReader(body), int64(len(body))
	case "GET":
		req.Header.Set("Accept", kindEvents)
	}
	if l.version != "" {
		req.Header.Set("Mcp-Protocol-Version", l.version)
	}
	if l.id != "" {
		req.Header.Set("Mcp-Session-Id", l.id)
	}
	return req, credential(call, to, &req.Header)
}

func serverPath(s *table.Server) string {
	switch {
	case s.Path != "":
		return s.Path
	case s.SSE:
		return "/sse"
	}
	return "/mcp"
}

// credential puts on what the server is to be shown. A client's own credential
// goes on only where the declaration says so.
func credential(call *forward.Call, to pick.Candidate, h *message.Header) error {
	if to.Instance == nil || to.Instance.Auth == nil {
		return nil
	}
	auth := to.Instance.Auth
	at := table.Location{Header: "Authorization", Prefix: "Bearer "}
	if auth.Location != nil && auth.Location.Header != "" {
		at = *auth.Location
	}
	switch auth.Kind {
	case table.AuthPassthrough:
		if value, has := call.Request.Header.Lookup("Authorization"); has {
			h.Set("Authorization", value)
		} else if call.Credential != "" {
			h.Set(at.Header, at.Prefix+call.Credential)
		}
		return nil
	case table.AuthKey:
		secret, _ := call.Find(table.ID{Kind: table.KindSecret, Name: auth.Secret}).(*table.Secret)
		if secret == nil || len(secret.Data[auth.Key]) == 0 {
			return fmt.Errorf("finding the credential of server %q: secret %q has no key %q", to.Member.Name, auth.Secret, auth.Key)
		}
		h.Set(at.Header, at.Prefix+strings.TrimSpace(string(secret.Data[auth.Key])))
		return nil
	}
	return fmt.Errorf("finding the credential of server %q: kind %q is not for tool servers", to.Member.Name, auth.Kind)
}

// send sends one request to the server and tells how it went. A fault is one
// of the way, not of the server's answer.
func (o *owner) send(ctx context.Context, j job, method string, l live, body []byte) (*message.Response, *fault) {
	req, err := o.upstream(j.call, j.to, method, l, body)
	if err != nil {
		return nil, undone(table.OnServer, err.Error())
	}
	return o.sendRequest(ctx, j, req)
}

func (o *owner) sendRequest(ctx context.Context, j job, req *message.Request) (*message.Response, *fault) {
	start := o.p.now()
	resp, err := o.p.send(ctx, j.call, j.to, req)
	if err != nil {
		return nil, o.p.broke(ctx, j.call, j.to, err)
	}
	out := forward.Outcome{Status: resp.Status, FirstByte: o.p.now().Sub(start)}
	if resp.Status == 502 || resp.Status == 503 || resp.Status == 504 {
		out.Failed = table.OnServer
	}
	o.p.sender.Done(j.call, j.to, out)
	return resp, nil
}

// greetStreamable begins a session by streamable HTTP.
func (o *owner) greetStreamable(ctx context.Context, j job, hello jsonrpc.Message) (g greeted, f *fault) {
	resp, f := o.send(ctx, j, "POST", live{}, hello.Bytes())
	if f != nil {
		return g, f
	}
	id := clone(resp.Header.Get("Mcp-Session-Id"))
	answer, err := o.only(ctx, resp, hello.ID)
	if err != nil {
		return g, undone(table.OnServer, err.Error())
	}
	g, f = welcomed(answer)
	if f != nil {
		return g, f
	}
	g.id = id
	if len(id) > 1024 || !visible(id) {
		return g, undone(table.OnServer, "the server's session id is not visible ASCII of at most 1024 bytes")
	}
	ready := jsonrpc.Message{Method: "notifications/initialized"}
	resp, f = o.send(ctx, j, "POST", live{id: g.id, version: g.version}, ready.Bytes())
	if f != nil {
		return g, undone(f.why, f.text)
	}
	drain(resp)
	return g, nil
}

// welcomed reads a server's answer to initialize.
func welcomed(answer jsonrpc.Message) (g greeted, f *fault) {
	if answer.Error != nil {
		text, _ := jsonrpc.Text(jsonrpc.Get(answer.Error, "message"))
		return g, undone(table.OnServer, "the server refused to initialise: "+text)
	}
	version, _ := jsonrpc.Text(jsonrpc.Get(answer.Result, "protocolVersion"))
	if !catalog.Speaks(version) {
		return g, undone(table.OnServer, fmt.Sprintf("the server speaks version %q", version))
	}
	return greeted{version: version, result: answer.Result}, nil
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

var errNoAnswer = errors.New("the server gave no answer to the request")

// only reads an answer for the one message that answers id; what is said
// besides is dropped. It is for requests of the gateway's own.
func (o *owner) only(ctx context.Context, resp *message.Response, id jsonrpc.ID) (found jsonrpc.Message, err error) {
	if resp.Body == nil {
		return found, fmt.Errorf("%w: status %d", errNoAnswer, resp.Status)
	}
	if media(resp.Header.Get("Content-Type")) == kindEvents {
		err = o.p.listen(ctx, resp.Body, nil, func(h heard) error {
			if !h.silent && h.message.Answers() && h.message.ID == id {
				found = h.message
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return found, nil
		}
		return found, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	body, err := readAll(resp.Body, o.p.limits.Answer)
	resp.Body.Close()
	if err != nil {
		return found, err
	}
	messages, _, err := jsonrpc.Parse(body, o.p.answer())
	if err != nil {
		return found, fmt.Errorf("%w: status %d: %w", errNoAnswer, resp.Status, err)
	}
	for _, m := range messages {
		if m.Answers() && (m.ID == id || m.ID.IsNull()) {
			return m, nil
		}
	}
	return found, errNoAnswer
}

// drain reads a short rest so that the connection can be used again.
func drain(resp *message.Response) {
	if resp.Body == nil {
		return
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
}

// call sends a request of the gateway's own on a live session.
func (o *owner) call(ctx context.Context, j job, l live, m jsonrpc.Message) (jsonrpc.Message, error) {
	if l.legacy != nil {
		return l.legacy.ask(ctx, j, m)
	}
	resp, f := o.send(ctx, j, "POST", l, m.Bytes())
	if f != nil {
		return jsonrpc.Message{}, f
	}
	return o.only(ctx, resp, m.ID)
}

// current is the session as the owner uses it by itself; ok is false where it
// is not live.
func (o *owner) current(h *held) (j job, l live, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j = job{call: beside(h.call), to: h.to, h: h, order: order{server: h.place.server, facts: h.facts}}
	return j, live{turn: h.state.Turn, id: h.state.ID, version: h.state.Version, legacy: h.legacy}, h.state.Phase == session.Live
}

// replay tells the server anew what the client had set.
func (o *owner) replay(h *held, method, member, value string) {
	j, l, ok := o.current(h)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(o.p.life, o.p.limits.Initialise)
	defer cancel()
	params := jsonrpc.Set(nil, member, jsonrpc.Quote(value))
	if _, err := o.call(ctx, j, l, request(ownID(method), method, params)); err != nil {
		o.p.log.Warn("telling a server anew what a client had set", "server", h.place.server, "method", method, "error", err)
	}
}

// compare looks whether the server's tools are those that the client was shown
// last, and tells the client's stream if they are not.
func (o *owner) compare(ctx context.Context, h *held) {
	j, l, ok := o.current(h)
	if !ok || jsonrpc.Get(h.hello(), "capabilities", "tools") == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, o.p.limits.Initialise)
	defer cancel()
	answer, err := o.call(ctx, j, l, request(ownID("tools"), "tools/list", jsontext.Value("{}")))
	if err != nil || answer.Result == nil {
		return
	}
	h.mu.Lock()
	known := h.state.Digest
	h.mu.Unlock()
	if digest := catalog.Digest(answer.Result); digest == known {
		return
	}
	m := jsonrpc.Message{Method: "notifications/tools/list_changed"}
	h.notice(frame("", m.Bytes()))
}

func (h *held) hello() jsontext.Value {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.greeting
}

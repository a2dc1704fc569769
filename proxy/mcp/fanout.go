package mcp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/pick"
)

// word is one server's answer among several.
type word struct {
	server string
	answer *jsonrpc.Message
	tried  tried
}

// each asks servers side by side; build makes the request for a server. The
// words come in the order of the servers.
func (v *visit) each(ctx context.Context, servers []string, what op, build func(server string) jsonrpc.Message) []word {
	words := make([]word, len(servers))
	v.side(servers, func(server string, call *forward.Call) {
		w := &words[slices.Index(servers, server)]
		w.server = server
		inner := build(server)
		take := func(r *reply, at pick.Candidate) (f *fault) {
			w.answer, f = v.hear(ctx, r, at, server, inner, v.sink)
			return f
		}
		always := func(context.Context, pick.Candidate) bool { return true }
		w.tried = v.ask(ctx, call, order{op: what, server: server, body: inner.Bytes()}, take, always)
	})
	for _, w := range words {
		v.tellMoved(w.tried)
	}
	return words
}

// over tells whether a server says that the session has ended.
func over(words []word) bool {
	return slices.ContainsFunc(words, func(w word) bool { return w.tried.gone })
}

// merged answers a list method with all servers' lists as one.
func (v *visit) merged(ctx context.Context, m *jsonrpc.Message, known catalog.Method) {
	servers, cursor, err := v.pages(m)
	if err != nil {
		v.answer(jsonrpc.Fail(m.ID, jsonrpc.CodeInvalidParams, err.Error(), nil))
		return
	}
	pages, failure := v.collect(ctx, m, known, servers, cursor)
	if failure != nil {
		if failure.gone {
			v.goneAway(m.ID)
			return
		}
		v.answer(failure.message)
		return
	}
	result, err := v.names.Merge(known.List, pages)
	if err != nil {
		v.answer(jsonrpc.Fail(m.ID, jsonrpc.CodeInternal, err.Error(), nil))
		return
	}
	v.answer(jsonrpc.Reply(m.ID, result))
}

// pages are the servers that have a page to give, and where each goes on.
func (v *visit) pages(m *jsonrpc.Message) ([]string, catalog.Cursor, error) {
	raw := jsonrpc.Get(m.Params, "cursor")
	if raw == nil {
		return v.servers, nil, nil
	}
	text, ok := jsonrpc.Text(raw)
	if !ok {
		return nil, nil, fmt.Errorf("reading a cursor: not a string")
	}
	cursor, err := v.names.DecodeCursor(text)
	if err != nil {
		return nil, nil, err
	}
	var servers []string
	for _, s := range v.servers {
		if cursor[s] != "" {
			servers = append(servers, s)
		}
	}
	return servers, cursor, nil
}

// refusal is why a list could not be had.
type refusal struct {
	message jsonrpc.Message
	gone    bool
}

// collect asks the servers for their pages. A server that does not know the
// method has an empty page; one that cannot be had is left out where the
// backend fails open.
func (v *visit) collect(ctx context.Context, m *jsonrpc.Message, known catalog.Method, servers []string, cursor catalog.Cursor) ([]catalog.Page, *refusal) {
	words := v.each(ctx, servers, opMessage, func(server string) jsonrpc.Message {
		inner := *m
		if c := cursor[server]; c != "" {
			inner.Params = jsonrpc.Set(m.Params, "cursor", jsonrpc.Quote(c))
		}
		return inner
	})
	if over(words) {
		v.p.tomb(v.facts.Handle)
		return nil, &refusal{gone: true}
	}
	var pages []catalog.Page
	for _, w := range words {
		switch {
		case !w.tried.ok && v.declared().FailOpen:
		case !w.tried.ok:
			return nil, &refusal{message: v.lostRequest(m.ID, w.server, w.tried)}
		case w.answer.Result != nil:
			pages = append(pages, catalog.Page{Server: w.server, Result: w.answer.Result})
			if known.List == "tools" {
				v.learn(w.server, w.answer.Result, cursor[w.server] == "")
			}
			v.recall(known.List, w.server, w.answer.Result)
		case noMethod(w.answer) || v.declared().FailOpen:
		default:
			failure := *w.answer
			failure.ID = m.ID
			return nil, &refusal{message: failure}
		}
	}
	return pages, nil
}

func noMethod(m *jsonrpc.Message) bool {
	return string(jsonrpc.Get(m.Error, "code")) == fmt.Sprint(jsonrpc.CodeMethodNotFound)
}

// everybody sends a request to every server; one good answer is enough, and a
// server that does not know the method has nothing against it. A ping is
// answered whatever becomes of it: it asks for the session, and that lives.
func (v *visit) everybody(ctx context.Context, m *jsonrpc.Message) {
	words := v.each(ctx, v.servers, opMessage, func(string) jsonrpc.Message { return *m })
	if over(words) {
		v.p.tomb(v.facts.Handle)
		v.goneAway(m.ID)
		return
	}
	var failure *jsonrpc.Message
	for _, w := range words {
		switch {
		case w.tried.ok && w.answer.Result != nil:
			v.answer(jsonrpc.Reply(m.ID, w.answer.Result))
			return
		case w.tried.ok && (failure == nil || noMethod(failure)):
			failure = w.answer
		case !w.tried.ok && failure == nil:
			lost := v.lostRequest(m.ID, w.server, w.tried)
			failure = &lost
		}
	}
	if m.Method == "ping" || failure == nil {
		v.answer(jsonrpc.Reply(m.ID, jsontext.Value("{}")))
		return
	}
	failure.ID = m.ID
	v.answer(*failure)
}

// begin answers initialize: a new session, begun at every server.
func (v *visit) begin(ctx context.Context, m *jsonrpc.Message) {
	asked, ok := jsonrpc.Text(jsonrpc.Get(m.Params, "protocolVersion"))
	if !ok {
		v.answer(jsonrpc.Fail(m.ID, jsonrpc.CodeInvalidParams, "params.protocolVersion is no string", nil))
		return
	}
	f, err := v.fresh(asked, object(m.Params, "capabilities"), object(m.Params, "clientInfo"))
	if err != nil {
		v.refuse(500, m.ID, jsonrpc.CodeInternal, "no session could be made")
		return
	}
	v.facts = f
	v.call.Record.MCP.Session = f.Handle.Short()
	words := v.each(ctx, v.servers, opOpen, func(string) jsonrpc.Message { return request(ownID("hello"), "initialize", nil) })
	var pages []catalog.Page
	v.facts.Served = map[string]string{}
	var failed *word
	for i, w := range words {
		if !w.tried.ok || w.answer.Result == nil {
			failed = &words[i]
			continue
		}
		pages = append(pages, catalog.Page{Server: w.server, Result: w.answer.Result})
		v.facts.Served[w.server] = w.tried.served
	}
	if failed != nil && (len(pages) == 0 || !v.declared().FailOpen) {
		v.endServers(context.WithoutCancel(ctx))
		if failed.tried.fault == nil {
			failed.tried.fault = &fault{table.OnServer, "the server gave no answer to initialize", true}
		}
		lost := v.lostRequest(m.ID, failed.server, failed.tried)
		v.call.Record.Reason = "UpstreamFailure"
		v.answer(lost)
		return
	}
	v.welcome(ctx, m, asked, pages)
}

// welcome answers initialize once the servers have.
func (v *visit) welcome(ctx context.Context, m *jsonrpc.Message, asked string, pages []catalog.Page) {
	g := v.names.Greet(asked, pages, "nave", v.p.version)
	if v.declared().Stateless {
		v.endServers(context.WithoutCancel(ctx))
		v.answer(jsonrpc.Reply(m.ID, g.Result))
		return
	}
	v.facts.Version = g.Version
	id, err := v.sealSession()
	if err != nil {
		v.call.Record.Error = err.Error()
		v.answer(jsonrpc.Fail(m.ID, jsonrpc.CodeInternal, "no session could be made", nil))
		return
	}
	v.sink.head.Set("Mcp-Session-Id", id)
	v.answer(jsonrpc.Reply(m.ID, g.Result))
}

func (v *visit) sealSession() (string, error) {
	var nonce [12]byte
	if err := v.p.random(nonce[:]); err != nil {
		return "", err
	}
	return v.ring.Seal(v.facts, nonce)
}

// object is a member of params that is an object, on one line; nil for anything else.
func object(params jsontext.Value, member string) jsontext.Value {
	raw := jsonrpc.Get(params, member)
	if raw == nil || raw.Kind() != jsontext.KindBeginObject {
		return nil
	}
	return jsonrpc.OneLine(raw).Clone()
}

// find is the server of what a request names. Where names do not tell, the
// lists that were seen last do, and the servers are asked if they do not.
func (v *visit) find(ctx context.Context, known catalog.Method, m *jsonrpc.Message) (server, own string, err error) {
	if v.names.Telling() {
		return v.names.Find(known, m.Params)
	}
	name, uri, err := known.Name(m.Params)
	if err != nil {
		return "", "", err
	}
	lists := []string{"tools/list"}
	switch {
	case uri:
		lists = []string{"resources/list", "resources/templates/list"}
	case known.Type != "tool":
		lists = []string{"prompts/list"}
	}
	for range 2 {
		for _, list := range lists {
			of, _ := catalog.Lookup(list)
			if s, ok := v.p.whose.get(named{v.call.Backend.Name, of.List, name}); ok && slices.Contains(v.servers, s) {
				return s, name, nil
			}
		}
		for _, list := range lists {
			if s := v.search(ctx, list, name); s != "" {
				return s, name, nil
			}
		}
	}
	return "", "", fmt.Errorf("finding the server of %q: no server lists it", clip(name, 128))
}

// search pages through a list for the server of a name; a template is that of
// every URI that begins as it does.
func (v *visit) search(ctx context.Context, list, name string) string {
	known, _ := catalog.Lookup(list)
	servers, cursor := v.servers, catalog.Cursor{}
	for range 64 {
		m := request(ownID("search"), list, jsontext.Value("{}"))
		pages, failure := v.collect(ctx, &m, known, servers, cursor)
		if failure != nil {
			return ""
		}
		servers, cursor = nil, catalog.Cursor{}
		for _, p := range pages {
			if lists(p.Result, known.List, name) {
				return p.Server
			}
			if c, ok := jsonrpc.Text(jsonrpc.Get(p.Result, "nextCursor")); ok && c != "" {
				servers, cursor[p.Server] = append(servers, p.Server), c
			}
		}
		if len(servers) == 0 {
			return ""
		}
	}
	return ""
}

func lists(result jsontext.Value, list, name string) (found bool) {
	_ = jsonrpc.Elements(jsonrpc.Get(result, list), func(item jsontext.Value) error {
		member := map[string]string{"resources": "uri", "resourceTemplates": "uriTemplate"}[list]
		if member == "" {
			member = "name"
		}
		text, ok := jsonrpc.Text(jsonrpc.Get(item, member))
		if list == "resourceTemplates" {
			text, _, _ = strings.Cut(text, "{")
			found = found || ok && text != "" && strings.HasPrefix(name, text)
		} else {
			found = found || ok && text == name
		}
		return nil
	})
	return found
}

// recall remembers whose names these are, where names alone do not tell: the
// first server's, as in the merged list.
func (v *visit) recall(list, server string, result jsontext.Value) {
	if v.names.Telling() || list == "resourceTemplates" {
		return
	}
	member := "name"
	if list == "resources" {
		member = "uri"
	}
	_ = jsonrpc.Elements(jsonrpc.Get(result, list), func(item jsontext.Value) error {
		if text, ok := jsonrpc.Text(jsonrpc.Get(item, member)); ok {
			at := named{clone(v.call.Backend.Name), list, text}
			before, has := v.p.whose.get(at)
			if !has || slices.Index(v.servers, server) < slices.Index(v.servers, before) {
				v.p.whose.put(at, server)
			}
		}
		return nil
	})
}

package mcp

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

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
			w.answer, f = v.hear(ctx, call, r, at, asked{server, inner}, v.sink)
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
	result, err := v.names.Merge(known.List, pages, v.shown)
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

package mcp

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
)

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
	words := v.each(ctx, v.servers, opOpen, func(string) jsonrpc.Message { return request(helloID, "initialize", nil) })
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
		v.call.Record.Reason = "UpstreamFailure"
		v.answer(v.notBegun(m.ID, failed))
		return
	}
	v.welcome(ctx, m, asked, pages)
}

// notBegun is what a client is told where a server did not begin a session: the
// answer of the proxy that would have asked it, or that none came.
func (v *visit) notBegun(id jsonrpc.ID, w *word) jsonrpc.Message {
	if !w.tried.ok || w.answer == nil || w.answer.Error == nil {
		return v.lostRequest(id, w.server, w.tried)
	}
	refused := *w.answer
	refused.ID = id
	return refused
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
	var nonce [session.NonceSize]byte
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

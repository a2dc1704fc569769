package mcp

import (
	"context"
	"encoding/json"

	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/pick"
)

// notify carries a client's notification or answer to the servers that it
// concerns. The client gets 202 whatever becomes of it.
func (v *visit) notify(ctx context.Context, m *jsonrpc.Message) {
	switch {
	case m.Answers():
		v.back(ctx, m)
	case m.Method == "notifications/initialized":
		// The owner has said so to each server, as it will whenever it begins anew.
	case m.Method == "notifications/progress":
		v.progress(ctx, m)
	default:
		v.side(v.servers, v.sender(ctx, m.Bytes(), ""))
	}
}

// back brings a client's answer to the server that asked.
func (v *visit) back(ctx context.Context, m *jsonrpc.Message) {
	text, ok := m.ID.Text()
	if !ok {
		return
	}
	var from origin
	if v.ring.OpenToken(session.ForRequest, v.facts.Handle, text, &from) != nil {
		return
	}
	id, err := jsonrpc.ParseID(from.ID)
	if err != nil {
		return
	}
	inner := *m
	inner.ID = id
	v.call.Record.MCP.Server = from.Server
	v.side([]string{from.Server}, v.sender(ctx, inner.Bytes(), from.Cluster))
}

// progress brings word of progress to the server that asked for it.
func (v *visit) progress(ctx context.Context, m *jsonrpc.Message) {
	text, ok := jsonrpc.Text(jsonrpc.Get(m.Params, "progressToken"))
	if !ok {
		return
	}
	var from origin
	if v.ring.OpenToken(session.ForProgress, v.facts.Handle, text, &from) != nil || !json.Valid(from.ID) {
		return
	}
	inner := *m
	inner.Params = jsonrpc.Set(m.Params, "progressToken", []byte(from.ID))
	v.side([]string{from.Server}, v.sender(ctx, inner.Bytes(), from.Cluster))
}

// sender gives a message that has no answer to one server's owner: in that
// cluster, or where the session lives.
func (v *visit) sender(ctx context.Context, body []byte, cluster string) func(string, *forward.Call) {
	return func(server string, call *forward.Call) {
		v.ask(ctx, call, order{op: opMessage, server: server, body: body, aside: true, at: cluster}, func(r *reply, _ pick.Candidate) *fault {
			r.close()
			return nil
		}, nil)
	}
}

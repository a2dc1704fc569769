package mcp

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/pick"
)

// repeatable tells whether a tool may be called again: by what it said of
// itself when its list was last seen, or says at the next candidate.
func (v *visit) repeatable(ctx context.Context, server string, inner jsonrpc.Message, next pick.Candidate) bool {
	name, _ := jsonrpc.Text(jsonrpc.Get(inner.Params, "name"))
	at := target{v.call.Backend.Name, server}
	known, _ := v.p.tools.get(at)
	if safe, seen := known[name]; seen {
		return safe
	}
	cursor := ""
	for range 16 {
		params := jsontext.Value("{}")
		if cursor != "" {
			params = jsonrpc.Set(params, "cursor", jsonrpc.Quote(cursor))
		}
		list := request(ownID("tools"), "tools/list", params)
		r, f := v.p.reach(ctx, beside(v.call), next, order{op: opMessage, server: server, facts: v.facts, here: true, body: list.Bytes()})
		if f != nil || r.Body == nil {
			return false
		}
		answer, f := v.hear(ctx, v.call, r, next, asked{server, list}, nil)
		if f != nil || answer.Result == nil {
			return false
		}
		v.learn(server, answer.Result, cursor == "")
		if safe, seen := catalog.Repeatable(answer.Result)[name]; seen {
			return safe
		}
		if cursor, _ = jsonrpc.Text(jsonrpc.Get(answer.Result, "nextCursor")); cursor == "" {
			return false
		}
	}
	return false
}

// learn remembers which of a server's tools may be called again.
func (v *visit) learn(server string, result jsontext.Value, anew bool) {
	at := target{clone(v.call.Backend.Name), server}
	tools := catalog.Repeatable(result)
	if before, ok := v.p.tools.get(at); ok && !anew && len(before) < 4096 {
		for name, safe := range before {
			if _, has := tools[name]; !has {
				tools[name] = safe
			}
		}
	}
	v.p.tools.put(at, tools)
}

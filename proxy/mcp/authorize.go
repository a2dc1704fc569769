package mcp

import (
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
)

// subject is what an authorization may ask of a message: its method and, where
// it names one, the tool, prompt or resource by its server's own name for it.
type subject struct {
	method string
	// kind is tool, prompt or resource, "" for none.
	kind, name, target string
	params             jsontext.Value
}

// Fact implements expr.Facts.
func (s *subject) Fact(name string) (any, bool) {
	switch name {
	case "mcp.methodName":
		return s.method, s.method != ""
	case "mcp." + s.kind + ".name":
		return s.name, true
	case "mcp." + s.kind + ".target":
		return s.target, s.target != ""
	case "mcp.tool.arguments":
		if s.kind != "tool" {
			return nil, false
		}
		arguments := map[string]any{}
		if raw := jsonrpc.Get(s.params, "arguments"); raw != nil && json.Unmarshal(raw, &arguments) != nil {
			return nil, false
		}
		return arguments, true
	}
	return nil, false
}

// allowed judges one thing before anything is sent, by the rules of the whole and
// by those of the server that it names; a refusal is recorded.
func (v *visit) allowed(s *subject) bool {
	ok, reason := v.may(s)
	if !ok {
		v.call.Record.Reason, v.call.Record.Error = "Authorization", reason
	}
	return ok
}

func (v *visit) may(s *subject) (ok bool, reason string) {
	if ok, reason = v.call.Authorize(s); ok && s.target != "" {
		ok, reason = v.call.AuthorizeAt(s.target, s)
	}
	return ok, reason
}

// shown tells whether a client may see an item of a list: whether it could use
// it, with no arguments where it is a tool.
func (v *visit) shown(list, server, own string) bool {
	ok, _ := v.may(using(list, server, own))
	return ok
}

// about is what a client's request is about.
func about(m *jsonrpc.Message, known catalog.Method, server, own string) *subject {
	kind := known.Type
	if known.Subject == catalog.ByRef {
		kind = "prompt"
		if ref, _ := jsonrpc.Text(jsonrpc.Get(m.Params, "ref", "type")); ref == "ref/resource" {
			kind = "resource"
		}
	}
	return &subject{method: m.Method, kind: kind, name: own, target: server, params: m.Params}
}

// notAllowed is the answer to a request for what the client may not use: the
// same as for what there is not, so that nothing is learned from it.
func notAllowed(id jsonrpc.ID) jsonrpc.Message {
	return jsonrpc.Fail(id, jsonrpc.CodeInvalidParams, "there is no such tool, prompt or resource", nil)
}

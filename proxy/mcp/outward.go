package mcp

import (
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
)

// mark is what an event id of ours holds: where each server's stream stands,
// and the method where it is the stream of one request.
type mark struct {
	Last   map[string]string `json:"l"`
	Method string            `json:"m,omitempty"`
}

// resumable methods' streams can be taken up by the client: their answer is one
// server's. What is merged of several answers, and sifted, is asked for anew.
func resumable(method string) bool {
	known, ok := catalog.Lookup(method)
	return !ok || known.Reach == catalog.One
}

// aside lets what a server says beside an answer go to the client.
func (v *visit) aside(from origin, method string, h heard, out *sink, last string) {
	id := ""
	if last != "" && resumable(method) {
		id, _ = v.ring.Token(session.ForEvent, v.facts.Handle, mark{Last: map[string]string{from.Server: last}, Method: method})
	}
	if h.silent {
		if id != "" && v.facts.Version >= "2025-11-25" {
			out.prime(id, h.retry)
		}
		return
	}
	if m, ok := v.outward(from, h.message); ok {
		out.say(&m, id)
	}
}

// origin is what the id of a server's request holds once it is sealed: the
// server, in the cluster where the session lived then.
type origin struct {
	Server  string          `json:"s"`
	Cluster string          `json:"c,omitempty"`
	ID      json.RawMessage `json:"i"`
}

// outward makes what a server sends fit for the client: ids of the server's
// requests and its progress tokens are sealed with the server's name, so that
// the client's answer finds its way back and no other server's can be meant.
func (v *visit) outward(from origin, m jsonrpc.Message) (jsonrpc.Message, bool) {
	switch m.Kind() {
	case jsonrpc.Request:
		token, err := v.seal(session.ForRequest, from, m.ID.Append(nil))
		if err != nil {
			return m, false
		}
		m.ID = jsonrpc.StringID(token)
		m.Params = jsonrpc.EditMember(m.Params, "_meta", func(meta jsontext.Value) jsontext.Value {
			return v.sealed(session.ForProgress, from, meta, "progressToken")
		})
		return m, true
	case jsonrpc.Notification:
		if m.Method == "notifications/cancelled" {
			m.Params = v.sealed(session.ForRequest, from, m.Params, "requestId")
		}
		m.Params = v.names.Notice(from.Server, m.Method, m.Params)
		return m, true
	}
	return m, false // an answer to nothing that the client asked
}

func (v *visit) seal(p session.Purpose, from origin, raw []byte) (string, error) {
	from.ID = raw
	return v.ring.Token(p, v.facts.Handle, from)
}

func (v *visit) sealed(p session.Purpose, from origin, object jsontext.Value, member string) jsontext.Value {
	return jsonrpc.EditMember(object, member, func(raw jsontext.Value) jsontext.Value {
		if id, err := jsonrpc.ParseID(raw); err == nil {
			raw = id.Append(nil)
		}
		token, err := v.seal(p, from, raw)
		if err != nil {
			return raw
		}
		return jsonrpc.Quote(token)
	})
}

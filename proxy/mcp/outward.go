package mcp

import (
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
)

// mark is what an event id of ours holds: where each server's stream stands,
// and whether it is that of one request.
type mark struct {
	Last map[string]string `json:"l"`
	One  bool              `json:"o,omitempty"`
}

// aside lets what a server says beside an answer go to the client.
func (v *visit) aside(server string, h heard, out *sink, last string) {
	id := ""
	if last != "" {
		id, _ = v.ring.Token(session.ForEvent, v.facts.Handle, mark{Last: map[string]string{server: last}, One: true})
	}
	if h.silent {
		if id != "" && v.facts.Version >= "2025-11-25" {
			out.prime(id, h.retry)
		}
		return
	}
	if m, ok := v.outward(server, h.message); ok {
		out.say(&m, id)
	}
}

// origin is what the id of a server's request holds once it is sealed.
type origin struct {
	Server string          `json:"s"`
	ID     json.RawMessage `json:"i"`
}

// outward makes what a server sends fit for the client: ids of the server's
// requests and its progress tokens are sealed with the server's name, so that
// the client's answer finds its way back and no other server's can be meant.
func (v *visit) outward(server string, m jsonrpc.Message) (jsonrpc.Message, bool) {
	switch m.Kind() {
	case jsonrpc.Request:
		token, err := v.seal(session.ForRequest, server, m.ID.Append(nil))
		if err != nil {
			return m, false
		}
		m.ID = jsonrpc.StringID(token)
		m.Params = jsonrpc.EditMember(m.Params, "_meta", func(meta jsontext.Value) jsontext.Value {
			return v.sealed(session.ForProgress, server, meta, "progressToken")
		})
		return m, true
	case jsonrpc.Notification:
		if m.Method == "notifications/cancelled" {
			m.Params = v.sealed(session.ForRequest, server, m.Params, "requestId")
		}
		m.Params = v.names.Notice(server, m.Method, m.Params)
		return m, true
	}
	return m, false // an answer to nothing that the client asked
}

func (v *visit) seal(p session.Purpose, server string, raw []byte) (string, error) {
	return v.ring.Token(p, v.facts.Handle, origin{server, raw})
}

func (v *visit) sealed(p session.Purpose, server string, object jsontext.Value, member string) jsontext.Value {
	return jsonrpc.EditMember(object, member, func(raw jsontext.Value) jsontext.Value {
		if id, err := jsonrpc.ParseID(raw); err == nil {
			raw = id.Append(nil)
		}
		token, err := v.seal(p, server, raw)
		if err != nil {
			return raw
		}
		return jsonrpc.Quote(token)
	})
}

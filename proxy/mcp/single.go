package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/pick"
)

// single sends a request to its one server and what comes of it to the client.
// inner is the request as the server knows it.
func (v *visit) single(ctx context.Context, m *jsonrpc.Message, server string, inner jsonrpc.Message, safe bool) {
	v.call.Record.MCP.Server = server
	var final *jsonrpc.Message
	take := func(r *reply, at pick.Candidate) *fault {
		var f *fault
		final, f = v.hear(ctx, r, at, server, inner, v.sink)
		return f
	}
	again := func(ctx context.Context, next pick.Candidate) bool {
		if safe || v.call.Backend.Failover.ReplayUnsafe {
			return true
		}
		return m.Method == "tools/call" && v.repeatable(ctx, server, inner, next)
	}
	t := v.ask(ctx, v.call, order{op: opMessage, server: server, body: inner.Bytes()}, take, again)
	v.tellMoved(t)
	switch {
	case t.gone:
		v.p.tomb(v.facts.Handle)
		v.goneAway(m.ID)
	case !t.ok:
		v.answer(v.lostRequest(m.ID, server, t))
	default:
		out := *final
		out.ID = m.ID
		if out.Result != nil {
			out.Result = v.names.Result(server, m.Method, out.Result)
		}
		v.answer(out)
	}
}

// goneAway answers a request of a session that turns out to be over.
func (v *visit) goneAway(id jsonrpc.ID) {
	v.sink.mu.Lock()
	fresh := !v.sink.streaming && !v.sink.batch
	v.sink.mu.Unlock()
	if fresh {
		v.unknown(id)
		return
	}
	v.answer(jsonrpc.Fail(id, -32001, "the session is not known", nil))
}

// lostRequest is what a client is told of a request that was not answered: what
// is known of whether it was carried out. The session goes on.
func (v *visit) lostRequest(id jsonrpc.ID, server string, t tried) jsonrpc.Message {
	region := ""
	if t.at.Instance != nil {
		region = t.at.Instance.Region
	}
	if region == "" {
		region = t.at.Cluster
	}
	v.call.Record.Error = t.fault.text
	data, err := json.Marshal(map[string]any{
		"reason": string(t.fault.why), "server": server, "region": region, "maybeExecuted": t.maybe,
	})
	if err != nil {
		data = nil
	}
	text := "the server could not be reached; the request was not carried out"
	if t.maybe {
		text = "the server was lost while it worked on the request, which may or may not have been carried out"
	}
	return jsonrpc.Fail(id, jsonrpc.CodeInternal, text, data)
}

// resumes is how often a stream that a server ends before its answer is asked
// for the rest.
const resumes = 3

// hear reads a reply for the answer to inner. What the server says before goes
// to out, with ids and names as the client may see them; out is nil where
// nobody is to hear it.
func (v *visit) hear(ctx context.Context, r *reply, at pick.Candidate, server string, inner jsonrpc.Message, out *sink) (*jsonrpc.Message, *fault) {
	last := ""
	for try := 0; ; try++ {
		final, wait, f := v.hearOnce(ctx, r, server, inner, out, &last)
		if final != nil || f != nil && (last == "" || try == resumes || ctx.Err() != nil) {
			return final, f
		}
		pause(ctx, wait)
		r, f = v.p.reach(ctx, v.call, at, order{op: opResume, server: server, facts: v.facts, last: last})
		if f == nil && r.Body == nil {
			f = &fault{table.OnStream, "the stream cannot be resumed", false}
		}
		if f != nil {
			return nil, &fault{f.why, f.text, false}
		}
	}
}

func (v *visit) hearOnce(ctx context.Context, r *reply, server string, inner jsonrpc.Message, out *sink, last *string) (final *jsonrpc.Message, wait time.Duration, f *fault) {
	if r.Body == nil {
		return nil, 0, &fault{table.OnServer, "the reply holds no answer", false}
	}
	if media(r.Header.Get("Content-Type")) != kindEvents {
		m, err := v.p.owner.only(ctx, r.Response, inner.ID)
		if err != nil {
			return nil, 0, &fault{table.OnStream, err.Error(), false}
		}
		return &m, 0, nil
	}
	wait = time.Second
	tick := func() {
		if out != nil {
			out.beat(v.p.limits.Heartbeat)
		}
	}
	err := v.p.listen(ctx, r.Body, tick, func(h heard) error {
		if h.id != "" {
			*last = clip(h.id, 1024)
		}
		if h.retry > 0 {
			wait = h.retry
		}
		if !h.silent && h.message.Answers() && h.message.ID == inner.ID {
			final = &h.message
			return errEnough
		}
		if out != nil {
			v.aside(server, h, out, *last)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return final, 0, nil
	}
	text := "the server's stream ended before the answer"
	if err != nil {
		text += ": " + err.Error()
	}
	return nil, wait, &fault{table.OnStream, text, false}
}

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
		r, f := v.p.reach(ctx, v.call, next, order{op: opMessage, server: server, facts: v.facts, here: true, body: list.Bytes()})
		if f != nil || r.Body == nil {
			return false
		}
		answer, f := v.hear(ctx, r, next, server, list, nil)
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

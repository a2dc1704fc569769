package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/pick"
)

// single sends a request to its one server and what comes of it to the client.
// inner is the request as the server knows it.
func (v *visit) single(ctx context.Context, m *jsonrpc.Message, server string, inner jsonrpc.Message, safe bool) {
	v.call.Record.MCP.Server = server
	var final *jsonrpc.Message
	take := func(r *reply, at pick.Candidate) *fault {
		var f *fault
		final, f = v.hear(ctx, v.call, r, at, asked{server, inner}, v.sink)
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
	if t.fault == nil {
		t.fault = perhaps(table.OnServer, "the server gave no answer")
	}
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

// asked is a request as its server knows it.
type asked struct {
	server string
	inner  jsonrpc.Message
}

// hear reads a reply for the answer to what was asked. What the server says before goes
// to out, with ids and names as the client may see them; out is nil where
// nobody is to hear it.
func (v *visit) hear(ctx context.Context, call *forward.Call, r *reply, at pick.Candidate, want asked, out *sink) (*jsonrpc.Message, *fault) {
	last := ""
	for try := 0; ; try++ {
		final, wait, f := v.hearOnce(ctx, r, at, want, out, &last)
		if final != nil || f != nil && (last == "" || try == resumes || ctx.Err() != nil) {
			return final, f
		}
		pause(ctx, wait)
		r, f = v.p.reach(ctx, beside(call), at, order{op: opResume, server: want.server, facts: v.facts, last: last})
		if f == nil && r.Body == nil {
			f = perhaps(table.OnStream, "the stream cannot be resumed")
		}
		if f != nil {
			return nil, perhaps(f.why, f.text)
		}
	}
}

func (v *visit) hearOnce(ctx context.Context, r *reply, at pick.Candidate, want asked, out *sink, last *string) (final *jsonrpc.Message, wait time.Duration, f *fault) {
	if r.Body == nil {
		return nil, 0, perhaps(table.OnServer, "the reply holds no answer")
	}
	if media(r.Header.Get("Content-Type")) != kindEvents {
		m, err := v.p.owner.only(ctx, r.Response, want.inner.ID)
		if err != nil {
			return nil, 0, perhaps(table.OnStream, err.Error())
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
		if !h.silent && h.message.Answers() && h.message.ID == want.inner.ID {
			final = &h.message
			return errEnough
		}
		if out != nil {
			v.aside(origin{Server: want.server, Cluster: at.Cluster}, want.inner.Method, h, out, *last)
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
	return nil, wait, perhaps(table.OnStream, text)
}

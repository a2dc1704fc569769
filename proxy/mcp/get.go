package mcp

import (
	"context"
	"maps"
	"time"

	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/pick"
)

// get answers a client's GET: one stream of what all servers say of themselves,
// or the rest of a stream that broke.
func (v *visit) get(ctx context.Context) {
	req := v.call.Request
	v.call.Record.MCP.Method = "stream"
	if v.declared().Stateless {
		v.sink.head.Set("Allow", "POST")
		v.refuse(405, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, "the endpoint keeps no sessions")
		return
	}
	if !accepts(&req.Header, kindEvents) {
		v.refuse(406, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, "Accept must list text/event-stream")
		return
	}
	if !v.enter(jsonrpc.ID{}) {
		return
	}
	if !v.allowed(&subject{}) {
		v.forbidden(jsonrpc.ID{})
		return
	}
	m := mark{Last: map[string]string{}}
	if last, has := req.Header.Lookup("Last-Event-ID"); has {
		if err := v.ring.OpenToken(session.ForEvent, v.facts.Handle, last, &m); err != nil {
			v.refuse(400, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, "the Last-Event-ID is not of this session")
			return
		}
	}
	if !v.p.streams.take(v.facts.Handle, v.p.limits.Streams) {
		v.refuse(429, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, "the session has too many streams open")
		return
	}
	defer v.p.streams.give(v.facts.Handle)
	v.sink.events = true
	v.sink.last = time.Time{}
	v.sink.beat(0)
	v.streamAll(ctx, m)
	v.sink.mu.Lock()
	defer v.sink.mu.Unlock()
	v.sink.finish()
}

// said is one server's event on its way to the client's stream; over ends the stream.
type said struct {
	server, cluster string

	heard heard
	over  bool
}

// streamAll merges the servers' streams until the client goes.
func (v *visit) streamAll(ctx context.Context, m mark) {
	ctx, cancel := context.WithCancel(ctx)
	servers := v.servers
	if m.Method != "" {
		servers = nil
		for s := range m.Last {
			servers = append(servers, s)
		}
	}
	said := make(chan said)
	done := make(chan struct{})
	for _, s := range servers {
		call := beside(v.call)
		go func() {
			defer func() { done <- struct{}{} }()
			defer v.p.caught("following a server's stream")
			if m.Method != "" {
				v.rest(ctx, call, s, m.Last[s], said)
			} else {
				v.followServer(ctx, call, s, m.Last[s], said)
			}
		}()
	}
	v.write(ctx, cancel, m, len(servers), said, done)
}

// write gives the client what the servers' goroutines bring until the client
// goes or they all have ended; it returns when they have.
func (v *visit) write(ctx context.Context, cancel func(), m mark, left int, said chan said, done chan struct{}) {
	defer cancel()
	if m.Last == nil {
		m.Last = map[string]string{}
	}
	tick := time.NewTicker(v.p.limits.Heartbeat)
	defer tick.Stop()
	for left > 0 {
		select {
		case e := <-said:
			if e.over {
				cancel()
			}
			if ctx.Err() == nil {
				v.writeOne(&m, e)
			}
		case <-done:
			left--
		case <-tick.C:
			v.sink.beat(v.p.limits.Heartbeat)
		}
		if v.sink.failed() {
			cancel()
		}
	}
}

func (v *visit) writeOne(m *mark, e said) {
	id := ""
	if e.heard.id != "" {
		m.Last = maps.Clone(m.Last)
		m.Last[e.server] = clip(e.heard.id, 512)
		id, _ = v.ring.Token(session.ForEvent, v.facts.Handle, *m)
	}
	if e.heard.silent {
		if id != "" && v.facts.Version >= "2025-11-25" {
			v.sink.prime(id, 0)
		}
		return
	}
	if m.Method != "" && e.heard.message.Answers() {
		if !resumable(m.Method) {
			return
		}
		answer := e.heard.message
		if answer.Result != nil {
			answer.Result = v.names.Result(e.server, m.Method, answer.Result)
		}
		v.sink.say(&answer, id)
		return
	}
	if out, ok := v.outward(origin{Server: e.server, Cluster: e.cluster}, e.heard.message); ok {
		v.sink.say(&out, id)
	}
}

// patience is how often a server's stream may break in a row before the session
// is wanted in another cluster; requests move it at once.
const patience = 3

// followServer keeps one server's stream open, where the session lives.
func (v *visit) followServer(ctx context.Context, call *forward.Call, server, last string, out chan<- said) {
	for failures := 0; ctx.Err() == nil; {
		over := false
		take := func(r *reply, at pick.Candidate) *fault {
			if r.Body == nil {
				return nil
			}
			failures = 0
			_ = v.p.listen(ctx, r.Body, nil, func(h heard) error {
				if h.name == replaced {
					over = true
					return errEnough
				}
				if h.id != "" {
					last = h.id
				}
				select {
				case out <- said{server: server, cluster: at.Cluster, heard: h}:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			return nil
		}
		always := func(context.Context, pick.Candidate) bool { return failures >= patience }
		call.Record.Attempts = 0
		v.p.renew(call)
		t := v.ask(ctx, call, order{op: opStream, server: server, last: last}, take, always)
		if over || t.gone {
			select {
			case out <- said{over: true}:
			case <-ctx.Done():
			}
			return
		}
		if !t.ok {
			failures++
		}
		pause(ctx, min(250*time.Millisecond<<min(failures, 6), 10*time.Second))
	}
}

// rest asks once for the rest of a stream of one request.
func (v *visit) rest(ctx context.Context, call *forward.Call, server, last string, out chan<- said) {
	take := func(r *reply, at pick.Candidate) *fault {
		if r.Body == nil {
			return nil
		}
		_ = v.p.listen(ctx, r.Body, nil, func(h heard) error {
			select {
			case out <- said{server: server, cluster: at.Cluster, heard: h}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		return nil
	}
	never := func(context.Context, pick.Candidate) bool { return false }
	v.ask(ctx, call, order{op: opResume, server: server, last: last}, take, never)
}

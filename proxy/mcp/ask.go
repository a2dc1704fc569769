package mcp

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/pick"
)

// tried is what came of giving an order, cluster after cluster.
type tried struct {
	ok   bool
	gone bool
	// fault is the last one; maybe tells that a server may have acted.
	fault  *fault
	maybe  bool
	at     pick.Candidate
	served string // cluster
	moved  string
}

// ask gives an order to the owner of the session at its server and hands the
// reply to take, which reads it and closes its body. Where that fails, the next
// cluster's owner is asked, if the order may be given again: nothing was
// processed, or again says that it does no harm.
func (v *visit) ask(ctx context.Context, call *forward.Call, o order, take func(*reply, pick.Candidate) *fault, again func(context.Context, pick.Candidate) bool) (t tried) {
	o.facts = v.facts
	w := v.way(o)
	if len(w.choices) == 0 {
		t.fault = undone(table.OnConnect, fmt.Sprintf("no candidate serves %q: %s", o.server, w.why))
		return t
	}
	for i := 0; ; {
		to := w.choices[i].Candidate
		t.at = to
		o.here = w.here(i)
		r, f := v.attempt(ctx, call, to, o)
		if f == nil && r.gone {
			t.gone = true
			return t
		}
		if f == nil && r.elsewhere != "" {
			uncount(call)
			if w.follow(r.elsewhere, &i) {
				continue
			}
			f = undone(table.OnServer, "the session's owners do not agree where it lives")
		}
		if f == nil {
			t.moved = r.moved
			if !o.aside {
				v.p.hints.put(v.place(o.server), to.Cluster)
			}
			f = take(r, to)
		}
		if f == nil {
			t.ok, t.served = true, to.Cluster
			call.Record.ServedBy = to.Key() // also where this proxy asked itself
			return t
		}
		t.fault, t.maybe = f, t.maybe || !f.unprocessed
		if ctx.Err() != nil || !w.more(i) {
			return t
		}
		free := f.unprocessed && o.op != opStream && o.op != opResume
		if !free && (again == nil || !again(ctx, w.choices[i+1].Candidate)) {
			return t
		}
		if !v.p.sender.Move(call, to, f.why) {
			return t
		}
		i++
	}
}

// attempt is one order to one cluster's owner; the time until the reply's head
// is bounded where the route or the policy bounds an attempt.
func (v *visit) attempt(ctx context.Context, call *forward.Call, to pick.Candidate, o order) (*reply, *fault) {
	bound := call.BackendTimeout
	if per := call.Backend.Failover.PerAttemptTimeout.Std(); per > 0 && (bound == 0 || per < bound) {
		bound = per
	}
	if bound == 0 || o.op == opStream {
		return v.p.reach(ctx, call, to, o)
	}
	inner, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(bound, func() { cancel(context.DeadlineExceeded) })
	r, f := v.p.reach(inner, call, to, o)
	if !timer.Stop() {
		r.close()
		f = &fault{why: table.OnTimeout, text: "the attempt took longer than " + bound.String(), unprocessed: f != nil && f.unprocessed}
	}
	if f != nil {
		cancel(nil)
		return nil, f
	}
	if r.Response != nil && r.Body != nil {
		r.Body = &closing{r.Body, func() { cancel(nil) }}
	} else {
		cancel(nil)
	}
	return r, nil
}

// endServers tells the owners of every server's session that it is over.
func (v *visit) endServers(ctx context.Context) {
	o := order{op: opEnd, facts: v.facts}
	v.side(v.servers, func(server string, call *forward.Call) {
		o := o
		o.server = server
		w := v.way(o)
		w.more(len(w.choices) - 1)
		for i, c := range w.choices {
			if i == 3 || v.passing && i == 1 {
				break
			}
			r, _ := v.p.reach(ctx, call, c.Candidate, o)
			r.close()
		}
	})
}

// side runs f for each server side by side, each with a record of its own, and
// waits. What the attempts found is gathered after. One server alone is asked
// by the request's own call.
func (v *visit) side(servers []string, f func(server string, call *forward.Call)) {
	if len(servers) == 1 {
		f(servers[0], v.call)
		return
	}
	calls := make([]*forward.Call, len(servers))
	done := make(chan struct{})
	for i, s := range servers {
		calls[i] = beside(v.call)
		go func() {
			defer func() { done <- struct{}{} }()
			defer v.p.caught("asking a server")
			f(s, calls[i])
		}()
	}
	for range servers {
		<-done
	}
	r := v.call.Record
	for _, c := range calls {
		r.Attempts = max(r.Attempts, c.Record.Attempts)
		r.Upstream = max(r.Upstream, c.Record.Upstream)
		for _, x := range []struct {
			to   *string
			from string
		}{
			{&r.FailoverReason, c.Record.FailoverReason}, {&r.Endpoint, c.Record.Endpoint},
			{&r.ServedBy, c.Record.ServedBy}, {&r.Region, c.Record.Region},
		} {
			if x.from != "" {
				*x.to = x.from
			}
		}
	}
}

// tellMoved writes to the record that the session moved in this request.
func (v *visit) tellMoved(t tried) {
	if t.moved != "" {
		v.call.Record.MCP.Moved = t.moved
	}
	if !t.ok && t.maybe {
		v.call.Record.Reason = "UpstreamFailure"
	}
}

// closing is a body that does something more when it is closed.
type closing struct {
	io.ReadCloser
	then func()
}

func (c *closing) Close() error {
	err := c.ReadCloser.Close()
	c.then()
	return err
}

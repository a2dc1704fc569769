package mcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/pick"
)

// serveLink answers another proxy's order.
func (o *owner) serveLink(ctx context.Context, call *forward.Call) {
	call.Record.Protocol = "mcp"
	ord, err := readOrder(call.Request, o.p.limits.Body)
	if err != nil {
		_ = answerWith(ctx, call, undone(table.OnServer, err.Error()).response())
		return
	}
	call.Request.Body = nil
	r := o.judge(call, ord)
	if r == nil {
		r = o.carry(ctx, call, *call.Only, ord)
	}
	if err := answerWith(ctx, call, o.signed(r)); err != nil {
		call.Record.Error = err.Error()
	}
}

// answerWith copies a response to the exchange, each piece as it comes.
func answerWith(ctx context.Context, call *forward.Call, r *message.Response) error {
	length := int64(0)
	if r.Body != nil {
		defer r.Body.Close()
		length = r.ContentLength
		if length == 0 {
			length = message.UnknownLength
		}
	}
	if err := call.Start(r.Status, &r.Header, length); err != nil {
		return err
	}
	if r.Body != nil {
		if err := call.Exchange.Flush(); err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { r.Body.Close() })
		defer stop()
		if err := pour(call.Exchange, r.Body); err != nil {
			return err
		}
	}
	return call.Exchange.Finish(nil)
}

func pour(x message.Exchange, body io.Reader) error {
	buffer := make([]byte, 16<<10)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if _, bad := x.Write(buffer[:n]); bad != nil {
				return bad
			}
			if bad := x.Flush(); bad != nil {
				return bad
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a server's answer: %w", err)
		}
	}
}

// serve carries an order out.
func (o *owner) serve(ctx context.Context, call *forward.Call, to pick.Candidate, ord order) *message.Response {
	return o.signed(o.carry(ctx, call, to, ord))
}

// signed puts the owner's name on an answer.
func (o *owner) signed(r *message.Response) *message.Response {
	name := o.p.proxy
	if name == "" {
		name = "this"
	}
	r.Header.Set(headOwner, name)
	return r
}

func (o *owner) carry(ctx context.Context, call *forward.Call, to pick.Candidate, ord order) *message.Response {
	if o.p.dead(ord.facts.Handle) && ord.op != opEnd {
		return gone()
	}
	if !to.Local || to.Member.Server == nil || ord.facts.Tenant != call.Self.Tenant || ord.facts.Backend != call.Backend.Name {
		return undone(table.OnServer, "the session's server is not declared here").response()
	}
	if ord.op == opCopy {
		return o.takeCopy(call, to, ord)
	}
	if ord.op == opTell {
		return o.tell(call, to, ord)
	}
	j := job{call: call, to: to, order: ord, h: o.find(call, to, ord)}
	switch ord.op {
	case opOpen:
		return o.open(ctx, j)
	case opMessage:
		return o.message(ctx, j)
	case opStream:
		return o.stream(ctx, j)
	case opResume:
		return o.resume(ctx, j)
	case opEnd:
		o.p.tomb(ord.facts.Handle)
		o.act(j.h, o.step(j.h, session.Closed{}))
		j.h.shut()
		o.held.remove(j.h.place)
		return plain(202)
	}
	return undone(table.OnServer, fmt.Sprintf("there is no order %q", ord.op)).response()
}

func gone() *message.Response {
	r := plain(410)
	r.Header.Set(headGone, "1")
	return r
}

// respond is an owner's word on a session that it does not serve now.
func (r *reply) respond() *message.Response {
	if r.gone {
		return gone()
	}
	out := plain(421)
	out.Header.Set(headElsewhere, r.elsewhere)
	return out
}

// open begins a session and answers with what the server said.
func (o *owner) open(ctx context.Context, j job) *message.Response {
	l, other, f := o.ensure(ctx, j)
	if r := notServed(other, f); r != nil {
		return r
	}
	answer := jsonrpc.Reply(helloID, j.h.hello())
	r := withJSON(answer.Bytes())
	setMoved(r, l)
	return r
}

func notServed(other *reply, f *fault) *message.Response {
	switch {
	case f != nil:
		return f.response()
	case other != nil:
		return other.respond()
	}
	return nil
}

func setMoved(r *message.Response, l live) {
	if l.moved != "" {
		r.Header.Set(headMoved, l.moved)
	}
}

// message carries one message to the server. A session that the server no
// longer knows is begun anew, once, and the message goes to the new one: the
// server refused it before it looked at it.
func (o *owner) message(ctx context.Context, j job) *message.Response {
	parsed, _, err := jsonrpc.Parse(j.body, o.p.answer())
	if err != nil || len(parsed) != 1 {
		return undone(table.OnServer, "the order holds no message").response()
	}
	m := parsed[0]
	if m.Kind() != jsonrpc.Request {
		return o.note(ctx, j)
	}
	for try := range 2 {
		l, other, f := o.ensure(ctx, j)
		if r := notServed(other, f); r != nil {
			return r
		}
		resp, f := o.deliver(ctx, j, l, m)
		if f != nil {
			o.done(j.h, l.turn)
			return f.response()
		}
		if try == 0 && o.lost(resp, l, m) {
			o.done(j.h, l.turn)
			o.act(j.h, o.step(j.h, session.Gone{Turn: l.turn}))
			continue
		}
		r := o.sift(j.call, j.server, m, o.relay(j, resp, m))
		setMoved(r, l)
		if r.Body == nil {
			o.done(j.h, l.turn)
			return r
		}
		r.Body = &closing{r.Body, sync.OnceFunc(func() { o.done(j.h, l.turn) })}
		return r
	}
	return undone(table.OnServer, "the server lost the session twice").response()
}

// deliver sends a request by the session's transport.
func (o *owner) deliver(ctx context.Context, j job, l live, m jsonrpc.Message) (*message.Response, *fault) {
	if l.legacy != nil {
		return l.legacy.exchange(ctx, j, m)
	}
	return o.send(ctx, j, "POST", l, j.body)
}

// note carries a notification or an answer, for which nobody waits. A session
// that is not live here has nothing that it could be about.
func (o *owner) note(ctx context.Context, j job) *message.Response {
	l, ok := j.h.underWay()
	if !ok {
		return plain(202)
	}
	if l.legacy != nil {
		if err := l.legacy.post(ctx, j, j.body); err != nil {
			return perhaps(table.OnConnect, err.Error()).response()
		}
		return plain(202)
	}
	resp, f := o.send(ctx, j, "POST", l, j.body)
	if f != nil {
		return f.response()
	}
	drain(resp)
	return plain(202)
}

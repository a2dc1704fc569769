// Package plain serves HTTP and gRPC as they are: it streams a request to one
// candidate and the answer back, and decides which failures may be repeated.
// It never reads what a body means.
package plain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/pick"
)

// defaultMaxBody is kept for replay where a failover policy names no limit.
const defaultMaxBody = 1 << 20

// Plain is the protocol of plain HTTP backends.
type Plain struct{ sender forward.Sender }

// New makes the protocol.
func New(s forward.Sender) *Plain { return &Plain{s} }

var _ forward.Protocol = (*Plain)(nil)

// trip is one call on its way through its candidates.
type trip struct {
	p      *Plain
	ctx    context.Context
	call   *forward.Call
	body   *replay // nil where none is kept
	once   bool    // the body can be read once only
	order  []pick.Choice
	at     int
	tries  int  // repeats by the route's declaration
	reused bool // a kept connection that had ended was made up for once
}

// Serve carries a call.
func (p *Plain) Serve(ctx context.Context, call *forward.Call) {
	t := &trip{p: p, ctx: ctx, call: call}
	d := p.sender.Decide(call, pick.Needs{})
	if t.order = d.Order; len(t.order) == 0 {
		call.Refuse(503, "NoHealthyBackend", "no healthy backend\n", nobody(d))
		return
	}
	r := call.Request
	r.Inform = t.inform
	if r.Body != nil && r.ContentLength != 0 && (len(t.order) > 1 || call.Retry != nil) {
		if err := t.keep(r); err != nil {
			call.Refuse(400, "InvalidRequest", "body could not be read\n", err)
			return
		}
	} else {
		t.once = r.Body != nil && r.ContentLength != 0
	}
	for !t.attempt() {
	}
}

// keep makes the request's body one that can be read again.
func (t *trip) keep(r *message.Request) error {
	limit := t.call.Backend.Failover.MaxBody
	if limit <= 0 {
		limit = defaultMaxBody
	}
	if err := gather(r, limit); err != nil {
		return err
	}
	t.body = &replay{src: r.Body, limit: limit}
	r.Body = t.body
	return nil
}

// inform passes 1xx answers on; that a client did not get one is no failure.
func (t *trip) inform(status int, h *message.Header) { _ = t.call.Exchange.Inform(status, h) }

func nobody(d pick.Decision) error {
	if len(d.Rejected) == 0 {
		return errors.New("choosing a candidate: none is declared")
	}
	first := d.Rejected[0]
	return errors.New("choosing a candidate: " + first.Key() + ": " + first.Reason)
}

// attempt makes one and is true when the call is answered or over.
func (t *trip) attempt() bool {
	to := t.order[t.at].Candidate
	ctx, cancel := t.limit()
	defer cancel()
	start := time.Now()
	resp, err := t.begun(ctx, cancel, to)
	o := forward.Outcome{Err: err, FirstByte: time.Since(start)}
	o.Failed = t.trigger(resp, err)
	if resp != nil {
		o.Status, o.RetryAfter = resp.Status, retryAfter(&resp.Header)
	}
	t.p.sender.Done(t.call, to, o)
	if again := t.again(to, resp, err, o.Failed); again {
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close() // given up
		}
		return false
	}
	if err != nil {
		t.fail(err)
		return true
	}
	t.answer(ctx, resp)
	return true
}

// limit bounds one attempt, its body included, where the route says so.
func (t *trip) limit() (context.Context, context.CancelFunc) {
	switch limit := t.call.BackendTimeout; {
	case limit > 0:
		return context.WithTimeout(t.ctx, limit)
	case t.call.Backend.Failover.PerAttemptTimeout > 0:
		return context.WithCancel(t.ctx)
	}
	return t.ctx, func() {}
}

// begun sends, and gives up where the answer has not begun within the time that
// the failover policy gives an attempt.
func (t *trip) begun(ctx context.Context, cancel context.CancelFunc, to pick.Candidate) (*message.Response, error) {
	patience := t.call.Backend.Failover.PerAttemptTimeout.Std()
	if patience <= 0 {
		return t.send(ctx, to)
	}
	timer := time.AfterFunc(patience, cancel)
	resp, err := t.send(ctx, to)
	if timer.Stop() {
		return resp, err
	}
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close() // it began too late
	}
	late := &message.SendError{Stage: message.StageAwait, Address: to.Key(), Timeout: true, Err: fmt.Errorf("no answer began within %s", patience)}
	var was *message.SendError
	if errors.As(err, &was) {
		late.Stage, late.Address, late.Unprocessed = was.Stage, was.Address, was.Unprocessed
	}
	return nil, late
}

func (t *trip) send(ctx context.Context, to pick.Candidate) (*message.Response, error) {
	r := t.call.Request
	if to.Local && to.Instance.Auth != nil {
		undo, err := credential(t.call, to.Instance.Auth, r)
		if err != nil {
			return nil, err
		}
		defer undo()
	}
	return t.p.sender.Send(ctx, t.call, to, r)
}

// trigger says what a failure amounts to; an answer that is the backend's own
// business is none, nor is a client that went away.
func (t *trip) trigger(resp *message.Response, err error) table.Trigger {
	if err == nil {
		switch resp.Status {
		case 429:
			return table.OnRateLimit
		case 500, 502, 503, 504:
			return table.OnServer
		}
		return ""
	}
	var e *message.SendError
	switch {
	case t.call.Exchange.Context().Err() != nil:
		return ""
	case !errors.As(err, &e):
		return ""
	case e.Stage == message.StageSource:
		return ""
	case e.Stage == message.StageResolve:
		return table.OnDNS
	case e.Timeout && e.Stage > message.StageHandshake:
		return table.OnTimeout
	case e.Unprocessed || e.Stage < message.StageSend:
		return table.OnConnect
	}
	return table.OnServer
}

// fail answers for the last failure.
func (t *trip) fail(err error) {
	if t.call.Exchange.Context().Err() != nil {
		t.call.Record.Reason, t.call.Record.Error = "UpstreamFailure", "the client went away"
		return
	}
	var e *message.SendError
	switch {
	case !errors.As(err, &e):
		t.call.Refuse(500, "Internal", "internal error\n", err)
	case e.Stage == message.StageSource:
		t.call.Refuse(400, "InvalidRequest", "body could not be read\n", err)
	case e.Timeout:
		t.call.Refuse(504, "Timeout", "upstream timed out\n", err)
	default:
		t.call.Refuse(503, "UpstreamFailure", "upstream call failed\n", fmt.Errorf("calling the backend: %w", err))
	}
}

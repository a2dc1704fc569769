package plain

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/pick"
)

// again decides whether a failed attempt is followed by another, and prepares
// it: elsewhere where there is another candidate and the request's class allows,
// or as often as the route declares.
func (t *trip) again(from pick.Candidate, resp *message.Response, err error, why table.Trigger) bool {
	if t.once || t.ctx.Err() != nil || t.call.Exchange.Started() || !t.body.whole(err != nil) {
		return false
	}
	if err == nil && resp.Status < 400 {
		return false
	}
	switch {
	case t.declared(resp, err, why):
		// The route's number is its own: where the failover policy's is used up, the
		// same candidate is asked again.
		t.tries++
		if t.at+1 == len(t.order) {
			t.at = 0
		} else if t.p.sender.Move(t.call, from, why) {
			t.at++
		}
		if !t.pause(t.call.Retry.Backoff.Std()) {
			return false
		}
	case why != "" && t.at+1 < len(t.order) && t.movable(resp, err):
		if !t.p.sender.Move(t.call, from, why) {
			return false
		}
		t.at++
	case !t.reused && ended(err) && idempotent(t.call.Request.Method):
		t.reused = true
	default:
		return false
	}
	t.body.rewind()
	return true
}

// declared tells whether the route asks for this to be repeated.
func (t *trip) declared(resp *message.Response, err error, why table.Trigger) bool {
	r := t.call.Retry
	if r == nil || t.tries >= r.Attempts {
		return false
	}
	if err == nil {
		return slices.Contains(r.Codes, resp.Status)
	}
	return why != ""
}

// movable tells whether the request may go to another candidate: what nobody
// has worked on always, what may be repeated by its method on failures of the
// way and of the gateway, anything where the policy says so.
func (t *trip) movable(resp *message.Response, err error) bool {
	var e *message.SendError
	if errors.As(err, &e) && e.Unprocessed {
		return true
	}
	if !idempotent(t.call.Request.Method) && !t.call.Backend.Failover.ReplayUnsafe {
		return false
	}
	return err != nil || resp.Status == 502 || resp.Status == 503 || resp.Status == 504
}

// ended tells whether a kept connection had come to its ordinary end before any
// byte of an answer: the request is then sent once more on a new one.
func ended(err error) bool {
	var e *message.SendError
	return errors.As(err, &e) && e.Reused && !e.Timeout && e.Stage <= message.StageAwait && e.Stage != message.StageSource
}

// idempotent methods are those of RFC 9110, 9.2.2.
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// pause waits between attempts; it is false where the call ends before.
func (t *trip) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.ctx.Done():
		return false
	}
}

// retryAfter reads the seconds of a Retry-After, or the time until its date.
func retryAfter(h *message.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := time.Parse(time.RFC1123, v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

package llm_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/message"
)

// Where nothing failed but the links to all candidates, a call waits for one to
// come back, within bounds.
func TestACallWaitsForALostLink(t *testing.T) {
	const ms = time.Millisecond
	good := reply{status: 200, kind: jsonDoc, body: whole}
	refused := reply{err: &message.SendError{Stage: message.StageAwait, Unprocessed: true, Err: errBroken}}
	for name, c := range map[string]struct {
		back   time.Duration // until links work
		reply  reply
		change func(*sender, *forward.Call)
		body   string
		status int
		least  time.Duration // that the client waits
		most   time.Duration
		asked  int // how often, where that is bounded
	}{
		"back soon":                {back: 700 * ms, reply: good, status: 200, least: 700 * ms, most: 800 * ms},
		"not back":                 {back: time.Hour, reply: good, status: 503, least: 2500 * ms, most: 2600 * ms},
		"the client does not wait": {back: time.Hour, reply: good, change: func(_ *sender, c *forward.Call) { c.Timeout = 300 * ms }, status: 503, least: 300 * ms, most: 300 * ms},
		"the other proxy refuses":  {reply: refused, status: 503},
		"one that is reached failed": {back: time.Hour, change: func(s *sender, _ *forward.Call) {
			s.order[0].Local, s.replies["a"] = true, reply{status: 500, kind: jsonDoc, body: "{}"}
		}, status: 503},
		"one here is down too":                   {back: 200 * ms, reply: good, change: func(s *sender, _ *forward.Call) { s.order[0].Local, s.replies["a"] = true, reply{err: errRefused} }, status: 200, least: 200 * ms, most: 300 * ms},
		"the policy does not move":               {back: 200 * ms, reply: good, change: func(_ *sender, c *forward.Call) { c.Backend.Failover.Triggers = []table.Trigger{table.OnServer} }, status: 503},
		"what refers to state":                   {back: 200 * ms, reply: good, body: `{"model":"m","input":"x","previous_response_id":"r"}`, status: 503},
		"it breaks each time it is back":         {reply: reply{status: 200, kind: jsonDoc, body: whole[:40], breaks: true}, status: 503, least: 150 * ms, most: 200 * ms},
		"it was never sent, by the only attempt": {back: 200 * ms, reply: good, change: func(s *sender, _ *forward.Call) { s.most = 1 }, status: 200, least: 200 * ms, most: 300 * ms},
		"it was sent, by the only attempt":       {reply: reply{status: 200, kind: jsonDoc, body: whole[:40], breaks: true}, change: func(s *sender, _ *forward.Call) { s.most = 1 }, status: 503, asked: 1},
		"it was sent as often as it may":         {reply: reply{status: 200, kind: jsonDoc, body: whole[:40], breaks: true}, change: func(s *sender, _ *forward.Call) { s.most = 4 }, status: 503, least: 50 * ms, most: 100 * ms, asked: 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := two(c.reply, c.reply)
			s.order[0].Local = false
			start := time.Now()
			s.back = start.Add(c.back)
			path, body := "/v1/chat/completions", asked
			if c.body != "" {
				path, body = "/v1/responses", c.body
			}
			x, _ := serve(t, s, path, body, func(call *forward.Call) {
				if c.change != nil {
					c.change(s, call)
				}
			})
			if took := time.Since(start); x.status != c.status || took < c.least || took > c.most || c.asked > 0 && len(s.sent) != c.asked {
				t.Errorf("%s: %d after %v, asked %v", name, x.status, took, s.sent)
			}
		})
	}
}

package llm_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// A whole answer is ended for the client at once, and the connection that it
// came by is given up if it does not end soon.
func TestAWholeStreamWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := two(reply{status: 200, kind: events, body: priming + word + finish + ending, hangs: true}, reply{})
		start := time.Now()
		x, _ := serve(t, s, "/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`)
		if got := x.endedAt.Sub(start); !x.ended || got != 0 {
			t.Errorf("the client's answer ends after %v", got)
		}
		if got := time.Since(start); got > time.Second {
			t.Errorf("the connection is given up after %v", got)
		}
	})
}

package llm_test

import (
	"errors"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/navehq/nave/test/simulators/model"
)

// A policy that narrows the triggers: what it does not name reaches the client,
// time and again, and nobody else is asked; what it names moves.
func TestNarrowedTriggers(t *testing.T) {
	limited := model.Fault{Kind: model.Status, Status: 429, RetryAfter: "7"}
	broken := model.Fault{Kind: model.Status, Status: 503}
	cases := []struct {
		name, reason, triggers string
		fault                  model.Fault
		closed                 bool
		status                 int // what the client gets; 200 is the other provider's answer
		code                   string
	}{
		{name: "429-not", reason: "only 5xx moves", triggers: "[ServerError]", fault: limited, status: 429, code: "rate_limit_exceeded"},
		{name: "503-moves", reason: "5xx moves", triggers: "[ServerError]", fault: broken, status: 200},
		{name: "503-not", reason: "only 429 moves", triggers: "[RateLimited]", fault: broken, status: 503},
		{name: "429-moves", reason: "429 moves", triggers: "[RateLimited, Overloaded]", fault: limited, status: 200},
		{name: "529-not", reason: "529 is not 5xx here", triggers: "[ServerError]", fault: model.Fault{Kind: model.Status, Status: 529}, status: 503},
		{name: "closed-not", reason: "a connection that breaks is no 5xx", triggers: "[ServerError]", closed: true, status: 503},
		{name: "closed-moves", reason: "a connection that breaks moves", triggers: "[ConnectError]", closed: true, status: 200},
		{name: "401-moves", reason: "a key that is refused counts as the server's fault", triggers: "[ServerError]", fault: model.Fault{Kind: model.Status, Status: 401}, status: 200},
	}
	others := map[string]*model.Simulator{}
	var backends []backend
	for _, c := range cases {
		_, first := openAI("sk-narrow-"+c.name+"-0b5e55ed", c.fault)
		if c.closed {
			first.handler = abort
		}
		other, second := openAI("sk-narrow-" + c.name + "-other-5eed")
		others[c.name] = other
		backends = append(backends, backend{name: "narrow-" + c.name, providers: []provider{first, second}, failover: "triggers: " + c.triggers})
	}
	declare(t, backends...)
	const times = 5
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tape := &tape{}
			for i := range times {
				var err error
				if i%2 == 0 {
					_, err = client("narrow-"+c.name, tape).Chat.Completions.New(t.Context(), question("hello"))
				} else {
					_, err = listen(t, client("narrow-"+c.name, tape), question("hello"))
				}
				if c.status == 200 {
					check(t, err)
					continue
				}
				var failed *openai.Error
				if !errors.As(err, &failed) || failed.StatusCode != c.status || c.code != "" && failed.Code != c.code {
					t.Errorf("%s: request %d gets %v, want %d %s", c.reason, i, err, c.status, c.code)
				}
				if wait := tape.head.Header.Get("Retry-After"); c.fault.RetryAfter != wait {
					t.Errorf("%s: Retry-After is %q, want %q", c.reason, wait, c.fault.RetryAfter)
				}
			}
			want := 0
			if c.status == 200 {
				want = times
			}
			if n := others[c.name].Stats().Requests; n != want {
				t.Errorf("%s: the other provider was asked %d times, want %d", c.reason, n, want)
			}
		})
	}
}

// Errors inside a stream that has not begun are a trigger of their own.
func TestNarrowedInStreamError(t *testing.T) {
	_, first := openAI("sk-instream-not-facade", model.Fault{Kind: model.StreamError, Status: 429})
	other, second := openAI("sk-instream-other-facade")
	declare(t, backend{name: "instream-not", providers: []provider{first, second}, failover: "triggers: [ServerError, RateLimited]"})
	for range 4 {
		_, err := listen(t, client("instream-not", nil), question("hello"))
		var failed *openai.Error
		if !errors.As(err, &failed) || failed.StatusCode != 429 {
			t.Errorf("got %v, want 429 before any stream", err)
		}
	}
	if n := other.Stats().Requests; n != 0 {
		t.Errorf("the other provider was asked %d times", n)
	}
}

package llm_test

import (
	"io"
	"strings"
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"

	"github.com/navehq/nave/proxy/pick"
)

const (
	gone    = `{"error":{"message":"The model does not exist","type":"invalid_request_error","code":"model_not_found"}}`
	badKey  = `{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}`
	quoting = `{"error":{"message":"Invalid value: 'rate limit'","type":"invalid_request_error","code":"invalid_value"}}`
	filter  = `data: {"error":{"message":"filtered","type":"invalid_request_error","code":"content_filter"}}` + "\n\n"
)

func each(s *sender, change func(*pick.Candidate)) {
	for i := range s.order {
		change(&s.order[i].Candidate)
	}
}

func own(c *pick.Candidate) { c.Instance.Auth = &table.Auth{Kind: table.AuthPassthrough} }

func TestWhatTheCallerCausesIsNothingAgainstACandidate(t *testing.T) {
	nothing := func(*pick.Candidate) {}
	for name, c := range map[string]struct {
		reply  reply
		change func(*pick.Candidate)
		key    string // that the client shows
		status int
		sent   int
		failed bool // it counts against the candidate
	}{
		"a model that it names":          {reply{status: 404, kind: jsonDoc, body: gone}, nothing, "k", 404, 2, false},
		"a path that it names":           {reply{status: 404, kind: jsonDoc, body: gone}, func(c *pick.Candidate) { c.Member.Model.Model, c.Member.Model.HostOverride = "m", true }, "k", 404, 2, false},
		"no model that is declared":      {reply{status: 404, kind: jsonDoc, body: gone}, func(c *pick.Candidate) { c.Member.Model.Model = "m" }, "k", 404, 2, true},
		"its own key":                    {reply{status: 401, kind: jsonDoc, body: badKey}, own, "k", 401, 1, false},
		"what its own key is not for":    {reply{status: 403, kind: jsonDoc, body: "{}"}, own, "k", 403, 1, false},
		"its own key cannot be sent":     {reply{}, own, "a\tb", 401, 0, false},
		"our key":                        {reply{status: 401, kind: jsonDoc, body: badKey}, nothing, "k", 502, 2, true},
		"its words":                      {reply{status: 400, kind: jsonDoc, body: quoting}, nothing, "k", 400, 1, false},
		"what it asks for, in a stream":  {reply{status: 200, kind: events, body: priming + filter}, nothing, "k", 400, 1, false},
		"what it hears of, in the midst": {reply{status: 200, kind: events, body: priming + word + filter}, nothing, "k", 200, 1, false},
	} {
		s := two(c.reply, c.reply)
		each(s, c.change)
		body := asked
		if c.reply.kind == events {
			body = `{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`
		}
		x, _ := serve(t, s, "/v1/chat/completions", body, func(call *forward.Call) {
			call.Request.Header.Set("Authorization", "Bearer "+c.key)
		})
		if x.status != c.status || len(s.sent) != c.sent {
			t.Errorf("%s: %d after asking %v, want %d after %d", name, x.status, s.sent, c.status, c.sent)
		}
		for _, o := range s.done {
			if (o.Failed != "") != c.failed {
				t.Errorf("%s: counts as %q", name, o.Failed)
			}
		}
	}
}

// A 429 sets aside whoever draws on the same quota, and nobody else.
func TestQuotasAreTheirOwners(t *testing.T) {
	at := func(cluster string, p table.Provider, local bool, change func(*pick.Candidate)) pick.Candidate {
		c := candidate(cluster, p, local).Candidate
		if change != nil {
			change(&c)
		}
		return c
	}
	named := func(member string) func(*pick.Candidate) { return func(c *pick.Candidate) { c.Member.Name = member } }
	for _, c := range []struct {
		why  string
		x, y pick.Candidate
		same bool
	}{
		{"one account, two members", at("a", table.OpenAI, true, nil), at("a", table.OpenAI, true, named("q")), true},
		{"another model", at("a", table.OpenAI, true, nil), at("a", table.OpenAI, true, func(c *pick.Candidate) { c.Member.Model.Model = "n" }), false},
		{"another entry of the secret", at("a", table.OpenAI, true, nil), at("a", table.OpenAI, true, func(c *pick.Candidate) { c.Instance.Auth.Key = "l" }), false},
		{"another provider", at("a", table.OpenAI, true, nil), at("a", table.Anthropic, true, nil), false},
		{"another cluster's account", at("a", table.OpenAI, true, nil), at("b", table.OpenAI, false, nil), false},
		{"one resource of Azure", at("a", table.Azure, true, nil), at("a", table.Azure, true, named("q")), true},
		{"another resource", at("a", table.Azure, true, nil), at("a", table.Azure, true, func(c *pick.Candidate) { c.Instance.Dial.Host = "other" }), false},
		{"the client's own key, wherever", at("a", table.OpenAI, true, own), at("b", table.OpenAI, false, own), true},
	} {
		s := two(reply{status: 429, kind: jsonDoc, body: "{}"}, reply{status: 200, kind: jsonDoc, body: whole})
		s.order[0].Candidate = c.x
		serve(t, s, "/v1/chat/completions", asked)
		x, y := s.needs.Quota(c.x), s.needs.Quota(c.y)
		if (x == y) != c.same || x == "" {
			t.Errorf("%s: %q and %q", c.why, x, y)
		}
		if s.done[0].Quota != x {
			t.Errorf("%s: the 429 is of %q, the candidate draws on %q", c.why, s.done[0].Quota, x)
		}
	}
	var names []string
	for _, key := range []string{"one", "two"} {
		s := two(reply{status: 200, kind: jsonDoc, body: whole}, reply{})
		serve(t, s, "/v1/chat/completions", asked, func(c *forward.Call) { c.Credential = key })
		names = append(names, s.needs.Quota(at("a", table.OpenAI, true, own)))
	}
	if names[0] == names[1] || strings.Contains(names[0], "one") {
		t.Errorf("two clients' quotas are %q", names)
	}
}

// The client's own credential crosses the link only to where it is wanted.
func TestTheClientsCredentialOverTheLink(t *testing.T) {
	for _, c := range []struct {
		kind table.AuthKind
		want string
	}{{table.AuthPassthrough, "Bearer clients-own"}, {table.AuthKey, ""}} {
		s := two(reply{err: errRefused}, reply{status: 200, kind: jsonDoc, body: whole})
		s.order[1].Instance.Auth.Kind = c.kind
		serve(t, s, "/v1/chat/completions", asked)
		if got := s.heads[1].Get("Authorization"); got != c.want {
			t.Errorf("%s: another cluster is shown %q, want %q", c.kind, got, c.want)
		}
	}
}

func TestEmbeddingsStayWithTheirModel(t *testing.T) {
	const vectors = `{"object":"list","model":"x","data":[{"object":"embedding","index":0,"embedding":[0.1]}],"usage":{"prompt_tokens":1,"total_tokens":1}}`
	for _, c := range []struct {
		why, first, second string // models, "" the client's
		deployment         string // of the second
		status, sent       int
	}{
		{"another model", "small", "large", "", 503, 1},
		{"the same model", "small", "small", "", 200, 2},
		{"the client's model at both", "", "", "", 200, 2},
		{"the client's, and it is the second's", "", "m", "", 200, 2},
		{"the client's, and it is not the second's", "", "large", "", 503, 1},
		{"a deployment named otherwise", "small", "", "other", 503, 1},
		{"a deployment of that name", "small", "", "small", 200, 2},
	} {
		s := two(reply{status: 503, kind: jsonDoc, body: "{}"}, reply{status: 200, kind: jsonDoc, body: vectors})
		s.order[0].Member.Model.Model, s.order[1].Member.Model.Model = c.first, c.second
		s.order[1].Member.Model.Deployment = c.deployment
		group := []table.Member{{Name: "claude", Model: &table.Model{Provider: table.Anthropic}}, *s.order[0].Member, *s.order[1].Member}
		declared := func(call *forward.Call) { call.Backend.Groups = [][]table.Member{group} }
		x, _ := serve(t, s, "/v1/embeddings", `{"model":"m","input":"hello"}`, declared)
		if x.status != c.status || len(s.sent) != c.sent {
			t.Errorf("%s: %d after asking %v", c.why, x.status, s.sent)
		}
		if c.sent == 2 {
			continue
		}
		s.order = s.order[1:]
		if x, _ = serve(t, s, "/v1/embeddings", `{"model":"m","input":"hello"}`, declared); !strings.Contains(x.body.String(), "embeddings are asked of model") {
			t.Errorf("%s, and the first is not to be had: %d %s", c.why, x.status, x.body.String())
		}
	}
}

// A length that is only announced costs nothing.
func TestRoomIsMadeAsBytesCome(t *testing.T) {
	s := two(reply{}, reply{})
	body := &counting{}
	x, _ := serve(t, s, "/v1/chat/completions", "", func(c *forward.Call) {
		c.Request.Body, c.Request.ContentLength = body, 32<<20
	})
	if body.largest > 1<<20 || x.status != 400 {
		t.Errorf("room for %d bytes before the first came; answered %d", body.largest, x.status)
	}
}

// counting is a body that never comes; it notes the room that is offered.
type counting struct{ largest int }

func (c *counting) Read(p []byte) (int, error) {
	c.largest = max(c.largest, len(p))
	return 0, io.ErrUnexpectedEOF
}

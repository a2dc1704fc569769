package llm_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/expr"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/llm"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/pick"
)

// exchange is a client that waits for one answer.
type exchange struct {
	message.Exchange
	request *message.Request
	status  int
	header  message.Header
	body    strings.Builder
	started bool
	ended   bool
	endedAt time.Time
}

func (x *exchange) Context() context.Context     { return context.Background() }
func (x *exchange) Request() *message.Request    { return x.request }
func (x *exchange) Started() bool                { return x.started }
func (x *exchange) Write(p []byte) (int, error)  { return x.body.Write(p) }
func (x *exchange) Flush() error                 { return nil }
func (x *exchange) Finish(*message.Header) error { x.ended, x.endedAt = true, time.Now(); return nil }
func (x *exchange) Start(status int, h *message.Header, _ int64) error {
	x.status, x.header, x.started = status, h.Clone(), true
	return nil
}

// reply is what a candidate answers: an error, or a status with a body that may
// break off.
type reply struct {
	err    error
	status int
	kind   string
	body   string
	breaks bool
	// hangs keeps the connection open after the body.
	hangs bool
}

// sender has each candidate answer by script, in order.
type sender struct {
	order   []pick.Choice
	replies map[string]reply
	sent    []string
	bodies  []string
	heads   []message.Header
	paths   []string
	done    []forward.Outcome
	moves   []table.Trigger
	// most is how many attempts a call has, 0 for any number.
	most  int
	needs pick.Needs
	// back is when links work again.
	back time.Time
	// facts are those by which the members' own rules would be judged.
	facts expr.Facts
}

func (s *sender) Decide(call *forward.Call, needs pick.Needs) pick.Decision {
	s.facts, s.needs = call.Facts, needs
	var d pick.Decision
	for _, c := range s.order {
		if why := needs.Lacks(c.Candidate); why != "" {
			d.Rejected = append(d.Rejected, pick.Rejection{Candidate: c.Candidate, Reason: why})
			continue
		}
		d.Order = append(d.Order, c)
	}
	return d
}

var errBroken = errors.New("the connection broke")

type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = errBroken
	}
	return n, err
}

// hanging ends only when nobody waits any more.
type hanging struct {
	io.Reader
	ctx context.Context
}

func (h hanging) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if err == io.EOF {
		<-h.ctx.Done()
		err = h.ctx.Err()
	}
	return n, err
}

func (s *sender) Send(ctx context.Context, _ *forward.Call, to pick.Candidate, r *message.Request) (*message.Response, error) {
	s.sent = append(s.sent, to.Cluster)
	s.paths, s.heads = append(s.paths, r.Target()), append(s.heads, r.Header)
	if r.Body != nil {
		body, _ := io.ReadAll(r.Body)
		s.bodies = append(s.bodies, string(body))
	}
	got := s.replies[to.Cluster]
	if !to.Local && !s.reachable(to.Cluster) {
		got = reply{err: errRefused}
	}
	if got.err != nil {
		return nil, got.err
	}
	resp := &message.Response{Status: got.status, ContentLength: message.UnknownLength}
	resp.Header.Add("Content-Type", got.kind)
	var body io.Reader = strings.NewReader(got.body)
	if got.breaks {
		body = broken{body}
	}
	if got.hangs {
		body = hanging{body, ctx}
	}
	resp.Body = io.NopCloser(body)
	return resp, nil
}

func (s *sender) reachable(string) bool { return !time.Now().Before(s.back) }

func (s *sender) Done(_ *forward.Call, _ pick.Candidate, o forward.Outcome) {
	s.done = append(s.done, o)
}
func (s *sender) Move(_ *forward.Call, _ pick.Candidate, why table.Trigger) bool {
	s.moves = append(s.moves, why)
	return s.most == 0 || len(s.sent) < s.most
}

const (
	events  = "text/event-stream"
	jsonDoc = "application/json"
	whole   = `{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
	priming = `data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n"
	word    = `data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}` + "\n\n"
	finish  = `data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	counted = `data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}` + "\n\n"
	ending  = "data: [DONE]\n\n"
	fault   = `data: {"error":{"message":"overloaded","type":"server_error","code":"overloaded"}}` + "\n\n"
)

var errRefused = &message.SendError{Stage: message.StageConnect, Address: "x", Unprocessed: true, Err: errors.New("refused")}

// candidate is a provider at a cluster; the first two are dialed here.
func candidate(cluster string, provider table.Provider, local bool) pick.Choice {
	m := &table.Member{Name: "p", Model: &table.Model{Provider: provider}}
	i := &table.Instance{Cluster: cluster, Dial: &table.Dial{Host: "api.example", Port: 443}, Auth: &table.Auth{Kind: table.AuthKey, Secret: "s", Key: "k"}}
	return pick.Choice{Candidate: pick.Candidate{Backend: "b", Member: m, Instance: i, Cluster: cluster, Local: local}}
}

func serve(t *testing.T, s *sender, path, body string, change ...func(*forward.Call)) (*exchange, *observe.Record) {
	t.Helper()
	x := &exchange{request: &message.Request{Method: "POST", Path: path, Body: strings.NewReader(body), ContentLength: int64(len(body))}}
	x.request.Header.Add("Authorization", "Bearer clients-own")
	rec := &observe.Record{}
	secret := &table.Secret{Name: "s", Data: map[string][]byte{"k": []byte("key-of-provider")}}
	call := &forward.Call{
		Exchange: x, Request: x.request, Self: &table.Self{}, Backend: &table.Backend{Name: "b", Kind: table.BackendAI}, Record: rec,
		Find: func(id table.ID) table.Resource {
			if id == secret.ID() {
				return secret
			}
			return nil
		},
	}
	for _, f := range change {
		f(call)
	}
	ctx := x.Context()
	if call.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, call.Timeout)
		defer cancel()
	}
	llm.New(llm.Options{Sender: s, Reachable: s.reachable}).Serve(ctx, call)
	return x, rec
}

func two(first, second reply) *sender {
	return &sender{
		order:   []pick.Choice{candidate("a", table.OpenAI, true), candidate("b", table.OpenAI, false)},
		replies: map[string]reply{"a": first, "b": second},
	}
}

const asked = `{"model":"m","messages":[{"role":"user","content":"hello"}]}`

func TestFailuresBeforeTheAnswerMoveOn(t *testing.T) {
	cases := map[string]struct {
		reason string
		first  reply
		stream bool
		why    table.Trigger
	}{
		"refused":         {reason: "nobody is there", first: reply{err: errRefused}, why: table.OnConnect},
		"500":             {reason: "a server's fault", first: reply{status: 500, kind: jsonDoc, body: `{}`}, why: table.OnServer},
		"429":             {reason: "its quota is used up", first: reply{status: 429, kind: jsonDoc, body: `{"error":{"message":"slow","code":"rate_limit_exceeded"}}`}, why: table.OnRateLimit},
		"529":             {reason: "it is overloaded", first: reply{status: 529, kind: jsonDoc, body: `{}`}, why: table.OnOverload},
		"401":             {reason: "our key is refused there", first: reply{status: 401, kind: jsonDoc, body: `{"error":{"message":"bad key"}}`}, why: table.OnServer},
		"garbage":         {reason: "a success with no answer behind it", first: reply{status: 200, kind: jsonDoc, body: `null`}, why: table.OnStream},
		"half an answer":  {reason: "nothing of it has reached the client", first: reply{status: 200, kind: jsonDoc, body: whole[:40], breaks: true}, why: table.OnConnect},
		"error in stream": {reason: "the model has not begun to speak", stream: true, first: reply{status: 200, kind: events, body: priming + fault}, why: table.OnStream},
		"silent end":      {reason: "a stream that ends without an answer", stream: true, first: reply{status: 200, kind: events, body: priming}, why: table.OnStream},
		"broken stream":   {reason: "the connection broke before the first word", stream: true, first: reply{status: 200, kind: events, body: priming, breaks: true}, why: table.OnConnect},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			body, good := asked, reply{status: 200, kind: jsonDoc, body: whole}
			if c.stream {
				body = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}`
				good = reply{status: 200, kind: events, body: priming + word + finish + counted + ending}
			}
			s := two(c.first, good)
			x, rec := serve(t, s, "/v1/chat/completions", body)
			if x.status != 200 || !x.ended || !strings.Contains(x.body.String(), "hi") {
				t.Fatalf("%s: the client gets %d %q", c.reason, x.status, x.body.String())
			}
			if len(s.moves) != 1 || s.moves[0] != c.why {
				t.Errorf("%s: moves %v, want %s", c.reason, s.moves, c.why)
			}
			if rec.LLM.OutputTokens == 0 {
				t.Errorf("%s: no usage is recorded", c.reason)
			}
		})
	}
}

func TestAfterTheFirstWordNobodyElseIsAsked(t *testing.T) {
	for name, first := range map[string]reply{
		"error":  {status: 200, kind: events, body: priming + word + fault},
		"broken": {status: 200, kind: events, body: priming + word, breaks: true},
		"cut":    {status: 200, kind: events, body: priming + word},
	} {
		s := two(first, reply{status: 200, kind: events, body: priming + word + finish + ending})
		x, rec := serve(t, s, "/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`)
		got := x.body.String()
		if len(s.sent) != 1 || !strings.Contains(got, `"error"`) || strings.Contains(got, "[DONE]") {
			t.Errorf("%s: asked %v, and the client gets %q", name, s.sent, got)
		}
		if rec.Error == "" {
			t.Errorf("%s: the record says nothing", name)
		}
	}
}

func TestTheCallersFaultIsTheCallers(t *testing.T) {
	s := two(reply{status: 400, kind: jsonDoc, body: `{"error":{"message":"no such field","type":"invalid_request_error"}}`}, reply{status: 200, kind: jsonDoc, body: whole})
	x, _ := serve(t, s, "/v1/chat/completions", asked)
	if x.status != 400 || len(s.sent) != 1 {
		t.Errorf("status %d after asking %v, want the first one's 400", x.status, s.sent)
	}
	for name, body := range map[string]string{"no JSON": "{", "twice": `{"model":"a","model":"b","messages":[]}`, "empty": ""} {
		s := two(reply{}, reply{})
		if x, _ := serve(t, s, "/v1/chat/completions", body); x.status != 400 || len(s.sent) != 0 {
			t.Errorf("%s: status %d after asking %v, want 400 after nobody", name, x.status, s.sent)
		}
	}
}

func TestWhenAllFailTheClientIsTold(t *testing.T) {
	s := two(reply{err: errRefused}, reply{status: 503, kind: jsonDoc, body: `{}`})
	x, _ := serve(t, s, "/v1/chat/completions", asked)
	if x.status != 503 || x.header.Get("x-should-retry") != "false" || !strings.Contains(x.body.String(), `"error"`) {
		t.Errorf("the client gets %d, x-should-retry %q, %q", x.status, x.header.Get("x-should-retry"), x.body.String())
	}
}

func TestCredentialsStayWhereTheyBelong(t *testing.T) {
	s := two(reply{err: errRefused}, reply{status: 200, kind: jsonDoc, body: whole})
	serve(t, s, "/v1/chat/completions", asked)
	if got := s.heads[0].Get("Authorization"); got != "Bearer key-of-provider" {
		t.Errorf("the provider is shown %q", got)
	}
	if got := s.heads[1].Get("Authorization"); got != "" {
		t.Errorf("another cluster is shown %q", got)
	}
}

func TestAnUnlikeProviderGetsItsOwnDialect(t *testing.T) {
	s := &sender{
		order: []pick.Choice{candidate("a", table.OpenAI, true), candidate("b", table.Anthropic, true)},
		replies: map[string]reply{"a": {status: 500, kind: jsonDoc, body: "{}"}, "b": {status: 200, kind: jsonDoc,
			body: `{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}`}},
	}
	x, rec := serve(t, s, "/v1/chat/completions", asked)
	if x.status != 200 || !strings.Contains(x.body.String(), `"chat.completion"`) || !strings.Contains(x.body.String(), "hi") {
		t.Fatalf("the client gets %d %s", x.status, x.body.String())
	}
	if s.paths[1] != "/v1/messages" || s.heads[1].Get("x-api-key") != "key-of-provider" || !strings.Contains(s.bodies[1], `"max_tokens"`) {
		t.Errorf("Anthropic is asked at %s with key %q: %s", s.paths[1], s.heads[1].Get("x-api-key"), s.bodies[1])
	}
	if rec.LLM.InputTokens != 3 || rec.LLM.OutputTokens != 2 || rec.LLM.Provider != "anthropic" {
		t.Errorf("recorded is %+v", rec.LLM)
	}
}

func TestWhatRefersToAProvidersStateIsNotMoved(t *testing.T) {
	s := two(reply{err: errRefused}, reply{status: 200, kind: jsonDoc, body: "{}"})
	x, _ := serve(t, s, "/v1/responses", `{"model":"m","input":"x","previous_response_id":"resp_1"}`)
	if len(s.sent) != 1 || x.status != 503 {
		t.Errorf("asked %v and answers %d, want the one and its failure", s.sent, x.status)
	}
}

func TestMembersRulesKnowTheBody(t *testing.T) {
	s := two(reply{status: 200, kind: jsonDoc, body: whole}, reply{})
	serve(t, s, "/v1/chat/completions", asked)
	if s.facts == nil {
		t.Fatal("the members' own rules are judged without the body")
	}
	if model, ok := s.facts.Fact("llm.requestModel"); !ok || model == "" {
		t.Errorf("the model is %v", model)
	}
}

func TestOnlyTriggersMove(t *testing.T) {
	cases := map[string]struct {
		triggers []table.Trigger
		first    reply
		status   int
	}{
		"429 where only 5xx moves": {[]table.Trigger{table.OnServer}, reply{status: 429, kind: jsonDoc, body: "{}"}, 429},
		"refused where only 5xx":   {[]table.Trigger{table.OnServer}, reply{err: errRefused}, 503},
		"500 where only 429 moves": {[]table.Trigger{table.OnRateLimit}, reply{status: 500, kind: jsonDoc, body: "{}"}, 500},
		"500 where 5xx moves":      {[]table.Trigger{table.OnServer}, reply{status: 500, kind: jsonDoc, body: "{}"}, 200},
		"429 where all moves":      {nil, reply{status: 429, kind: jsonDoc, body: "{}"}, 200},
	}
	for name, c := range cases {
		s := two(c.first, reply{status: 200, kind: jsonDoc, body: whole})
		x, _ := serve(t, s, "/v1/chat/completions", asked, func(call *forward.Call) { call.Backend.Failover.Triggers = c.triggers })
		if x.status != c.status || c.status != 200 && len(s.sent) != 1 {
			t.Errorf("%s: %d after asking %v, want %d", name, x.status, s.sent, c.status)
		}
	}
}

func TestAProjectIsInThePath(t *testing.T) {
	s := two(reply{status: 200, kind: jsonDoc, body: whole}, reply{})
	s.order[0].Member.Model = &table.Model{Provider: table.Azure, Project: "agents", Model: "deployed"}
	_, rec := serve(t, s, "/v1/chat/completions", asked)
	if want := "/api/projects/agents/openai/v1/chat/completions"; s.paths[0] != want || rec.LLM.Provider != "azure.openai" {
		t.Errorf("a project is asked at %s as %q, want %s", s.paths[0], rec.LLM.Provider, want)
	}
	if got := s.heads[0].Get("api-key"); got != "key-of-provider" {
		t.Errorf("the key is %q", got)
	}
}

func FuzzServe(f *testing.F) {
	f.Add("/v1/chat/completions", asked, whole)
	f.Add("/v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`, priming+word+finish+ending)
	f.Fuzz(func(t *testing.T, path, body, answer string) {
		kind := jsonDoc
		if strings.HasPrefix(answer, "data:") {
			kind = events
		}
		s := two(reply{status: 200, kind: kind, body: answer}, reply{status: 200, kind: kind, body: answer, breaks: true})
		if x, _ := serve(t, s, path, body); !x.started {
			t.Error("a request is left without an answer")
		}
	})
}

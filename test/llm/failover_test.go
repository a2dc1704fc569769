package llm_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/shared"

	"github.com/navehq/nave/test/simulators/model"
)

// The ways in which the first provider fails before its answer has begun.
var failures = []struct {
	name   string
	reason string
	fault  model.Fault
	// handler stands in for the simulator; nobody tells that nothing listens.
	handler http.Handler
	nobody  bool
	hole    bool // connections to it are neither taken nor refused
	policy  string
	// streams tells that only a stream can fail so.
	streams bool
	// why is what the metric counts: the trigger.
	why string
}{
	{name: "429", reason: "its quota is used up", fault: model.Fault{Kind: model.Status, Status: 429, RetryAfter: "3"}, why: "RateLimited"},
	{name: "500", reason: "a fault of its own", fault: model.Fault{Kind: model.Status, Status: 500}, why: "ServerError"},
	{name: "503", reason: "it is not available", fault: model.Fault{Kind: model.Status, Status: 503}, why: "ServerError"},
	{name: "529", reason: "it is overloaded", fault: model.Fault{Kind: model.Status, Status: 529}, why: "Overloaded"},
	{name: "closed", reason: "it closes before it says anything", handler: abort, why: "ConnectError"},
	{name: "refused", reason: "nothing listens", nobody: true, why: "ConnectError"},
	{name: "silent", reason: "it takes the request and never answers", fault: model.Fault{Kind: model.StallHeaders}, policy: patience, why: "Timeout"},
	{name: "hole", reason: "nothing comes back at all", hole: true, policy: patience, why: "Timeout"},
	{name: "garbage", reason: "200 and no answer", fault: model.Fault{Kind: model.Garbage}, why: "InStreamError"},
	{name: "half", reason: "it is cut before its first word", fault: model.Fault{Kind: model.Cut}, why: "ConnectError"},
	{name: "reset", reason: "it is reset before its first word", fault: model.Fault{Kind: model.Cut, How: "rst"}, why: "ConnectError"},
	{name: "empty", reason: "its stream ends without a word", fault: model.Fault{Kind: model.Cut, How: "end"}, streams: true, why: "InStreamError"},
	{name: "instream", reason: "an error inside a 200, before its first word", fault: model.Fault{Kind: model.StreamError, Status: 503}, streams: true, why: "InStreamError"},
	{name: "speechless", reason: "it begins a stream and says nothing", fault: model.Fault{Kind: model.Stall}, streams: true, policy: patience, why: "Timeout"},
}

// patience is far more than the other provider needs.
const patience = "retry: {perAttemptTimeout: 1s}"

// abort closes the connection without a byte of an answer.
var abort = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })

var numbers = shared.FunctionParameters{
	"type": "object", "required": []string{"a", "b"},
	"properties": map[string]any{"a": map[string]any{"type": "integer"}, "b": map[string]any{"type": "integer"}},
}

// calculation is a turn that both tools are called for.
func calculation() openai.ChatCompletionNewParams {
	p := question("Calculate 12 + 30 using the add tool, then multiply 4 * 5 using the multiply tool")
	for _, name := range []string{"add", "multiply"} {
		p.Tools = append(p.Tools, openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
			Name: name, Description: openai.String("does what its name says"), Parameters: numbers,
		}))
	}
	return p
}

// called checks that a message calls both tools.
func called(t *testing.T, m openai.ChatCompletionMessage) {
	t.Helper()
	if len(m.ToolCalls) != 2 {
		t.Fatalf("calls %+v, want two", m.ToolCalls)
	}
	for i, want := range []struct{ name, arguments string }{{"add", `{"a":12,"b":30}`}, {"multiply", `{"a":4,"b":5}`}} {
		c := m.ToolCalls[i]
		if c.ID == "" || c.Type != "function" || c.Function.Name != want.name || c.Function.Arguments != want.arguments {
			t.Errorf("call %d is %+v, want %s%s", i, c, want.name, want.arguments)
		}
	}
	if m.ToolCalls[0].ID == m.ToolCalls[1].ID {
		t.Error("two calls have one id")
	}
}

// answered gives the tools' results back.
func answered(p openai.ChatCompletionNewParams, m openai.ChatCompletionMessage) openai.ChatCompletionNewParams {
	p.Messages = append(p.Messages, m.ToParam(), openai.ToolMessage("42", m.ToolCalls[0].ID), openai.ToolMessage("20", m.ToolCalls[1].ID))
	return p
}

// An OpenAI-shaped provider fails, and Anthropic answers in its place: with
// tools, streamed and whole, and the conversation goes on there. The client sees
// nothing of it.
func TestFailoverToAnthropic(t *testing.T) {
	var backends []backend
	sims := map[string]*model.Simulator{}
	for _, f := range failures {
		for _, mode := range []string{"stream", "whole"} {
			name := "to-anthropic-" + f.name + "-" + mode
			if f.streams && mode == "whole" {
				continue
			}
			_, first := openAI("sk-first-"+name+"-9e8d7c", f.fault)
			if f.handler != nil {
				first.handler = f.handler
			}
			if f.nobody {
				first.handler = nil
			}
			if f.hole {
				first.address = hole(t)
			}
			sim, second := anthropic("sk-ant-second-" + name + "-1b2a3c")
			sims[name] = sim
			backends = append(backends, backend{name: name, providers: []provider{first, second}, failover: f.policy})
		}
	}
	declare(t, backends...)
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			t.Run("stream", func(t *testing.T) {
				name := "to-anthropic-" + f.name + "-stream"
				streamsTools(t, name)
				asked(t, name, sims[name], f.why)
			})
			if f.streams {
				return
			}
			t.Run("whole", func(t *testing.T) {
				name := "to-anthropic-" + f.name + "-whole"
				wholeTools(t, name)
				asked(t, name, sims[name], f.why)
			})
		})
	}
}

func streamsTools(t *testing.T, name string) {
	tape := &tape{}
	params := counting(calculation())
	got, err := listen(t, client(name, tape), params)
	check(t, err)
	wellFormed(t, tape, true)
	called(t, got.Choices[0].Message)
	if got.Model != claude || got.Usage.PromptTokens == 0 || got.Usage.CompletionTokens == 0 {
		t.Errorf("model %q, usage %+v", got.Model, got.Usage)
	}
	got, err = listen(t, client(name, tape), answered(params, got.Choices[0].Message))
	check(t, err)
	wellFormed(t, tape, true)
	if text := got.Choices[0].Message.Content; text != "anthropic in westus2 was told by its tools: 42; 20" {
		t.Errorf("answered %q", text)
	}
}

func wholeTools(t *testing.T, name string) {
	c, params := client(name, nil), calculation()
	got, err := c.Chat.Completions.New(t.Context(), params)
	check(t, err)
	called(t, got.Choices[0].Message)
	if got.Choices[0].FinishReason != "tool_calls" || got.Object != "chat.completion" || got.Usage.TotalTokens != got.Usage.PromptTokens+got.Usage.CompletionTokens || got.Usage.PromptTokens == 0 {
		t.Errorf("finish %q, usage %+v", got.Choices[0].FinishReason, got.Usage)
	}
	got, err = c.Chat.Completions.New(t.Context(), answered(params, got.Choices[0].Message))
	check(t, err)
	if text := got.Choices[0].Message.Content; text != "anthropic in westus2 was told by its tools: 42; 20" {
		t.Errorf("answered %q", text)
	}
}

// asked checks what Anthropic was asked, in its own dialect, and that the move
// is counted under its reason.
func asked(t *testing.T, name string, sim *model.Simulator, why string) {
	t.Helper()
	requests := heard(sim, 2)
	if len(requests) != 2 {
		t.Errorf("Anthropic was asked %d times, want twice", len(requests))
	}
	for _, r := range requests {
		if r.Path != "/v1/messages" || r.Credential != "x-api-key" || r.Header["anthropic-version"] == "" || r.Model != claude || r.Status != 200 {
			t.Errorf("asked %s of %q with %s, answered %d", r.Path, r.Model, r.Credential, r.Status)
		}
		if strings.Contains(r.Body, "tool_calls") || !strings.Contains(r.Body, `"input_schema"`) {
			t.Errorf("the request is not Anthropic's: %s", r.Body)
		}
	}
	moved(t, name, why)
}

// heard are a simulator's requests, once there are n: it counts one when it has said
// all that it says, which may be after the client has heard it.
func heard(sim *model.Simulator, n int) []model.Request {
	eventually(5*time.Second, func() bool { return len(sim.Requests()) >= n })
	return sim.Requests()
}

// moved waits until the move from a backend's first provider is counted.
func moved(t *testing.T, name, why string) {
	t.Helper()
	name = running.name(name)
	text := ""
	if !eventually(5*time.Second, func() bool {
		text = ask(port(running.entry, metrics) + "/metrics")
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "nave_failover_attempts_total{") && strings.Contains(line, name+"-0") && strings.Contains(line, `reason="`+why+`"`) {
				return true
			}
		}
		return false
	}) {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "nave_failover_attempts_total{") && strings.Contains(line, name+"-") {
				t.Log(line)
			}
		}
		t.Errorf("no move from %s-0 is counted for %s", name, why)
	}
}

// A conversation that OpenAI began goes on at Anthropic, its calls and their
// results with it, and back again.
func TestConversationMoves(t *testing.T) {
	first, one := openAI("sk-moving-41c0ffee88")
	second, two := anthropic("sk-ant-moving-52d1aa77")
	declare(t, backend{name: "moving", providers: []provider{one, two}})
	for _, streamed := range []bool{true, false} {
		first.Heal()
		turn := func(p openai.ChatCompletionNewParams) openai.ChatCompletion {
			t.Helper()
			if streamed {
				tape := &tape{}
				got, err := listen(t, client("moving", tape), p)
				check(t, err)
				wellFormed(t, tape, false)
				return got
			}
			got, err := client("moving", nil).Chat.Completions.New(t.Context(), p)
			check(t, err)
			return *got
		}
		params := calculation()
		var got openai.ChatCompletion
		if !eventually(10*time.Second, func() bool { got = turn(params); return got.Model == "gpt-5.4-mini" }) {
			t.Fatal("OpenAI does not serve again")
		}
		called(t, got.Choices[0].Message)
		check(t, first.Inject(model.Fault{Kind: model.Status, Status: 503, Count: 1}))
		params = answered(params, got.Choices[0].Message)
		got = turn(params)
		if text := got.Choices[0].Message.Content; text != "anthropic in westus2 was told by its tools: 42; 20" {
			t.Errorf("streamed %v: answered %q", streamed, text)
		}
		params.Messages = append(params.Messages, got.Choices[0].Message.ToParam(), openai.UserMessage("and thank you"))
		if !eventually(10*time.Second, func() bool { got = turn(params); return got.Model == "gpt-5.4-mini" }) {
			t.Fatal("OpenAI does not serve again")
		}
		if text := got.Choices[0].Message.Content; text != "openai in eastus heard: and thank you" {
			t.Errorf("streamed %v: answered %q", streamed, text)
		}
	}
	if second.Stats().Requests == 0 {
		t.Error("Anthropic was not asked")
	}
}

// Another region's provider is of another make: its own proxy speaks its
// dialect, with a credential that never leaves it.
func TestFailoverToAnotherRegion(t *testing.T) {
	_, one := openAI("sk-region-one-31415926", model.Fault{Kind: model.Status, Status: 503})
	sim, two := anthropic("sk-ant-region-two-27182818")
	two.cluster = there
	declare(t, backend{name: "regions", providers: []provider{one, two}, failover: "order: {by: Region, regions: [eastus, westus2]}"})
	streamsTools(t, "regions")
	wholeTools(t, "regions")
	if n := len(heard(sim, 4)); n != 4 {
		t.Errorf("the other region's provider was asked %d times, want 4", n)
	}
	for _, r := range sim.Requests() {
		if r.Path != "/v1/messages" || r.Credential != "x-api-key" {
			t.Errorf("asked %s with %s", r.Path, r.Credential)
		}
	}
}

// What Anthropic cannot carry is not sent there: the client gets the failure of
// the provider that could.
func TestUnlikeProviderIsNoCandidateForAll(t *testing.T) {
	_, one := openAI("sk-embeds-16180339", model.Fault{Kind: model.Status, Status: 503})
	sim, two := anthropic("sk-ant-embeds-14142135")
	declare(t, backend{name: "embeds", providers: []provider{one, two}})
	_, err := client("embeds", nil).Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: "text-embedding-3-small", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("hello")},
	})
	var failed *openai.Error
	if !errors.As(err, &failed) || failed.StatusCode != 503 {
		t.Errorf("got %v, want OpenAI's 503", err)
	}
	if n := sim.Stats().Requests; n != 0 {
		t.Errorf("Anthropic was asked %d times for embeddings", n)
	}
}

// When every provider fails, the client is told by the last failure, once, in
// its own dialect, and its kit is told not to begin again.
func TestAllFail(t *testing.T) {
	_, one := openAI("sk-allfail-17320508", model.Fault{Kind: model.Status, Status: 500})
	_, two := anthropic("sk-ant-allfail-22360679", model.Fault{Kind: model.Status, Status: 529})
	declare(t, backend{name: "allfail", providers: []provider{one, two}})
	for i, streamed := range []bool{false, true} {
		tape := &tape{}
		var err error
		if streamed {
			_, err = listen(t, client("allfail", tape), question("hello"))
		} else {
			_, err = client("allfail", tape).Chat.Completions.New(t.Context(), question("hello"))
		}
		var failed *openai.Error
		if !errors.As(err, &failed) || failed.StatusCode != 503 || failed.Message == "" {
			t.Errorf("try %d: %v, want 503 for Anthropic's 529", i, err)
		}
		if tape.head.Header.Get("x-should-retry") != "false" {
			t.Error("the kit is not told that all was tried")
		}
	}
}

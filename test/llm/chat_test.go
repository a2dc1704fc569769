package llm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/navehq/nave/test/simulators/model"
)

// The whole of what an OpenAI client does goes through: by a host of the
// operator's, in plain text, and to OpenAI itself, by TLS.
func TestOpenAI(t *testing.T) {
	own, compatible := openAI("sk-compatible-5f0c9a7be1")
	itself, real := openAI("sk-itself-77ab34c1d0e9")
	real.host = "api.openai.com"
	declare(t, backend{name: "compatible", providers: []provider{compatible}}, backend{name: "openai", providers: []provider{real}})
	for name, sim := range map[string]*model.Simulator{"compatible": own, "openai": itself} {
		t.Run(name, func(t *testing.T) {
			t.Run("chat", func(t *testing.T) { chats(t, name) })
			t.Run("stream", func(t *testing.T) { streams(t, name) })
			t.Run("embeddings", func(t *testing.T) { embeds(t, name) })
			t.Run("responses", func(t *testing.T) { responds(t, name) })
			t.Run("models", func(t *testing.T) {
				page, err := client(name, nil).Models.List(t.Context())
				check(t, err)
				if len(page.Data) != 3 || page.Data[0].ID != "gpt-5.4" || page.Data[0].Object != "model" {
					t.Errorf("models %+v", page.Data)
				}
			})
			for _, r := range sim.Requests() {
				if r.Credential != "bearer" || !strings.HasPrefix(r.Path, "/v1/") || r.Status != 200 && r.Model != "unheard-of" {
					t.Errorf("%s %s came with a %s, answered %d", r.Method, r.Path, r.Credential, r.Status)
				}
				if want := map[string]string{"compatible": running.name(name) + "-0.test:8000", "openai": "api.openai.com"}[name]; r.Host != want {
					t.Errorf("the provider is called %q, want %q", r.Host, want)
				}
			}
		})
	}
}

func chats(t *testing.T, name string) {
	tape := &tape{}
	got, err := client(name, tape).Chat.Completions.New(t.Context(), question("hello there"))
	check(t, err)
	if text := got.Choices[0].Message.Content; text != "openai in eastus heard: hello there" {
		t.Errorf("answered %q", text)
	}
	if got.Usage.PromptTokens != 4 || got.Usage.CompletionTokens != 6 || got.Model != "gpt-5.4-mini" {
		t.Errorf("model %q, usage %+v", got.Model, got.Usage)
	}
	if tape.head.Header.Get("x-request-id") == "" {
		t.Error("the provider's request id is lost")
	}
	params := question("hello")
	params.Model = "unheard-of"
	_, err = client(name, nil).Chat.Completions.New(t.Context(), params)
	var refused *openai.Error
	if !errors.As(err, &refused) || refused.StatusCode != 404 || refused.Code != "model_not_found" {
		t.Errorf("an unknown model: %v, want 404 model_not_found", err)
	}
}

func streams(t *testing.T, name string) {
	for _, usage := range []bool{false, true} {
		params := question("hello there in 30 words")
		if usage {
			params = counting(params)
		}
		tape := &tape{}
		got, err := listen(t, client(name, tape), params)
		check(t, err)
		wellFormed(t, tape, usage)
		if words := model.Tokens(got.Choices[0].Message.Content); words != 30 {
			t.Errorf("%d words, want 30", words)
		}
		if usage && (got.Usage.PromptTokens != 7 || got.Usage.CompletionTokens != 30) {
			t.Errorf("usage %+v", got.Usage)
		}
	}
}

func embeds(t *testing.T, name string) {
	got, err := client(name, nil).Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: "text-embedding-3-small", Dimensions: openai.Int(64),
		Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"the cat sat", "quarterly figures"}},
	})
	check(t, err)
	if len(got.Data) != 2 || len(got.Data[1].Embedding) != 64 || got.Usage.PromptTokens != 5 {
		t.Errorf("%d embeddings, usage %+v", len(got.Data), got.Usage)
	}
}

func responds(t *testing.T, name string) {
	c := client(name, nil)
	ask := func(text, previous string) responses.ResponseNewParams {
		p := responses.ResponseNewParams{Model: "gpt-5.4-mini", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(text)}}
		if previous != "" {
			p.PreviousResponseID = openai.String(previous)
		}
		return p
	}
	first, err := c.Responses.New(t.Context(), ask("hello there", ""))
	check(t, err)
	if first.OutputText() != "openai in eastus heard: hello there" || first.Usage.OutputTokens != 6 {
		t.Errorf("%q, %+v", first.OutputText(), first.Usage)
	}
	stream := c.Responses.NewStreaming(t.Context(), ask("and now", first.ID))
	text, number := "", int64(0)
	var last responses.ResponseStreamEventUnion
	for ; stream.Next(); number++ {
		if last = stream.Current(); last.SequenceNumber != number {
			t.Errorf("event %d is numbered %d", number, last.SequenceNumber)
		}
		if last.Type == "response.output_text.delta" {
			text += last.Delta
		}
	}
	check(t, stream.Err())
	done := last.AsResponseCompleted().Response
	if last.Type != "response.completed" || text != "openai in eastus heard: and now" || done.Usage.InputTokens != 2+6+2 {
		t.Errorf("%q ended with %q, usage %+v", text, last.Type, done.Usage)
	}
}

// What is declared of models is what clients see of them: the list, and the
// names that stand for others.
func TestModelsAsDeclared(t *testing.T) {
	sim, p := openAI("sk-aliased-0a1b2c3d4e")
	declare(t, backend{name: "aliased", providers: []provider{p}, ai: `{modelAliases: {fast: gpt-5.4-mini, smart: gpt-5.4}}`})
	page, err := client("aliased", nil).Models.List(t.Context())
	check(t, err)
	if len(page.Data) != 2 || page.Data[0].ID != "fast" || page.Data[1].ID != "smart" {
		t.Errorf("models %+v", page.Data)
	}
	if sim.Stats().Requests != 0 {
		t.Error("the provider was asked for what is declared")
	}
	params := question("hello")
	params.Model = "smart"
	got, err := client("aliased", nil).Chat.Completions.New(t.Context(), params)
	check(t, err)
	if got.Model != "gpt-5.4" {
		t.Errorf("smart is %q, want gpt-5.4", got.Model)
	}
}

// A word reaches the client when it is said, not when the answer is whole; and a
// client that leaves takes its request away from the provider.
func TestClientLeaves(t *testing.T) {
	speaks, one := openAI("sk-leaves-one-1f2e3d", model.Fault{Kind: model.Stall, After: 3})
	translated, two := anthropic("sk-ant-leaves-two-4c5b6a", model.Fault{Kind: model.Stall, After: 3})
	declare(t, backend{name: "leaves-openai", providers: []provider{one}}, backend{name: "leaves-anthropic", providers: []provider{two}})
	for name, sim := range map[string]*model.Simulator{"leaves-openai": speaks, "leaves-anthropic": translated} {
		ctx, leave := context.WithTimeout(t.Context(), 20*time.Second)
		stream := client(name, nil).Chat.Completions.NewStreaming(ctx, question("hello there in 30 words"))
		words := 0
		for words < 3 && stream.Next() {
			for _, c := range stream.Current().Choices {
				words += model.Tokens(c.Delta.Content)
			}
		}
		if words != 3 || stream.Err() != nil {
			t.Errorf("%s: %d words came, then %v", name, words, stream.Err())
		}
		leave()
		if !eventually(5*time.Second, func() bool { s := sim.Stats(); return s.Aborted == 1 && s.InFlight == 0 }) {
			t.Errorf("%s: the provider goes on for nobody: %+v", name, sim.Stats())
		}
	}
}

// What a client may ask of a chat completion, Anthropic is asked in its own
// words, and answers in the client's.
func TestAnthropicAnswersAsOpenAI(t *testing.T) {
	sim, p := anthropic("sk-ant-words-99aa88bb")
	declare(t, backend{name: "words", providers: []provider{p}})
	schema := map[string]any{"type": "object", "required": []string{"name", "size"}, "additionalProperties": false,
		"properties": map[string]any{"name": map[string]any{"type": "string"}, "size": map[string]any{"type": "integer"}}}
	cases := map[string]struct {
		text   string
		change func(*openai.ChatCompletionNewParams)
		want   string // the text, or the names of the tools
		finish string
	}{
		"plain": {"hello", func(*openai.ChatCompletionNewParams) {}, "anthropic in westus2 heard: hello", "stop"},
		"limit": {"one two three", func(p *openai.ChatCompletionNewParams) { p.MaxCompletionTokens = openai.Int(3) }, "anthropic in westus2", "length"},
		"stop":  {"one two three", func(p *openai.ChatCompletionNewParams) { p.Stop.OfString = openai.String(" two") }, "anthropic in westus2 heard: one", "stop"},
		"schema": {`Give me "Paris" and 2`, func(p *openai.ChatCompletionNewParams) {
			p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "city", Schema: schema, Strict: openai.Bool(true)}}
		}, `{"name":"Paris","size":2}`, "stop"},
		"forced": {"hello 7", func(p *openai.ChatCompletionNewParams) {
			p.Tools = calculation().Tools
			p.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "multiply"})
		}, "multiply", "tool_calls"},
		"one at a time": {"add 1 and 2, then multiply 3 and 4", func(p *openai.ChatCompletionNewParams) {
			p.Tools = calculation().Tools
			p.ParallelToolCalls = openai.Bool(false)
		}, "add", "tool_calls"},
		"none": {"add 1 and 2", func(p *openai.ChatCompletionNewParams) {
			p.Tools = calculation().Tools
			p.ToolChoice.OfAuto = openai.String("none")
		}, "anthropic in westus2 heard: add 1 and 2", "stop"},
	}
	for name, c := range cases {
		for _, streamed := range []bool{false, true} {
			params := question(c.text)
			c.change(&params)
			tape := &tape{}
			var got openai.ChatCompletion
			var err error
			if streamed {
				got, err = listen(t, client("words", tape), params)
			} else {
				var whole *openai.ChatCompletion
				if whole, err = client("words", tape).Chat.Completions.New(t.Context(), params); whole != nil {
					got = *whole
				}
			}
			if err != nil || len(got.Choices) != 1 {
				t.Errorf("%s, streamed %v: %v", name, streamed, err)
				continue
			}
			said := got.Choices[0].Message.Content
			for _, call := range got.Choices[0].Message.ToolCalls {
				said += call.Function.Name
			}
			if said != c.want || got.Choices[0].FinishReason != c.finish {
				t.Errorf("%s, streamed %v: %q ended by %q, want %q by %q", name, streamed, said, got.Choices[0].FinishReason, c.want, c.finish)
			}
		}
	}
	for _, r := range sim.Requests() {
		if r.Path != "/v1/messages" || r.Status != 200 {
			t.Errorf("asked %s, answered %d: %s", r.Path, r.Status, r.Body)
		}
	}
}

package llm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

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
				if want := map[string]string{"compatible": "compatible-0.test:8000", "openai": "api.openai.com"}[name]; r.Host != want {
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

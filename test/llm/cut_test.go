package llm_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"

	"github.com/navehq/nave/test/simulators/model"
)

// What ends a stream after its first words.
var cuts = []struct {
	name  string
	fault model.Fault
}{
	{"eof", model.Fault{Kind: model.Cut, After: 2}},
	{"rst", model.Fault{Kind: model.Cut, After: 2, How: "rst"}},
	{"end", model.Fault{Kind: model.Cut, After: 2, How: "end"}},
	{"error", model.Fault{Kind: model.StreamError, After: 2, Status: 503}},
	{"limit", model.Fault{Kind: model.StreamError, After: 2, Status: 429}},
}

// speakers are the providers that a stream may come from.
var speakers = []string{"openai", "azure", "anthropic", "link"}

func speaker(kind, key string, fault model.Fault) provider {
	switch kind {
	case "azure":
		sim := azure(model.Options{Keys: []string{key}, Faults: []model.Fault{fault}})
		host := fmt.Sprintf("cut-%s-%d.openai.azure.com", fault.How, fault.Status)
		return provider{says: "azureopenai: {endpoint: " + host + ", deploymentName: prod-chat, apiVersion: 2024-10-21}", host: host, key: key, handler: sim}
	case "anthropic", "link":
		_, p := anthropic(key, fault)
		return p
	}
	_, p := openAI(key, fault)
	return p
}

// A stream that has begun and cannot go on ends with an error inside it: the
// kit's users see that it is not whole, whoever spoke, and nobody else is asked
// to go on.
func TestCutStreamEndsWithAnError(t *testing.T) {
	var backends []backend
	others := map[string]*model.Simulator{}
	for _, kind := range speakers {
		for _, c := range cuts {
			name := "cut-" + kind + "-" + c.name
			first := speaker(kind, name+"-a1b2c3d4e5", c.fault)
			other, second := openAI("sk-" + name + "-other-f6a7b8")
			others[name] = other
			b := backend{name: name, providers: []provider{first, second}}
			if kind == "link" {
				b.providers[0].cluster = there
				b.failover = "order: {by: Region, regions: [westus2, eastus]}"
			}
			backends = append(backends, b)
		}
	}
	declare(t, backends...)
	for _, kind := range speakers {
		for _, c := range cuts {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				name := "cut-" + kind + "-" + c.name
				cutChat(t, name)
				if n := others[name].Stats().Requests; n != 0 {
					t.Errorf("another provider was asked %d times after the answer had begun", n)
				}
			})
		}
	}
}

func cutChat(t *testing.T, name string) {
	t.Helper()
	tape := &tape{}
	got, err := listen(t, client(name, tape), counting(question("hello there in 30 words")))
	var failed *ssestream.StreamError
	if !errors.As(err, &failed) || failed.Message == "" {
		t.Errorf("the stream ends with %v, want an error in it", err)
	}
	if len(got.Choices) == 0 || model.Tokens(got.Choices[0].Message.Content) != 2 || got.Choices[0].FinishReason != "" {
		t.Errorf("before the cut came %+v, want two words and no end", got.Choices)
	}
	text, whole := tape.text()
	if !whole || strings.Contains(text, "[DONE]") || strings.Count(text, `data: {"error":`) != 1 {
		t.Errorf("the answer (whole: %v) is\n%s", whole, text)
	}
}

// Of tool calls, too, a half is told from a whole.
func TestCutToolCallEndsWithAnError(t *testing.T) {
	_, one := openAI("sk-cuttool-one-c0ffee", model.Fault{Kind: model.Cut, After: 2})
	_, two := anthropic("sk-ant-cuttool-two-c0ffee", model.Fault{Kind: model.Cut, After: 1})
	declare(t, backend{name: "cuttool-openai", providers: []provider{one}}, backend{name: "cuttool-anthropic", providers: []provider{two}})
	for _, name := range []string{"cuttool-openai", "cuttool-anthropic"} {
		got, err := listen(t, client(name, nil), calculation())
		if err == nil || len(got.Choices) == 0 || got.Choices[0].FinishReason != "" {
			t.Errorf("%s: ends with %v after %+v", name, err, got.Choices)
		}
	}
}

// The Responses API has an event of its own for it.
func TestCutResponseEndsWithAnError(t *testing.T) {
	var backends []backend
	for _, c := range cuts {
		_, p := openAI("sk-cutresponse-"+c.name+"-decaf0", c.fault)
		backends = append(backends, backend{name: "cutresponse-" + c.name, providers: []provider{p}})
	}
	declare(t, backends...)
	for _, c := range cuts {
		t.Run(c.name, func(t *testing.T) {
			tape := &tape{}
			stream := client("cutresponse-"+c.name, tape).Responses.NewStreaming(t.Context(), responses.ResponseNewParams{
				Model: "gpt-5.4-mini", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello there in 30 words")},
			})
			var last responses.ResponseStreamEventUnion
			deltas := 0
			for number := int64(0); stream.Next(); number++ {
				last = stream.Current()
				if last.Type == "response.output_text.delta" {
					deltas++
				}
				if last.SequenceNumber != number {
					t.Errorf("event %d (%s) is numbered %d", number, last.Type, last.SequenceNumber)
				}
			}
			if err := stream.Err(); err != nil && !errors.Is(err, io.EOF) {
				t.Log("the kit says:", err)
			}
			if last.Type != "error" || last.Message == "" || deltas != 2 {
				t.Errorf("after %d words the stream ends with %q %q", deltas, last.Type, last.Message)
			}
			if text, whole := tape.text(); !whole || strings.Contains(text, "response.completed") {
				t.Errorf("the answer (whole: %v) is\n%s", whole, text)
			}
		})
	}
}

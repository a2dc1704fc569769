package llm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/openai/openai-go/v3"
)

// tape keeps the last answer as it came, byte by byte.
type tape struct {
	mu     sync.Mutex
	head   *http.Response
	body   bytes.Buffer
	ending error
}

func (t *tape) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.head, t.ending = resp, nil
	t.body.Reset()
	resp.Body = &taped{resp.Body, t}
	return resp, nil
}

type taped struct {
	io.ReadCloser
	tape *tape
}

func (b *taped) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.tape.mu.Lock()
	defer b.tape.mu.Unlock()
	b.tape.body.Write(p[:n])
	if err != nil {
		b.tape.ending = err
	}
	return n, err
}

// Close reads to the end first: how the answer ends on the wire is what the tape is for.
func (b *taped) Close() error {
	_, _ = io.Copy(io.Discard, readerOf(b.Read)) // the tape has the error
	return b.ReadCloser.Close()
}

type readerOf func([]byte) (int, error)

func (f readerOf) Read(p []byte) (int, error) { return f(p) }

// text is what came so far, and whether the body ended as HTTP has it.
func (t *tape) text() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.body.String(), errors.Is(t.ending, io.EOF)
}

// chunk is what every client may rely on in a stream's chunk.
type chunk struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices []struct {
		Index int `json:"index"`
		Delta struct {
			Role      string  `json:"role"`
			Content   *string `json:"content"`
			ToolCalls []struct {
				Index    *int   `json:"index"`
				ID       string `json:"id"`
				Type     string `json:"type"`
				Function struct {
					Name      string `json:"name"`
					Arguments string `json:"arguments"`
				} `json:"function"`
			} `json:"tool_calls"`
		} `json:"delta"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	} `json:"usage"`
}

// wellFormed checks a whole stream of chat completion chunks: one answer by one
// name, the role first, each tool call opened once before its arguments, one end,
// the usage last and only where it was asked for, then [DONE] and nothing more.
func wellFormed(t *testing.T, tape *tape, usage bool) {
	t.Helper()
	text, whole := tape.text()
	if kind := tape.head.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		t.Errorf("the stream is %q", kind)
	}
	body, done := strings.CutSuffix(text, "data: [DONE]\n\n")
	if !whole || !done || strings.Contains(body, "[DONE]") {
		t.Fatalf("the stream (whole: %v) does not end with one [DONE]:\n%s", whole, text)
	}
	var first chunk
	finished, counted, calls := "", 0, 0
	for i, event := range strings.Split(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		var c chunk
		if err := json.Unmarshal([]byte(data), &c); !ok || err != nil {
			t.Fatalf("event %d is no chunk: %v\n%s", i, err, event)
		}
		if i == 0 {
			first = c
			if len(c.Choices) != 1 || c.Choices[0].Delta.Role != "assistant" {
				t.Errorf("the first chunk does not tell the role: %s", data)
			}
		}
		if c.ID == "" || c.ID != first.ID || c.Object != "chat.completion.chunk" || c.Model == "" || c.Model != first.Model || c.Created == 0 || c.Created != first.Created {
			t.Errorf("chunk %d is of another answer than the first: %s", i, data)
		}
		if counted > 0 || finished != "" && len(c.Choices) > 0 {
			t.Errorf("chunk %d comes after the end: %s", i, data)
		}
		if c.Usage != nil {
			counted++
			if len(c.Choices) != 0 || c.Usage.Prompt == 0 || c.Usage.Completion == 0 || c.Usage.Total != c.Usage.Prompt+c.Usage.Completion {
				t.Errorf("chunk %d counts wrongly: %s", i, data)
			}
		}
		for _, choice := range c.Choices {
			if choice.Index != 0 || i > 0 && choice.Delta.Role != "" {
				t.Errorf("chunk %d begins anew: %s", i, data)
			}
			for _, call := range choice.Delta.ToolCalls {
				switch opens := call.ID != "" || call.Function.Name != ""; {
				case call.Index == nil:
					t.Errorf("chunk %d has a call without an index: %s", i, data)
				case opens && (*call.Index != calls || call.ID == "" || call.Function.Name == "" || call.Type != "function"):
					t.Errorf("chunk %d opens a call badly, want call %d: %s", i, calls, data)
				case opens:
					calls++
				case *call.Index != calls-1:
					t.Errorf("chunk %d goes on with call %d, want %d: %s", i, *call.Index, calls-1, data)
				}
			}
			if choice.FinishReason != nil {
				finished = *choice.FinishReason
			}
		}
	}
	want := "stop"
	if calls > 0 {
		want = "tool_calls"
	}
	if finished != want {
		t.Errorf("the stream finishes by %q, want %q", finished, want)
	}
	if usage != (counted == 1) {
		t.Errorf("usage is told %d times, asked for: %v", counted, usage)
	}
}

// listen takes a stream to its end by the kit's own accumulator.
func listen(t *testing.T, c *openai.Client, params openai.ChatCompletionNewParams) (openai.ChatCompletion, error) {
	t.Helper()
	stream := c.Chat.Completions.NewStreaming(t.Context(), params)
	defer stream.Close()
	var all openai.ChatCompletionAccumulator
	for stream.Next() {
		if chunk := stream.Current(); chunk.ID != "" && !all.AddChunk(chunk) {
			t.Fatalf("the accumulator refuses %s", chunk.RawJSON())
		}
	}
	return all.ChatCompletion, stream.Err()
}

// question is a user's turn, without tools.
func question(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: "gpt-5.4-mini", Messages: []openai.ChatCompletionMessageParamUnion{
		openai.SystemMessage("be brief"), openai.UserMessage(text),
	}}
}

// counting asks for the usage of a stream.
func counting(p openai.ChatCompletionNewParams) openai.ChatCompletionNewParams {
	p.StreamOptions.IncludeUsage = openai.Bool(true)
	return p
}

package model_test

import (
	"errors"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/navehq/nave/test/simulators/model"
)

func claude(t *testing.T, options model.Options, path string) (anthropic.Client, *model.Simulator) {
	options.Keys = []string{"secret"}
	sim, server := start(t, options)
	return anthropic.NewClient(option.WithBaseURL(server.URL+path), option.WithAPIKey("secret"), option.WithMaxRetries(0)), sim
}

func said(text string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: "claude-sonnet-4-5", MaxTokens: 1000, System: []anthropic.TextBlockParam{{Text: "be brief"}},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(text))},
	}
}

func TestMessages(t *testing.T) {
	for _, path := range []string{"", "/anthropic"} {
		client, _ := claude(t, model.Options{Name: "east"}, path)
		got, err := client.Messages.New(t.Context(), said("hello there"))
		check(t, err)
		if text := got.Content[0].Text; text != "east in local heard: hello there" || got.StopReason != "end_turn" {
			t.Errorf("answered %q, stopped by %q", text, got.StopReason)
		}
		if got.Usage.InputTokens != 4 || got.Usage.OutputTokens != 6 {
			t.Errorf("usage %+v", got.Usage)
		}
		counted, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{
			Model: "claude-sonnet-4-5", Messages: said("hello there").Messages,
		})
		check(t, err)
		if counted.InputTokens != 2 {
			t.Errorf("counted %d", counted.InputTokens)
		}
	}
}

func accumulate(t *testing.T, client anthropic.Client, params anthropic.MessageNewParams) (anthropic.Message, error) {
	stream := client.Messages.NewStreaming(t.Context(), params)
	var message anthropic.Message
	for stream.Next() {
		check(t, message.Accumulate(stream.Current()))
	}
	return message, stream.Err()
}

func TestMessageStreamWithThinking(t *testing.T) {
	client, _ := claude(t, model.Options{}, "")
	params := said("count in 25 words")
	params.MaxTokens = 2000
	params.Thinking = anthropic.ThinkingConfigParamOfEnabled(1024)
	message, err := accumulate(t, client, params)
	check(t, err)
	if len(message.Content) != 2 || message.Content[0].Thinking != "Weighing count in 25 words" || message.Content[0].Signature == "" {
		t.Fatalf("content %+v", message.Content)
	}
	if model.Tokens(message.Content[1].Text) != 25 || message.Usage.OutputTokens != 25+5 || message.StopReason != "end_turn" {
		t.Errorf("%d words, usage %+v, stopped by %q", model.Tokens(message.Content[1].Text), message.Usage, message.StopReason)
	}
}

func TestMessageToolsGoRound(t *testing.T) {
	client, _ := claude(t, model.Options{}, "")
	params := said("please add 19 and 23")
	params.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{Name: "add", InputSchema: anthropic.ToolInputSchemaParam{
		Properties: map[string]any{"a": map[string]any{"type": "integer"}, "b": map[string]any{"type": "integer"}}, Required: []string{"a", "b"},
	}}}}
	message, err := accumulate(t, client, params)
	check(t, err)
	if message.StopReason != "tool_use" || string(message.Content[0].Input) != `{"a":19,"b":23}` {
		t.Fatalf("stopped by %q, content %+v", message.StopReason, message.Content)
	}
	params.Messages = append(params.Messages, message.ToParam(),
		anthropic.NewUserMessage(anthropic.NewToolResultBlock(message.Content[0].ID, "42", false)))
	final, err := client.Messages.New(t.Context(), params)
	check(t, err)
	if final.Content[0].Text != "sim in local was told by its tools: 42" {
		t.Errorf("answered %q", final.Content[0].Text)
	}
}

func TestMessageErrors(t *testing.T) {
	client, sim := claude(t, model.Options{}, "")
	check(t, sim.Inject(model.Fault{Kind: model.Status, Status: 529, Count: 1}))
	_, err := client.Messages.New(t.Context(), said("x"))
	var failed *anthropic.Error
	if !errors.As(err, &failed) || failed.StatusCode != 529 || failed.RequestID == "" {
		t.Errorf("got %v, want 529 with a request id", err)
	}
	for _, after := range []int{0, 3} {
		check(t, sim.Inject(model.Fault{Kind: model.StreamError, Status: 529, After: after, Count: 1}))
		message, err := accumulate(t, client, said("one two three four"))
		if err == nil {
			t.Errorf("an error after %d events was not seen", after)
		}
		text := ""
		for _, block := range message.Content {
			text += block.Text
		}
		if model.Tokens(text) != after {
			t.Errorf("%q came before the error, want %d words", text, after)
		}
	}
	_, err = accumulate(t, client, said("it works again"))
	check(t, err)
}

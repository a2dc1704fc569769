package anthropic_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/anthropic"
	"github.com/navehq/nave/proxy/llm/sse"
)

func ptr[T any](v T) *T { return &v }

func user(parts ...chat.Part) []chat.Message {
	return []chat.Message{{Role: chat.RoleUser, Parts: parts}}
}

func TestEncode(t *testing.T) {
	hi := user(chat.Part{Text: "hi"})
	tools := []chat.Tool{{Name: "f"}}
	schema := chat.Format{Kind: chat.FormatSchema, Schema: []byte(`{"type":"object"}`)}
	strict := schema
	strict.Strict = true
	for _, tc := range []struct {
		why   string
		model string
		r     chat.Request
		has   string
		not   string
	}{
		{"a bound by default", "m", chat.Request{Messages: hi}, `"max_tokens":4096`, "system"},
		{"the client's bound", "m", chat.Request{Messages: hi, MaxTokens: ptr(int64(7))}, `"max_tokens":7`, ""},
		{"low temperature stays", "m", chat.Request{Messages: hi, Sampling: chat.Sampling{Temperature: ptr(0.25)}}, `"temperature":0.25`, ""},
		{"top_p alone", "m", chat.Request{Messages: hi, Sampling: chat.Sampling{TopP: ptr(0.5)}}, `"top_p":0.5`, ""},
		{"a choice without tools is none", "m", chat.Request{Messages: hi, Choice: chat.ToolChoice{Mode: chat.ChoiceAuto}}, "", "tool_choice"},
		{"a named choice", "m", chat.Request{Messages: hi, Tools: tools, Choice: chat.ToolChoice{Mode: chat.ChoiceNamed, Name: "f"}}, `"tool_choice":{"type":"tool","name":"f"}`, ""},
		{"none and not parallel", "m", chat.Request{Messages: hi, Tools: tools, Choice: chat.ToolChoice{Mode: chat.ChoiceNone}, ParallelTools: ptr(false)}, `"tool_choice":{"type":"none"}`, "disable"},
		{"not parallel alone", "m", chat.Request{Messages: hi, Tools: tools, ParallelTools: ptr(false)}, `"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`, ""},
		{"a loose schema is a tool", "claude-sonnet-4-5", chat.Request{Messages: hi, Format: schema}, `"tool_choice":{"type":"tool"`, "output_config"},
		{"a strict schema is a format", "claude-sonnet-4-5", chat.Request{Messages: hi, Format: strict}, `"output_config"`, "tools"},
		{"a strict schema on a model of before is a tool", "claude-3-5-sonnet-20241022", chat.Request{Messages: hi, Format: strict}, `"tools"`, "output_config"},
		{"a schema beside tools is a format", "claude-sonnet-4-5", chat.Request{Messages: hi, Format: schema, Tools: tools}, `"output_config"`, "answer_in"},
		{"a signed thought is replayed", "m", chat.Request{Messages: []chat.Message{{Role: chat.RoleAssistant, Parts: []chat.Part{{Kind: chat.Thinking, Text: "a", Signature: "s"}}}}}, `{"type":"thinking","thinking":"a","signature":"s"}`, ""},
		{"an unsigned one is not", "m", chat.Request{Messages: user(chat.Part{Kind: chat.Thinking, Text: "a"}, chat.Part{Text: "b"})}, "", "thinking"},
		{"a failed tool", "m", chat.Request{Messages: []chat.Message{{Role: chat.RoleTool, Parts: []chat.Part{{Kind: chat.ToolResult, ID: "x", Failed: true}}}}}, `"is_error":true`, `"content":""`},
	} {
		p, err := anthropic.Encode(&tc.r, tc.model, 0)
		if err != nil {
			t.Errorf("%s: %v", tc.why, err)
			continue
		}
		body := string(p.Body)
		if !json.Valid(p.Body) || !strings.Contains(body, tc.has) || tc.not != "" && strings.Contains(body, tc.not) {
			t.Errorf("%s: %s", tc.why, body)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for why, r := range map[string]chat.Request{
		"nothing said":             {Messages: user(chat.Part{Text: "  "})},
		"a picture in another way": {Messages: user(chat.Part{Kind: chat.Image, MediaType: "image/tiff", Data: "AA=="})},
		"a file in another way":    {Messages: user(chat.Part{Kind: chat.File, MediaType: "text/csv", Data: "AA=="})},
		"a picture of its own":     {Messages: []chat.Message{{Role: chat.RoleAssistant, Parts: []chat.Part{{Kind: chat.Image, URL: "https://a"}}}}},
		"any object":               {Messages: user(chat.Part{Text: "hi"}), Format: chat.Format{Kind: chat.FormatObject}},
		"a schema beside tools":    {Messages: user(chat.Part{Text: "hi"}), Format: chat.Format{Kind: chat.FormatSchema}, Tools: []chat.Tool{{Name: "f"}}},
	} {
		_, err := anthropic.Encode(&r, "claude-3-haiku", 0)
		var u *chat.UnsupportedError
		if !errors.As(err, &u) || u.Fault().ClientStatus() != 400 {
			t.Errorf("%s: %v", why, err)
		}
	}
}

func TestLacks(t *testing.T) {
	both := chat.FeatureJSONSchema | chat.FeatureTools
	if got := anthropic.Lacks(both, "claude-3-opus"); got != chat.FeatureJSONSchema {
		t.Errorf("a model of before lacks %s", got)
	}
	if got := anthropic.Lacks(both|chat.FeatureImages|chat.FeatureFiles, "claude-opus-4-5"); got != 0 {
		t.Errorf("a model of now lacks %s", got)
	}
	if got := anthropic.Lacks(chat.FeatureChoices|chat.FeatureTools, "claude-opus-4-5"); got != chat.FeatureChoices {
		t.Errorf("lacks %s", got)
	}
}

func TestFinish(t *testing.T) {
	for reason, want := range map[string]chat.Finish{
		"end_turn": chat.FinishStop, "stop_sequence": chat.FinishStop, "pause_turn": chat.FinishStop, "max_tokens": chat.FinishLength,
		"model_context_window_exceeded": chat.FinishLength, "tool_use": chat.FinishTools, "refusal": chat.FinishFilter, "newly_invented": chat.FinishStop,
	} {
		r, err := anthropic.Decode([]byte(`{"type":"message","content":[],"stop_reason":"`+reason+`"}`), false)
		if err != nil || r.Finish != want {
			t.Errorf("%s is %q, %v", reason, r.Finish, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for why, body := range map[string]string{
		"null": `null`, "nothing": ``, "a list": `[]`, "no content": `{"type":"message"}`, "an error": `{"type":"error","error":{"type":"api_error","message":"x"}}`,
	} {
		_, err := anthropic.Decode([]byte(body), false)
		var e *chat.Error
		if !errors.As(err, &e) || e.Class != chat.Transient {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// follow drives events and returns the chunks and the error they end with.
func follow(data ...string) (kinds []chat.ChunkKind, text string, err *chat.Error) {
	var s anthropic.Events
	take := func(chunks []chat.Chunk, e *chat.Error) {
		for _, c := range chunks {
			kinds = append(kinds, c.Kind)
			text += string(c.Text)
		}
		err = e
	}
	for _, d := range data {
		if take(s.Next(sse.Event{Data: []byte(d), Raw: []byte("data: " + d + "\n\n")})); err != nil {
			return kinds, text, err
		}
	}
	take(s.Close())
	return kinds, text, err
}

func TestEvents(t *testing.T) {
	const start = `{"type":"message_start","message":{"id":"m"}}`
	for _, tc := range []struct {
		why    string
		events []string
		chunks int
		text   string
		code   string
	}{
		{"no message_stop, but a reason", []string{start, `{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`}, 3, "", ""},
		{"a stop without a reason", []string{start, `{"type":"message_stop"}`}, 3, "", ""},
		{"a call that comes at once", []string{start, `{"type":"content_block_start","content_block":{"type":"tool_use","id":"t","name":"f","input":{"a": "\""}}}`, `{"type":"content_block_stop"}`, `{"type":"message_stop"}`}, 5, `{\"a\":\"\\\"\"}`, ""},
		{"text in the block's start", []string{start, `{"type":"content_block_start","content_block":{"type":"text","text":"a\n"}}`, `{"type":"message_stop"}`}, 4, `a\n`, ""},
		{"deltas of blocks unknown", []string{start, `{"type":"content_block_start","content_block":{"type":"server_tool_use"}}`, `{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{}"}}`, `{"type":"message_stop"}`}, 3, "", ""},
		{"events unknown", []string{start, `{"type":"comet"}`, `{"type":"message_stop"}`}, 3, "", ""},
		{"nothing", nil, 0, "", chat.CodeTruncated},
		{"cut", []string{start}, 1, "", chat.CodeTruncated},
		{"no JSON", []string{start, `x`}, 1, "", chat.CodeBadAnswer},
	} {
		kinds, text, err := follow(tc.events...)
		code := ""
		if err != nil {
			code = err.Code
		}
		if len(kinds) != tc.chunks || text != tc.text || code != tc.code {
			t.Errorf("%s: %v %q %v", tc.why, kinds, text, err)
		}
	}
}

func FuzzEvents(f *testing.F) {
	for _, s := range []string{
		"data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"\\u00e9\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
		"data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\",\"input\":{\"a\":[1, 2]}}}\r\n\r\ndata: {\"type\":\"content_block_stop\"}\r\n\r\n",
		"event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n",
	} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, formatTool bool) {
		s := anthropic.Events{FormatTool: formatTool}
		var scanner sse.Scanner
		started, ended := false, 0
		check := func(chunks []chat.Chunk) {
			for _, c := range chunks {
				if started != (c.Kind != chat.ChunkStart) {
					t.Fatalf("chunk of kind %d, begun: %t", c.Kind, started)
				}
				started = true
				if c.Kind == chat.ChunkEnd {
					ended++
				}
				if !json.Valid([]byte(`"` + string(c.Text) + `"`)) {
					t.Fatalf("text %q is not the inside of a string", c.Text)
				}
			}
		}
		scanner.Feed(stream)
		for {
			ev, ok, err := scanner.Next()
			if !ok || err != nil {
				break
			}
			chunks, failed := s.Next(ev)
			check(chunks)
			if failed != nil {
				return
			}
		}
		chunks, failed := s.Close()
		check(chunks)
		if ended > 1 || (failed == nil) != (ended == 1) {
			t.Fatalf("ended %d times, %v", ended, failed)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"message","content":[{"type":"tool_use","input":{"a": 1}},{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":1}}`), true)
	f.Fuzz(func(t *testing.T, body []byte, formatTool bool) {
		r, err := anthropic.Decode(body, formatTool)
		if err != nil {
			return
		}
		for _, p := range r.Parts {
			if p.Kind == chat.ToolUse && !json.Valid(p.Input) {
				t.Fatalf("input %q", p.Input)
			}
		}
	})
}

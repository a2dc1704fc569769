package openai_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
)

func ptr[T any](v T) *T { return &v }

func TestDecode(t *testing.T) {
	got, err := openai.Decode([]byte(`{"model":"m","stream":true,"stream_options":{},"top_p":0.5,"max_tokens":9,"max_completion_tokens":5,"stop":"x","user":"u","vendor":{"a":1},
		"tool_choice":{"type":"function","function":{"name":"f"}},"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","strict":true,"schema":{}}},
		"messages":[{"role":"developer","content":"s","cache_control":{"type":"ephemeral"}},{"role":"assistant","name":"bob","content":null,"refusal":"no","function_call":null},{"role":"tool","tool_call_id":"c","content":"r"}]}`), "x")
	if err != nil {
		t.Fatal(err)
	}
	want := &chat.Request{
		Model: "m", Stream: true, Sampling: chat.Sampling{TopP: ptr(0.5)}, MaxTokens: ptr(int64(5)), Stop: []string{"x"}, User: "u",
		Choice:  chat.ToolChoice{Mode: chat.ChoiceNamed, Name: "f"},
		Format:  chat.Format{Kind: chat.FormatSchema, Name: "n", Description: "d", Strict: true, Schema: []byte("{}")},
		Unknown: []chat.Field{{Name: "vendor", Raw: []byte(`{"a":1}`)}},
		Messages: []chat.Message{
			{Role: chat.RoleSystem, Parts: []chat.Part{{Text: "s", Cache: []byte(`{"type":"ephemeral"}`)}}},
			{Role: chat.RoleAssistant, Name: "bob", Parts: []chat.Part{{Kind: chat.Refusal, Text: "no"}}},
			{Role: chat.RoleTool, Parts: []chat.Part{{Kind: chat.ToolResult, ID: "c", Text: "r"}}},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for what, body := range map[string]string{
		"no messages":                           `{"messages":[]}`,
		"unknown role":                          `{"messages":[{"role":"robot","content":"a"}]}`,
		"arguments is not a JSON object":        `{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"[1]"}}]}]}`,
		"no call of a named function":           `{"messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"f","input":"x"}}]}]}`,
		"has no tool_call_id":                   `{"messages":[{"role":"tool","content":"a"}]}`,
		"holds more than text":                  `{"messages":[{"role":"tool","tool_call_id":"x","content":[{"type":"image_url","image_url":{"url":"https://a"}}]}]}`,
		"holds a function_call":                 `{"messages":[{"role":"assistant","function_call":{"name":"f"}}]}`,
		"no base64 data URL":                    `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png,xx"}}]}]}`,
		"neither a web address nor a data URL":  `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}]}`,
		"has no file_data":                      `{"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a"}}]}]}`,
		"max_tokens is no whole number":         `{"max_tokens":-1,"messages":[{"role":"user","content":"a"}]}`,
		"temperature is no number":              `{"temperature":"hot","messages":[{"role":"user","content":"a"}]}`,
		"parallel_tool_calls is neither":        `{"parallel_tool_calls":1,"messages":[{"role":"user","content":"a"}]}`,
		`tool_choice "maybe" is not known`:      `{"tool_choice":"maybe","messages":[{"role":"user","content":"a"}]}`,
		`response_format "xml" is not known`:    `{"response_format":{"type":"xml"},"messages":[{"role":"user","content":"a"}]}`,
		"tools[0] is no function with a name":   `{"tools":[{"type":"function","function":{}}],"messages":[{"role":"user","content":"a"}]}`,
		`is of type "", which has no translati`: `{"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	} {
		_, err := openai.Decode([]byte(body), "elsewhere")
		var u *chat.UnsupportedError
		if !errors.As(err, &u) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "elsewhere") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

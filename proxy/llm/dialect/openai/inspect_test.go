package openai_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
)

func TestInspect(t *testing.T) {
	for _, tc := range []struct {
		why      string
		op       dialect.Operation
		body     string
		model    string
		stream   bool
		usage    bool
		features string
		state    []dialect.State
		max      int64
		input    int
	}{
		{why: "the least", body: `{"model":"m","messages":[{"role":"user","content":"four"}]}`, model: "m", input: 4},
		{why: "no model", body: `{}`},
		{why: "an escaped name and an escaped field", body: `{"mod\u0065l":"a\/b\"","messages":[]}`, model: `a/b"`},
		{why: "streaming", body: `{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":7}`, model: "m", stream: true, usage: true, max: 7},
		{why: "null where that is the default", body: `{"model":"m","stream":null,"stream_options":null,"tools":null,"n":null,"logprobs":null,"response_format":null}`, model: "m"},
		{why: "no feature by its default", body: `{"model":"m","n":1,"logprobs":false,"tools":[],"functions":[],"logit_bias":{},"modalities":["text"],"response_format":{"type":"text"},"tool_choice":"auto"}`, model: "m"},
		{why: "many features", body: `{"model":"m","n":2,"top_logprobs":2,"functions":[{}],"logit_bias":{"1":2},"modalities":["text","audio"],"response_format":{"type":"json_object"},"tool_choice":{"type":"allowed_tools"},"web_search_options":{},"tools":[{"type":"custom"}],"messages":[{"content":[{"type":"image_url","image_url":{}},{"type":"input_audio","input_audio":{}},{"type":"text","text":"abc"}]}]}`,
			model: "m", features: "tools,images,audio_input,audio_output,json_object,n,logprobs,logit_bias,functions,custom_tools,allowed_tools,web_search", input: 3 + len(`{"type":"custom"}`)},
		{why: "what a provider holds", body: `{"model":"m","messages":[{"role":"assistant","audio":{"id":"audio_1"}},{"content":[{"type":"file","file":{"file_id":"file-1"}}]}]}`,
			model: "m", features: "files", state: []dialect.State{{Kind: "audio", ID: "audio_1"}, {Kind: "file", ID: "file-1"}}},
		{why: "a schema that has file_id for a property refers to nothing", body: `{"model":"m","tools":[{"type":"function","function":{"parameters":{"properties":{"file_id":{"type":"string"}}}}}]}`,
			model: "m", features: "tools", input: len(`{"type":"function","function":{"parameters":{"properties":{"file_id":{"type":"string"}}}}}`)},
		{why: "a response in the background", op: dialect.Responses, body: `{"model":"m","background":true,"conversation":"conv_1","input":"abc"}`,
			model: "m", features: "background", state: []dialect.State{{Kind: "conversation", ID: "conv_1"}}, input: 5},
		{why: "vendors' fields are none of our business", body: `{"model":"m","X":{"Model":[1e9,{"stream":true}]},"temperature":0.5}`, model: "m"},
		{why: "white space", body: " \r\n\t{ \"model\" : \"m\" , \"stream\" : true }\n", model: "m", stream: true},
	} {
		f, err := openai.Inspect(tc.op, []byte(tc.body))
		if err != nil {
			t.Errorf("%s: %v", tc.why, err)
			continue
		}
		if f.Model != tc.model || f.Stream != tc.stream || f.IncludeUsage != tc.usage || f.Features.String() != tc.features || f.MaxTokens != tc.max || f.InputBytes != tc.input {
			t.Errorf("%s: %+v (%s)", tc.why, f, f.Features)
		}
		if d := cmp.Diff(tc.state, f.State); d != "" {
			t.Errorf("%s:\n%s", tc.why, d)
		}
	}
}

// What is asked for is told as it was written, if it is what it should be.
func TestInspectTellsWhatIsAsked(t *testing.T) {
	for _, c := range []struct {
		op   dialect.Operation
		body string
		want dialect.Asked
	}{
		{dialect.Chat, `{"model":"m","messages":[],"temperature":0.70,"top_p":1,"max_tokens":64,"frequency_penalty":-1.5,"presence_penalty":2e-1,"seed":-7}`,
			dialect.Asked{Temperature: "0.70", TopP: "1", MaxTokens: "64", FrequencyPenalty: "-1.5", PresencePenalty: "2e-1", Seed: "-7"}},
		{dialect.Responses, `{"model":"m","input":"x","max_output_tokens":9}`, dialect.Asked{MaxTokens: "9"}},
		{dialect.Embeddings, `{"model":"m","input":"x","dimensions":256,"encoding_format":"base64"}`, dialect.Asked{Dimensions: "256", Encoding: "base64"}},
		{dialect.Embeddings, `{"model":"m","input":"x","dimensions":"3\nreason=x","encoding_format":"a b"}`, dialect.Asked{}},
		{dialect.Chat, `{"model":"m","messages":[],"temperature":null,"top_p":[1],"seed":{"a":1},"presence_penalty":0.` + strings.Repeat("1", 99) + `}`, dialect.Asked{}},
	} {
		f, err := openai.Inspect(c.op, []byte(c.body))
		if err != nil || f.Asked != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.body, f.Asked, err, c.want)
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	for why, body := range map[string]string{
		"not an object":               `[1]`,
		"nothing":                     ``,
		"two values":                  `{} {}`,
		"cut":                         `{"model":"m"`,
		"too deep":                    `{"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
		"not UTF-8":                   "{\"model\":\"\xff\"}",
		"two models":                  `{"model":"a","model":"b"}`,
		"two models, one escaped":     `{"model":"a","\u006dodel":"b"}`,
		"another case":                `{"model":"a","MODEL":"b"}`,
		"another case alone":          `{"Stream":true}`,
		"a letter that folds":         `{"\u017ftream":true}`,
		"two streams":                 `{"stream":true,"stream":false}`,
		"two lists of messages":       `{"messages":[],"messages":[]}`,
		"usage twice":                 `{"stream_options":{"include_usage":true,"include_usage":false}}`,
		"usage in another case":       `{"stream_options":{"Include_Usage":true}}`,
		"model is a number":           `{"model":1}`,
		"stream is a string":          `{"stream":"true"}`,
		"messages is a string":        `{"messages":"hi"}`,
		"a message is a string":       `{"messages":["hi"]}`,
		"stream_options is a list":    `{"stream_options":[]}`,
		"a control character":         "{\"model\":\"a\nb\"}",
		"a comment":                   `{"model":"a"/*x*/}`,
		"broken deep inside messages": `{"messages":[{"content":[{"text":"a"}}]}`,
	} {
		_, err := openai.Inspect(dialect.Chat, []byte(body))
		var e *chat.Error
		if !errors.As(err, &e) || e.Class != chat.Caller || e.ClientStatus() != 400 {
			t.Errorf("%s: %v", why, err)
		}
	}
}

func TestSplice(t *testing.T) {
	for _, tc := range []struct{ why, body, model, want string }{
		{"every other byte stays", `{ "a":1.0 , "model" :"x","s":"\u00e9" }`, `y"`, `{ "a":1.0 , "model" :"y\"","s":"\u00e9" }`},
		{"the same", `{"model":"x"}`, "x", `{"model":"x"}`},
		{"no model", `{"a":1}`, "x", `{"model":"x","a":1}`},
		{"nothing at all", `{ }`, "x", `{"model":"x" }`},
		{"no change", `{"a":1}`, "", `{"a":1}`},
		{"no stream, no usage", `{"model":"x","stream":false}`, "", `{"model":"x","stream":false}`},
		{"both", `{"model":"x","stream":true}`, "y", `{"stream_options":{"include_usage":true},"model":"y","stream":true}`},
		{"both where neither was", `{"stream":true}`, "y", `{"model":"y","stream_options":{"include_usage":true},"stream":true}`},
		{"options that are empty", `{"stream":true,"stream_options":{ }}`, "", `{"stream":true,"stream_options":{"include_usage":true }}`},
		{"options before the model", `{"stream_options":{"include_usage":null},"stream":true,"model":"x"}`, "yy", `{"stream_options":{"include_usage":true},"stream":true,"model":"yy"}`},
		{"options that are null", `{"stream_options":null,"stream":true}`, "", `{"stream_options":{"include_usage":true},"stream":true}`},
	} {
		f, err := openai.Inspect(dialect.Chat, []byte(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := openai.Splice([]byte(tc.body), &f, tc.model, true)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %s, %v", tc.why, got, err)
		}
	}
	if _, err := openai.Splice([]byte(`{}`), &dialect.Facts{}, "m", false); err == nil {
		t.Error("facts of another body were taken")
	}
}

func object(t *testing.T, b []byte) map[string]any {
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON any more: %v\n%s", err, b)
	}
	return v
}

func FuzzSplice(f *testing.F) {
	for _, s := range []string{
		`{"model":"a","stream":true}`, `{"stream_options":{"x":[]},"stream":true,"model":"b"}`, `{}`, `{"stream":true,"stream_options":null}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"\u00e9"}]}],"tools":[{}],"input":[{"type":"x"}]}`,
	} {
		f.Add([]byte(s), "gpt-4o", uint8(0))
		f.Add([]byte(s), "a\"\\\x00é", uint8(3))
	}
	f.Fuzz(func(t *testing.T, body []byte, model string, op uint8) {
		facts, err := openai.Inspect(dialect.Operation(op%4), body)
		if err != nil {
			return
		}
		before := object(t, body)
		if m, _ := before["model"].(string); m != facts.Model {
			t.Fatalf("model %q, encoding/json says %q", facts.Model, m)
		}
		out, err := openai.SetModel(facts.Op, body, model)
		if err != nil {
			t.Fatal(err)
		}
		after := object(t, out)
		if m, ok := after["model"].(string); model != "" && (!ok || m != strings.ToValidUTF8(model, "\ufffd") && !strings.Contains(m, "\ufffd")) {
			t.Fatalf("model %q became %q in %s", model, m, out)
		}
		delete(before, "model")
		delete(after, "model")
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("more than the model changed:\n%s\n%s", body, out)
		}
		if out, err = openai.ForceIncludeUsage(facts.Op, body); err != nil {
			t.Fatal(err)
		}
		after = object(t, out)
		again, err := openai.Inspect(facts.Op, out)
		if err != nil || again.IncludeUsage != (facts.Stream || facts.IncludeUsage) || again.Model != facts.Model {
			t.Fatalf("usage is asked for: %t, %v\n%s", again.IncludeUsage, err, out)
		}
		delete(before, "stream_options")
		delete(after, "stream_options")
		delete(after, "model")
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("more than stream_options changed:\n%s\n%s", body, out)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"model":"a","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},{"role":"assistant","tool_calls":[{"id":"x","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"x","content":"y"}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"stop":["a"],"temperature":0.1,"max_tokens":1}`))
	f.Add([]byte(`{"messages":[{"role":"robot"}],"max_tokens":-1,"tool_choice":{"type":"function","function":{"name":"f"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := openai.Inspect(dialect.Chat, body); err != nil {
			return
		}
		r, err := openai.Decode(body, "test")
		var unsupported *chat.UnsupportedError
		if err != nil && !errors.As(err, &unsupported) {
			t.Fatalf("inspected, but: %v", err)
		}
		if err == nil && len(r.Messages) == 0 {
			t.Fatal("no messages")
		}
	})
}

func TestOperation(t *testing.T) {
	for _, tc := range []struct {
		method, path string
		want         dialect.Operation
		ok           bool
	}{
		{"POST", "/v1/chat/completions", dialect.Chat, true},
		{"POST", "/any/base/completions", dialect.Completions, true},
		{"POST", "/v1/embeddings", dialect.Embeddings, true},
		{"POST", "/v1/responses", dialect.Responses, true},
		{"GET", "/v1/models", dialect.Models, true},
		{"GET", "/v1/chat/completions", 0, false},
		{"POST", "/v1/files", 0, false},
	} {
		op, ok := openai.Operation(tc.method, tc.path)
		if op != tc.want || ok != tc.ok {
			t.Errorf("%s %s is %s, %t", tc.method, tc.path, op, ok)
		}
	}
}

// kilobyte is an ordinary request of about 1 KB.
func kilobyte() []byte {
	return fmt.Appendf(nil, `{"model":"gpt-4o","stream":true,"temperature":0.7,"max_tokens":256,"messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":"%s"}],"user":"u-1","tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]}`,
		strings.Repeat("lorem ipsum dolor sit amet, ", 25))
}

func BenchmarkInspect(b *testing.B) {
	body := kilobyte()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := openai.Inspect(dialect.Chat, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBegin(b *testing.B) {
	body := kilobyte()
	f, err := openai.Inspect(dialect.Chat, body)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (openai.Codec{}).Begin(&f, body, dialect.Options{Model: "gpt-4o-mini"}); err != nil {
			b.Fatal(err)
		}
	}
}

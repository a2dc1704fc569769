package openai_test

import (
	"testing"
	"time"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
	"github.com/navehq/nave/proxy/llm/sse"
)

func begin(t testing.TB, op dialect.Operation, body string) dialect.Exchange {
	t.Helper()
	f, err := openai.Inspect(op, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	x, err := (openai.Codec{}).Begin(&f, []byte(body), dialect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestMeaning(t *testing.T) {
	for _, tc := range []struct {
		why, data  string
		meaningful bool
	}{
		{"a role", `{"choices":[{"delta":{"role":"assistant","content":""}}]}`, false},
		{"null content", `{"choices":[{"delta":{"role":"assistant","content":null,"tool_calls":[]}}]}`, false},
		{"text", `{"choices":[{"delta":{"content":"a"}}]}`, true},
		{"white space is text", `{"choices":[{"delta":{"content":" "}}]}`, true},
		{"refusal", `{"choices":[{"delta":{"refusal":"no"}}]}`, true},
		{"reasoning", `{"choices":[{"delta":{"reasoning":"hm"}}]}`, true},
		{"a call", `{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}`, true},
		{"a call of old", `{"choices":[{"delta":{"function_call":{"name":"f"}}}]}`, true},
		{"the filter's word", `{"choices":[],"prompt_filter_results":[{}]}`, false},
		{"an offset of the asynchronous filter", `{"choices":[{"index":0,"finish_reason":null,"content_filter_offsets":{},"content_filter_results":{}}]}`, false},
		{"an end", `{"choices":[{"delta":{},"finish_reason":"stop"}]}`, false},
		{"a second choice speaks", `{"choices":[{"delta":{}},{"index":1,"delta":{"content":"b"}}]}`, true},
		{"a legacy text", `{"choices":[{"text":"a"}]}`, true},
	} {
		s := begin(t, dialect.Chat, `{"stream":true}`).Stream(time.Time{})
		raw := []byte("data: " + tc.data + "\n\n")
		out, n := s.Event(sse.Event{Data: []byte(tc.data), Raw: raw})
		if n.Meaningful != tc.meaningful || n.Err != nil || n.Done || string(out) != string(raw) {
			t.Errorf("%s: %+v, %q", tc.why, n, out)
		}
	}
}

func TestEnds(t *testing.T) {
	for _, tc := range []struct {
		why    string
		events []string
		code   string // of the error, "" for none
	}{
		{"all choices have ended", []string{`{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"a"}}]}`, `{"choices":[{"index":1,"delta":{},"finish_reason":"stop"},{"index":0,"delta":{},"finish_reason":"length"}]}`}, ""},
		{"one has not", []string{`{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"a"}}]}`, `{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}`}, chat.CodeTruncated},
		{"nothing came", nil, chat.CodeTruncated},
		{"nothing but a terminator", []string{`[DONE]`}, chat.CodeBadAnswer},
		{"no JSON", []string{`hello`}, chat.CodeBadAnswer},
		{"JSON but no object", []string{`[]`}, chat.CodeBadAnswer},
		{"vLLM's error", []string{`{"object":"error","message":"boom","code":500}`}, "server"},
		{"a finish that is an error", []string{`{"choices":[{"delta":{"content":"a"},"finish_reason":"error"}]}`}, "server"},
	} {
		s := begin(t, dialect.Chat, `{"stream":true}`).Stream(time.Time{})
		var n dialect.Note
		for _, e := range tc.events {
			if _, n = s.Event(sse.Event{Data: []byte(e), Raw: []byte("data: " + e + "\n\n")}); n.Err != nil {
				break
			}
		}
		if n.Err == nil {
			_, n = s.End()
		}
		switch {
		case tc.code == "" && (n.Err != nil || !n.Done):
			t.Errorf("%s: %+v", tc.why, n)
		case tc.code == "server" && (n.Err == nil || n.Err.Class != chat.Transient):
			t.Errorf("%s: %+v", tc.why, n)
		case tc.code != "" && tc.code != "server" && (n.Err == nil || n.Err.Code != tc.code):
			t.Errorf("%s: %+v", tc.why, n.Err)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("data: {\"choices\":[{\"index\":9999999999,\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n"), false)
	f.Add([]byte("event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{}}}\n\n"), true)
	f.Add([]byte("data: {\"error\":{\"message\":1}}\r\n\r\n"), false)
	f.Fuzz(func(t *testing.T, stream []byte, responses bool) {
		op := dialect.Chat
		if responses {
			op = dialect.Responses
		}
		s := begin(t, op, `{"stream":true}`).Stream(time.Time{})
		var scanner sse.Scanner
		scanner.Feed(stream)
		for {
			ev, ok, err := scanner.Next()
			if err != nil {
				return
			}
			if !ok {
				break
			}
			if _, n := s.Event(ev); n.Done || n.Err != nil {
				break
			}
		}
		if _, n := s.End(); n.Done == (n.Err != nil) {
			t.Fatalf("an end that is neither: %+v", n)
		}
		if u := s.Summary().Usage; u.Input < 0 || u.Output < 0 || u.Total < 0 {
			t.Fatalf("usage %+v", u)
		}
	})
}

func BenchmarkEvent(b *testing.B) {
	s := begin(b, dialect.Chat, `{"stream":true}`).Stream(time.Time{})
	chunk := []byte(`data: {"id":"chatcmpl-AbCdEf0123456789","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":{"content":" hello there"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n")
	var scanner sse.Scanner
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		scanner.Feed(chunk)
		for {
			ev, ok, _ := scanner.Next()
			if !ok {
				break
			}
			if _, n := s.Event(ev); !n.Meaningful {
				b.Fatal("not meaningful")
			}
		}
	}
}

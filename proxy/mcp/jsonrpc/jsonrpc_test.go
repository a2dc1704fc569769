package jsonrpc_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/proxy/mcp/jsonrpc"
)

var limits = jsonrpc.Limits{Bytes: 1 << 16, Depth: 16, Batch: 3}

func TestParse(t *testing.T) {
	tests := []struct {
		why, in, want string // want is the canonical text, or a part of the error after "!"
	}{
		{"a request is written anew in a fixed order", `{ "method":"ping", "id":1, "jsonrpc":"2.0" }`, `{"jsonrpc":"2.0","id":1,"method":"ping"}`},
		{"params stay as they came", `{"jsonrpc":"2.0","id":"a","method":"m","params":{ "x" : 1.50 }}`, `{"jsonrpc":"2.0","id":"a","method":"m","params":{ "x" : 1.50 }}`},
		{"a notification has no id", `{"jsonrpc":"2.0","method":"m"}`, `{"jsonrpc":"2.0","method":"m"}`},
		{"integers beyond 2^53 are exact", `{"jsonrpc":"2.0","id":9007199254740993,"result":{}}`, `{"jsonrpc":"2.0","id":9007199254740993,"result":{}}`},
		{"an escaped id is its string", `{"jsonrpc":"2.0","id":"\u0061","result":{}}`, `{"jsonrpc":"2.0","id":"a","result":{}}`},
		{"a failure may answer nothing", `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`, `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`},
		{"names that differ in case are refused, not ignored", `{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}`, `!unknown member "Method"`},
		{"a name twice", `{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}`, `!twice`},
		{"a name twice, once escaped", `{"jsonrpc":"2.0","id":1,"method":"a","m\u0065thod":"b"}`, `!twice`},
		{"a name twice deep inside", `{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":{"n":1,"n":2}}}`, `!twice`},
		{"an unknown member", `{"jsonrpc":"2.0","id":1,"method":"a","extra":1}`, `!unknown member "extra"`},
		{"another version", `{"jsonrpc":"1.0","id":1,"method":"a"}`, `!not 2.0`},
		{"an id that is no integer", `{"jsonrpc":"2.0","id":1.5,"method":"a"}`, `!no integer`},
		{"an id with an exponent", `{"jsonrpc":"2.0","id":1e3,"method":"a"}`, `!no integer`},
		{"a request must not have the id null", `{"jsonrpc":"2.0","id":null,"method":"a"}`, `!null`},
		{"params by position are not MCP's", `{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}`, `!not an object`},
		{"method and result", `{"jsonrpc":"2.0","id":1,"method":"a","result":1}`, `!both`},
		{"result and error", `{"jsonrpc":"2.0","id":1,"result":1,"error":{}}`, `!neither`},
		{"neither", `{"jsonrpc":"2.0","id":1}`, `!neither`},
		{"bytes that are not UTF-8", "{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}", `!not JSON`},
		{"two values", `{"jsonrpc":"2.0","method":"a"} {}`, `!not JSON`},
		{"too deep", `{"jsonrpc":"2.0","method":"a","params":{"x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}}`, `!deeper`},
		{"brackets in a string are not depth", `{"jsonrpc":"2.0","method":"` + strings.Repeat("[", 20) + `"}`, `{"jsonrpc":"2.0","method":"` + strings.Repeat("[", 20) + `"}`},
		{"too long", strings.Repeat(" ", 1<<16) + `{}`, `!longer`},
		{"an empty batch", `[]`, `!empty`},
		{"a batch over the limit", `[` + strings.Repeat(`{"jsonrpc":"2.0","method":"a"},`, 3) + `{"jsonrpc":"2.0","method":"a"}]`, `!more than 3`},
		{"a batch in a batch", `[[]]`, `!not an object`},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			got, _, err := jsonrpc.Parse([]byte(tt.in), limits)
			if want, bad := strings.CutPrefix(tt.want, "!"); bad {
				var fault *jsonrpc.Fault
				if !errors.As(err, &fault) || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want a fault with %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got[0].Bytes())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseLenient(t *testing.T) {
	l := limits
	l.Lenient = true
	got, _, err := jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"result":{},"took":3}`), l)
	if err != nil || string(got[0].Bytes()) != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Errorf("a server's unknown member: %s, %v", got[0].Bytes(), err)
	}
	if _, _, err := jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"result":{},"Result":3}`), l); err == nil {
		t.Error("a member that differs in case was taken")
	}
}

func TestEdit(t *testing.T) {
	object := []byte(`{"a": 1, "b": {"c": "x"}}`)
	tests := []struct{ why, got, want string }{
		{"get deep", string(jsonrpc.Get(object, "b", "c")), `"x"`},
		{"get nothing", string(jsonrpc.Get(object, "b", "d")), ``},
		{"get through what is no object", string(jsonrpc.Get(object, "a", "d")), ``},
		{"set in place", string(jsonrpc.Set(object, "a", []byte(`2`))), `{"a":2,"b":{"c": "x"}}`},
		{"set at the end", string(jsonrpc.Set(object, "z", []byte(`2`))), `{"a":1,"b":{"c": "x"},"z":2}`},
		{"set in nothing", string(jsonrpc.Set(nil, "z", []byte(`2`))), `{"z":2}`},
		{"line breaks go, strings and numbers stay", string(jsonrpc.OneLine([]byte("{\"a\":\n \"\\u0061\", \"n\":\r1.50}"))), `{"a":"\u0061","n":1.50}`},
		{"a failure", string(jsonrpc.Fail(jsonrpc.IntID(3), -1, "a \"b\"", []byte(`{}`)).Error), `{"code":-1,"message":"a \"b\"","data":{}}`},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.why, tt.got, tt.want)
		}
	}
}

// FuzzParse holds that what was taken is written as text that is taken again
// and is then the same, and that no garbage panics.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`,
		`[{"jsonrpc":"2.0","id":"x","result":{}},{"jsonrpc":"2.0","id":null,"error":{}}]`,
		`{"jsonrpc":"2.0","id":"\ud83d\ude00","Method":"b"}`, `[`, `{"a`, "\xff", `{"jsonrpc":"2.0","id":-0,"result":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		messages, _, err := jsonrpc.Parse(data, limits)
		if err != nil {
			return
		}
		for _, m := range messages {
			text := m.Bytes()
			again, _, err := jsonrpc.Parse(text, jsonrpc.Limits{Bytes: 1 << 20, Depth: limits.Depth})
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if diff := cmp.Diff(string(text), string(again[0].Bytes())); diff != "" {
				t.Fatal(diff)
			}
			_ = jsonrpc.OneLine(m.Params)
			_ = jsonrpc.Set(m.Params, "name", jsonrpc.Quote("x"))
		}
	})
}

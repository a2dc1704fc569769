package catalog_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/proxy/mcp/catalog"
)

func TestNames(t *testing.T) {
	two := []string{"math", "math_pro"}
	tests := []struct {
		why, mode string
		servers   []string
		name      string
		want      string // server own, or "" for none
	}{
		{"one server has no prefix", "", []string{"math"}, "math_add", "math math_add"},
		{"one server with Always", catalog.Always, []string{"math"}, "math_add", "math add"},
		{"the longest server counts", "", two, "math_pro_add", "math_pro add"},
		{"a name of the shorter", "", two, "math_add", "math add"},
		{"no prefix, no server", "", two, "add", ""},
		{"Never cannot tell", catalog.Never, two, "math_add", ""},
	}
	for _, tt := range tests {
		n := catalog.NewNames(tt.servers, tt.mode)
		server, own, ok := n.Inner(tt.name)
		got := ""
		if ok {
			got = server + " " + own
			if n.Outer(server, own) != tt.name {
				t.Errorf("%s: %q comes back as %q", tt.why, tt.name, n.Outer(server, own))
			}
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.why, got, tt.want)
		}
	}
}

func TestURIs(t *testing.T) {
	n := catalog.NewNames([]string{"a", "b"}, "")
	for own, outer := range map[string]string{
		"file:///x+y": "b+file:///x+y",
		"ui://page/1": "ui://b+page/1",
	} {
		if got := n.OuterURI("b", own); got != outer {
			t.Errorf("outside %q is %q, want %q", own, got, outer)
		}
		server, back, ok := n.InnerURI(outer)
		if server != "b" || back != own || !ok {
			t.Errorf("%q means %q of %q, want %q of b", outer, back, server, own)
		}
	}
}

func TestMerge(t *testing.T) {
	pages := []catalog.Page{
		{"a", []byte(`{"tools":[{"name":"z","x": 1},{"name":"y","_meta":{"ui":{"resourceUri":"ui://p"}}}],"nextCursor":"7"}`)},
		{"b", []byte(`{"tools":[{"name":"z"},{"noname":1}]}`)},
	}
	got, err := catalog.NewNames([]string{"a", "b"}, "").Merge("tools", pages, nil)
	want := `{"tools":[{"name":"a_z","x":1},{"name":"a_y","_meta":{"ui":{"resourceUri":"ui://a+p"}}},{"name":"b_z"}],"nextCursor":"eyJhIjoiNyJ9"}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
	got, err = catalog.NewNames([]string{"a", "b"}, catalog.Never).Merge("tools", pages, nil)
	if err != nil || strings.Count(string(got), `"z"`) != 1 {
		t.Errorf("without prefixes the first of two of one name stays: %s, %v", got, err)
	}
	cursor, err := catalog.NewNames([]string{"a", "b"}, "").DecodeCursor("eyJhIjoiNyJ9")
	if diff := cmp.Diff(catalog.Cursor{"a": "7"}, cursor); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestGreet(t *testing.T) {
	n := catalog.NewNames([]string{"a", "b"}, "")
	got := n.Greet("2025-06-18", []catalog.Page{
		{"a", []byte(`{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":false},"tasks":{}},"instructions":"be kind"}`)},
		{"b", []byte(`{"protocolVersion":"2024-11-05","capabilities":{"tools":{"listChanged":true},"logging":{}},"instructions":"be quick"}`)},
	}, "nave", "1")
	want := `{"capabilities":{"logging":{},"tools":{"listChanged":true}},"instructions":"a: be kind\n\nb: be quick","protocolVersion":"2024-11-05","serverInfo":{"name":"nave","version":"1"}}`
	if diff := cmp.Diff(want, string(got.Result)); diff != "" {
		t.Error(diff)
	}
	if v := catalog.Negotiate("1999-01-01"); v != catalog.Latest() {
		t.Errorf("an unknown version is answered with %q", v)
	}
}

func TestFindAndRename(t *testing.T) {
	n := catalog.NewNames([]string{"a", "b"}, "")
	tests := []struct{ why, method, params, server, renamed string }{
		{"a tool", "tools/call", `{"name":"b_add","arguments":{"name":"b_x"}}`, "b", `{"name":"add","arguments":{"name":"b_x"}}`},
		{"a resource", "resources/read", `{"uri":"a+file:///x"}`, "a", `{"uri":"file:///x"}`},
		{"a prompt by reference", "completion/complete", `{"ref":{"type":"ref/prompt","name":"a_p"}}`, "a", `{"ref":{"type":"ref/prompt","name":"p"}}`},
		{"a template by reference", "completion/complete", `{"ref":{"type":"ref/resource","uri":"a+f://{x}"}}`, "a", `{"ref":{"type":"ref/resource","uri":"f://{x}"}}`},
		{"no name", "tools/call", `{}`, "", ""},
		{"no such server", "tools/call", `{"name":"c_add"}`, "", ""},
	}
	for _, tt := range tests {
		m, _ := catalog.Lookup(tt.method)
		server, own, err := n.Find(m, []byte(tt.params))
		if (err != nil) != (tt.server == "") || server != tt.server {
			t.Errorf("%s: server %q, %v", tt.why, server, err)
			continue
		}
		if err == nil && string(m.Rename([]byte(tt.params), own)) != tt.renamed {
			t.Errorf("%s: got %s, want %s", tt.why, m.Rename([]byte(tt.params), own), tt.renamed)
		}
	}
	for _, bad := range []string{`{"Name":"x","name":"y"}`, `{"URI":"x"}`, `{"ſ":1,"argumentſ":2}`} {
		if catalog.CheckParams([]byte(bad)) == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if err := catalog.CheckParams([]byte(`{"name":"x","other":1}`)); err != nil {
		t.Error(err)
	}
}

func TestTools(t *testing.T) {
	list := []byte(`{"tools":[{"name":"r","annotations":{"readOnlyHint":true}},{"name":"i","annotations":{"idempotentHint":true}},{"name":"w","annotations":{"readOnlyHint":"true"}},{"name":"n"}]}`)
	if diff := cmp.Diff(map[string]bool{"r": true, "i": true, "w": false, "n": false}, catalog.Repeatable(list)); diff != "" {
		t.Error(diff)
	}
	a := catalog.Digest([]byte(`{"tools":[{"name":"a","x":1},{"name":"b"}]}`))
	b := catalog.Digest([]byte(`{"tools":[{"name":"b"},{"x":1,"name":"a"}]}`))
	c := catalog.Digest([]byte(`{"tools":[{"name":"b"},{"x":2,"name":"a"}]}`))
	if a != b || a == c || a == "" {
		t.Errorf("digests %q %q %q", a, b, c)
	}
}

func TestOutward(t *testing.T) {
	n := catalog.NewNames([]string{"a", "b"}, "")
	tests := []struct{ method, in, want string }{
		{"tools/call", `{"content":[{"type":"resource_link","uri":"f:x"},{"type":"resource","resource":{"uri":"f:y"}},{"type":"text","uri":"f:z"}]}`,
			`{"content":[{"type":"resource_link","uri":"a+f:x"},{"type":"resource","resource":{"uri":"a+f:y"}},{"type":"text","uri":"f:z"}]}`},
		{"resources/read", `{"contents":[{"uri":"f:x","text":"t"}]}`, `{"contents":[{"uri":"a+f:x","text":"t"}]}`},
		{"prompts/get", `{"messages":[{"content":{"type":"resource_link","uri":"f:x"}}]}`, `{"messages":[{"content":{"type":"resource_link","uri":"a+f:x"}}]}`},
		{"tools/call", `{"content":"odd"}`, `{"content":"odd"}`},
	}
	for _, tt := range tests {
		if got := string(n.Result("a", tt.method, []byte(tt.in))); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.method, got, tt.want)
		}
	}
	if got := string(n.Notice("a", "notifications/resources/updated", []byte(`{"uri":"f:x"}`))); got != `{"uri":"a+f:x"}` {
		t.Errorf("got %s", got)
	}
}

// FuzzCursor holds that no text panics and that what is read is written alike.
func FuzzCursor(f *testing.F) {
	f.Add("eyJhIjoiNyJ9")
	f.Add("e30")
	f.Add("!!")
	n := catalog.NewNames([]string{"a", "b"}, "")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := n.DecodeCursor(text)
		if err != nil {
			return
		}
		again, err := c.Encode()
		if err != nil {
			return
		}
		back, err := n.DecodeCursor(again)
		if diff := cmp.Diff(c, back); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
	})
}

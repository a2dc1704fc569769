package scan_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/navehq/nave/proxy/llm/dialect/scan"
)

func check(b []byte) error {
	c := scan.New(b)
	c.Skip()
	return c.End()
}

func TestStrict(t *testing.T) {
	for _, tc := range []struct {
		in string
		ok bool
	}{
		{`{}`, true}, {` [ 1 , 2.5e-3 , -0 ] `, true}, {`"a\u00e9\n\"\\\/"`, true}, {`null`, true},
		{`{"a":{"b":[{"c":[]}]}}`, true},
		{``, false}, {`{`, false}, {`[1,]`, false}, {`{"a":1,}`, false}, {`{a:1}`, false}, {`01`, false},
		{`1.`, false}, {`-`, false}, {`1e`, false}, {`tru`, false}, {`nul`, false}, {`+1`, false}, {`"a`, false},
		{"\"a\nb\"", false}, {`"\x"`, false}, {`"\u12g4"`, false}, {`{} {}`, false}, {`[1 2]`, false},
		{`{"a" 1}`, false}, {`[}`, false}, {`{]`, false}, {`,`, false}, {`{"a":}`, false}, {`NaN`, false}, {"\x00", false},
		{strings.Repeat("[", scan.MaxDepth) + strings.Repeat("]", scan.MaxDepth), true},
		{strings.Repeat("[", scan.MaxDepth+1) + strings.Repeat("]", scan.MaxDepth+1), false},
		{strings.Repeat(`{"a":`, 1<<20), false},
	} {
		if err := check([]byte(tc.in)); (err == nil) != tc.ok {
			t.Errorf("%.40q: %v", tc.in, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "a\"b\\c\n\r\t\x01\x7f", "žluť 日本 🙂", "\u2028"} {
		quoted := scan.AppendQuoted(nil, s)
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil || back != s {
			t.Errorf("%q became %s: %v", s, quoted, err)
		}
		c := scan.New(quoted)
		raw, ok := c.Text()
		if !ok || string(scan.Unescape(raw)) != s {
			t.Errorf("%q read back as %q", s, scan.Unescape(raw))
		}
	}
	if got := string(scan.Unescape([]byte(`\ud83d\ude42 \ud83d \u0041`))); got != "🙂 \ufffd A" {
		t.Errorf("surrogates: %q", got)
	}
	if got := string(scan.AppendQuoted(nil, "a\xffb")); got != "\"a\ufffdb\"" {
		t.Errorf("invalid UTF-8: %q", got)
	}
}

func FuzzAgree(f *testing.F) {
	for _, s := range []string{`{"a":[1,"b\u00e9",{"c":null}],"d":-1.5e+7}`, `[[],{}]`, `"\ud800"`, ` `, `[1,]`, "\"12345678\x1f\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := check(b)
		depth, deepest := 0, 0
		for _, k := range b {
			switch k {
			case '[', '{':
				depth++
				deepest = max(deepest, depth)
			case ']', '}':
				depth--
			}
		}
		if deepest > scan.MaxDepth || !utf8.Valid(b) {
			return
		}
		if (err == nil) != json.Valid(b) {
			t.Fatalf("%q: %v, encoding/json says %t", b, err, json.Valid(b))
		}
		c := scan.New(b)
		if raw, ok := c.Text(); ok && err == nil {
			var want string
			if json.Unmarshal(b, &want) == nil && want != string(scan.Unescape(raw)) {
				t.Fatalf("%q decodes to %q, want %q", b, scan.Unescape(raw), want)
			}
		}
	})
}

func BenchmarkSkip(b *testing.B) {
	body := []byte(`{"model":"gpt-4o","messages":[{"role":"user","content":"` + strings.Repeat("lorem ipsum ", 80) + `"}]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := check(body); err != nil {
			b.Fatal(err)
		}
	}
}

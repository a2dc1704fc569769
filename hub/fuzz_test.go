package hub_test

import (
	"encoding/json"
	"testing"
)

// FuzzBodies: whatever people's tools send, the hub answers, and what it does not
// do is their fault or that of the moment, never its own.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{"verb":"cordon","cluster":"west","who":"a","why":"w","seconds":60}`, `{"verb":"drain","cluster":"west"}`, `{"verb":"confirm","cluster":""}`,
		`{"verb":"freeze","seconds":-1}`, `{"verb":"freeze","seconds":9223372036854775807}`, `{"verb":"x"}`, `{"verb":`, `{"cluster":"west"}`, `{"cluster":"../x"}`, `{"who":7}`, `{"who":"\ud800"}`,
	} {
		for where := range 5 {
			f.Add(where, seed)
		}
	}
	c := start(f, f.TempDir())
	paths := []string{"orders", "tokens", "drills/lose-west/start", "drills/lose-west/abort", "clusters/west/revoke"}
	f.Fuzz(func(t *testing.T, where int, body string) {
		path := paths[uint(where)%uint(len(paths))]
		c := *c
		c.t = t
		code, text := c.ask("POST", "/api/v1/"+path, body, "Authorization", "Bearer "+c.token)
		if code != 200 && (code < 400 || code >= 500) || code == 200 && !json.Valid([]byte(text)) {
			t.Errorf("%s %q is answered %d %q", path, body, code, text)
		}
	})
}

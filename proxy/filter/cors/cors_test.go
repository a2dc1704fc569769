package cors_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/cors"
	"github.com/navehq/nave/proxy/message"
)

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		pattern, origin string
		want            bool
	}{
		{"https://a.com", "https://a.com", true},
		{"https://a.com", "https://A.com", true},
		{"https://a.com", "http://a.com", false},
		{"https://a.com", "https://a.com:8443", false},
		{"https://*.a.com", "https://x.a.com", true},
		{"https://*.a.com", "https://a.com", false},
		{"https://*.a.com", "https://evila.com", false},
		{"https://*.a.com:8443", "https://x.a.com:8443", true},
		{"https://*", "https://x", true},
		{"https://*", "http://x", false},
		{"*", "null", true},
	} {
		if got, _ := cors.Allowed([]string{c.pattern}, c.origin); got != c.want {
			t.Errorf("%s for %s: got %v", c.pattern, c.origin, got)
		}
	}
}

func fields(h *message.Header) map[string]string {
	m := map[string]string{}
	for f := range h.All() {
		m[f.Name] = f.Value
	}
	return m
}

func TestPermit(t *testing.T) {
	vary := "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
	for name, c := range map[string]struct {
		c    table.CORS
		want map[string]string
	}{
		"another origin gets nothing": {
			table.CORS{AllowOrigins: []string{"https://b"}, AllowMethods: []string{"GET"}},
			map[string]string{"Vary": vary},
		},
		"any origin without credentials": {
			table.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}, MaxAge: 5},
			map[string]string{
				"Vary": vary, "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "*",
				"Access-Control-Allow-Headers": "*", "Access-Control-Max-Age": "5",
			},
		},
		"a wildcard with credentials is spelled out": {
			table.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}, AllowCredentials: true},
			map[string]string{
				"Vary": vary, "Access-Control-Allow-Origin": "https://a", "Access-Control-Allow-Credentials": "true",
				"Access-Control-Allow-Methods": "PUT", "Access-Control-Allow-Headers": "x-one",
			},
		},
	} {
		r := message.Request{Method: "OPTIONS"}
		r.Header.Add("Origin", "https://a")
		r.Header.Add("Access-Control-Request-Method", "PUT")
		r.Header.Add("Access-Control-Request-Headers", "x-one")
		if !cors.Preflight(&r) {
			t.Fatal("not a preflight")
		}
		var h message.Header
		cors.Permit(&c.c, &r, &h)
		if d := cmp.Diff(c.want, fields(&h)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestMarkReplacesWhatTheBackendSaid(t *testing.T) {
	var h message.Header
	h.Add("Access-Control-Allow-Origin", "*")
	cors.Mark(&table.CORS{AllowOrigins: []string{"https://a"}, ExposeHeaders: []string{"x", "y"}}, "https://a", &h)
	want := map[string]string{
		"Vary": "Origin", "Access-Control-Allow-Origin": "https://a", "Access-Control-Expose-Headers": "x, y",
	}
	if d := cmp.Diff(want, fields(&h)); d != "" {
		t.Error(d)
	}
}

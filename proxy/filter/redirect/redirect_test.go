package redirect_test

import (
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/redirect"
	"github.com/navehq/nave/proxy/message"
)

func TestLocation(t *testing.T) {
	to := "/to"
	in := message.Request{Scheme: "http", Authority: "example.com:8080", Path: "/p/x", Query: "q=1"}
	for name, c := range map[string]struct {
		d    table.Redirect
		port uint16
		want string
	}{
		"nothing given keeps the listener's port": {table.Redirect{}, 8080, "http://example.com:8080/p/x?q=1"},
		"the scheme's own port is not written":    {table.Redirect{}, 80, "http://example.com/p/x?q=1"},
		"a scheme alone means its own port":       {table.Redirect{Scheme: "https"}, 8080, "https://example.com/p/x?q=1"},
		"scheme and port":                         {table.Redirect{Scheme: "https", Port: 8443}, 80, "https://example.com:8443/p/x?q=1"},
		"port 443 with https is left out":         {table.Redirect{Scheme: "https", Port: 443}, 80, "https://example.com/p/x?q=1"},
		"port 443 with http is not":               {table.Redirect{Port: 443}, 80, "http://example.com:443/p/x?q=1"},
		"hostname":                                {table.Redirect{Hostname: "other"}, 80, "http://other/p/x?q=1"},
		"whole path":                              {table.Redirect{Path: &table.PathEdit{Full: &to}}, 80, "http://example.com/to?q=1"},
		"prefix":                                  {table.Redirect{Path: &table.PathEdit{Prefix: &to}}, 80, "http://example.com/to/x?q=1"},
	} {
		if got := redirect.Location(&c.d, &in, "/p", c.port); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestHostname(t *testing.T) {
	for in, want := range map[string]string{
		"a": "a", "a:1": "a", "[::1]": "[::1]", "[::1]:8080": "[::1]", "::1": "::1", "": "",
	} {
		if got := redirect.Hostname(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

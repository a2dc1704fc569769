package forward_test

import (
	"net/http"
	"testing"

	"github.com/navehq/nave/api/probe"
	"github.com/navehq/nave/api/table"
)

// TestProbe: the cluster's own prober is told who served, nobody else is, and
// no server sees the key.
func TestProbe(t *testing.T) {
	seen := make(chan string, 1)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { seen <- r.Header.Get(probe.Key) })
	self := &table.Self{Cluster: "east", Region: "eastus", Tenant: "default", Gateway: "ns/gw", Standalone: true, Probe: probe.Hash("k")}
	p := start(t, &lines{}, append(service(server), rule(nil), self)...)
	for _, test := range []struct{ key, servedBy, attempts string }{
		{"k", "east/Service ns/s:80/m0", "1"},
		{"other", "", ""},
		{"", "", ""},
	} {
		resp, _ := p.do("GET", "/", "", probe.Key, test.key)
		if got := <-seen; got != "" {
			t.Errorf("key %q: the server saw %q", test.key, got)
		}
		if s, a := resp.Header.Get(probe.ServedBy), resp.Header.Get(probe.Attempts); s != test.servedBy || a != test.attempts {
			t.Errorf("key %q: served by %q in %q attempts, want %q in %q", test.key, s, a, test.servedBy, test.attempts)
		}
	}
}

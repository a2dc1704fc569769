package proxy

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/identity"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/upstream"
)

// TestAllowedAddressesAreThoseOfNow: what the platform team allows or withdraws is
// obeyed with its table, whatever else changes.
func TestAllowedAddressesAreThoseOfNow(t *testing.T) {
	p := &Proxy{changed: make(chan struct{}, 1), identity: &identity.Identity{}}
	p.deps.Log = slog.New(slog.DiscardHandler)
	p.forwarder = forward.New(forward.Options{Health: upstream.NewHealth(time.Now, randomWord, nil), Observer: observe.New(observe.Options{})})
	address := netip.MustParseAddrPort("169.254.10.1:80")
	allowed := &table.Self{Cluster: "c", AllowedAddresses: []string{"169.254.10.0/24"}}
	endpoints := func(host string) table.Resource {
		return &table.Endpoints{Name: "e", Addresses: []table.Address{{Host: host, Port: 1}}}
	}
	now := table.New()
	for i, step := range []struct {
		change table.Resource
		want   bool
	}{
		{endpoints("10.0.0.1"), false},
		{allowed, true},
		{&table.Self{Cluster: "c"}, false},
		{endpoints("10.0.0.2"), false},
		{allowed, true},
	} {
		next := now.Apply(table.Put(step.change))
		if err := p.obey(next, table.Diff(now, next), "r"); err != nil {
			t.Fatal(err)
		}
		if now = next; p.allow(address) != step.want {
			t.Errorf("step %d: allowed is %t", i, !step.want)
		}
	}
}

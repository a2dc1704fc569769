package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/test/load"
)

// TestHubGone: the hub is killed under load and stays away. Nobody notices, a
// saved route is obeyed where it is declared, a spoke answers for the hub; the
// hub's return disturbs nobody and brings the rest up to date.
func TestHubGone(t *testing.T) {
	f := start(t, nil)
	f.write("clusters/westus2/version.yaml", versioned("v1"))
	everywhere := func(version string) func() error {
		return func() error {
			for _, cluster := range []string{entry, home, "southcentralus"} {
				for _, host := range f.models(cluster) {
					if err := obeys(t.Context(), host, version); err != nil {
						return err
					}
				}
			}
			return nil
		}
	}
	eventually(t, 10*time.Second, "the route is obeyed", everywhere("v1"))
	traffic := f.load(100)
	stay(t, 2*time.Second)
	f.withhold("nave-hub")
	f.kill(func(name string) bool { return name == "hub" })
	stay(t, 2*time.Second)
	f.write("clusters/westus2/version.yaml", versioned("v2"))
	took := eventually(t, 5*time.Second, "the changed route is obeyed without the hub", func() error {
		for _, host := range f.models(home) {
			if err := obeys(t.Context(), host, "v2"); err != nil {
				return err
			}
		}
		return nil
	})
	if took > time.Second {
		t.Errorf("a changed route took %s without the hub", took)
	}
	if err := obeys(t.Context(), f.models(entry)[0], "v1"); err != nil {
		t.Errorf("what came from elsewhere is gone with the hub: %v", err)
	}
	var s report.Status
	if err := f.JSON(t.Context(), &s, "status", "--via", entry); err != nil || len(s.Clusters) != 3 {
		t.Errorf("a spoke does not answer for the hub: %+v, %v", s.Clusters, err)
	}
	f.giveBack("nave-hub")
	eventually(t, 20*time.Second, "the hub tells the others", everywhere("v2"))
	f.settle()
	stay(t, 3*time.Second)
	traffic.Stop()
	fates := none(t, traffic.Results())
	if n := fates[load.Cut] + fates[load.Unrepeated]; n > 0 {
		t.Errorf("%d requests were cut", n)
	}
	t.Logf("%d requests; the changed route took %s", len(traffic.Results()), took.Round(time.Millisecond))
}

// TestKilledTogether: the hub, and the spoke and the proxies of one cluster, die
// at once. The proxies come back alone and serve from what they have, then the
// spoke, then the hub, and from the first moment on nobody is disturbed.
func TestKilledTogether(t *testing.T) {
	f := start(t, nil)
	all := []string{"nave-hub", "nave-spoke", "nave-proxy"}
	warm := f.load(20)
	warm.Stop()
	none(t, warm.Results())
	f.withhold(all...)
	killed := f.kill(func(name string) bool { return name == "hub" || strings.Contains(name, "-"+entry) })
	if len(killed) != 6 {
		t.Fatalf("killed %v", killed)
	}
	doors := append(f.models(entry), f.tools(entry)...)
	eventually(t, 5*time.Second, "the proxies are gone", func() error {
		for _, host := range doors {
			if err := knock(t.Context(), host); err == nil {
				return fmt.Errorf("%s answers", host)
			}
		}
		return nil
	})
	f.giveBack("nave-proxy")
	eventually(t, 15*time.Second, "the proxies are back", func() error {
		for _, host := range doors {
			if err := knock(t.Context(), host); err != nil {
				return err
			}
		}
		return nil
	})
	traffic := f.load(100)
	stay(t, 2*time.Second)
	if s, err := f.Nave(t.Context(), "status", "--via", entry); err == nil {
		t.Fatalf("INVALID: the spoke runs: %s", s)
	}
	f.giveBack("nave-spoke")
	eventually(t, 20*time.Second, "the spoke is back", func() error {
		var s report.Status
		if err := f.JSON(t.Context(), &s, "status", "--via", entry); err != nil {
			return err
		}
		for _, c := range s.Clusters {
			for _, p := range c.Proxies {
				if !p.Ready {
					return fmt.Errorf("%+v", p)
				}
			}
			if c.Name == entry && len(c.Proxies) != 4 {
				return fmt.Errorf("%+v", c)
			}
		}
		return nil
	})
	stay(t, 2*time.Second)
	f.giveBack("nave-hub")
	f.settle()
	f.write("clusters/westus2/version.yaml", versioned("v3"))
	eventually(t, 20*time.Second, "what is saved then is obeyed", func() error { return obeys(t.Context(), f.models(entry)[0], "v3") })
	stay(t, 2*time.Second)
	traffic.Stop()
	fates := none(t, traffic.Results())
	if n := fates[load.Cut] + fates[load.Unrepeated]; n > 0 {
		t.Errorf("%d requests were cut", n)
	}
}

// TestRelayKilled: the simulated network's process dies, and comes back as it was.
func TestRelayKilled(t *testing.T) {
	f := start(t, nil)
	f.load(20).Stop()
	f.kill(func(name string) bool { return name == "relay" })
	traffic := f.load(50) // waits until the home region serves clients elsewhere again
	stay(t, 2*time.Second)
	traffic.Stop()
	none(t, traffic.Results())
	eventually(t, 10*time.Second, "the hub is reached again", func() error {
		var s report.Status
		if err := f.JSON(t.Context(), &s, "status"); err != nil {
			return err
		}
		for _, c := range s.Clusters {
			if c.Lease != "Connected" {
				return fmt.Errorf("%s is %s", c.Name, c.Lease)
			}
		}
		return nil
	})
}

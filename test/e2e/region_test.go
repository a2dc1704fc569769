package e2e_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/test/load"
)

// TestRegionGoesSilent: every link of a region swallows what it is given and
// closes nothing.
func TestRegionGoesSilent(t *testing.T) {
	f := start(t, nil)
	wan, err := os.ReadFile(filepath.Join(f.Dir(), "hub", "wan.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f.loseHome(func() { f.write("hub/wan.yaml", silenced(string(wan))) }, func() { f.write("hub/wan.yaml", string(wan)) })
}

// TestRegionIsKilled: the spoke, the proxies and the servers of a region are killed
// at once.
func TestRegionIsKilled(t *testing.T) {
	f := start(t, nil)
	programs := []string{"nave-spoke", "nave-proxy", "model-sim", "mcp-sim"}
	f.loseHome(func() {
		f.withhold(programs...)
		if killed := f.kill(func(name string) bool { return strings.Contains(name, "-"+home) }); len(killed) != 1+4+2 {
			t.Fatalf("killed %v", killed)
		}
	}, func() {
		for _, p := range programs {
			f.giveBack(p)
		}
	})
}

// loseHome takes the home region away under 200 requests a second that enter
// elsewhere, gives it back, and asserts that nobody lost anything.
func (f *fleet) loseHome(take, give func()) {
	t := f.t
	t.Helper()
	traffic, watcher := f.load(200), load.Watch(t.Context(), f.model)
	stay(t, 3*time.Second)
	loss := load.Loss{From: time.Now()}
	take()
	loss.To = time.Now()
	eventually(t, 20*time.Second, "the hub misses the region", f.leases(v1alpha1.LeaseLost))
	stay(t, 2*time.Second)
	back := time.Now()
	give()
	eventually(t, 60*time.Second, "traffic comes back", func() error {
		all := traffic.Results()
		last := all[max(0, len(all)-100):]
		if n := servedBy(last, home); n < 60 {
			return fmt.Errorf("%d of the last %d requests were served there", n, len(last))
		}
		return nil
	})
	returned := time.Now()
	stay(t, time.Second)
	traffic.Stop()
	results := traffic.Results()
	before := between(results, loss.From.Add(-2*time.Second), loss.From)
	if n := servedBy(before, home); 2*n < len(before) {
		t.Fatalf("INVALID: the region served %d of %d requests when it was lost", n, len(before))
	}
	inFlight := watcher.Before(loss.From)
	if inFlight < 10 {
		t.Fatalf("INVALID: %d requests were in flight at the region when it was lost", inFlight)
	}
	fates := none(t, results, loss)
	slowest := slices.MaxFunc(results, func(a, b load.Result) int { return cmp.Compare(a.Took(), b.Took()) })
	if slowest.Took() >= 3*time.Second {
		t.Errorf("the slowest request, a %s, took %s: %v", slowest.Kind, slowest.Took(), slowest.Err)
	}
	sessions := traffic.Sessions()
	if sessions.Changed > 0 {
		t.Errorf("%d of %d MCP sessions have another id", sessions.Changed, sessions.All)
	}
	if sessions.Restarts < sessions.All {
		t.Errorf("INVALID: of %d MCP sessions %d were initialised anew", sessions.All, sessions.Restarts)
	}
	if n := servedBy(between(results, loss.To.Add(load.Unnoticed), back), home); n > 0 {
		t.Errorf("a lost region served %d requests", n)
	}
	t.Logf("%d requests, %d of them in flight at the region when it was lost: %d cut after they had begun, %d not repeated; slowest %s; %d of %d sessions initialised anew; back after %s",
		len(results), inFlight, fates[load.Cut], fates[load.Unrepeated], slowest.Took().Round(time.Millisecond), sessions.Restarts, sessions.All, returned.Sub(back).Round(100*time.Millisecond))
}

// leases asks the hub whether the home region's lease is so, and the others' hold.
func (f *fleet) leases(want v1alpha1.Lease) func() error {
	return func() error {
		var s report.Status
		if err := f.JSON(f.t.Context(), &s, "status"); err != nil {
			return err
		}
		for _, c := range s.Clusters {
			if is := v1alpha1.Lease(c.Lease); c.Name == home && is != want || c.Name != home && is != v1alpha1.LeaseConnected {
				return fmt.Errorf("%s is %s", c.Name, c.Lease)
			}
		}
		return nil
	}
}

// silenced is a WAN in which the links of the home region, the hub's included,
// carry nothing.
func silenced(wan string) string {
	var out strings.Builder
	for line := range strings.Lines(wan) {
		if strings.Contains(line, home) {
			line = strings.Replace(line, "}", ", partition: true}", 1)
		}
		out.WriteString(line)
	}
	fmt.Fprintf(&out, "- {between: [hub, %s], partition: true}\n", home)
	return out.String()
}

// between are the requests that were due in a time.
func between(all []load.Result, from, to time.Time) []load.Result {
	return slices.DeleteFunc(slices.Clone(all), func(r load.Result) bool { return r.Scheduled.Before(from) || !r.Scheduled.Before(to) })
}

func servedBy(list []load.Result, cluster string) int {
	n := 0
	for _, r := range list {
		if r.Fate == load.Served && r.Cluster == cluster {
			n++
		}
	}
	return n
}

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/test/load"
)

// shift is how soon a drained region may get no new request any more.
const shift = 2 * time.Second

// TestRegionIsDrained: a person drains the region that serves, under 200 requests
// a second that enter elsewhere, and lets it serve again.
func TestRegionIsDrained(t *testing.T) {
	f := start(t, nil)
	traffic := f.load(200)
	eventually(t, 15*time.Second, "every session has something to lose", func() error {
		if s := traffic.Sessions(); s.Counted < s.All {
			return fmt.Errorf("%d of %d have", s.Counted, s.All)
		}
		return nil
	})
	stay(t, shift)
	ordered := time.Now()
	f.order("drain", home)
	took := eventually(t, 30*time.Second, "the drain is complete", f.drained)
	drained := time.Now()
	eventually(t, 15*time.Second, "every session is begun anew", func() error {
		if s := traffic.Sessions(); s.Restarts < s.All {
			return fmt.Errorf("%d of %d are", s.Restarts, s.All)
		}
		return nil
	})
	stay(t, shift)
	back := time.Now()
	f.order("undrain", home)
	eventually(t, 30*time.Second, "traffic comes back", func() error {
		all := traffic.Results()
		last := all[max(0, len(all)-100):]
		if n := servedBy(last, home); n < 60 {
			return fmt.Errorf("%d of the last %d requests were served there", n, len(last))
		}
		return nil
	})
	returned := time.Now()
	traffic.Stop()
	results := traffic.Results()
	before := between(results, ordered.Add(-shift), ordered)
	if n := servedBy(before, home); 2*n < len(before) {
		t.Fatalf("INVALID: the region served %d of %d requests when it was drained", n, len(before))
	}
	fates := none(t, results)
	if n := fates[load.Cut] + fates[load.Unrepeated]; n > 0 {
		t.Errorf("a drain ended %d requests that had begun", n)
	}
	for _, since := range []time.Time{ordered.Add(shift), drained} {
		if n := servedBy(between(results, since, back), home); n > 0 {
			t.Errorf("the region served %d requests from %s after the order on", n, since.Sub(ordered).Round(100*time.Millisecond))
		}
	}
	sessions := traffic.Sessions()
	if sessions.Changed > 0 || sessions.Restarts != sessions.All {
		t.Errorf("of %d MCP sessions %d have another id, and the servers' counters began anew %d times", sessions.All, sessions.Changed, sessions.Restarts)
	}
	t.Logf("%d requests; drained after %s, back after %s", len(results), took.Round(100*time.Millisecond), returned.Sub(back).Round(100*time.Millisecond))
}

func (f *fleet) order(verb, cluster string) {
	f.t.Helper()
	if out, err := f.Nave(f.t.Context(), verb, cluster); err != nil {
		f.t.Fatalf("nave %s %s: %v\n%s", verb, cluster, err, out)
	}
}

// drained asks for what a person would look at.
func (f *fleet) drained() error {
	var s report.Status
	if err := f.JSON(f.t.Context(), &s, "status"); err != nil {
		return err
	}
	for _, o := range s.Orders {
		if o.Cluster == home && strings.Contains(string(o.Conditions), `"True"`) {
			return nil
		}
	}
	for _, c := range s.Clusters {
		if c.Name == home && c.Drain != nil {
			return fmt.Errorf("%s: %s", c.State, c.Drain.Message)
		}
	}
	return fmt.Errorf("%s is not drained at all", home)
}

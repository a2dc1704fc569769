package e2e_test

import (
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
// closes nothing, under 200 requests a second. What is killed outright is the
// demo's.
func TestRegionGoesSilent(t *testing.T) {
	f := start(t, nil)
	wan, err := os.ReadFile(filepath.Join(f.Dir(), "hub", "wan.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	traffic := f.load(200)
	stay(t, 4*time.Second)
	lost := time.Now()
	f.write("hub/wan.yaml", silenced(string(wan)))
	eventually(t, 20*time.Second, "the hub misses the region", func() error {
		var s report.Status
		if err := f.JSON(t.Context(), &s, "status"); err != nil {
			return err
		}
		for _, c := range s.Clusters {
			if (c.Name == home) != (c.Lease == string(v1alpha1.LeaseLost)) {
				return fmt.Errorf("%s is %s", c.Name, c.Lease)
			}
		}
		return nil
	})
	stay(t, 3*time.Second)
	back := time.Now()
	f.write("hub/wan.yaml", string(wan))
	eventually(t, 60*time.Second, "traffic comes back", func() error {
		all := traffic.Results()
		last := all[max(0, len(all)-100):]
		if n := servedBy(last, home); n < 60 {
			return fmt.Errorf("%d of the last %d requests were served there", n, len(last))
		}
		return nil
	})
	returned := time.Now()
	stay(t, 2*time.Second)
	traffic.Stop()
	results := traffic.Results()
	before := between(results, lost.Add(-2*time.Second), lost)
	if n := servedBy(before, home); 2*n < len(before) {
		t.Fatalf("INVALID: the region served %d of %d requests when its links went silent", n, len(before))
	}
	fates := none(t, results)
	var slowest load.Result
	for _, r := range results {
		if r.Took() > slowest.Took() {
			slowest = r
		}
	}
	if slowest.Took() > 3*time.Second {
		t.Errorf("the slowest request, a %s, took %s: %v", slowest.Kind, slowest.Took(), slowest.Err)
	}
	if s := traffic.Sessions(); s.Changed > 0 {
		t.Errorf("%d of %d MCP sessions have another id", s.Changed, s.All)
	}
	during := between(results, lost.Add(4*time.Second), back)
	if n := servedBy(during, home); n > 0 {
		t.Errorf("a silent region served %d requests", n)
	}
	t.Logf("%d requests: %d cut after they had begun, %d not repeated; slowest %s; back after %s",
		len(results), fates[load.Cut], fates[load.Unrepeated], slowest.Took().Round(time.Millisecond), returned.Sub(back).Round(100*time.Millisecond))
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

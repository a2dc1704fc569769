package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/report"
)

// TestSavedFile: how long a saved file takes to be obeyed by every proxy of its
// own cluster, and by every one of another.
func TestSavedFile(t *testing.T) {
	f := start(t, nil)
	var near, far []time.Duration
	for i := range 25 {
		version := fmt.Sprintf("v%d", i)
		began := time.Now()
		f.write("clusters/westus2/version.yaml", versioned(version))
		for _, x := range []struct {
			hosts []string
			into  *[]time.Duration
		}{{f.models(home), &near}, {f.models(entry), &far}} {
			for _, host := range x.hosts {
				eventually(t, 10*time.Second, "the file is obeyed", func() error { return obeys(t.Context(), host, version) })
			}
			*x.into = append(*x.into, time.Since(began))
		}
	}
	slices.Sort(near)
	slices.Sort(far)
	t.Logf("median at home %s (longest %s), elsewhere %s (longest %s)", near[12], near[24], far[12], far[24])
	if near[12] > 200*time.Millisecond || far[12] > time.Second {
		t.Errorf("the median is %s at home, at most 200ms, and %s elsewhere, at most 1s", near[12], far[12])
	}
}

// TestLatency: what is measured agrees with how far the clusters are apart.
func TestLatency(t *testing.T) {
	f := start(t, nil)
	// Links measure where there is work to do.
	traffic := f.load(50)
	data, err := os.ReadFile(filepath.Join(f.Dir(), "hub", "wan.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var wan struct {
		Links []struct {
			Between       []string `json:"between"`
			Delay, Jitter string
		}
	}
	if err := yaml.Unmarshal(data, &wan); err != nil || len(wan.Links) != 3 {
		t.Fatalf("%v: %+v", err, wan)
	}
	want := map[string]float64{}
	for _, l := range wan.Links {
		delay, _ := time.ParseDuration(l.Delay)
		jitter, _ := time.ParseDuration(l.Jitter)
		// There and back, and on the average half of the jitter on either way.
		rtt := (2*delay + jitter).Seconds() * 1000
		want[l.Between[0]+" "+l.Between[1]], want[l.Between[1]+" "+l.Between[0]] = rtt, rtt
	}
	agrees := func() error {
		var paths []report.Path
		if err := f.JSON(t.Context(), &paths, "latency"); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, p := range paths {
			set := want[p.From+" "+p.To]
			if p.Lost || p.RTT < set*0.9 || p.RTT > set*1.1 {
				return fmt.Errorf("from %s to %s: %s measures %.1f ms of %.1f (lost: %t)", p.From, p.To, p.Measure, p.RTT, set, p.Lost)
			}
			seen[p.From+" "+p.To+" "+p.Measure] = true
		}
		if len(seen) != 12 {
			return fmt.Errorf("there are %d paths, by links and by gossip 6 each: %v", len(seen), seen)
		}
		return nil
	}
	eventually(t, 30*time.Second, "every path agrees", agrees)
	// The network changes while all run: one path is longer one way than the other.
	f.write("hub/wan.yaml", `links:
- {from: eastus, to: westus2, delay: 60ms}
- {from: westus2, to: eastus, delay: 10ms}
- {between: [eastus, southcentralus], delay: 40ms}
- {between: [westus2, southcentralus], delay: 23ms, jitter: 1ms}
`)
	for path, rtt := range map[[2]string]float64{{"eastus", "westus2"}: 70, {"eastus", "southcentralus"}: 80} {
		want[path[0]+" "+path[1]], want[path[1]+" "+path[0]] = rtt, rtt
	}
	followed := eventually(t, 60*time.Second, "every path follows", agrees)
	t.Logf("a changed network is told after %s", followed.Round(100*time.Millisecond))
	traffic.Stop()
	none(t, traffic.Results())
}

// TestIdleMemory: what an idle fleet costs.
func TestIdleMemory(t *testing.T) {
	f := start(t, nil)
	look := func() error {
		all, err := f.Processes()
		if err != nil || len(all) != 1+3+12+1+4 {
			t.Fatalf("%d processes, %v", len(all), err)
		}
		most := map[string]int64{}
		for _, p := range all {
			kind, _, _ := strings.Cut(p.Name, "-")
			most[kind] = max(most[kind], p.Anonymous)
		}
		t.Logf("anonymous memory, most, bytes: %v", most)
		if most["proxy"] > 30<<20 || most["spoke"] > 50<<20 {
			return fmt.Errorf("anonymous memory, bytes: %v; a proxy may have 30 MB, a spoke 50", most)
		}
		return nil
	}
	stay(t, 5*time.Second)
	if err := look(); err != nil {
		t.Error(err)
	}
	traffic := f.load(200)
	stay(t, 5*time.Second)
	traffic.Stop()
	none(t, traffic.Results())
	stay(t, 5*time.Second)
	if err := look(); err != nil {
		t.Error("after the traffic:", err)
	}
}

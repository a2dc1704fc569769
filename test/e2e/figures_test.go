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

// TestSavedFile: how long a saved file takes to be obeyed by the proxies of its
// own cluster, and by those of another one.
func TestSavedFile(t *testing.T) {
	f := start(t, nil)
	own, other := f.models(home)[0], f.models(entry)[0]
	var near, far []time.Duration
	for i := range 25 {
		version := fmt.Sprintf("v%d", i)
		began := time.Now()
		f.write("clusters/westus2/version.yaml", versioned(version))
		for _, x := range []struct {
			host string
			into *[]time.Duration
		}{{own, &near}, {other, &far}} {
			eventually(t, 10*time.Second, "the file is obeyed", func() error { return obeys(t.Context(), x.host, version) })
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
	eventually(t, 30*time.Second, "every path agrees", func() error {
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
	})
	traffic.Stop()
	none(t, traffic.Results())
}

// TestIdleMemory: what an idle fleet costs.
func TestIdleMemory(t *testing.T) {
	f := start(t, nil)
	stay(t, 5*time.Second)
	all, err := f.Processes()
	if err != nil || len(all) != 1+3+12+1+4 {
		t.Fatalf("%d processes, %v", len(all), err)
	}
	most := map[string]int64{}
	for _, p := range all {
		kind, _, _ := strings.Cut(p.Name, "-")
		most[kind] = max(most[kind], p.Anonymous>>20)
	}
	t.Logf("anonymous memory, most, MB: %v", most)
	if most["proxy"] > 30 || most["spoke"] > 50 {
		t.Errorf("anonymous memory, MB: %v; a proxy may have 30, a spoke 50", most)
	}
}

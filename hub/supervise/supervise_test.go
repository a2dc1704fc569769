package supervise

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/report"
)

// TestNews: a gateway is told of when it stays as it is, a problem when it comes
// and when it is gone, and nothing twice.
func TestNews(t *testing.T) {
	gateway := func(urls ...string) []report.Gateway {
		return []report.Gateway{{Cluster: "c", Namespace: "n", Name: "g", Listeners: []report.Listener{{Name: "http", URLs: urls}}}}
	}
	wrong := objects.Problem{Cluster: "c", File: "f.yaml:1", Object: "Thing n/x", Message: "is wrong", Remedy: "mend it"}
	note := objects.Problem{Cluster: "c", Message: "waits", Severity: objects.SeverityInfo}
	told := &said{gateways: map[string]string{}, problems: map[string]bool{}}
	for i, step := range []struct {
		status report.Status
		want   []string
	}{
		{report.Status{Gateways: gateway("http://a")}, nil},
		{report.Status{Gateways: gateway("http://a", "http://b")}, nil},
		{report.Status{Gateways: gateway("http://a", "http://b"), Problems: []objects.Problem{wrong, wrong, note}}, []string{
			"gateway  n/g in c, listener http: http://a http://b", "problem  clusters/c/f.yaml:1: Thing n/x: is wrong; mend it", "notice   c: waits",
		}},
		{report.Status{Gateways: gateway("http://a", "http://b"), Problems: []objects.Problem{wrong}}, []string{"solved   c: waits"}},
		{report.Status{Problems: []objects.Problem{wrong}}, nil},
		{report.Status{Gateways: gateway("http://a", "http://b")}, []string{"solved   clusters/c/f.yaml:1: Thing n/x: is wrong; mend it"}},
		{report.Status{Gateways: gateway("http://a", "http://b")}, nil},
	} {
		if got := told.news(step.status); !slices.Equal(got, step.want) {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
}

// TestAddresses: nobody shares one, each keeps its own over restarts, and two
// fleets are apart.
func TestAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "addresses.json")
	seen := map[string]string{}
	take := func(name, ip string) {
		t.Helper()
		if a, err := netip.ParseAddr(ip); err != nil || !a.IsLoopback() {
			t.Errorf("%s is at %s: %v", name, ip, err)
		}
		if other, taken := seen[ip]; taken && other != name {
			t.Errorf("%s and %s are both at %s", other, name, ip)
		}
		seen[ip] = name
	}
	for round := range 2 {
		a, err := openAddresses(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.settle(func(ip string) bool { return ip != "127.9.0.1" }); err != nil {
			t.Fatal(err)
		}
		take("hub", a.hub())
		for i := range maxClusters {
			cluster := string(rune('a' + (i+5*round)%maxClusters))
			for _, process := range []string{"spoke", "proxy"} {
				ip, err := a.of(cluster, process)
				if err != nil {
					t.Fatal(err)
				}
				take(cluster+" "+process, ip)
			}
		}
		for i := range maxClusters {
			viewer := string(rune('a' + i))
			take("hub from "+viewer, a.hubFrom(viewer))
			for j := range maxClusters {
				target := string(rune('a' + j))
				_, from := a.prefix(target)
				for process, ip := range a.list(target) {
					take(target+" "+process+" from "+viewer, through(ip, from(viewer)))
				}
			}
		}
		if _, err := a.of("one-too-many", "spoke"); err == nil {
			t.Error("a cluster got an address that is not there")
		}
	}
	if len(seen) != 1+maxClusters*(2+1+2*maxClusters) {
		t.Errorf("%d addresses: one moved", len(seen))
	}
}

// TestClaim: a slot whose hub is down for the moment is not free.
func TestClaim(t *testing.T) {
	one, other := &Supervisor{}, &Supervisor{}
	const ip = "127.8.77.1" // no fleet is there
	if !one.claim(t.Context(), ip) {
		t.Fatal("a free slot is not taken")
	}
	if other.claim(t.Context(), ip) {
		t.Error("two fleets have one slot")
	}
	if err := one.slot.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", at(ip, 9443))
	if err != nil {
		t.Fatal(err)
	}
	if other.claim(t.Context(), ip) {
		t.Error("somebody else's port was taken for free")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !other.claim(t.Context(), ip) {
		t.Error("a free slot is not taken")
	}
	_ = other.slot.Close()
}

func TestClusterFolders(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"good", ".git", "Bad Name", "hub"} {
		if err := os.MkdirAll(filepath.Join(dir, "clusters", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	s, err := New(Options{Dir: dir, Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := s.clusters(); !slices.Equal(got, []string{"good"}) {
			t.Errorf("clusters %q", got)
		}
	}
	if strings.Count(out.String(), "problem") != 2 || !strings.Contains(out.String(), "clusters/Bad Name") || !strings.Contains(out.String(), "clusters/hub") {
		t.Errorf("printed %q", out.String())
	}
}

func FuzzPrograms(f *testing.F) {
	f.Add([]byte("processes:\n- {name: a, command: [b], env: {C: d}, ready: {tcp: \"127.0.0.1:1\"}}\n"))
	f.Add([]byte("processes: [{}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, problems, err := parsePrograms("c", data)
		if err != nil && (len(list) > 0 || len(problems) == 0) {
			t.Errorf("an unreadable file: %v %v", list, problems)
		}
		for _, x := range list {
			if x.Name == "" || len(x.Command) == 0 {
				t.Errorf("taken: %+v", x)
			}
		}
	})
}

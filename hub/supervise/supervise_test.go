package supervise

import (
	"fmt"
	"log/slog"
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
// and when it stays away, a notice when it stays, and nothing twice.
func TestNews(t *testing.T) {
	gateway := func(urls ...string) []report.Gateway {
		return []report.Gateway{{Cluster: "c", Namespace: "n", Name: "g", Listeners: []report.Listener{{Name: "http", URLs: urls}}}}
	}
	wrong := objects.Problem{Cluster: "c", File: "f.yaml:1", Object: "Thing n/x", Message: "is wrong", Remedy: "mend it"}
	note := objects.Problem{Cluster: "c", Message: "waits", Severity: objects.SeverityInfo}
	both := report.Status{Gateways: gateway("http://a", "http://b")}
	with := func(list ...objects.Problem) report.Status {
		return report.Status{Gateways: both.Gateways, Problems: list}
	}
	told := newSaid()
	for i, step := range []struct {
		status report.Status
		want   []string
	}{
		{report.Status{Gateways: gateway("http://a")}, nil},
		{both, nil},
		{with(wrong, wrong, note), []string{
			"gateway  n/g in c, listener http: http://a http://b", "problem  clusters/c/f.yaml:1: Thing n/x: is wrong; mend it",
		}},
		{with(wrong), nil}, // the notice went as it came
		{with(wrong, note), nil}, {with(wrong, note), nil}, {with(wrong, note), nil},
		{with(wrong, note), []string{"notice   c: waits"}},
		{both, nil}, {both, nil}, {both, nil}, {with(wrong, note), nil}, // as a hub that was started anew tells it
		{with(note), nil}, {with(note), nil}, {with(note), nil},
		{with(note), []string{"solved   clusters/c/f.yaml:1: Thing n/x: is wrong; mend it"}},
		{report.Status{Problems: []objects.Problem{note}}, nil},
		{with(note), nil},
		{with(wrong, note), []string{"problem  clusters/c/f.yaml:1: Thing n/x: is wrong; mend it"}},
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
	if other.claim(t.Context(), ip) || other.hold(t.Context(), ip) {
		t.Error("two fleets have one slot")
	}
	if err := one.slot.Close(); err != nil {
		t.Fatal(err)
	}
	l := listen(t, at(ip, 9443))
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

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	var c net.ListenConfig
	l, err := c.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// fleetOf is a supervisor of a folder with these clusters.
func fleetOf(t *testing.T, clusters ...string) (*Supervisor, *strings.Builder) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append(clusters, "") {
		if err := os.MkdirAll(filepath.Join(dir, "clusters", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	s, err := New(Options{Dir: dir, Out: &out, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s, &out
}

// TestFleetsSideBySide: each has its own addresses, and comes back to them.
func TestFleetsSideBySide(t *testing.T) {
	one, _ := fleetOf(t, "a")
	other, _ := fleetOf(t, "a")
	for _, s := range []*Supervisor{one, other} {
		if err := s.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.slot.Close() }()
		if _, err := s.addRegion(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if one.ports == other.ports || one.addresses.list("a")["spoke"] == other.addresses.list("a")["spoke"] || one.addresses.hubFrom("a") == other.addresses.hubFrom("a") {
		t.Errorf("two fleets are at %+v and %+v", one.ports, other.ports)
	}
	_ = other.slot.Close()
	again, err := New(other.opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.slot.Close() }()
	if again.ports != other.ports {
		t.Errorf("a fleet moved from %+v to %+v", other.ports, again.ports)
	}
}

// TestTakenPort: another program's port is not the hub's; another one is, and
// people are told of it.
func TestTakenPort(t *testing.T) {
	s, out := fleetOf(t)
	const ip = "127.8.78.1"
	l := listen(t, at(ip, 8080))
	got := s.open(t.Context(), "the hub", at(ip, 8080))
	if got == at(ip, 8080) || !strings.HasPrefix(got, ip+":") || !strings.Contains(out.String(), "notice   the hub cannot have "+at(ip, 8080)) || !strings.Contains(out.String(), got) {
		t.Errorf("the console is at %s: %s", got, out.String())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	before := out.Len()
	if got := s.open(t.Context(), "the hub", at(ip, 8080)); got != at(ip, 8080) || out.Len() != before {
		t.Errorf("a free port: %s, %s", got, out.String())
	}
	if got := s.open(t.Context(), "the hub", "192.0.2.1:8080"); !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("an address that this machine does not have: %s", got)
	}
}

func TestClusterFolders(t *testing.T) {
	s, _ := fleetOf(t, "good", ".git", "Bad Name", "hub")
	for range 2 {
		if got, err := s.clusters(); err != nil || !slices.Equal(got, []string{"good"}) {
			t.Errorf("clusters %q, %v", got, err)
		}
	}
	var told []string
	for _, p := range s.problems.list() {
		told = append(told, p.Object)
	}
	if !slices.Equal(told, []string{"folder clusters/Bad Name", "folder clusters/hub"}) {
		t.Errorf("told of %q", told)
	}
	if err := os.RemoveAll(filepath.Join(s.opts.Dir, "clusters")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.clusters(); err == nil {
		t.Error("a folder that cannot be read is taken for an empty one")
	}
}

func FuzzPrograms(f *testing.F) {
	f.Add([]byte("processes:\n- {name: a, command: [b], env: {C: d}, ready: {tcp: \"127.0.0.1:1\"}}\n"))
	f.Add([]byte("processes: [{}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, problems, ok := parsePrograms("c", data)
		if !ok && (len(list) > 0 || len(problems) == 0) {
			t.Errorf("an unreadable file: %v %v", list, problems)
		}
		for _, x := range list {
			if x.Name == "" || len(x.Command) == 0 {
				t.Errorf("taken: %+v", x)
			}
		}
	})
}

// TestManyProblemsAreFolded: of those of one kind a few are said, and how many more
// there are; others are said beside them.
func TestManyProblemsAreFolded(t *testing.T) {
	told := newSaid()
	status := report.Status{Problems: []objects.Problem{{Object: "Other x", Reason: "Other", Message: "m"}}}
	for i := range 4000 {
		status.Problems = append(status.Problems, objects.Problem{Object: fmt.Sprint("HTTPRoute ns/", i), Reason: "AwaitingHub", Message: "m"})
	}
	expect := func(label string) {
		t.Helper()
		var got []string
		for range patience {
			got = append(got, told.news(status)...)
		}
		all := strings.Join(got, "\n")
		if len(got) != most+2 || !strings.Contains(all, label+"  and 3990 more with the reason AwaitingHub") || !strings.Contains(all, "Other x") {
			t.Errorf("%d lines:\n%s", len(got), all)
		}
	}
	expect("problem")
	status.Problems = nil
	expect("solved ")
}

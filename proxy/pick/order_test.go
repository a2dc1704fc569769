package pick_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/pick"
)

// view is a View by hand; what it does not hold is unknown or well.
type view struct {
	peers     map[string]*table.Peer
	rtt       map[string]time.Duration
	first     map[string]time.Duration
	health    map[string]pick.Health
	down      map[string]string
	load      map[string]int
	preferred string
}

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func (v view) Now() time.Time                   { return now }
func (v view) Cluster() string                  { return "east" }
func (v view) Peer(c string) *table.Peer        { return v.peers[c] }
func (v view) RTT(c string) pick.Estimate       { return estimate(v.rtt, c) }
func (v view) FirstByte(k string) pick.Estimate { return estimate(v.first, k) }
func (v view) Health(k, q string) pick.Health {
	if h, out := v.health[q]; out {
		return h
	}
	return v.health[k]
}
func (v view) InFlight(k string) int   { return v.load[k] }
func (v view) Preferred(string) string { return v.preferred }
func (v view) Reachable(c string) (bool, string) {
	why, down := v.down[c]
	return !down, why
}

func estimate(m map[string]time.Duration, k string) pick.Estimate {
	d, ok := m[k]
	return pick.Estimate{Value: d, Known: ok}
}

const ms = time.Millisecond

func fleet() view {
	return view{
		peers: map[string]*table.Peer{
			"east":  {Cluster: "east", Region: "eastus", State: table.PeerReady},
			"west":  {Cluster: "west", Region: "westus2", State: table.PeerReady},
			"south": {Cluster: "south", Region: "southcentralus", State: table.PeerReady},
		},
		rtt: map[string]time.Duration{"west": 66 * ms, "south": 34 * ms},
	}
}

func member(name string, weight int32, clusters ...string) table.Member {
	m := table.Member{Name: name, Weight: weight}
	for _, c := range clusters {
		i := table.Instance{Cluster: c}
		if c == "east" {
			i.Dial = &table.Dial{Host: "h", Port: 1}
		}
		m.Instances = append(m.Instances, i)
	}
	return m
}

func backend(groups ...[]table.Member) *table.Backend {
	return &table.Backend{Name: "b", Kind: table.BackendAI, Fleet: true, Groups: groups}
}

func keys(d pick.Decision) []string {
	out := []string{}
	for _, c := range d.Order {
		out = append(out, strings.Replace(c.Key(), "/b/", ":", 1))
	}
	return out
}

func TestOrder(t *testing.T) {
	type setup func(*table.Backend, *view, *pick.Needs)
	one := func() *table.Backend { return backend([]table.Member{member("p", 0, "west", "south")}) }
	three := func() *table.Backend { return backend([]table.Member{member("p", 0, "east", "west", "south")}) }
	two := func() *table.Backend {
		return backend([]table.Member{member("p", 0, "south", "west"), member("q", 0, "south", "west")})
	}
	for _, c := range []struct {
		why  string
		b    *table.Backend
		set  setup
		want []string
		says []string // parts of what is explained
	}{
		{"the nearest first", one(), nil, []string{"south:p", "west:p"}, []string{"round trip 34ms", "32ms slower than the first"}},
		{"the declared region first, whatever the latency", one(), func(b *table.Backend, _ *view, _ *pick.Needs) {
			b.Failover.Order, b.Failover.Regions = table.ByRegion, []string{"westus2", "southcentralus"}
		}, []string{"west:p", "south:p"}, []string{"westus2 is number 1 of the declared regions"}},
		{"regions that are not named come after, by latency", three(), func(b *table.Backend, _ *view, _ *pick.Needs) {
			b.Failover.Order, b.Failover.Regions = table.ByRegion, []string{"westus2"}
		}, []string{"west:p", "east:p", "south:p"}, []string{"in none of the declared regions"}},
		{"time to first byte counts too", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.first = map[string]time.Duration{"south/b/p": 200 * ms, "west/b/p": 100 * ms}
		}, []string{"west:p", "south:p"}, []string{"round trip 66ms + first byte 100ms = 166ms"}},
		{"a time to first byte that is unknown is not held against anybody", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.first = map[string]time.Duration{"south/b/p": 200 * ms}
		}, []string{"south:p", "west:p"}, []string{"first byte unknown"}},
		{"a way that is unknown is not preferred to one that is known", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			delete(v.rtt, "south")
		}, []string{"west:p", "south:p"}, []string{"round trip unknown"}},
		{"within the margin the less loaded of two", one(), func(b *table.Backend, v *view, _ *pick.Needs) {
			b.Failover.Margin = table.Duration(40 * ms)
			v.load = map[string]int{"south/b/p": 9}
		}, []string{"west:p", "south:p"}, []string{"in flight"}},
		{"a preferred cluster keeps what is not clearly better elsewhere", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.preferred = "west"
		}, []string{"west:p", "south:p"}, []string{"preferred until"}},
		{"an ejected candidate comes last", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.health = map[string]pick.Health{"south/b/p": {Ejected: true, Until: now.Add(time.Second), Reason: "5 failures in a row"}}
		}, []string{"west:p", "south:p"}, []string{"set aside until 12:00:01.000: 5 failures in a row"}},
		{"the last candidate is never set aside", backend([]table.Member{member("p", 0, "south")}), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.health = map[string]pick.Health{"south/b/p": {Ejected: true}}
		}, []string{"south:p"}, nil},
		{"among ejected ones the soonest return first", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.health = map[string]pick.Health{
				"south/b/p": {Ejected: true, Until: now.Add(2 * time.Second)}, "west/b/p": {Ejected: true, Until: now.Add(time.Second)},
			}
		}, []string{"west:p", "south:p"}, nil},
		{"unreachable comes after ejected", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.down = map[string]string{"south": "two pings missed"}
			v.health = map[string]pick.Health{"west/b/p": {Ejected: true, Until: now.Add(time.Hour)}}
		}, []string{"west:p", "south:p"}, []string{"no link to south: two pings missed"}},
		{"half open is tried where nothing of it is in flight", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.health = map[string]pick.Health{"south/b/p": {HalfOpen: true}}
		}, []string{"south:p", "west:p"}, []string{"to find out"}},
		{"and by one request at a time", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.health = map[string]pick.Health{"south/b/p": {HalfOpen: true}}
			v.load = map[string]int{"south/b/p": 1}
		}, []string{"west:p", "south:p"}, nil},
		{"a cordoned cluster gets nothing new", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.peers["south"].State = table.PeerCordoned
		}, []string{"west:p"}, []string{"south/b/p: cluster south is cordoned"}},
		{"unless nothing else is left", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.peers["south"].State, v.peers["west"].State = table.PeerCordoned, table.PeerDraining
		}, []string{"south:p", "west:p"}, []string{"but nothing else is left"}},
		{"or those that are left are not well: then it comes after them", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.peers["south"].State = table.PeerDraining
			v.health = map[string]pick.Health{"west/b/p": {Ejected: true}}
		}, []string{"west:p", "south:p"}, []string{"cluster south is draining; tried when all else has failed"}},
		{"of a quota that is used up, it is told, whoever's it is", one(), func(_ *table.Backend, v *view, _ *pick.Needs) {
			v.health = map[string]pick.Health{"south/b/p": {Share: 1, Refused: now.Add(time.Second)}, "west/b/p": {Share: 1, Refused: now}}
		}, []string{"south:p", "west:p"}, []string{"comes after others until"}},
		{"an order does not keep from knowing", one(), func(_ *table.Backend, v *view, n *pick.Needs) {
			v.peers["south"].State, n.Standing = table.PeerDraining, true
		}, []string{"south:p", "west:p"}, nil},
		{"state stays where it is", three(), func(_ *table.Backend, v *view, n *pick.Needs) {
			v.peers["west"].State, n.Holds = table.PeerCordoned, "west/b/p"
		}, []string{"west:p"}, []string{"is at west/b/p"}},
		{"until its cluster drains", three(), func(_ *table.Backend, v *view, n *pick.Needs) {
			v.peers["west"].State, n.Holds = table.PeerDraining, "west/b/p"
		}, []string{"east:p", "south:p", "west:p"}, []string{"cluster west is draining; tried when all else has failed"}},
		{"and somebody is ready for it", one(), func(_ *table.Backend, v *view, n *pick.Needs) {
			v.peers["west"].State, n.Holds = table.PeerDraining, "west/b/p"
			v.down = map[string]string{"south": "cut"}
		}, []string{"west:p"}, []string{"cluster west is draining, but nothing else is left", "south/b/p: the state that the request refers to is at west/b/p"}},
		{"whom no order keeps out", one(), func(_ *table.Backend, v *view, n *pick.Needs) {
			v.peers["west"].State, v.peers["south"].State, n.Holds = table.PeerDraining, table.PeerCordoned, "west/b/p"
		}, []string{"west:p"}, nil},
		{"state that cannot be begun anew stays in a draining cluster", one(), func(_ *table.Backend, v *view, n *pick.Needs) {
			v.peers["west"].State, n.Owner = table.PeerDraining, "west/b/p"
		}, []string{"west:p"}, []string{"nothing else is left"}},
		{"residency is a hard limit on the cluster", one(), func(b *table.Backend, _ *view, _ *pick.Needs) {
			b.Failover.AllowedRegions = []string{"westus2"}
			b.Groups[0][0].Instances[0].Region = "westus2"
		}, []string{"west:p"}, []string{"residency: cluster south is in southcentralus"}},
		{"and on the provider, unknown is not allowed", one(), func(b *table.Backend, _ *view, _ *pick.Needs) {
			b.Failover.AllowedRegions = []string{"westus2", "southcentralus"}
			b.Groups[0][0].Instances[0].Region = "swedencentral"
		}, []string{}, []string{"p computes in swedencentral", "RegionUnknown: p says no region"}},
		{"a closed instance is out", one(), func(b *table.Backend, _ *view, _ *pick.Needs) {
			b.Groups[0][0].Instances[0].Closed = "secret missing"
		}, []string{"south:p"}, []string{"closed: secret missing"}},
		{"what it lacks keeps it out", two(), func(_ *table.Backend, _ *view, n *pick.Needs) {
			n.Lacks = func(c pick.Candidate) string {
				if c.Member.Name == "p" {
					return "tools"
				}
				return ""
			}
		}, []string{"south:q", "west:q"}, []string{"lacks what the request uses: tools"}},
		{"a member that is asked for", two(), func(_ *table.Backend, _ *view, n *pick.Needs) { n.Member = "q" },
			[]string{"south:q", "west:q"}, []string{"the request is for q"}},
		{"an owner of state", two(), func(_ *table.Backend, _ *view, n *pick.Needs) { n.Owner = "west/b/q" },
			[]string{"west:q"}, []string{"is at west/b/q"}},
		{"a backend of one cluster stays there", three(), func(b *table.Backend, _ *view, _ *pick.Needs) { b.Fleet = false },
			[]string{"east:p"}, []string{"its own cluster's only"}},
		{"the same provider elsewhere before another provider", two(), func(b *table.Backend, v *view, _ *pick.Needs) {
			v.load = map[string]int{"south/b/p": 5, "west/b/p": 5, "west/b/q": 5}
			b.Failover.Margin = table.Duration(ms)
		}, []string{"south:q", "west:q", "south:p", "west:p"}, []string{"another provider"}},
		{"groups in their order", backend([]table.Member{member("p", 0, "west")}, []table.Member{member("q", 0, "south")}), nil,
			[]string{"west:p", "south:q"}, []string{"group 2", "after group 1"}},
		{"an ejected one of an earlier group after all that are well", backend([]table.Member{member("p", 0, "west")}, []table.Member{member("q", 0, "south")}),
			func(_ *table.Backend, v *view, _ *pick.Needs) {
				v.health = map[string]pick.Health{"west/b/p": {Ejected: true}}
			}, []string{"south:q", "west:p"}, nil},
		{"static goes as declared", backend([]table.Member{member("z", 0, "west", "east"), member("a", 0, "east")}), func(b *table.Backend, _ *view, _ *pick.Needs) {
			b.Failover.Order = table.Static
		}, []string{"east:z", "west:z", "east:a"}, []string{"declared as number 2"}},
		{"weight 0 beside weights serves only when others fail", backend([]table.Member{member("p", 0, "east"), member("q", 1, "east")}), nil,
			[]string{"east:q", "east:p"}, []string{"drawn as number 1"}},
	} {
		v, n := fleet(), pick.Needs{Explain: true}
		if c.set != nil {
			c.set(c.b, &v, &n)
		}
		d := pick.Order(c.b, n, v, 4)
		if diff := cmp.Diff(c.want, keys(d)); diff != "" {
			t.Errorf("%s: %s%s", c.why, diff, pick.Explain(d))
		}
		for _, s := range c.says {
			if text := pick.Explain(d); !strings.Contains(text, s) {
				t.Errorf("%s: %q is not in\n%s", c.why, s, text)
			}
		}
	}
}

func TestWeightsAreShares(t *testing.T) {
	b := backend([]table.Member{member("p", 90, "west", "south"), member("q", 10, "south")})
	v := fleet()
	count := map[string]int{}
	w := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		count[pick.Order(b, pick.Needs{}, v, w.Uint64()).Order[0].Key()]++
	}
	if n := count["south/b/q"]; n < 900 || n > 1100 {
		t.Errorf("q got %d of 10000, want about 1000", n)
	}
	if n := count["west/b/p"]; n != 0 {
		t.Errorf("the farther region of p got %d", n)
	}
}

func TestReturningShare(t *testing.T) {
	b := backend([]table.Member{member("p", 0, "west", "south")})
	v := fleet()
	for _, share := range []float64{0.01, 0.02, 0.25} { // 1 and 2 are steps as a policy may declare them
		v.health = map[string]pick.Health{"south/b/p": {Share: share}}
		n := 0
		w := rand.New(rand.NewPCG(1, 2))
		for range 10_000 {
			if pick.Order(b, pick.Needs{}, v, w.Uint64()).Order[0].Cluster == "south" {
				n++
			}
		}
		if want := share * 10_000; float64(n) < want*0.8 || float64(n) > want*1.2 {
			t.Errorf("%d of 10000, want about %v", n, want)
		}
	}
}

func TestPoolSharesLoad(t *testing.T) {
	b := backend([]table.Member{member("p", 0, "west", "south"), member("q", 0, "west", "south")})
	b.Failover.Margin = table.Duration(time.Second)
	v := fleet()
	count := map[string]int{}
	w := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		count[pick.Order(b, pick.Needs{}, v, w.Uint64()).Order[0].Key()]++
	}
	for k, n := range count {
		if len(count) != 4 || n < 2000 || n > 3000 {
			t.Errorf("%s got %d of 10000 among %d", k, n, len(count))
		}
	}
}

// FuzzOrderLaws: never empty while any candidate is eligible, none twice, none
// both chosen and rejected, blind to the order of instances, and the same with
// reasons as without.
func FuzzOrderLaws(f *testing.F) {
	for s := range uint64(200) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := rand.New(rand.NewPCG(seed, 1))
		b, v := random(w)
		word := w.Uint64()
		d := pick.Order(b, pick.Needs{}, v, word)
		seen := map[string]bool{}
		all := 0
		for _, g := range b.Groups {
			for _, m := range g {
				all += len(m.Instances)
			}
		}
		for _, c := range d.Order {
			if k := fmt.Sprint(c.Group, c.Key()); seen[k] {
				t.Errorf("%s twice", k)
			} else {
				seen[k] = true
			}
		}
		for _, r := range d.Rejected {
			if k := fmt.Sprint(r.Group, r.Key()); seen[k] || r.Reason == "" {
				t.Errorf("%s rejected as well as chosen, or without a reason", k)
			}
			if len(d.Order) == 0 && (strings.Contains(r.Reason, "is cordoned") || strings.Contains(r.Reason, "is draining")) {
				t.Errorf("%s set aside although nothing else is left", r.Key())
			}
		}
		if n := len(d.Order) + len(d.Rejected); n != all {
			t.Errorf("%d of %d candidates accounted for", n, all)
		}
		if len(d.Order) > 0 {
			holds := d.Order[0].Key()
			kept := pick.Order(b, pick.Needs{Holds: holds}, v, word)
			if !slices.Contains(keys(kept), strings.Replace(holds, "/b/", ":", 1)) {
				t.Errorf("who holds the state, %s, is not among %v", holds, keys(kept))
			}
			if n := len(kept.Order) + len(kept.Rejected); n != all {
				t.Errorf("%d of %d candidates accounted for where one holds state", n, all)
			}
		}
		for g := range b.Groups {
			for m := range b.Groups[g] {
				in := slices.Clone(b.Groups[g][m].Instances)
				w.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
				b.Groups[g][m].Instances = in
			}
		}
		again := pick.Order(b, pick.Needs{Explain: true}, v, word)
		if diff := cmp.Diff(keys(d), keys(again)); diff != "" {
			t.Errorf("another order of instances: %s%s", diff, pick.Explain(again))
		}
		for _, c := range again.Order {
			if c.Reason == "" {
				t.Errorf("%s without a reason", c.Key())
			}
		}
	})
}

func random(w *rand.Rand) (*table.Backend, view) {
	v := fleet()
	clusters := []string{"east", "west", "south"}
	b := backend()
	b.Fleet = w.IntN(8) > 0
	b.Failover.Order = []table.OrderBy{table.ByLatency, table.ByRegion, table.Static}[w.IntN(3)]
	b.Failover.Regions = []string{"westus2", "eastus"}[:w.IntN(3)]
	b.Failover.Margin = table.Duration(time.Duration(w.IntN(60)) * ms)
	v.health, v.load, v.down, v.first = map[string]pick.Health{}, map[string]int{}, map[string]string{}, map[string]time.Duration{}
	v.preferred = clusters[w.IntN(3)]
	for g := range 1 + w.IntN(2) {
		var members []table.Member
		for m := range 1 + w.IntN(3) {
			mem := member(fmt.Sprintf("m%d%d", g, m), int32(w.IntN(2)*w.IntN(10)), clusters[:1+w.IntN(3)]...)
			for i, in := range mem.Instances {
				k := in.Cluster + "/b/" + mem.Name
				if w.IntN(6) == 0 {
					mem.Instances[i].Closed = "why"
				}
				v.health[k] = pick.Health{Ejected: w.IntN(3) == 0, HalfOpen: w.IntN(6) == 0, Share: float64(w.IntN(3)) / 2, Until: now.Add(time.Duration(w.IntN(3)))}
				v.load[k] = w.IntN(3)
				if w.IntN(2) == 0 {
					v.first[k] = time.Duration(w.IntN(100)) * ms
				}
			}
			members = append(members, mem)
		}
		b.Groups = append(b.Groups, members)
	}
	for _, c := range clusters {
		v.peers[c].State = []table.PeerState{table.PeerReady, table.PeerReady, table.PeerCordoned, table.PeerDraining}[w.IntN(4)]
		if w.IntN(5) == 0 {
			v.down[c] = "cut"
		}
	}
	if w.IntN(3) == 0 {
		delete(v.rtt, "south")
	}
	return b, v
}

func BenchmarkOrder(b *testing.B) {
	v := fleet()
	b.Run("one", func(b *testing.B) {
		one := backend([]table.Member{member("p", 0, "east")})
		b.ReportAllocs()
		for b.Loop() {
			pick.Order(one, pick.Needs{}, v, 1)
		}
	})
	b.Run("six", func(b *testing.B) {
		six := backend([]table.Member{member("p", 0, "east", "west", "south"), member("q", 0, "east", "west", "south")})
		b.ReportAllocs()
		for b.Loop() {
			pick.Order(six, pick.Needs{}, v, 1)
		}
	})
}

// TestTheOnlyHolderOfStateIsAskedWhileItReturns: state is not given up because its
// holder is only being tried again, however many ask; it is while it is set aside.
func TestTheOnlyHolderOfStateIsAskedWhileItReturns(t *testing.T) {
	const key = "west/b/p"
	for _, c := range []struct {
		health  pick.Health
		ejected bool
	}{{pick.Health{HalfOpen: true}, false}, {pick.Health{HalfOpen: true, Ejected: true}, false}, {pick.Health{Share: 0.1}, false}, {pick.Health{Ejected: true}, true}} {
		b, v := backend([]table.Member{member("p", 0, "south", "west")}), fleet()
		v.health, v.load = map[string]pick.Health{key: c.health}, map[string]int{key: 7}
		for _, n := range []pick.Needs{{Holds: key}, {Owner: key}} {
			d := pick.Order(b, n, v, 1)
			if len(d.Order) != 1 || d.Order[0].Key() != key || d.Order[0].Ejected != c.ejected {
				t.Errorf("%+v, %+v: %+v", c.health, n, d.Order)
			}
		}
	}
}

// TestTheSteadyGoToOnePlace: the same word goes to the same candidate, whatever is
// in flight there meanwhile; different words spread over all that are equal.
func TestTheSteadyGoToOnePlace(t *testing.T) {
	b, v := backend([]table.Member{member("p", 0, "east", "west", "south")}), fleet()
	b.Failover.Margin = table.Duration(time.Hour)
	times := map[string]int{}
	w := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		word := w.Uint64()
		v.load = nil
		first := pick.Order(b, pick.Needs{Steady: true}, v, word).Order[0].Key()
		v.load = map[string]int{first: 5}
		if again := pick.Order(b, pick.Needs{Steady: true}, v, word).Order[0].Key(); again != first {
			t.Fatalf("%s, then %s", first, again)
		}
		times[first]++
	}
	for key, n := range times {
		if n < 900 || n > 1100 || len(times) != 3 {
			t.Errorf("%s %d times of 3000, of %v", key, n, times)
		}
	}
}

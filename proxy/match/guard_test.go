package match_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/match"
)

func policy(name string, closed string, targets ...table.Target) *table.Policy {
	return &table.Policy{Name: "AgentgatewayPolicy ns/" + name, Targets: targets, Closed: closed}
}

var (
	gateway = table.Target{Kind: "Gateway", Namespace: "ns", Name: "gw"}
	route   = table.Target{Kind: "HTTPRoute", Namespace: "ns", Name: "r"}
	backend = table.Target{Kind: "AgentgatewayBackend", Namespace: "ns", Name: "b"}
)

func TestGuards(t *testing.T) {
	keyed := policy("keyed", "", route)
	keyed.APIKey = &table.APIKey{Mode: table.Strict, Secrets: []string{"ns/keys"}}
	bad := policy("bad", "", gateway)
	bad.Authorization = &table.Authorization{Action: table.Deny, Expressions: []string{"jwt.sub == 'x'"}}
	secret := &table.Secret{Name: "ns/keys", Data: map[string][]byte{"a": []byte("k")}}
	base := []table.Resource{listener("http", 80, ""), rule("r", 1, []string{""}, path(table.Prefix, "/"))}
	for name, c := range map[string]struct {
		more   []table.Resource
		guard  bool
		closed string
	}{
		"no policy":                               {},
		"a policy of the gateway":                 {more: []table.Resource{policy("p", "", gateway)}, guard: true},
		"a closed policy closes":                  {more: []table.Resource{policy("p", "invalid field", route)}, guard: true, closed: "invalid field"},
		"an expression that does not compile":     {more: []table.Resource{bad}, guard: true, closed: "jwt"},
		"a missing secret closes":                 {more: []table.Resource{keyed}, guard: true, closed: "ns/keys"},
		"a secret that is there does not":         {more: []table.Resource{keyed, secret}, guard: true},
		"another route's policy does not matter":  {more: []table.Resource{policy("p", "x", table.Target{Kind: "HTTPRoute", Namespace: "ns", Name: "else"})}},
		"a section of the route that is not this": {more: []table.Resource{policy("p", "x", table.Target{Kind: "HTTPRoute", Namespace: "ns", Name: "r", Section: "two"})}},
	} {
		g := build(t, append(base, c.more...)...).Match(facts(80, "x", "/")).Guard
		if (g != nil) != c.guard {
			t.Errorf("%s: guard %+v", name, g)
			continue
		}
		if g != nil && (g.Closed == "") != (c.closed == "") || g != nil && !strings.Contains(g.Closed, c.closed) {
			t.Errorf("%s: closed %q, want %q", name, g.Closed, c.closed)
		}
	}
}

func TestSecretOpensWhatItClosed(t *testing.T) {
	keyed := policy("keyed", "", gateway)
	keyed.APIKey = &table.APIKey{Mode: table.Strict, Secrets: []string{"ns/keys"}}
	x := build(t, listener("http", 80, ""), rule("r", 1, []string{""}), keyed)
	secret := table.Put(&table.Secret{Name: "ns/keys", Data: map[string][]byte{"a": []byte("k")}})
	for _, c := range []struct {
		change table.Change
		closed bool
	}{{secret, false}, {table.Remove(secret.ID), true}} {
		next, err := x.Apply(x.Table().Apply(c.change), []table.Change{c.change})
		if err != nil {
			t.Fatal(err)
		}
		x = next
		if g := x.Match(facts(80, "x", "/")).Guard; (g.Closed != "") != c.closed {
			t.Errorf("closed: %q", g.Closed)
		}
	}
}

func TestServing(t *testing.T) {
	port := table.Target{Kind: "Service", Namespace: "ns", Name: "s", Section: "80"}
	member := backend
	member.Section = "p1"
	x := build(t, policy("b", "all", backend), policy("m", "one", member), policy("s", "port", port))
	whole, part := x.Serving("AgentgatewayBackend ns/b", "p1")
	if whole.Closed != "all" || part.Closed != "one" {
		t.Errorf("got %+v, %+v", whole, part)
	}
	if _, part := x.Serving("AgentgatewayBackend ns/b", "p2"); part != nil {
		t.Errorf("another member: %+v", part)
	}
	if whole, part := x.Serving("Service ns/s:80", "s"); whole != nil || part.Closed != "port" {
		t.Errorf("service: %+v, %+v", whole, part)
	}
}

// FuzzGuardsByStepsEqualAnew changes policies, secrets, listeners and rules in
// any order.
func FuzzGuardsByStepsEqualAnew(f *testing.F) {
	for s := range uint64(200) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := world{rand.New(rand.NewPCG(seed, 2))}
		x, now := match.Empty(), table.New()
		for range 25 {
			c := w.guardChange()
			now = now.Apply(c)
			next, err := x.Apply(now, []table.Change{c})
			if err != nil {
				t.Fatal(err)
			}
			x = next
			anew, err := match.Build(now)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := x.Print(), anew.Print(); a != b {
				t.Fatalf("after %v by steps:\n%s\nanew:\n%s", c.ID, a, b)
			}
		}
	})
}

func (w world) guardChange() table.Change {
	var r table.Resource
	switch w.IntN(4) {
	case 0:
		l := listener(w.of("http", "two"), 80, "")
		l.Port += uint16(w.IntN(2))
		l.Gateway = w.of("ns/gw", "ns/other")
		r = l
	case 1:
		u := rule(w.of("r", "s"), 1, []string{""})
		u.Section = w.of("", "one")
		u.Binds[0].Listener = "ns/gw/" + w.of("http", "two")
		r = u
	case 2:
		r = &table.Secret{Name: w.of("s1", "s2"), Data: map[string][]byte{"a": []byte(w.of("k", ""))}}
	default:
		p := policy(fmt.Sprint("p", w.IntN(3)), w.of("", "", "why"))
		for range 1 + w.IntN(2) {
			t := table.Target{Kind: w.of("Gateway", "HTTPRoute", "AgentgatewayBackend"), Namespace: "ns"}
			t.Name = map[string]string{"Gateway": "gw", "HTTPRoute": w.of("r", "s"), "AgentgatewayBackend": "b"}[t.Kind]
			t.Section = w.of("", "", "http", "one")
			p.Targets = append(p.Targets, t)
		}
		if w.IntN(2) == 0 {
			p.APIKey = &table.APIKey{Mode: table.Strict, Secrets: []string{w.of("s1", "s2")}}
		}
		r = p
	}
	if w.IntN(4) == 0 {
		return table.Remove(r.ID())
	}
	return table.Put(r)
}

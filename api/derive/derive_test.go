package derive_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/navehq/nave/api/derive"
)

// shop is a small schema with everything in it: routes name backends, a route's
// text joins what its backends say, a namespace counts its routes.
type shop struct {
	schema   *derive.Schema
	routes   *derive.Input[string, string]
	backends *derive.Input[string, int]
	texts    *derive.Output[string, string]
	counts   *derive.Output[string, int]
	byUser   *derive.Index[string, string]
}

func newShop() *shop {
	s := &shop{schema: derive.NewSchema()}
	same := func(a, b string) bool { return a == b }
	num := func(a, b int) bool { return a == b }
	s.routes = derive.NewInput[string, string](s.schema, "routes", same)
	s.backends = derive.NewInput[string, int](s.schema, "backends", num)
	s.byUser = derive.NewIndex(s.routes, "routes by backend",
		func(_ string, v string) []string { return strings.Fields(v) }, strings.Compare)
	parity := derive.NewRule(s.schema, "parity", func(l *derive.Look, b string) string {
		v, ok := s.backends.Get(l, b)
		if !ok {
			return b + "=none"
		}
		return fmt.Sprintf("%s=%d", b, v%2)
	}, same)
	text := derive.NewRule(s.schema, "text", func(l *derive.Look, r string) string {
		v, _ := s.routes.Get(l, r)
		var out []string
		for _, b := range strings.Fields(v) {
			out = append(out, parity.Get(l, b))
		}
		return strings.Join(out, ",")
	}, same)
	count := derive.NewRule(s.schema, "count", func(l *derive.Look, b string) int {
		return len(s.byUser.Get(l, b))
	}, num)
	s.texts = derive.NewOutput(s.routes, "texts", text)
	s.counts = derive.NewOutput(s.backends, "counts", count)
	return s
}

func TestApplyEqualsBuildingAnew(t *testing.T) {
	s := newShop()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		routes, backends := map[string]string{}, map[string]int{}
		state := s.schema.Empty()
		seen := map[string]string{}
		for range 40 {
			tx := state.Begin()
			for range 1 + rng.IntN(3) {
				mutate(s, tx, rng, routes, backends)
			}
			var changes derive.Changes
			state, changes = tx.Commit()
			for _, k := range s.texts.Changed(changes) {
				if v, ok := s.texts.Get(state, k); ok {
					seen[k] = v
				} else {
					delete(seen, k)
				}
			}
		}
		anew := s.schema.Empty().Begin()
		for k, v := range routes {
			s.routes.Set(anew, k, v)
		}
		for k, v := range backends {
			s.backends.Set(anew, k, v)
		}
		fresh, _ := anew.Commit()
		if got, want := s.texts.All(state), s.texts.All(fresh); !maps.Equal(got, want) {
			t.Fatalf("seed %d: texts by steps %v, anew %v", seed, got, want)
		}
		if got, want := s.counts.All(state), s.counts.All(fresh); !maps.Equal(got, want) {
			t.Fatalf("seed %d: counts by steps %v, anew %v", seed, got, want)
		}
		if want := s.texts.All(fresh); !maps.Equal(seen, want) {
			t.Fatalf("seed %d: following Changed gives %v, want %v", seed, seen, want)
		}
	}
}

func mutate(s *shop, tx *derive.Tx, rng *rand.Rand, routes map[string]string, backends map[string]int) {
	r, b := fmt.Sprintf("r%d", rng.IntN(6)), fmt.Sprintf("b%d", rng.IntN(5))
	switch rng.IntN(5) {
	case 0:
		delete(routes, r)
		s.routes.Delete(tx, r)
	case 1:
		delete(backends, b)
		s.backends.Delete(tx, b)
	case 2, 3:
		routes[r] = strings.TrimSpace(b + " " + fmt.Sprintf("b%d", rng.IntN(5)))
		s.routes.Set(tx, r, routes[r])
	case 4:
		backends[b] = rng.IntN(4)
		s.backends.Set(tx, b, backends[b])
	}
}

func TestOldStateStays(t *testing.T) {
	s := newShop()
	tx := s.schema.Empty().Begin()
	s.routes.Set(tx, "r", "b")
	s.backends.Set(tx, "b", 1)
	one, _ := tx.Commit()
	tx = one.Begin()
	s.backends.Set(tx, "b", 2)
	two, _ := tx.Commit()
	a, _ := s.texts.Get(one, "r")
	b, _ := s.texts.Get(two, "r")
	if a != "b=1" || b != "b=0" {
		t.Fatalf("old state says %q, new one %q; want b=1 and b=0", a, b)
	}
}

func TestWorkFollowsTheChange(t *testing.T) {
	s := newShop()
	build := func(n int) derive.State {
		tx := s.schema.Empty().Begin()
		for i := range n {
			s.routes.Set(tx, fmt.Sprintf("r%d", i), fmt.Sprintf("b%d", i%50))
		}
		for i := range 50 {
			s.backends.Set(tx, fmt.Sprintf("b%d", i), i)
		}
		state, _ := tx.Commit()
		return state
	}
	cost := func(state derive.State) int {
		tx := state.Begin()
		s.routes.Set(tx, "r1", "b2")
		tx.Commit()
		return tx.Runs()
	}
	if small, large := cost(build(100)), cost(build(10000)); small != large {
		t.Fatalf("one changed route runs %d rules among 100 and %d among 10000", small, large)
	}
}

func TestEqualValueStopsTheSpread(t *testing.T) {
	s := newShop()
	tx := s.schema.Empty().Begin()
	for i := range 100 {
		s.routes.Set(tx, fmt.Sprintf("r%d", i), "b")
	}
	s.backends.Set(tx, "b", 1)
	state, _ := tx.Commit()
	tx = state.Begin()
	s.backends.Set(tx, "b", 3)
	_, changes := tx.Commit()
	if got := tx.Runs(); got > 1 {
		t.Errorf("an odd number for an odd number ran %d rules, want the parity alone", got)
	}
	if got := s.texts.Changed(changes); len(got) != 0 {
		t.Errorf("changed outputs %v, want none", got)
	}
}

// What a rule has looked up is not forgotten because its last other reader lets
// go of it while the rule still runs.
func TestLastReaderLetsGoMidway(t *testing.T) {
	num := func(a, b int) bool { return a == b }
	schema := derive.NewSchema()
	fact := derive.NewInput[string, int](schema, "fact", num)
	uses := derive.NewInput[string, int](schema, "uses", num)
	double := derive.NewRule(schema, "double", func(l *derive.Look, k string) int {
		v, _ := fact.Get(l, k)
		return 2 * v
	}, num)
	perhaps := derive.NewRule(schema, "perhaps", func(l *derive.Look, k string) int {
		if on, _ := uses.Get(l, "perhaps"); on == 0 {
			return 0
		}
		return double.Get(l, k)
	}, num)
	both := derive.NewRule(schema, "both", func(l *derive.Look, k string) int {
		if k != "both" {
			return perhaps.Get(l, "x")
		}
		return double.Get(l, "x") + perhaps.Get(l, "x")
	}, num)
	out := derive.NewOutput(uses, "out", both)
	for range 20 { // outputs settle in no order
		tx := schema.Empty().Begin()
		fact.Set(tx, "x", 1)
		uses.Set(tx, "perhaps", 1)
		state, _ := tx.Commit()
		tx = state.Begin()
		uses.Set(tx, "perhaps", 0) // lets go of double
		uses.Set(tx, "both", 1)    // has just looked it up
		state, _ = tx.Commit()
		tx = state.Begin()
		fact.Set(tx, "x", 5)
		state, _ = tx.Commit()
		if got, _ := out.Get(state, "both"); got != 10 {
			t.Fatalf("got %d, want 10: a change of what was looked up did not arrive", got)
		}
	}
}

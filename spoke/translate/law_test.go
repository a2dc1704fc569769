package translate_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/spoke/translate"
)

// follower holds what somebody has who only ever sees Results.
type follower struct {
	tables    map[string]table.Table
	infos     map[string]translate.TableInfo
	revisions map[string]string
	statuses  map[objects.Key]objects.Status
	problems  map[string][]objects.Problem
}

func newFollower() *follower {
	return &follower{
		map[string]table.Table{}, map[string]translate.TableInfo{}, map[string]string{},
		map[objects.Key]objects.Status{}, map[string][]objects.Problem{},
	}
}

func (f *follower) take(t *testing.T, r translate.Result) {
	t.Helper()
	for name, c := range r.Tables {
		_, had := f.tables[name]
		if c.Created == had || c.Removed && !had {
			t.Fatalf("table %s: created %v, removed %v, and was there: %v", name, c.Created, c.Removed, had)
		}
		if c.Removed {
			delete(f.tables, name)
			delete(f.infos, name)
			delete(f.revisions, name)
			continue
		}
		if c.Created {
			f.tables[name] = table.New()
		}
		f.tables[name] = f.tables[name].Apply(c.Changes...)
		f.infos[name], f.revisions[name] = c.Info, c.Revision
	}
	for _, s := range r.Statuses {
		f.statuses[s.Key] = s
	}
	for _, k := range r.Gone {
		delete(f.statuses, k)
	}
	for _, p := range r.Problems {
		if f.problems[p.Place] = p.List; len(p.List) == 0 {
			delete(f.problems, p.Place)
		}
	}
}

// same compares a follower with a translator, in whole.
func (f *follower) same(t *testing.T, what string, tr translate.Translator) {
	t.Helper()
	if got, want := slices.Sorted(maps.Keys(f.tables)), tr.Tables(); !slices.Equal(got, want) {
		t.Fatalf("%s: tables %v, want %v", what, got, want)
	}
	for name, got := range f.tables {
		want, info, _ := tr.Table(name)
		for _, c := range table.Diff(want, got) {
			line := "(removed)\n"
			if r := want.Get(c.ID); r != nil {
				line = table.Line(r)
			}
			is := "(removed)\n"
			if c.Resource != nil {
				is = table.Line(c.Resource)
			}
			t.Fatalf("%s: table %s: %s by steps is\n%swant\n%s", what, name, c.ID, is, line)
		}
		if f.revisions[name] != table.Hash(want) || tr.Revision(name) != table.Hash(want) {
			t.Fatalf("%s: table %s: revision %s and %s, want %s", what, name, f.revisions[name], tr.Revision(name), table.Hash(want))
		}
		if a, b := text(t, f.infos[name]), text(t, info); a != b {
			t.Fatalf("%s: table %s: info %s, want %s", what, name, a, b)
		}
	}
	statuses := tr.Statuses()
	if len(statuses) != len(f.statuses) {
		t.Fatalf("%s: %d statuses by steps, want %d", what, len(f.statuses), len(statuses))
	}
	for _, s := range statuses {
		if a, b := text(t, f.statuses[s.Key]), text(t, s); a != b {
			t.Fatalf("%s: status of %s by steps is\n%s\nwant\n%s", what, s.Key, a, b)
		}
	}
	var problems []objects.Problem
	for _, place := range slices.Sorted(maps.Keys(f.problems)) {
		problems = append(problems, f.problems[place]...)
	}
	if a, b := text(t, problems), text(t, tr.Problems()); a != b {
		t.Fatalf("%s: problems by steps are\n%s\nwant\n%s", what, a, b)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// pool is everything that any golden scene declares, to be put in and taken
// away at random; names meet across scenes, so that much gets in its own way.
func pool(t *testing.T) (own []objects.Change, assigned []translate.AssignmentChange) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenes")
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s := readScene(t, a)
		own = append(own, s.own...)
		assigned = append(assigned, s.assignment...)
	}
	return own, assigned
}

type step struct {
	own    []objects.Change
	remote []translate.AssignmentChange
}

func TestApplyByStepsEqualsBuildingAnew(t *testing.T) {
	own, assigned := pool(t)
	options := translate.Options{Cluster: here, Region: here, Standalone: true}
	seeds := uint64(12)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 3))
		tr := translate.New(options)
		f := newFollower()
		nowOwn, nowAssigned := map[objects.Key]objects.Change{}, map[string]translate.AssignmentChange{}
		for i := range 25 {
			var s step
			for range 1 + rng.IntN(40) {
				if rng.IntN(3) > 0 {
					c := own[rng.IntN(len(own))]
					if rng.IntN(4) == 0 {
						c.Object = nil
						delete(nowOwn, c.Key)
					} else {
						nowOwn[c.Key] = c
					}
					s.own = append(s.own, c)
					continue
				}
				c := assigned[rng.IntN(len(assigned))]
				key := string(c.Kind) + " " + c.Key
				if rng.IntN(5) == 0 {
					c.Resource = nil
					delete(nowAssigned, key)
				} else {
					nowAssigned[key] = c
				}
				s.remote = append(s.remote, c)
			}
			before := show(t, tr, nil)
			next, result := tr.Apply(s.own, s.remote)
			if show(t, tr, nil) != before {
				t.Fatalf("seed %d step %d: Apply changed the old translator", seed, i)
			}
			tr = next
			f.take(t, result)
			f.same(t, fmt.Sprintf("seed %d step %d, followed", seed, i), tr)
		}
		anewOwn, anewAssigned := slices.Collect(maps.Values(nowOwn)), slices.Collect(maps.Values(nowAssigned))
		for range 2 {
			rng.Shuffle(len(anewOwn), func(i, j int) { anewOwn[i], anewOwn[j] = anewOwn[j], anewOwn[i] })
			rng.Shuffle(len(anewAssigned), func(i, j int) { anewAssigned[i], anewAssigned[j] = anewAssigned[j], anewAssigned[i] })
			anew, _ := translate.New(options).Apply(anewOwn, anewAssigned)
			f.same(t, fmt.Sprintf("seed %d, anew", seed), anew)
		}
		// Everything taken away again leaves nothing.
		var away step
		for _, c := range anewOwn {
			away.own = append(away.own, objects.Change{Key: c.Key})
		}
		for _, c := range anewAssigned {
			c.Resource = nil
			away.remote = append(away.remote, c)
		}
		empty, result := tr.Apply(away.own, away.remote)
		f.take(t, result)
		f.same(t, fmt.Sprintf("seed %d, emptied", seed), empty)
		if len(empty.Tables())+len(empty.Statuses())+len(empty.Problems()) != 0 {
			t.Fatalf("seed %d: something is left of nothing:\n%s", seed, show(t, empty, nil))
		}
	}
}

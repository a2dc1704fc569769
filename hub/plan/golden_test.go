package plan_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/plan"
)

var update = flag.Bool("update", false, "write the goldens anew")

// scene reads a golden file: hub.yaml is what the platform team says, NAME.yaml
// what cluster NAME declares. Of two that claim a name the earlier file is the one
// that the hub heard of first.
func scene(t *testing.T, a *txtar.Archive) (plan.Plan, []objects.Problem) {
	t.Helper()
	var names []string
	var edits []plan.Edit
	var hub []*objects.Object
	claimed := map[string]bool{}
	for _, f := range a.Files {
		name, isYAML := strings.CutSuffix(f.Name, ".yaml")
		if !isYAML {
			continue
		}
		if name == "hub" {
			name = ""
		} else {
			names = append(names, name)
		}
		list, problems := objects.Decode(f.Name, f.Data, objects.Options{Cluster: name})
		if len(problems) > 0 {
			t.Fatalf("%s: %v", f.Name, problems)
		}
		if name == "" {
			hub = list
			continue
		}
		for i, o := range list {
			raw, err := objects.Redact(o, func(string) string { return "redacted" })
			if err != nil {
				t.Fatal(err)
			}
			d, err := fleet.Read(&assignment.Declaration{Cluster: name, Key: o.Key, Generation: 1, Created: time.Unix(int64(i+1), 0), Object: raw}, "h")
			if err != nil {
				t.Fatal(err)
			}
			edits = append(edits, plan.PutDeclaration(d))
			if claim := plan.ClaimName(d.ID.Key); d.Placement != "" && d.Placement != "Local" && !claimed[claim] {
				claimed[claim] = true
				edits = append(edits, plan.PutClaim(claim, name))
			}
		}
	}
	read := fleet.ReadPlatform(objects.NewSet(hub...), nil, names, time.Unix(1e9, 0))
	edits = append(edits, plan.PutSettings(read.Settings))
	for _, c := range read.Clusters {
		edits = append(edits, plan.PutCluster(c), plan.PutFacts(&assignment.Facts{Cluster: c.Name}))
	}
	for _, x := range read.Tenants {
		edits = append(edits, plan.PutTenant(x))
	}
	p, _ := plan.New().Apply(edits...)
	return p, read.Problems
}

// show is every cluster's assignment, for people.
func show(t *testing.T, p plan.Plan, problems []objects.Problem) string {
	t.Helper()
	var out strings.Builder
	for _, x := range problems {
		fmt.Fprintf(&out, "problem %s\n", x)
	}
	cluster := ""
	for _, a := range p.All() {
		if a.Cluster != cluster {
			cluster = a.Cluster
			fmt.Fprintf(&out, "=== assignment of %s\n", cluster)
		}
		switch r := a.Resource.(type) {
		case *assignment.Fleet:
			fmt.Fprintf(&out, "fleet frozen=%t\n", r.Frozen)
		case *assignment.Declaration:
			fmt.Fprintf(&out, "declaration %s of %s\n", r.Key, r.Cluster)
		case *assignment.Verdict:
			fmt.Fprintf(&out, "verdict on %s refused=%t\n", r.Key, r.Refused)
			for _, c := range r.Conditions {
				fmt.Fprintf(&out, "  %s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
			}
			for _, k := range slices.Sorted(maps.Keys(r.Annotations)) {
				fmt.Fprintf(&out, "  %s: %s\n", k, r.Annotations[k])
			}
		default:
			data, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s %s\n", a.Kind, data)
		}
	}
	return out.String()
}

func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, problems := scene(t, a)
			got, want := show(t, p, problems), ""
			given := slices.DeleteFunc(slices.Clone(a.Files), func(f txtar.File) bool {
				if f.Name == "want" {
					want = string(f.Data)
				}
				return f.Name == "want"
			})
			if *update {
				a.Files, want = append(given, txtar.File{Name: "want", Data: []byte(got)}), got
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

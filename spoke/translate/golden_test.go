package translate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/spoke/translate"
)

var update = flag.Bool("update", false, "write the goldens anew")

// scene is what a golden file sets up: own.yaml is what this cluster declares,
// NAME.yaml what cluster NAME declares, assignment.yaml a list of one-entry maps
// from a kind to its resource; without it the built-in tenant owns everything.
type scene struct {
	options    translate.Options
	own        []objects.Change
	assignment []translate.AssignmentChange
	problems   []objects.Problem
}

const here = "eastus"

func env(name string) (string, bool) {
	if strings.HasSuffix(name, "_API_KEY") {
		return "key-of-" + strings.ToLower(name), true
	}
	return "", false
}

func readScene(t testing.TB, a *txtar.Archive) scene {
	t.Helper()
	s := scene{options: translate.Options{Cluster: here, Region: here, Standalone: true}}
	assigned := false
	for _, f := range a.Files {
		name, isYAML := strings.CutSuffix(f.Name, ".yaml")
		switch {
		case f.Name == "want" || !isYAML:
		case name == "own":
			list, problems := objects.Decode(f.Name, f.Data, objects.Options{Cluster: here, Env: env})
			s.problems = append(s.problems, problems...)
			for i, o := range list {
				o.Generation, o.Created = 3, time.Unix(int64(i+1), 0)
				s.own = append(s.own, objects.Change{Key: o.Key, Object: o})
			}
		case name == "assignment":
			assigned = true
			s.assignment = append(s.assignment, readAssignment(t, f.Data)...)
		default:
			list, problems := objects.Decode(f.Name, f.Data, objects.Options{Cluster: name, Env: env})
			if len(problems) > 0 {
				t.Fatalf("%s: %v", f.Name, problems)
			}
			for i, o := range list {
				s.assignment = append(s.assignment, declaration(t, o, i))
			}
		}
	}
	if !assigned {
		s.assignment = append(s.assignment, readAssignment(t, []byte(`[{fleet: {}}, {tenant: {name: default, all: true}}]`))...)
	}
	return s
}

func declaration(t testing.TB, o *objects.Object, i int) translate.AssignmentChange {
	t.Helper()
	raw, err := objects.Redact(o, func(string) string { return "redacted" })
	if err != nil {
		t.Fatal(err)
	}
	d := &assignment.Declaration{Cluster: o.Cluster, Key: o.Key, Generation: 7, Created: time.Unix(int64(i+1), 0), Object: raw}
	return put(d)
}

func put(r assignment.Resource) translate.AssignmentChange {
	kind, key := r.ID()
	return translate.AssignmentChange{Kind: kind, Key: key, Resource: r}
}

func readAssignment(t testing.TB, data []byte) []translate.AssignmentChange {
	t.Helper()
	var list []map[assignment.Kind]json.RawMessage
	if err := yaml.UnmarshalStrict(data, &list); err != nil {
		t.Fatal(err)
	}
	blanks := map[assignment.Kind]func() assignment.Resource{
		assignment.KindFleet:     func() assignment.Resource { return &assignment.Fleet{} },
		assignment.KindTenant:    func() assignment.Resource { return &assignment.Tenant{} },
		assignment.KindPeer:      func() assignment.Resource { return &assignment.Peer{} },
		assignment.KindPlacement: func() assignment.Resource { return &assignment.Placement{} },
		assignment.KindVerdict:   func() assignment.Resource { return &assignment.Verdict{} },
	}
	var out []translate.AssignmentChange
	for _, entry := range list {
		for kind, raw := range entry {
			r := blanks[kind]()
			if err := json.Unmarshal(raw, r); err != nil {
				t.Fatal(err)
			}
			out = append(out, put(r))
		}
	}
	return out
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
			s := readScene(t, a)
			tr, _ := translate.New(s.options).Apply(s.own, s.assignment)
			got := show(t, tr, s.problems)
			if *update {
				a.Files = append(withoutWant(a.Files), txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := ""
			for _, f := range a.Files {
				if f.Name == "want" {
					want = string(f.Data)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func withoutWant(files []txtar.File) []txtar.File {
	var out []txtar.File
	for _, f := range files {
		if f.Name != "want" {
			out = append(out, f)
		}
	}
	return out
}

// show is everything a translator says, for people.
func show(t testing.TB, tr translate.Translator, problems []objects.Problem) string {
	t.Helper()
	var b bytes.Buffer
	for _, name := range tr.Tables() {
		tab, info, _ := tr.Table(name)
		fmt.Fprintf(&b, "=== table %s: home %s, tenant %s, %d proxies", name, info.Home, info.Tenant, info.Replicas)
		for _, p := range info.Parameters {
			fmt.Fprintf(&b, ", parameters %s", p)
		}
		if len(info.Env) > 0 {
			fmt.Fprintf(&b, ", env %q", info.Env)
		}
		b.WriteString("\n")
		if err := table.Print(&b, tab); err != nil {
			t.Fatal(err)
		}
	}
	b.WriteString("=== statuses\n")
	for _, s := range tr.Statuses() {
		fmt.Fprintf(&b, "%s generation %d\n", s.Key, s.Generation)
		showStatus(t, &b, s.Value)
	}
	b.WriteString("=== problems\n")
	for _, p := range append(problems, tr.Problems()...) {
		fmt.Fprintf(&b, "%s: %s\n", p.Reason, p)
	}
	return b.String()
}

func showStatus(t testing.TB, b *bytes.Buffer, value any) {
	t.Helper()
	switch v := value.(type) {
	case *objects.Conditions:
		showConditions(b, "  ", v.Conditions)
	case *gwv1.GatewayClassStatus:
		showConditions(b, "  ", v.Conditions)
	case *gwv1.GatewayStatus:
		showConditions(b, "  ", v.Conditions)
		for _, a := range v.Addresses {
			fmt.Fprintf(b, "  address %s %s\n", *a.Type, a.Value)
		}
		for _, l := range v.Listeners {
			fmt.Fprintf(b, "  listener %s: %d routes attached, kinds", l.Name, l.AttachedRoutes)
			for _, k := range l.SupportedKinds {
				fmt.Fprintf(b, " %s", k.Kind)
			}
			b.WriteString("\n")
			showConditions(b, "    ", l.Conditions)
		}
	case *gwv1.RouteStatus:
		for _, p := range v.Parents {
			fmt.Fprintf(b, "  parent %s\n", parent(p.ParentRef))
			showConditions(b, "    ", p.Conditions)
		}
	case *gwv1.PolicyStatus:
		for _, a := range v.Ancestors {
			fmt.Fprintf(b, "  ancestor %s\n", parent(a.AncestorRef))
			showConditions(b, "    ", a.Conditions)
		}
	default:
		t.Fatalf("a status is a %T", value)
	}
}

func parent(p gwv1.ParentReference) string {
	out := fmt.Sprintf("%s %s", *p.Kind, p.Name)
	if p.SectionName != nil {
		out += " section " + string(*p.SectionName)
	}
	if p.Port != nil {
		out += fmt.Sprintf(" port %d", *p.Port)
	}
	return out
}

func showConditions(b *bytes.Buffer, indent string, list []metav1.Condition) {
	for _, c := range list {
		fmt.Fprintf(b, "%s%s=%s %s: %s", indent, c.Type, c.Status, c.Reason, c.Message)
		if c.ObservedGeneration != 3 {
			fmt.Fprintf(b, " (generation %d)", c.ObservedGeneration)
		}
		b.WriteString("\n")
	}
}

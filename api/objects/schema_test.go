package objects_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/schema"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// What hack/generate shows that an API server refuses, a folder's reader refuses
// too, each with the field's path and a remedy. The golden is for people.
func TestRefusesWhatAnAPIServerRefuses(t *testing.T) {
	raw, err := os.ReadFile("../../hack/generate/testdata/refused.yaml")
	if err != nil {
		t.Fatal(err)
	}
	schemas := schema.New()
	var b strings.Builder
	for doc := range strings.SplitSeq(string(raw), "\n---\n") {
		_, after, _ := strings.Cut(doc, "# want: ")
		want, _, _ := strings.Cut(after, "\n")
		list, problems := objects.Decode("a.yaml", []byte(doc), objects.Options{Schemas: schemas})
		if want == "" || len(list) != 1 || len(list[0].Invalid) == 0 || len(problems) != len(list[0].Invalid) {
			t.Errorf("it is taken: %v\n%s", problems, doc)
			continue
		}
		fmt.Fprintf(&b, "%s\n", want)
		for _, p := range problems {
			fmt.Fprintf(&b, "\t%s\n", p)
			if p.Field == "" || p.Remedy == "" || p.Object == "" || p.File == "" {
				t.Errorf("no field or no remedy: %v\n%s", p, doc)
			}
		}
	}
	const golden = "testdata/refused.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	said, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(said), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The samples beside the types, which hack/generate shows that an API server
// takes, are taken.
func TestTakesWhatAnAPIServerTakes(t *testing.T) {
	paths, _ := filepath.Glob("../*/testdata/shapes/*.yaml")
	paths = append(paths, "../v1alpha1/testdata/samples.yaml")
	if len(paths) < 3 {
		t.Fatalf("found %q, want at least 3 files", paths)
	}
	schemas := schema.New()
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// Each document for itself: some declare one name twice.
		for doc := range strings.SplitSeq(string(raw), "\n---\n") {
			if strings.Contains(doc, "kind: Declarations") {
				continue // no folder's
			}
			list, problems := objects.Decode(path, []byte(doc), objects.Options{Schemas: schemas})
			if len(list) != 1 || len(problems) > 0 {
				t.Errorf("%d objects: %v\n%s", len(list), problems, doc)
			}
		}
	}
}

func TestValuesOfWrongTypes(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: a}
spec: {static: {host: a, port: 1}, policies: {auth: {secretRef: {name: 5}}}}`,
			`spec.policies.auth.secretRef.name: a number does not fit here; give a string`},
		{`
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: a}
spec: {ai: {groups: [{providers: [{name: a, openai: {model: m}}, {name: b, openai: {model: 4}, port: x}]}]}}`,
			`spec.ai.groups[0].providers[1].openai.model: a number does not fit here; give a string
spec.ai.groups[0].providers[1].port: a string does not fit here; give a whole number`},
		{`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a}
spec: {parentRefs: [{name: g}, {name: [g]}], rules: [{}, {backendRefs: [{name: b, weight: heavy}]}]}`,
			`spec.parentRefs[1].name: a list does not fit here; give a string
spec.rules[1].backendRefs[0].weight: a string does not fit here; give a whole number`},
		{`
apiVersion: nave.dev/v1alpha1
kind: Operation
metadata: {name: a}
spec: {kind: Freeze, who: a, expiresAt: tomorrow}`,
			`spec.expiresAt: parsing time "tomorrow" as "2006-01-02T15:04:05Z07:00": cannot parse "tomorrow" as "2006"; give a value of the type that is wanted`},
		{`
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {app.kubernetes.io/name: 1}}`,
			`metadata.labels[app.kubernetes.io/name]: is no object: a number does not fit here; give it apiVersion, kind and metadata`},
	} {
		_, problems := objects.Decode("a.yaml", []byte(c.doc), objects.Options{Schemas: schema.New()})
		var got []string
		for _, p := range problems {
			got = append(got, p.Field+": "+p.Message+"; "+p.Remedy)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", c.doc, diff)
		}
	}
}

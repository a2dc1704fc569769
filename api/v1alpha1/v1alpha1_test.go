package v1alpha1_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/v1alpha1"
)

func TestParsePlacement(t *testing.T) {
	tests := []struct {
		in      string
		want    v1alpha1.Placement
		refused string // part of the error
	}{
		{in: "", want: v1alpha1.Placement{}},
		{in: " Local ", want: v1alpha1.Placement{}},
		{in: "Fleet", want: v1alpha1.Placement{Fleet: true}},
		{in: "eastus", want: v1alpha1.Placement{Regions: []v1alpha1.Region{"eastus"}}},
		{in: "westus2, eastus ,westus2", want: v1alpha1.Placement{Regions: []v1alpha1.Region{"westus2", "eastus"}}},
		{in: "fleet", want: v1alpha1.Placement{Regions: []v1alpha1.Region{"fleet"}}},
		{in: "Fleet,eastus", refused: `"Fleet" is no region`},
		{in: "eastus,", refused: `"" is no region`},
		{in: "-a", refused: "no region"},
		{in: strings.Repeat("a", 64), refused: "no region"},
		{in: strings.Repeat("a,", 64) + "b", refused: "more than 64 regions"},
	}
	for _, tt := range tests {
		got, err := v1alpha1.ParsePlacement(tt.in)
		if tt.refused != "" {
			if err == nil || !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("ParsePlacement(%q) = %v, %v; want an error with %q", tt.in, got, err, tt.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("ParsePlacement(%q): %v", tt.in, err)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("ParsePlacement(%q) (-want +got):\n%s", tt.in, d)
		}
	}
}

// What is read, written and read again is the same.
func FuzzParsePlacement(f *testing.F) {
	for _, seed := range []string{"", "Local", "Fleet", "eastus", "westus2, eastus", ",", "a,a", "Fleet,a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := v1alpha1.ParsePlacement(in)
		if err != nil {
			if len(err.Error()) > 1024 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		again, err := v1alpha1.ParsePlacement(p.String())
		if err != nil || !cmp.Equal(p, again) {
			t.Errorf("%q is %v, and again %v, %v", in, p, again, err)
		}
	})
}

func TestTenantPlacement(t *testing.T) {
	tenant := new(v1alpha1.Tenant)
	if got := tenant.Placement(); got != "" {
		t.Errorf("a tenant that says nothing: %q", got)
	}
	tenant.Annotations = map[string]string{v1alpha1.AnnotationPlacement: "eastus"}
	if got := tenant.Placement(); got != "eastus" {
		t.Errorf("by its annotation: %q, want eastus", got)
	}
	tenant.Spec.DefaultPlacement = "Fleet"
	if got := tenant.Placement(); got != "Fleet" {
		t.Errorf("by its field, which wins: %q, want Fleet", got)
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[v1alpha1.Duration]time.Duration{"": time.Hour, "720h": 720 * time.Hour, v1alpha1.MaxFaultDuration: 15 * time.Minute} {
		if got, err := in.Or(time.Hour); got != want || err != nil {
			t.Errorf("%q.Or(1h) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []v1alpha1.Duration{"1d", "-1s"} {
		if got, err := in.Or(0); err == nil {
			t.Errorf("%q.Or(0) = %v, want an error", in, got)
		}
	}
}

func TestTriggersAreThoseOfTheSchema(t *testing.T) {
	if got := v1alpha1.Triggers(); len(got) != 7 || !slices.Contains(got, v1alpha1.TriggerOverloaded) {
		t.Errorf("Triggers() = %v", got)
	}
}

// Every kind has a CRD of the scope that the contract gives it, and the samples
// decode strictly and come out as they went in.
func TestKinds(t *testing.T) {
	scopes := map[string]string{
		v1alpha1.KindCluster: "Cluster", v1alpha1.KindTenant: "Cluster", v1alpha1.KindFleetConfig: "Cluster",
		v1alpha1.KindDrill: "Cluster", v1alpha1.KindOperation: "Cluster",
		v1alpha1.KindFailoverPolicy: "Namespaced", v1alpha1.KindDeclarations: "Namespaced",
	}
	paths, _ := filepath.Glob("../../charts/crds/templates/nave.dev_*.yaml")
	if len(paths) != len(scopes) {
		t.Errorf("found %d CRDs, want %d", len(paths), len(scopes))
	}
	for _, path := range paths {
		var crd struct {
			Spec struct {
				Scope string `json:"scope"`
				Names struct {
					Kind string `json:"kind"`
				} `json:"names"`
			} `json:"spec"`
		}
		raw, err := os.ReadFile(path)
		if err != nil || yaml.Unmarshal(raw, &crd) != nil {
			t.Fatalf("reading %s: %v", path, err)
		}
		if want := scopes[crd.Spec.Names.Kind]; crd.Spec.Scope != want {
			t.Errorf("%s is %s, want %q", crd.Spec.Names.Kind, crd.Spec.Scope, want)
		}
	}
	samples(t, scopes)
}

func samples(t *testing.T, scopes map[string]string) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("testdata/samples.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, doc := range strings.Split(string(raw), "\n---\n") {
		var want map[string]any
		if err := yaml.Unmarshal([]byte(doc), &want); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		kind, _ := want["kind"].(string)
		seen[kind] = true
		object, err := scheme.New(v1alpha1.SchemeGroupVersion.WithKind(kind))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict([]byte(doc), object); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		out, err := yaml.Marshal(object.DeepCopyObject())
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := yaml.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"spec", "status"} {
			if d := cmp.Diff(want[part], got[part]); d != "" {
				t.Errorf("%s of %s (-in +out):\n%s", part, kind, d)
			}
		}
	}
	if len(seen) != len(scopes) {
		t.Errorf("samples of %d kinds, want %d", len(seen), len(scopes))
	}
}

package generate_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/json"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

const charts = "../../charts/crds/templates"

// load reads a CRD as an API server would hold it, defaults filled in.
func load(t *testing.T, path string) *apiextensions.CustomResourceDefinition {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &v1); err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	crd := new(apiextensions.CustomResourceDefinition)
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, crd, nil); err != nil {
		t.Fatalf("converting %s: %v", path, err)
	}
	// What an API server records when it first stores the object.
	crd.Status.StoredVersions = []string{"v1alpha1"}
	return crd
}

// An API server takes every CRD: structural schemas, CEL rules that compile, and
// none whose estimated cost is over the limit.
func TestAPIServerTakesEveryCRD(t *testing.T) {
	paths, _ := filepath.Glob(charts + "/*.yaml")
	if len(paths) < 10 {
		t.Fatalf("found %d CRDs, want at least 10", len(paths))
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, err := range crdvalidation.ValidateCustomResourceDefinition(context.Background(), load(t, path)) {
				t.Error(err)
			}
		})
	}
}

// judge is what an API server does with an object of one kind.
type judge struct {
	schema    *structural.Structural
	validator validation.SchemaValidator
	rules     *cel.Validator
}

func judges(t *testing.T) map[string]judge {
	t.Helper()
	paths, _ := filepath.Glob(charts + "/*.yaml")
	all := map[string]judge{}
	for _, path := range paths {
		crd := load(t, path)
		schema := crd.Spec.Versions[0].Schema
		if schema == nil {
			schema = crd.Spec.Validation
		}
		s, err := structural.NewStructural(schema.OpenAPIV3Schema)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		v, _, err := validation.NewSchemaValidator(schema.OpenAPIV3Schema)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[crd.Spec.Names.Kind] = judge{schema: s, validator: v, rules: cel.NewValidator(s, true, celconfig.PerCallLimit)}
	}
	return all
}

// refuse says why an object would be refused: one line for each error.
func (j judge) refuse(object map[string]any) []string {
	var lines []string
	for _, path := range pruning.PruneWithOptions(object, j.schema, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		lines = append(lines, path+": unknown field")
	}
	defaulting.Default(object, j.schema)
	for _, err := range validation.ValidateCustomResource(nil, object, j.validator) {
		lines = append(lines, err.Error())
	}
	if j.rules == nil || len(lines) > 0 {
		return lines
	}
	errs, _ := j.rules.Validate(context.Background(), nil, j.schema, object, nil, celconfig.RuntimeCELCostBudget)
	for _, err := range errs {
		lines = append(lines, err.Error())
	}
	return lines
}

// read decodes a document as an API server does: whole numbers are integers.
func read(t *testing.T, path, doc string) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSONStrict([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, doc)
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, doc)
	}
	return object
}

// The samples beside the types are taken as they stand. Each document of
// testdata/refused.yaml is refused, with the words of its "# want:" line.
func TestSamples(t *testing.T) {
	all := judges(t)
	paths, _ := filepath.Glob("../../api/*/testdata/shapes/*.yaml")
	paths = append(paths, "../../api/v1alpha1/testdata/samples.yaml", "testdata/refused.yaml")
	if len(paths) < 4 {
		t.Fatalf("found %q, want at least 4 files", paths)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range strings.Split(string(raw), "\n---\n") {
			object := read(t, path, doc)
			want := ""
			if _, after, ok := strings.Cut(doc, "# want: "); ok {
				want, _, _ = strings.Cut(after, "\n")
			}
			kind, _ := object["kind"].(string)
			if all[kind].schema == nil {
				t.Fatalf("%s: no CRD for %q", path, kind)
			}
			got := strings.Join(all[kind].refuse(object), "\n")
			switch {
			case want == "" && got != "":
				t.Errorf("%s: refused, want it taken: %s\n%s", path, got, doc)
			case want != "" && !strings.Contains(got, want):
				t.Errorf("%s: got %q, want %q\n%s", path, got, want, doc)
			}
		}
	}
}

// An order's kind, cluster and author stay what they were; its end may move.
func TestOrdersDoNotTurnIntoOthers(t *testing.T) {
	j := judges(t)["Operation"]
	old := "spec: {kind: Drain, cluster: a, who: b}"
	for doc, want := range map[string]bool{
		old: true,
		"spec: {kind: Drain, cluster: a, who: b, expiresAt: '2026-01-02T03:04:05Z'}": true,
		"spec: {kind: Cordon, cluster: a, who: b}":                                   false,
		"spec: {kind: Drain, cluster: c, who: b}":                                    false,
		"spec: {kind: Drain, cluster: a, who: c}":                                    false,
	} {
		errs, _ := j.rules.Validate(context.Background(), nil, j.schema, read(t, "", doc), read(t, "", old), celconfig.RuntimeCELCostBudget)
		if taken := len(errs) == 0; taken != want {
			t.Errorf("%s: taken %v, want %v: %v", doc, taken, want, errs)
		}
	}
}

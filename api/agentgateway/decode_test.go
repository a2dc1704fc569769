package agentgateway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/agentgateway"
)

func lookUp(s *schema, path string) *schema {
	for name := range strings.SplitSeq(path, ".") {
		for s.Items != nil {
			s = s.Items
		}
		if s = s.Properties[name]; s == nil {
			return nil
		}
	}
	return s
}

// decode reads one document strictly into its kind; nil for kinds of others.
func decode(t *testing.T, doc string) runtime.Object {
	t.Helper()
	var head struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	scheme := runtime.NewScheme()
	if err := agentgateway.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	object, err := scheme.New(agentgateway.SchemeGroupVersion.WithKind(head.Kind))
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	if err := yaml.UnmarshalStrict([]byte(doc), object); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return object
}

func documents(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(raw), "\n---\n")
}

// Every shape that releases and their users' documents show decodes strictly, and
// comes out as it went in.
func TestShapesDecode(t *testing.T) {
	paths, _ := filepath.Glob("testdata/shapes/*.yaml")
	if len(paths) == 0 {
		t.Fatal("no shapes")
	}
	for _, path := range paths {
		for _, doc := range documents(t, path) {
			object := decode(t, doc)
			out, err := yaml.Marshal(object.DeepCopyObject())
			if err != nil {
				t.Fatal(err)
			}
			var want, got map[string]any
			if yaml.Unmarshal([]byte(doc), &want) != nil || yaml.Unmarshal(out, &got) != nil {
				t.Fatalf("%s: not YAML\n%s", path, out)
			}
			if d := cmp.Diff(want["spec"], got["spec"]); d != "" {
				t.Errorf("%s (-in +out):\n%s", path, d)
			}
		}
	}
}

func TestStrictDecodingRefuses(t *testing.T) {
	for name, doc := range map[string]string{
		"an unknown field":                "spec: {static: {host: a, port: 1, zone: b}}",
		"an unknown field in an alias":    "spec: {ai: {provider: {openai: {auth: {token: x}}}}}",
		"a key that is written twice":     "spec: {static: {host: a, host: b, port: 1}}",
		"an object where there is a list": "spec: {mcp: {targets: {name: a}}}",
	} {
		if err := yaml.UnmarshalStrict([]byte(doc), new(agentgateway.AgentgatewayBackend)); err == nil {
			t.Errorf("%s: decoded, want an error", name)
		}
	}
}

func TestAliasAuths(t *testing.T) {
	ref := agentgateway.CredentialRefWithKey{CredentialRef: agentgateway.CredentialRef{Name: "s"}, Key: "api-key"}
	tests := []struct {
		in   string
		want []agentgateway.AliasAuth
	}{
		{`{openai: {}}`, nil},
		{`{openai: {}, auth: {apiKey: {secretRef: {name: s, key: api-key}}}}`, []agentgateway.AliasAuth{{Path: "auth.apiKey.secretRef", Ref: ref}}},
		{`{anthropic: {auth: {secretRef: {name: s, key: api-key}}}}`, []agentgateway.AliasAuth{{Path: "anthropic.auth.secretRef", Ref: ref}}},
		{
			`{custom: {formats: [], auth: {secretRef: {name: s, key: api-key}}}, auth: {secretRef: {name: s, key: api-key}}}`,
			[]agentgateway.AliasAuth{{Path: "auth.secretRef", Ref: ref}, {Path: "custom.auth.secretRef", Ref: ref}},
		},
	}
	for _, block := range []string{"openai", "azureopenai", "azure", "anthropic", "gemini", "vertexai", "bedrock"} {
		tests = append(tests, struct {
			in   string
			want []agentgateway.AliasAuth
		}{`{` + block + `: {auth: {apiKey: {secretRef: {name: s, key: api-key}}}}}`, []agentgateway.AliasAuth{{Path: block + ".auth.apiKey.secretRef", Ref: ref}}})
	}
	for _, tt := range tests {
		var p agentgateway.LLMProvider
		if err := yaml.UnmarshalStrict([]byte(tt.in), &p); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, p.AliasAuths()); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, d)
		}
	}
}

func TestPoliciesInBackendShape(t *testing.T) {
	var p *agentgateway.ProviderPolicies
	var m *agentgateway.MCPTargetPolicies
	if p.Backend() != nil || m.Backend() != nil {
		t.Error("no policies became some")
	}
	in := `{tls: {sni: a}, auth: {key: k}, health: {unhealthyCondition: "true"}, transformation: {request: {body: b}}, ai: {modelAliases: {a: b}}}`
	var want agentgateway.BackendPolicies
	p, m = new(agentgateway.ProviderPolicies), new(agentgateway.MCPTargetPolicies)
	for _, into := range []any{p, m, &want} {
		if err := yaml.UnmarshalStrict([]byte(in), into); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(&want, p.Backend()); d != "" {
		t.Errorf("of a provider (-want +got):\n%s", d)
	}
	if d := cmp.Diff(&want, m.Backend()); d != "" {
		t.Errorf("of an MCP target (-want +got):\n%s", d)
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[agentgateway.Duration]time.Duration{"": time.Minute, "1m30s": 90 * time.Second, "5ms": 5 * time.Millisecond} {
		if got, err := in.Or(time.Minute); got != want || err != nil {
			t.Errorf("%q.Or(1m) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []agentgateway.Duration{"1", "x", "-1s"} {
		if got, err := in.Or(0); err == nil {
			t.Errorf("%q.Or(0) = %v, want an error", in, got)
		}
	}
}

func TestJSONKeepsWhatWasWritten(t *testing.T) {
	var j agentgateway.JSON
	if err := j.UnmarshalJSON([]byte(`{"a":1.50}`)); err != nil {
		t.Fatal(err)
	}
	if out, err := j.MarshalJSON(); string(out) != `{"a":1.50}` || err != nil {
		t.Errorf("MarshalJSON() = %s, %v", out, err)
	}
	if out, _ := (agentgateway.JSON{}).MarshalJSON(); string(out) != "null" {
		t.Errorf("an empty value is %s, want null", out)
	}
	if err := j.UnmarshalJSON([]byte("{")); err == nil {
		t.Error("took half a value")
	}
}

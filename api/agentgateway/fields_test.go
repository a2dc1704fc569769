package agentgateway_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/agentgateway"
)

func TestFields(t *testing.T) {
	tests := []struct {
		name   string
		object any
		in     string
		want   []string
	}{{
		name:   "holders before what they hold, list indices, no metadata or status",
		object: new(agentgateway.AgentgatewayBackend),
		in: `{metadata: {name: a}, status: {conditions: []},
  spec: {ai: {groups: [{providers: [{name: p, openai: {model: m}}, {name: q, host: h, port: 1, anthropic: {}, policies: {health: {eviction: {duration: 1s}}}}]}]}}}`,
		want: []string{
			"spec", "spec.ai", "spec.ai.groups", "spec.ai.groups[0].providers",
			"spec.ai.groups[0].providers[0].name",
			"spec.ai.groups[0].providers[0].openai",
			"spec.ai.groups[0].providers[0].openai.model",
			"spec.ai.groups[0].providers[1].name",
			"spec.ai.groups[0].providers[1].anthropic",
			"spec.ai.groups[0].providers[1].host",
			"spec.ai.groups[0].providers[1].port",
			"spec.ai.groups[0].providers[1].policies",
			"spec.ai.groups[0].providers[1].policies.health",
			"spec.ai.groups[0].providers[1].policies.health.eviction",
			"spec.ai.groups[0].providers[1].policies.health.eviction.duration",
		},
	}, {
		name:   "empty objects and zeros that were written are set, maps are one field",
		object: new(agentgateway.AgentgatewayPolicy),
		in: `{spec: {backend: {tls: {}, auth: {passthrough: {}}, ai: {modelAliases: {a: b}}},
  traffic: {rateLimit: {local: [{requests: 1, unit: Seconds, burst: 0}]}}}}`,
		want: []string{
			"spec",
			"spec.traffic", "spec.traffic.rateLimit", "spec.traffic.rateLimit.local",
			"spec.traffic.rateLimit.local[0].requests", "spec.traffic.rateLimit.local[0].unit", "spec.traffic.rateLimit.local[0].burst",
			"spec.backend", "spec.backend.tls", "spec.backend.auth", "spec.backend.auth.passthrough",
			"spec.backend.ai", "spec.backend.ai.modelAliases",
		},
	}, {
		name:   "free-form values and quantities are one field",
		object: new(agentgateway.AgentgatewayPolicy),
		in: `{spec: {frontend: {http: {maxBufferSize: 2Mi}}, backend: {ai: {defaults: [{field: f, value: {a: 1}}]},
  mcp: {authentication: {jwks: {url: "https://i/k"}, resourceMetadata: {a: {b: c}}}}}}}`,
		want: []string{
			"spec",
			"spec.frontend", "spec.frontend.http", "spec.frontend.http.maxBufferSize",
			"spec.backend", "spec.backend.ai", "spec.backend.ai.defaults",
			"spec.backend.ai.defaults[0].field", "spec.backend.ai.defaults[0].value",
			"spec.backend.mcp", "spec.backend.mcp.authentication", "spec.backend.mcp.authentication.jwks",
			"spec.backend.mcp.authentication.jwks.url", "spec.backend.mcp.authentication.resourceMetadata",
		},
	}, {
		name:   "a part of a kind",
		object: new(agentgateway.BackendAuth),
		in:     `{secretRef: {name: s}}`,
		want:   []string{"secretRef", "secretRef.name"},
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := yaml.UnmarshalStrict([]byte(tt.in), tt.object); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, paths(tt.object)); d != "" {
				t.Errorf("Fields (-want +got):\n%s", d)
			}
		})
	}
	for _, none := range []any{nil, 1, (*agentgateway.BackendAuth)(nil)} {
		if got := agentgateway.Fields(none); got != nil {
			t.Errorf("Fields(%#v) = %v, want none", none, got)
		}
	}
}

// What Fields calls a field's place is a place of the generated schema.
func TestFieldsSchemaIsTheGenerated(t *testing.T) {
	object := new(agentgateway.AgentgatewayBackend)
	in := `{spec: {mcp: {targets: [{name: a, static: {host: h, port: 1, policies: {mcp: {authorization: {policy: {matchExpressions: ["true"]}}}}}}]}}}`
	if err := yaml.UnmarshalStrict([]byte(in), object); err != nil {
		t.Fatal(err)
	}
	root := crds(t)[agentgateway.KindBackend].Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, f := range agentgateway.Fields(object) {
		if lookUp(root, f.Schema) == nil {
			t.Errorf("%s is not in the schema", f.Schema)
		}
	}
}

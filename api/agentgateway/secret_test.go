package agentgateway_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/v1alpha1"
)

// texts lists every field that can hold text, as Type.field, and which are secret.
// Shapes that occur in many places are listed once.
type texts struct {
	public, secret map[string]bool
	seen           map[string]bool
}

func (x *texts) of(t reflect.Type, tag string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || x.seen[t.String()+tag] || strings.HasPrefix(t.String(), "resource.") || t == reflect.TypeFor[agentgateway.JSON]() {
		return
	}
	x.seen[t.String()+tag] = true
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "metadata" && f.Anonymous || name == "status" || f.Name == "TypeMeta" {
			continue
		}
		mark, below := f.Tag.Get("nave"), tag
		if rel, ok := strings.CutPrefix(mark, "secret="); ok {
			below = rel
		}
		where := strings.TrimPrefix(t.String(), "agentgateway.") + "." + name
		switch {
		case !holdsText(f.Type):
		case mark == "secret" || below != "" && name == below:
			x.secret[where] = true
		default:
			x.public[where] = true
		}
		x.of(f.Type, below)
	}
}

func holdsText(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t.Kind() == reflect.String || t == reflect.TypeFor[agentgateway.JSON]()
}

// These are the kinds that a spoke pushes and that have types of ours. Whoever adds
// a field that can hold text says whether it is a secret, by its nave
// tag, or public, by a line in testdata/public.txt.
func TestEveryTextIsSecretOrPublic(t *testing.T) {
	x := &texts{public: map[string]bool{}, secret: map[string]bool{}, seen: map[string]bool{}}
	for _, kind := range []any{agentgateway.AgentgatewayBackend{}, agentgateway.AgentgatewayPolicy{}, agentgateway.AgentgatewayParameters{}, v1alpha1.FailoverPolicy{}} {
		x.of(reflect.TypeOf(kind), "")
	}
	raw, err := os.ReadFile("testdata/public.txt")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			declared[line] = true
		}
	}
	for where := range x.public {
		if !declared[where] {
			t.Errorf("%s holds text and is neither marked secret nor listed in testdata/public.txt", where)
		}
	}
	for where := range declared {
		if x.secret[where] {
			t.Errorf("%s is both marked secret and listed in testdata/public.txt", where)
		} else if !x.public[where] {
			t.Errorf("%s is listed in testdata/public.txt, and there is no such field", where)
		}
	}
}

func TestSecretFields(t *testing.T) {
	got := agentgateway.SecretFields()
	for _, want := range []string{
		"AgentgatewayBackend spec.ai.groups.providers.policies.auth.key",
		"AgentgatewayBackend spec.mcp.targets.static.policies.auth.key",
		"AgentgatewayBackend spec.policies.ai.promptGuard.request.openAIModeration.policies.auth.key",
		"AgentgatewayBackend spec.policies.ai.promptGuard.response.bedrockGuardrails.policies.auth.key",
		"AgentgatewayPolicy spec.backend.auth.key",
		"AgentgatewayPolicy spec.traffic.basicAuthentication.users",
		"AgentgatewayParameters spec.env.value",
		"AgentgatewayParameters spec.rawConfig",
		"AgentgatewayParameters spec.deployment.spec.**.env.value",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("SecretFields lacks %q", want)
		}
	}
	for _, line := range got {
		if strings.Contains(line, "secretRef") {
			t.Errorf("%s is a reference, not a secret", line)
		}
	}
}

func TestReplaceSecrets(t *testing.T) {
	hide := func(path, value string) string { return "<" + path + ">" }
	tests := []struct {
		name   string
		object any
		in     string
		want   map[string]string // path to the value put there
		not    []string          // what must be gone
	}{{
		name:   "inline keys at every level",
		object: new(agentgateway.AgentgatewayBackend),
		in: `{spec: {ai: {groups: [{providers: [{name: a, openai: {}, policies: {auth: {key: k1}}}]}]},
  policies: {auth: {key: k2}, ai: {promptGuard: {request: [{openAIModeration: {policies: {auth: {key: k3}}}}]}}}}}`,
		want: map[string]string{
			"spec.ai.groups[0].providers[0].policies.auth.key":                           "k1",
			"spec.policies.auth.key":                                                     "k2",
			"spec.policies.ai.promptGuard.request[0].openAIModeration.policies.auth.key": "k3",
		},
	}, {
		name:   "each line of an htpasswd list",
		object: new(agentgateway.AgentgatewayPolicy),
		in:     `{spec: {traffic: {basicAuthentication: {users: ["a:x1", "b:x2"]}}}}`,
		want: map[string]string{
			"spec.traffic.basicAuthentication.users[0]": "a:x1",
			"spec.traffic.basicAuthentication.users[1]": "b:x2",
		},
	}, {
		name:   "environment variables, typed and in an overlay, and raw configuration",
		object: new(agentgateway.AgentgatewayParameters),
		in: `{spec: {env: [{name: A, value: v1}, {name: B, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}],
  rawConfig: {token: v2},
  deployment: {spec: {replicas: 2, template: {spec: {containers: [{name: p, env: [{name: C, value: v3}]}]}}}}}}`,
		want: map[string]string{
			"spec.env[0].value": "v1",
			"spec.rawConfig":    `{"token":"v2"}`,
			"spec.deployment.spec.template.spec.containers[0].env[0].value": "v3",
		},
		not: []string{"v1", "v2", "v3"},
	}, {
		name:   "nothing to hide",
		object: new(agentgateway.AgentgatewayBackend),
		in:     `{spec: {static: {host: a, port: 1}, policies: {auth: {secretRef: {name: s, key: k}}}}}`,
		want:   map[string]string{},
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := yaml.UnmarshalStrict([]byte(tt.in), tt.object); err != nil {
				t.Fatal(err)
			}
			before := paths(tt.object)
			got := map[string]string{}
			err := agentgateway.ReplaceSecrets(tt.object, func(path, value string) string {
				got[path] = value
				return hide(path, value)
			})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("replaced (-want +got):\n%s", d)
			}
			if d := cmp.Diff(before, paths(tt.object)); d != "" {
				t.Errorf("the fields that are set changed:\n%s", d)
			}
			raw, err := json.Marshal(tt.object)
			if err != nil {
				t.Fatal(err)
			}
			for _, not := range tt.not {
				if strings.Contains(string(raw), not) {
					t.Errorf("%q is still in %s", not, raw)
				}
			}
		})
	}
}

func paths(object any) []string {
	var all []string
	for _, f := range agentgateway.Fields(object) {
		all = append(all, f.Path)
	}
	return all
}

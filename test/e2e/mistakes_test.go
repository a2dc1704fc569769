package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/test/load"
)

// takenPort is held by this test, so that no gateway can have it.
const takenPort = "18493"

// mistakes are what people write, and how they are told.
var mistakes = []struct {
	name, text string
	// object, field and about are in the problem; object "" where a file is no
	// object. Its status tells of all that the problem does, or, where it is of a kind
	// that has none, the status of what wears the consequence tells that.
	object, field, about, wears, status string
}{
	{"no YAML", "spec: [\n", "", "", "not YAML", "", ""},
	{"unknown field", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  parentRefs: [{name: agentgateway-mcp}]
  rulez: []
`, "HTTPRoute agentgateway-system/mistake", "spec.rulez", "no such field", "", ""},
	{"route to nothing", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  parentRefs: [{name: agentgateway-mcp}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /nothing}}]
    backendRefs: [{name: nobody, group: agentgateway.dev, kind: AgentgatewayBackend}]
`, "HTTPRoute agentgateway-system/mistake", "spec.rules[0].backendRefs[0]", "nobody is not found", "", ""},
	{"colliding listeners", `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  gatewayClassName: agentgateway
  listeners:
  - {name: a, port: 8090, protocol: HTTP}
  - {name: b, port: 8090, protocol: HTTP}
`, "Gateway agentgateway-system/mistake", "spec.listeners[1]", `listener "a"`, "", ""},
	{"missing secret", `apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  ai: {provider: {openai: {}}}
  policies: {auth: {secretRef: {name: not-there}}}
`, "AgentgatewayBackend agentgateway-system/mistake", "spec.policies.auth.secretRef", "not-there is not found", "", ""},
	{"missing variable", `apiVersion: v1
kind: Secret
metadata: {name: mistake, namespace: agentgateway-system}
stringData: {Authorization: $NAVE_NO_SUCH_KEY}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: wearer, namespace: agentgateway-system}
spec:
  ai: {provider: {openai: {}}}
  policies: {auth: {secretRef: {name: mistake}}}
`, "Secret agentgateway-system/mistake", "stringData.Authorization", "NAVE_NO_SUCH_KEY", "AgentgatewayBackend agentgateway-system/wearer", "Secret agentgateway-system/mistake is not found"},
	{"missing secret of clients' keys", `apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: not-there}]
  traffic: {apiKeyAuthentication: {secretRef: {name: not-there}}}
`, "AgentgatewayPolicy agentgateway-system/mistake", "spec.traffic.apiKeyAuthentication.secretRef", "not-there", "", ""},
	{"provider name used twice", `apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  ai:
    groups:
    - providers:
      - {name: same, openai: {}}
      - {name: same, openai: {}}
`, "AgentgatewayBackend agentgateway-system/mistake", "spec.ai.groups[0].providers[1].name", "used twice", "", ""},
	{"port that is taken", `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  gatewayClassName: agentgateway
  listeners:
  - {name: taken, port: ` + takenPort + `, protocol: HTTP}
`, "Gateway agentgateway-system/mistake", "spec.listeners[0].port", takenPort, "", ""},
}

// TestMistakes: each is named with file, object, field and remedy, where `nave
// up` prints, in `nave status` and in the written status; it hurts nothing else,
// and is forgotten when it is mended.
func TestMistakes(t *testing.T) {
	var c net.ListenConfig
	l, err := c.Listen(t.Context(), "tcp", "0.0.0.0:"+takenPort)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := start(t, nil)
	traffic := f.load(40)
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			file := "clusters/westus2/mistake.yaml"
			f.write(file, m.text)
			var told objects.Problem
			find := func() (*objects.Problem, error) { return f.problem(t.Context(), m.object, m.field, m.about) }
			eventually(t, 10*time.Second, "`nave status` names it", func() error {
				p, err := find()
				if err != nil {
					return err
				}
				if !strings.Contains(p.File, "mistake.yaml") || p.Cluster != home || p.Remedy == "" {
					return fmt.Errorf("file, cluster or remedy is missing: %+v", *p)
				}
				told = *p
				shown, err := f.Nave(t.Context(), "status")
				if err != nil {
					return err
				}
				return whole(string(shown), file, told)
			})
			eventually(t, 5*time.Second, "`nave up` prints it", func() error {
				printed, err := os.ReadFile(f.Log())
				if err != nil {
					return err
				}
				return whole(string(printed), file, told)
			})
			if m.object != "" {
				eventually(t, 5*time.Second, "the written status tells of it", func() error {
					if m.status == "" {
						return f.written(m.object, told.Field, told.Message, told.Remedy)
					}
					return f.written(m.wears, m.status)
				})
			}
			f.remove(file)
			eventually(t, 10*time.Second, "it is forgotten", func() error {
				p, err := find()
				if err == nil {
					return fmt.Errorf("still there: %+v", *p)
				}
				if !errors.Is(err, errNone) {
					return err
				}
				if m.object != "" && f.written(cmp.Or(m.wears, m.object)) == nil {
					return errors.New("its status is still there")
				}
				return nil
			})
		})
	}
	traffic.Stop()
	if fates := none(t, traffic.Results()); len(fates) > 1 || fates[load.Served] < 100 {
		t.Errorf("requests were disturbed: %v", fates)
	}
}

// whole asserts that one line of a text tells of all that a person needs to mend a
// problem.
func whole(text, file string, p objects.Problem) error {
	for line := range strings.Lines(text) {
		if strings.Contains(line, file) && strings.Contains(line, p.Object) && strings.Contains(line, p.Field) && strings.Contains(line, p.Message) && strings.Contains(line, p.Remedy) {
			return nil
		}
	}
	return fmt.Errorf("no line tells of %+v:\n%s", p, text)
}

var errNone = errors.New("no problem names it")

// problem finds the one that `nave status` tells of.
func (f *fleet) problem(ctx context.Context, object, field, about string) (*objects.Problem, error) {
	var s report.Status
	if err := f.JSON(ctx, &s, "status"); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(s.Problems, func(p objects.Problem) bool {
		return strings.Contains(p.Object, object) && strings.Contains(p.Field, field) && strings.Contains(p.Message, about)
	})
	if i < 0 {
		return nil, fmt.Errorf("%w: %+v", errNone, s.Problems)
	}
	return &s.Problems[i], nil
}

// written looks for texts in one message of the written status of an object.
func (f *fleet) written(object string, want ...string) error {
	kind, name, _ := strings.Cut(object, " ")
	data, err := os.ReadFile(filepath.Join(f.Dir(), ".nave", "clusters", home, "statuses", kind, filepath.FromSlash(name)+".yaml"))
	if err != nil {
		return err
	}
	var status any
	if err := yaml.Unmarshal(data, &status); err != nil {
		return err
	}
	if top, ok := status.(map[string]any); !ok || !strings.Contains(fmt.Sprint(top["file"]), ".yaml:") {
		return fmt.Errorf("the file is not named:\n%s", data)
	}
	if !tells(status, want) {
		return fmt.Errorf("no message holds %q:\n%s", want, data)
	}
	return nil
}

// tells tells whether a message somewhere in a status holds all texts.
func tells(status any, want []string) bool {
	switch status := status.(type) {
	case map[string]any:
		if message, ok := status["message"].(string); ok {
			return !slices.ContainsFunc(want, func(x string) bool { return !strings.Contains(message, x) })
		}
		return slices.ContainsFunc(slices.Collect(maps.Values(status)), func(x any) bool { return tells(x, want) })
	case []any:
		return slices.ContainsFunc(status, func(x any) bool { return tells(x, want) })
	}
	return false
}

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	// object. status is in the written status of the object.
	object, field, about, status string
}{
	{"no YAML", "spec: [\n", "", "", "not YAML", ""},
	{"unknown field", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  parentRefs: [{name: agentgateway-mcp}]
  rulez: []
`, "HTTPRoute agentgateway-system/mistake", "spec.rulez", "no such field", "spec.rulez"},
	{"route to nothing", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  parentRefs: [{name: agentgateway-mcp}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /nothing}}]
    backendRefs: [{name: nobody, group: agentgateway.dev, kind: AgentgatewayBackend}]
`, "HTTPRoute agentgateway-system/mistake", "spec.rules[0].backendRefs[0]", "nobody is not found", "BackendNotFound"},
	{"colliding listeners", `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  gatewayClassName: agentgateway
  listeners:
  - {name: a, port: 8090, protocol: HTTP}
  - {name: b, port: 8090, protocol: HTTP}
`, "Gateway agentgateway-system/mistake", "spec.listeners[1]", `listener "a"`, "Conflict"},
	{"missing secret", `apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  ai: {provider: {openai: {}}}
  policies: {auth: {secretRef: {name: not-there}}}
`, "AgentgatewayBackend agentgateway-system/mistake", "spec.policies.auth.secretRef", "not-there is not found", "not-there"},
	{"provider name used twice", `apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  ai:
    groups:
    - providers:
      - {name: same, openai: {}}
      - {name: same, openai: {}}
`, "AgentgatewayBackend agentgateway-system/mistake", "spec.ai.groups[0].providers[1].name", "used twice", "used twice"},
	{"port that is taken", `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: mistake, namespace: agentgateway-system}
spec:
  gatewayClassName: agentgateway
  listeners:
  - {name: taken, port: ` + takenPort + `, protocol: HTTP}
`, "Gateway agentgateway-system/mistake", "spec.listeners[0].port", takenPort, takenPort},
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
			find := func() (*objects.Problem, error) { return f.problem(t.Context(), m.object, m.field, m.about) }
			eventually(t, 10*time.Second, "`nave status` names it", func() error {
				p, err := find()
				if err != nil {
					return err
				}
				if !strings.Contains(p.File, "mistake.yaml") || p.Cluster != home || p.Remedy == "" {
					return fmt.Errorf("file, cluster or remedy is missing: %+v", *p)
				}
				return nil
			})
			eventually(t, 5*time.Second, "`nave up` prints it", func() error {
				printed, err := os.ReadFile(f.Log())
				if err != nil {
					return err
				}
				for line := range strings.Lines(string(printed)) {
					if strings.Contains(line, "mistake.yaml") && strings.Contains(line, m.object) && strings.Contains(line, m.field) && strings.Contains(line, m.about) {
						return nil
					}
				}
				return errors.New("no line names it")
			})
			if m.object != "" {
				eventually(t, 5*time.Second, "the written status names it", func() error { return f.written(m.object, m.status) })
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
				if m.object != "" && f.written(m.object, "") == nil {
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

// written looks for a text in the written status of an object.
func (f *fleet) written(object, want string) error {
	kind, rest, _ := strings.Cut(object, " ")
	_, name, _ := strings.Cut(rest, "/")
	found := errors.New("there is no status")
	err := filepath.WalkDir(filepath.Join(f.Dir(), ".nave", "clusters", home, "statuses", kind), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(filepath.Base(path), name) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if found = nil; !strings.Contains(string(data), want) {
			found = fmt.Errorf("it says:\n%s", data)
		}
		return nil
	})
	return errors.Join(err, found)
}

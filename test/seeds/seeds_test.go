// Package seeds_test runs fleets of manifests that others wrote for agentgateway,
// as they stand: nothing of them is changed for Nave. Where the documents that
// they come from lie beside the project, theirs are taken; the same shapes in
// words of our own are always there.
package seeds_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/test/standalone"
)

const (
	root  = "../.."
	seeds = root + "/../shared/seeds"
	// east is where the agents' own objects are, west where the gateways are.
	east, west = "akscluster1", "akscluster2"
	key        = "key-of-the-provider"
)

func TestMain(m *testing.M) {
	if out, err := exec.Command("make", "-s", "-C", root, "build-test").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// scene is a fleet of somebody's manifests.
type scene struct {
	t      *testing.T
	f      *standalone.Fleet
	ports  []string // of the models, of the tools
	status report.Status
}

// run runs manifests with what their documents have beside them: servers, and
// secrets that a command makes. Objects of namespace kagent are in the east.
func run(t *testing.T, list []string) *scene {
	t.Helper()
	dir, err := os.MkdirTemp("", "nave-seeds-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &scene{t: t}
	if s.ports, err = standalone.FreePorts(2); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"hub/clusters.yaml":                   clusters,
		"hub/wan.yaml":                        "links:\n- {between: [akscluster1, akscluster2], delay: 33ms}\n",
		"hub/hosts.yaml":                      strings.ReplaceAll(hosts, "MODELS", s.ports[0]),
		"clusters/akscluster1/namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: kagent}\n",
		"clusters/akscluster2/beside.yaml":    strings.NewReplacer("MODELS", s.ports[0], "TOOLS", s.ports[1]).Replace(beside),
		"clusters/akscluster2/processes.yaml": strings.NewReplacer("MODELS", s.ports[0], "TOOLS", s.ports[1]).Replace(processes),
	}
	for i, text := range list {
		cluster := west
		if strings.Contains(text, "namespace: kagent") {
			cluster = east
		}
		files[fmt.Sprintf("clusters/%s/manifest-%02d.yaml", cluster, i)] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bin, err := filepath.Abs(root + "/bin")
	if err != nil {
		t.Fatal(err)
	}
	s.f, err = standalone.Start(standalone.Options{Bin: bin, Dir: dir, Env: []string{"AZURE_FOUNDRY_API_KEY=" + key}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.f.End()
		if t.Failed() {
			t.Logf("it printed:\n%s", standalone.Tail(s.f.Log(), 20))
		}
	})
	return s
}

const clusters = `apiVersion: nave.dev/v1alpha1
kind: Cluster
metadata: {name: akscluster1}
spec: {region: eastus}
---
apiVersion: nave.dev/v1alpha1
kind: Cluster
metadata: {name: akscluster2}
spec: {region: westus2}
`

const hosts = `hosts:
- {host: YOUR_FOUNDRY_ENDPOINT.services.ai.azure.com, port: 443, address: 127.0.0.1:MODELS, plaintext: true}
- {host: agw-foundry-9118.openai.azure.com, port: 443, address: 127.0.0.1:MODELS, plaintext: true}
- {host: api.openai.com, port: 443, address: 127.0.0.1:MODELS, plaintext: true}
`

const processes = `processes:
- name: models
  command: [model-sim, -listen, 127.0.0.1:MODELS, -keys, key-of-the-provider, -deployment, gpt-5.4-mini=gpt-5.4-mini, -deployment, gpt-4.1=gpt-4.1]
  ready: {tcp: 127.0.0.1:MODELS}
- name: tools
  command: [mcp-sim, -kind, math, -listen, 127.0.0.1:TOOLS]
  ready: {tcp: 127.0.0.1:TOOLS}
`

// beside is what the documents make by commands, or leave to the reader: keys,
// a route to a backend, a model server, and who is behind a Service.
const beside = `apiVersion: v1
kind: Secret
metadata: {name: openai-api-key, namespace: default}
stringData: {api-key: key-of-the-provider}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: openai, namespace: default}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: openai}]
---
apiVersion: v1
kind: Secret
metadata: {name: llm-secret, namespace: kubelb}
stringData: {Authorization: key-of-the-provider}
---
apiVersion: v1
kind: Service
metadata: {name: llama-cpp, namespace: llm}
spec:
  ports: [{port: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: llama-cpp
  namespace: llm
  labels: {kubernetes.io/service-name: llama-cpp}
addressType: IPv4
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
ports: [{port: MODELS, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: mcp-math-server
  namespace: default
  labels: {kubernetes.io/service-name: mcp-math-server}
addressType: IPv4
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
ports: [{port: TOOLS, protocol: TCP}]
`

// settled waits until everything is accepted and programmed, and nothing is left
// to mend.
func (s *scene) settled(gateways, routes, backends int) {
	s.t.Helper()
	var why error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		s.status = report.Status{}
		if why = s.f.JSON(s.t.Context(), &s.status, "status"); why != nil {
			continue
		}
		if why = unsettled(s.status, gateways, routes, backends); why == nil {
			return
		}
	}
	s.t.Fatal(why)
}

type conditions []struct{ Type, Status, Message string }

func (c conditions) fulfil(what string, wanted ...string) error {
	for _, kind := range wanted {
		i := slices.IndexFunc(c, func(x struct{ Type, Status, Message string }) bool { return x.Type == kind })
		if i < 0 || c[i].Status != "True" {
			return fmt.Errorf("%s is not %s: %+v", what, kind, c)
		}
	}
	return nil
}

func unsettled(s report.Status, gateways, routes, backends int) error {
	if len(s.Clusters) != 2 || len(s.Gateways) != gateways || len(s.Routes) != routes || len(s.Backends) != backends {
		return fmt.Errorf("there are %d clusters, %d gateways, %d routes and %d backends", len(s.Clusters), len(s.Gateways), len(s.Routes), len(s.Backends))
	}
	for _, p := range s.Problems {
		if p.Severity != objects.SeverityInfo {
			return fmt.Errorf("a problem: %s", p)
		}
	}
	for _, g := range s.Gateways {
		var c conditions
		if err := json.Unmarshal(g.Conditions, &c); err != nil {
			return err
		}
		if err := c.fulfil("Gateway "+g.Name, "Accepted", "Programmed"); err != nil {
			return err
		}
	}
	for _, r := range s.Routes {
		var status struct {
			Parents []struct{ Conditions conditions }
		}
		if err := json.Unmarshal(r.Status, &status); err != nil || len(status.Parents) == 0 {
			return fmt.Errorf("route %s has the status %s: %w", r.Name, r.Status, err)
		}
		if err := status.Parents[0].Conditions.fulfil("route "+r.Name, "Accepted", "ResolvedRefs"); err != nil {
			return err
		}
	}
	for _, b := range s.Backends {
		var status struct{ Conditions conditions }
		if err := json.Unmarshal(b.Status, &status); err != nil {
			return err
		}
		if err := status.Conditions.fulfil("backend "+b.Name, "Accepted"); err != nil {
			return err
		}
	}
	return nil
}

func (s *scene) url(gateway string) string {
	s.t.Helper()
	hosts := standalone.Gateway(s.status, west, gateway)
	if len(hosts) == 0 {
		s.t.Fatalf("gateway %s is nowhere", gateway)
	}
	return "http://" + hosts[0]
}

// chat asks a model by the official SDK, whole and streamed.
func (s *scene) chat(base, model string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	client := openai.NewClient(option.WithBaseURL(base), option.WithAPIKey("the-gateway-has-its-own"), option.WithMaxRetries(0))
	asked := openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say hi in 5 words.")}}
	answer, err := client.Chat.Completions.New(ctx, asked)
	if err != nil || len(answer.Choices) == 0 || answer.Choices[0].Message.Content == "" || answer.Usage.TotalTokens == 0 {
		s.t.Errorf("%s: %+v, %v", base, answer, err)
		return
	}
	stream := client.Chat.Completions.NewStreaming(ctx, asked)
	defer stream.Close()
	words := ""
	for stream.Next() {
		for _, c := range stream.Current().Choices {
			words += c.Delta.Content
		}
	}
	if stream.Err() != nil || words == "" {
		s.t.Errorf("%s, streamed: %q, %v", base, words, stream.Err())
	}
}

// add has the math server add by the official SDK.
func (s *scene) add(base string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil).
		Connect(ctx, &mcp.StreamableClientTransport{Endpoint: base, MaxRetries: -1, HTTPClient: http.DefaultClient}, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer session.Close()
	list, err := session.ListTools(ctx, nil)
	if err != nil || len(list.Tools) != 2 {
		s.t.Errorf("tools %+v, %v", list, err)
	}
	for tool, want := range map[string]string{"add": "7", "multiply": "12"} {
		got, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: map[string]any{"a": 3, "b": 4}})
		if err != nil || got.IsError || len(got.Content) == 0 {
			s.t.Errorf("%s: %+v, %v", tool, got, err)
			continue
		}
		if text, ok := got.Content[0].(*mcp.TextContent); !ok || text.Text != want {
			s.t.Errorf("%s of 3 and 4 is %+v", tool, got.Content[0])
		}
	}
}

// TestDocuments: the manifests of the documents beside the project.
func TestDocuments(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(seeds, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("the documents do not lie beside the project; TestShapes holds the same shapes")
	}
	var list []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, manifests(string(data))...)
	}
	if len(list) < 26 {
		t.Fatalf("only %d manifests were found", len(list))
	}
	s := run(t, list)
	s.settled(5, 5, 5)
	s.chat(s.url("agentgateway-route-foundry")+"/azureopenai", "gpt-5.4-mini")
	s.chat(s.url("gateway")+"/v1", "gpt-4o-mini")
	s.chat(s.url("agentgateway-proxy")+"/v1", "gemma-4-12b-it")
	s.add(s.url("agentgateway-mcp") + "/mcp")
	s.notRun("Deployment", "ModelConfig", "Agent", "RemoteMCPServer", "PodMonitor")
}

// notRun asserts that kinds that only a cluster can run are told of, and are no
// errors.
func (s *scene) notRun(kinds ...string) {
	s.t.Helper()
	for _, kind := range kinds {
		if !slices.ContainsFunc(s.status.Problems, func(p objects.Problem) bool {
			return p.Severity == objects.SeverityInfo && strings.HasPrefix(p.Object, kind)
		}) {
			s.t.Errorf("nothing tells that %s is not run: %v", kind, s.status.Problems)
		}
	}
}

// Package seeds_test runs fleets of manifests that others wrote for agentgateway,
// as they stand: nothing of them is changed for Nave. Where the documents that
// they come from lie beside the project, theirs are taken; the same shapes in
// words of our own are always there.
package seeds_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
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
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/test/simulators/entra"
	"github.com/navehq/nave/test/standalone"
)

const (
	root  = "../.."
	seeds = root + "/../shared/seeds"
	// east is where the agents' own objects are, west where the gateways are.
	east, west = "akscluster1", "akscluster2"
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
	ports  map[string]string // of the simulators, by name
	tokens *entra.Double
	status report.Status
}

// run runs manifests with what their documents have beside them. Objects of
// namespace kagent are in the east.
func run(t *testing.T, list []string) *scene {
	t.Helper()
	dir, err := os.MkdirTemp("", "nave-seeds-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &scene{t: t, ports: map[string]string{}}
	free, err := standalone.FreePorts(len(simulators))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range simulators {
		s.ports[name] = free[i]
	}
	files := s.beside()
	for i, text := range list {
		cluster := west
		if strings.Contains(text, "namespace: kagent") {
			cluster = east
		}
		files[fmt.Sprintf("clusters/%s/manifest-%02d.yaml", cluster, i)] = text
	}
	for name, text := range files {
		write(t, filepath.Join(dir, filepath.FromSlash(name)), text)
	}
	env := append(s.identity(dir), "AZURE_FOUNDRY_API_KEY=key-of-foundry", "ANTHROPIC_API_KEY=key-of-anthropic")
	bin, err := filepath.Abs(root + "/bin")
	if err != nil {
		t.Fatal(err)
	}
	if s.f, err = standalone.Start(standalone.Options{Bin: bin, Dir: dir, Env: env}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.f.End(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("it printed:\n%s", standalone.Tail(s.f.Log(), 20))
		}
	})
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// expected is what a fleet comes to. notRun are the kinds that only a cluster can
// run: each is told of, as worth knowing, and nothing else is.
type expected struct {
	gateways, routes, backends int
	notRun                     []string
}

// settled waits until everything is accepted and programmed, and nothing is left
// to mend.
func (s *scene) settled(want expected) {
	s.t.Helper()
	var why error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		s.status = report.Status{}
		if why = s.f.JSON(s.t.Context(), &s.status, "status"); why != nil {
			continue
		}
		if why = want.missing(s.status); why == nil {
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

func (e expected) missing(s report.Status) error {
	if len(s.Clusters) != 2 || len(s.Gateways) != e.gateways || len(s.Routes) != e.routes || len(s.Backends) != e.backends {
		return fmt.Errorf("there are %d clusters, %d gateways, %d routes and %d backends", len(s.Clusters), len(s.Gateways), len(s.Routes), len(s.Backends))
	}
	for _, p := range s.Problems {
		kind, _, _ := strings.Cut(p.Object, " ")
		if p.Field == "spec.listeners[0].port" && unprivileged() {
			continue // the proxy answers at another port, which the gateway's URL names
		}
		if p.Severity == objects.SeverityInfo && p.Reason == v1alpha1.ReasonOnlyOnKubernetes {
			continue // an overlay of a pod
		}
		if p.Severity != objects.SeverityInfo || !slices.Contains(e.notRun, kind) {
			return fmt.Errorf("a problem: %s", p)
		}
	}
	for _, kind := range e.notRun {
		if !slices.ContainsFunc(s.Problems, func(p objects.Problem) bool { return strings.HasPrefix(p.Object, kind+" ") }) {
			return fmt.Errorf("nothing tells that a %s is not run: %v", kind, s.Problems)
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
			return fmt.Errorf("route %s has the status %s (%v)", r.Name, r.Status, err)
		}
		for _, p := range status.Parents {
			if err := p.Conditions.fulfil("route "+r.Name, "Accepted", "ResolvedRefs"); err != nil {
				return err
			}
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

// unprivileged tells that this user may not open port 80, which a Gateway asks for.
func unprivileged() bool {
	l, err := net.Listen("tcp", "127.0.0.1:80")
	if err == nil {
		l.Close()
	}
	return errors.Is(err, fs.ErrPermission)
}

func (s *scene) url(gateway string) string {
	s.t.Helper()
	hosts := standalone.Gateway(s.status, west, gateway)
	if len(hosts) == 0 {
		s.t.Fatalf("gateway %s is nowhere", gateway)
	}
	return "http://" + hosts[0]
}

// chat asks a model by the official SDK, whole and streamed, and has the answer
// come from one simulator, which takes no key but its own.
func (s *scene) chat(base, model, simulator string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	want := simulator + " in local heard: Say" // five words
	client := openai.NewClient(option.WithBaseURL(base), option.WithAPIKey("the-gateway-has-its-own"), option.WithMaxRetries(0))
	asked := openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say hi in 5 words.")}}
	answer, err := client.Chat.Completions.New(ctx, asked)
	if err != nil {
		s.t.Errorf("%s: %v", base, err)
		return
	}
	if len(answer.Choices) == 0 || answer.Choices[0].Message.Content != want || answer.Usage.TotalTokens == 0 {
		s.t.Errorf("%s: %s; want %q", base, answer.RawJSON(), want)
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
	if stream.Err() != nil || words != want {
		s.t.Errorf("%s, streamed: %q, %v; want %q", base, words, stream.Err(), want)
	}
}

// curl asks as the documents' commands do: whatever model the backend names.
func (s *scene) curl(url, model string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	const body = `{"messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":"Say hi in 5 words."}]}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer resp.Body.Close()
	var answer openai.ChatCompletion
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK || len(answer.Choices) == 0 || !strings.HasPrefix(answer.Model, model) {
		s.t.Errorf("%s: %s, %s, %v; want an answer of %s", url, resp.Status, answer.RawJSON(), err, model)
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
	if len(list) != 26 {
		t.Fatalf("%d manifests were found, and not 26", len(list))
	}
	s := run(t, patched(t, list))
	s.settled(expected{gateways: 5, routes: 5, backends: 5, notRun: []string{"Deployment", "ModelConfig", "Agent", "RemoteMCPServer", "PodMonitor"}})
	s.chat(s.url("agentgateway-route-foundry")+"/azureopenai", "gpt-5.4-mini", "foundry")
	s.curl(s.url("agentgateway-route-foundry")+"/azureopenai", "gpt-5.4-mini")
	s.chat(s.url("gateway")+"/v1", "gpt-4o-mini", "openai")
	s.chat(s.url("gateway")+"/foundry/v1", "gpt-4.1", "passwordless")
	s.curl(s.url("gateway")+"/foundry/v1/chat/completions", "gpt-4.1")
	s.proved()
	s.chat(s.url("agentgateway-proxy")+"/v1", "gemma-4-12b-it", "llama")
	s.add(s.url("agentgateway-mcp") + "/mcp")
}

// patched has one Gateway as a document's `kubectl patch` leaves it.
func patched(t *testing.T, list []string) []string {
	t.Helper()
	const patch = "  infrastructure:\n    parametersRef: {group: agentgateway.dev, kind: AgentgatewayParameters, name: agentgateway-wi}\n"
	i := slices.IndexFunc(list, func(m string) bool {
		return strings.Contains(m, "kind: Gateway\n") && strings.Contains(m, "\n  name: gateway\n")
	})
	if i < 0 {
		t.Fatal("there is no Gateway to patch")
	}
	list[i] += patch
	return list
}

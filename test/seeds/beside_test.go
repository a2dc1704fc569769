package seeds_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/navehq/nave/test/simulators/authority"
	"github.com/navehq/nave/test/simulators/entra"
)

// simulators are the servers that manifests lead to. A model's takes the key
// key-of-NAME and no other; passwordless takes what the token endpoint gives.
var simulators = []string{"foundry", "passwordless", "openai", "anthropic", "llama", "tools", "login"}

// Whom the token endpoint knows: the account that a document federates.
const (
	tenant  = "11111111-1111-1111-1111-111111111111"
	client  = "22222222-2222-2222-2222-222222222222"
	issuer  = "https://oidc.example.com/cluster"
	subject = "system:serviceaccount:default:gateway"
	login   = "login.microsoftonline.com"
	token   = "token-of-the-gateway"
)

// beside are the files that documents make by commands or leave to the reader:
// NAME-PORT is a simulator's.
func (s *scene) beside() map[string]string {
	var pairs []string
	for name, port := range s.ports {
		pairs = append(pairs, strings.ToUpper(name)+"-PORT", port)
	}
	ports := strings.NewReplacer(pairs...).Replace
	return map[string]string{
		"hub/clusters.yaml":                   clusters,
		"hub/wan.yaml":                        "links:\n- {between: [akscluster1, akscluster2], delay: 33ms}\n",
		"hub/hosts.yaml":                      ports(hosts),
		"clusters/akscluster1/namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: kagent}\n",
		"clusters/akscluster2/beside.yaml":    ports(objectsBeside),
		"clusters/akscluster2/processes.yaml": ports(processes),
	}
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
- {host: YOUR_FOUNDRY_ENDPOINT.services.ai.azure.com, port: 443, address: 127.0.0.1:FOUNDRY-PORT, plaintext: true}
- {host: agw-foundry-9118.openai.azure.com, port: 443, address: 127.0.0.1:PASSWORDLESS-PORT, plaintext: true}
- {host: api.openai.com, port: 443, address: 127.0.0.1:OPENAI-PORT, plaintext: true}
- {host: api.anthropic.com, port: 443, address: 127.0.0.1:ANTHROPIC-PORT, plaintext: true}
- {host: login.microsoftonline.com, port: 443, address: 127.0.0.1:LOGIN-PORT, caFile: login.pem}
`

const processes = `processes:
- name: foundry
  command: [model-sim, -name, foundry, -listen, 127.0.0.1:FOUNDRY-PORT, -keys, key-of-foundry, -deployment, gpt-5.4-mini=gpt-5.4-mini]
  ready: {tcp: 127.0.0.1:FOUNDRY-PORT}
- name: passwordless
  command: [model-sim, -name, passwordless, -listen, 127.0.0.1:PASSWORDLESS-PORT, -bearers, token-of-the-gateway, -deployment, gpt-4.1=gpt-4.1]
  ready: {tcp: 127.0.0.1:PASSWORDLESS-PORT}
- name: openai
  command: [model-sim, -name, openai, -listen, 127.0.0.1:OPENAI-PORT, -keys, key-of-openai]
  ready: {tcp: 127.0.0.1:OPENAI-PORT}
- name: anthropic
  command: [model-sim, -name, anthropic, -listen, 127.0.0.1:ANTHROPIC-PORT, -keys, key-of-anthropic]
  ready: {tcp: 127.0.0.1:ANTHROPIC-PORT}
- name: llama
  command: [model-sim, -name, llama, -listen, 127.0.0.1:LLAMA-PORT, -keys, key-of-llama]
  ready: {tcp: 127.0.0.1:LLAMA-PORT}
- name: tools
  command: [mcp-sim, -kind, math, -listen, 127.0.0.1:TOOLS-PORT]
  ready: {tcp: 127.0.0.1:TOOLS-PORT}
`

// objectsBeside are keys, a route to a backend, a model server, and who is
// behind a Service.
const objectsBeside = `apiVersion: v1
kind: Secret
metadata: {name: openai-api-key, namespace: default}
stringData: {api-key: key-of-openai}
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
stringData: {Authorization: key-of-llama}
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
ports: [{port: LLAMA-PORT, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: mcp-math-server
  namespace: default
  labels: {kubernetes.io/service-name: mcp-math-server}
addressType: IPv4
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
ports: [{port: TOOLS-PORT, protocol: TCP}]
`

// identity serves the token endpoint, and gives what workload identity's webhook
// puts into a pod.
func (s *scene) identity(dir string) []string {
	s.t.Helper()
	fatal := func(err error) {
		if err != nil {
			s.t.Helper()
			s.t.Fatal(err)
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	fatal(err)
	assertion, err := entra.Assertion(key, issuer, subject, entra.DefaultAudience, time.Now().Add(time.Hour))
	fatal(err)
	file := filepath.Join(dir, "identity-token")
	write(s.t, file, assertion)
	s.tokens, err = entra.New(entra.Options{
		Tenant: tenant, Client: client, Issuer: issuer, Subject: subject,
		TokenFile: file, AssertionKey: key.Public(), Token: token,
	})
	fatal(err)
	root, err := authority.New("login")
	fatal(err)
	write(s.t, filepath.Join(dir, "hub", "login.pem"), string(root.PEM()))
	server := httptest.NewUnstartedServer(s.tokens)
	server.Listener.Close()
	server.Listener, err = net.Listen("tcp", "127.0.0.1:"+s.ports["login"])
	fatal(err)
	server.TLS, err = root.Serve(login)
	fatal(err)
	server.StartTLS()
	s.t.Cleanup(server.Close)
	return []string{
		"AZURE_TENANT_ID=" + tenant, "AZURE_CLIENT_ID=" + client,
		"AZURE_FEDERATED_TOKEN_FILE=" + file, "AZURE_AUTHORITY_HOST=https://" + login + "/",
	}
}

// proved asserts that a token was asked for, and that nothing was wrong with how.
func (s *scene) proved() {
	s.t.Helper()
	events := s.tokens.Events()
	if len(events) == 0 || slices.ContainsFunc(events, func(e entra.Event) bool { return e.Error != "" }) {
		s.t.Errorf("the token endpoint was asked so: %+v", events)
	}
}

package seeds_test

import (
	"net/http"
	"strings"
	"testing"
)

// shapes are manifests of the documents' shapes, in words of our own.
var shapes = []string{`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: gateway
  namespace: default
spec:
  gatewayClassName: agentgateway
  infrastructure:
    parametersRef: {group: agentgateway.dev, kind: AgentgatewayParameters, name: with-identity}
  listeners:
  - {name: web, protocol: HTTP, port: 80}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayParameters
metadata: {name: with-identity, namespace: default}
spec:
  deployment: {spec: {template: {metadata: {labels: {azure.workload.identity/use: "true"}}}}}
---
apiVersion: v1
kind: Secret
metadata: {name: anthropic-api-key, namespace: default}
stringData: {api-key: $ANTHROPIC_API_KEY}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: openai, namespace: default}
spec:
  ai:
    groups:
    - providers:
      - name: first
        openai:
          model: gpt-4o-mini
        auth:
          apiKey:
            secretRef: {name: openai-api-key, key: api-key}
    - providers:
      - name: second
        anthropic:
          model: claude-sonnet-4-5
          auth:
            apiKey:
              secretRef: {name: anthropic-api-key, key: api-key}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: keyless, namespace: default}
spec:
  ai:
    groups:
    - providers:
      - name: keyless
        azureopenai: {endpoint: agw-foundry-9118.openai.azure.com, deploymentName: gpt-4.1, apiVersion: 2024-10-21}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: keyless, namespace: default}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /keyless}}]
    filters:
    - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
    backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: keyless}]
`, `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: tools, namespace: default}
spec:
  gatewayClassName: enterprise-agentgateway
  listeners:
  - {name: tools, protocol: HTTP, port: 8085, allowedRoutes: {namespaces: {from: Same}}}
---
apiVersion: v1
kind: Service
metadata: {name: mcp-math-server, namespace: default}
spec:
  selector: {app: math}
  ports: [{port: 80, targetPort: 8000}]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: math, namespace: default}
spec:
  mcp:
    targets:
    - name: math
      static: {host: mcp-math-server.default.svc.cluster.local, port: 80, path: /mcp, protocol: StreamableHTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: math, namespace: default}
spec:
  parentRefs: [{name: tools}]
  rules:
  - backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: math, namespace: default}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: mcp-math-server, namespace: default}
spec: {replicas: 1}
`, `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: local, namespace: kubelb}
spec:
  gatewayClassName: agentgateway
  listeners:
  - {name: http, protocol: HTTP, port: 8080, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: local, namespace: kubelb}
spec:
  ai:
    provider:
      host: llama-cpp.llm.svc.cluster.local
      port: 8080
      openai: {model: an-open-model}
  policies:
    auth:
      secretRef: {name: llm-secret}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: local, namespace: kubelb}
spec:
  parentRefs: [{name: local, namespace: kubelb}]
  rules:
  - backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: local, namespace: kubelb}]
`, `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: foundry, namespace: models}
spec:
  gatewayClassName: agentgateway
  listeners:
  - {name: http, port: 8082, protocol: HTTP}
---
apiVersion: v1
kind: Secret
metadata: {name: foundry, namespace: models}
stringData: {Authorization: $AZURE_FOUNDRY_API_KEY}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: foundry, namespace: models}
spec:
  ai:
    provider:
      azureopenai: {endpoint: YOUR_FOUNDRY_ENDPOINT.services.ai.azure.com, deploymentName: gpt-5.4-mini, apiVersion: 2025-01-01-preview}
  policies:
    auth: {secretRef: {name: foundry}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: foundry, namespace: models}
spec:
  parentRefs: [{name: foundry}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /models}}]
    filters:
    - {type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /v1/chat/completions}}}
    backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: foundry}]
`}

// TestShapes: what the documents write, written by us.
func TestShapes(t *testing.T) {
	s := run(t, shapes)
	s.settled(expected{gateways: 4, routes: 5, backends: 5, notRun: []string{"Deployment"}})
	s.chat(s.url("foundry")+"/models", "gpt-5.4-mini", "foundry")
	s.curl(s.url("foundry")+"/models", "gpt-5.4-mini")
	s.chat(s.url("gateway")+"/keyless/v1", "gpt-4.1", "passwordless")
	s.curl(s.url("gateway")+"/keyless/v1/chat/completions", "gpt-4.1")
	s.proved()
	s.chat(s.url("local")+"/v1", "an-open-model", "llama")
	s.add(s.url("tools") + "/mcp")
	s.chat(s.url("gateway")+"/v1", "gpt-4o-mini", "openai")
	s.fail("openai")
	s.chat(s.url("gateway")+"/v1", "gpt-4o-mini", "anthropic")
}

// fail has a simulator answer nothing but 503.
func (s *scene) fail(simulator string) {
	s.t.Helper()
	resp, err := http.Post("http://127.0.0.1:"+s.ports[simulator]+"/_sim/faults", "application/json", strings.NewReader(`{"kind":"status","status":503}`))
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		s.t.Fatalf("%s does not take a fault: %s", simulator, resp.Status)
	}
}

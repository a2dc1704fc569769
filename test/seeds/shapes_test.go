package seeds_test

import "testing"

// shapes are manifests of the documents' shapes, in words of our own.
var shapes = []string{`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: gateway
  namespace: default
spec:
  gatewayClassName: agentgateway
  listeners:
  - {name: web, protocol: HTTP, port: 80}
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
        openai:
          auth:
            apiKey:
              secretRef: {name: openai-api-key, key: api-key}
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
	s.settled(4, 4, 4)
	s.chat(s.url("foundry")+"/models", "gpt-5.4-mini")
	s.chat(s.url("gateway")+"/v1", "gpt-4o-mini")
	s.chat(s.url("local")+"/v1", "an-open-model")
	s.add(s.url("tools") + "/mcp")
	s.notRun("Deployment")
}

package translate_test

import "fmt"

// surroundings are what the examples refer to.
const surroundings = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: ns, labels: {app: g}}
spec: {gatewayClassName: nave, listeners: [{name: http, port: 80, protocol: HTTP}, {name: more, port: 81, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: ns}
spec: {ports: [{name: a, port: 80}, {name: b, port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: t, namespace: ns}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: ns, labels: {app: keys}}
stringData: {Authorization: a, k: b, clientID: c, tenantID: t, clientSecret: s}
---
apiVersion: v1
kind: Secret
metadata: {name: keysx, namespace: ns}
stringData: {Authorization: c, kx: d, k: e}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: to-b, namespace: ns}
spec:
  parentRefs: [{name: g}]
  rules: [{name: main, backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}]}]
---
`

func backend(spec string) string {
	return "apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayBackend\nmetadata: {name: b, namespace: ns}\nspec: {" + spec + "}\n"
}

func onBackend(spec string) string {
	return backend("ai: {provider: {openai: {}}}") + "---\n" + policy("{targetRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}], "+spec+"}")
}

const secretRef = `secretRef: {group: "", kind: Secret, name: keys, key: k}`

// The ways in which a credential is written, first the short ones of a provider.
var (
	shortAuths = []string{"apiKey: {" + secretRef + "}", secretRef}
	auths      = []string{
		"key: x", secretRef, "passthrough: {}", "azure: {workloadIdentity: {}}", `azure: {secretRef: {group: "", kind: Secret, name: keys}}`,
		"azure: {managedIdentity: {clientId: a}}", "azure: {managedIdentity: {objectId: a}}", "azure: {managedIdentity: {resourceId: a}}",
		secretRef + ", location: {header: {name: x-key, prefix: 'Key '}}", secretRef + ", location: {queryParameter: {name: q}}",
		secretRef + ", location: {cookie: {name: c}}",
	}
	connections = []string{
		"http: {version: HTTP2, requestTimeout: 3s}", "tcp: {connectTimeout: 3s}",
		"tls: {sni: a.example.com, verifySubjectAltNames: [b.example.com], alpnProtocols: [h2]}", "tls: {insecureSkipVerify: All}",
		"tls: {caCertificateRefs: [{kind: ConfigMap, name: ca}]}", `tls: {mtlsCertificateRef: [{group: "", kind: Secret, name: cert}]}`,
	}
	providers = []string{"openai: {model: m%s}", "anthropic: {model: m%s}", "azureopenai: {endpoint: x.openai.azure.com, deploymentName: d, apiVersion: v1%s}",
		"azure: {resourceName: r, resourceType: Foundry, projectName: p, apiVersion: v1, model: m%s}",
		`custom: {model: m, formats: [{type: Completions, path: /c}, {type: Messages}], backendRef: {group: "", kind: Service, name: s, port: 80}%s}`}
)

// examples are objects that an API server takes and that set each field.
func examples() []string {
	var out []string
	for _, place := range []string{"ai: {provider: {%s}}", "ai: {groups: [{providers: [{name: one, %s}]}]}"} {
		add := func(format string, args ...any) {
			out = append(out, backend(fmt.Sprintf(place, fmt.Sprintf(format, args...))))
		}
		for _, p := range providers {
			add(p, "")
			for _, a := range shortAuths {
				add(p, ", auth: {"+a+"}")
			}
		}
		for _, a := range shortAuths {
			add("openai: {}, auth: {%s}", a)
		}
		add("openai: {}, host: h.example.com, port: 8443, path: /p")
		add("openai: {}, host: h.example.com, port: 8443, pathPrefix: /p")
	}
	for _, place := range []string{
		"ai: {provider: {openai: {}}}, policies: {%s}", "ai: {groups: [{providers: [{name: one, openai: {}, policies: {%s}}]}]}",
		"mcp: {targets: [{name: t, static: {host: h.example.com, port: 443, policies: {%s}}}]}", "static: {host: h.example.com, port: 443}, policies: {%s}",
	} {
		add := func(s string) { out = append(out, backend(fmt.Sprintf(place, s))) }
		for _, a := range auths {
			add("auth: {" + a + "}")
		}
		for _, c := range connections {
			add(c)
		}
		add("ai: {modelAliases: {a: b}, routes: {/a: Completions}}")
	}
	for _, a := range auths {
		out = append(out, onBackend("backend: {auth: {"+a+"}}"))
	}
	for _, l := range []string{"header: {name: x, prefix: 'Key '}", "queryParameter: {name: q}", "cookie: {name: c}"} {
		out = append(out, policy("{targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: to-b, sectionName: main}], "+
			`traffic: {apiKeyAuthentication: {secretRef: {group: "", kind: Secret, name: keys}, location: {`+l+"}}}}"))
	}
	out = append(out,
		policy("{targetSelectors: [{group: gateway.networking.k8s.io, kind: Gateway, matchLabels: {app: g}, sectionName: http}], "+
			"traffic: {authorization: {policy: {matchExpressions: ['true']}}}}"),
		gatewayOf(`addresses: [{type: IPAddress, value: 10.0.0.1}], infrastructure: {labels: {a: b}, annotations: {c: d}},
  listeners: [{name: s, port: 443, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{group: "", kind: Secret, name: keys}]},
    allowedRoutes: {kinds: [{group: gateway.networking.k8s.io, kind: HTTPRoute}], namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: In, values: [a]}]}}}}]`),
		gatewayOf(`listeners: [{name: s, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: keys}], options: {a.example.com/x: "y"}}}]`),
	)
	for _, place := range []string{"{name: s, port: 80}], filters: [%s", "{name: s, port: 80, filters: [%s]}"} {
		for _, f := range filters {
			out = append(out, routeOf("backendRefs: ["+fmt.Sprintf(place, f)+"]"))
		}
	}
	for _, f := range redirects {
		out = append(out, routeOf("filters: ["+f+"]"), routeOf("backendRefs: [{name: s, port: 80, filters: ["+f+"]}]"))
	}
	return append(out,
		routeOf("matches: [{queryParams: [{type: RegularExpression, name: a, value: b}]}], backendRefs: [{name: s, port: 80}]"),
		"apiVersion: nave.dev/v1alpha1\nkind: FailoverPolicy\nmetadata: {name: f, namespace: ns}\n"+
			"spec: {targetRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}], hedging: {after: 1s, budgetPercent: 5}}\n",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: f, namespace: ns}\n"+
			"spec: {targetRefs: [{group: '', kind: Service, name: s}], validation: {hostname: a.example.com, wellKnownCACertificates: System}, options: {a.example.com/x: 'y'}}\n",
	)
}

func policy(spec string) string {
	return "apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\nmetadata: {name: p, namespace: ns}\nspec: " + spec + "\n"
}

func gatewayOf(spec string) string {
	return "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: other, namespace: ns}\nspec: {gatewayClassName: nave, " + spec + "}\n"
}

func routeOf(rule string) string {
	return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: ns}\n" +
		"spec: {parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], rules: [{" + rule + "}]}\n"
}

const mirrored = `backendRef: {group: "", kind: Service, name: t, namespace: ns, port: 80}`

// The filters of Gateway API; those that redirect stand in rules without backends.
var (
	filters = []string{
		"{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}], add: [{name: c, value: d}], remove: [e]}}",
		"{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: a, value: b}], add: [{name: c, value: d}], remove: [e]}}",
		"{type: URLRewrite, urlRewrite: {hostname: a.example.com, path: {type: ReplaceFullPath, replaceFullPath: /p}}}",
		"{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /p}}}",
		"{type: RequestMirror, requestMirror: {" + mirrored + ", percent: 10}}",
		"{type: RequestMirror, requestMirror: {" + mirrored + ", fraction: {numerator: 1, denominator: 7}}}",
		"{type: CORS, cors: {allowOrigins: ['http://a'], allowMethods: [GET], allowHeaders: [a], exposeHeaders: [b], allowCredentials: true, maxAge: 7}}",
		"{type: ExtensionRef, extensionRef: {group: x, kind: Auth, name: a}}",
		"{type: ExternalAuth, externalAuth: {protocol: HTTP, " + mirrored + ", http: {path: /a, allowedHeaders: [a], allowedResponseHeaders: [b]}, forwardBody: {maxSize: 9}}}",
		"{type: ExternalAuth, externalAuth: {protocol: GRPC, " + mirrored + ", grpc: {allowedHeaders: [a]}}}",
	}
	redirects = []string{
		"{type: RequestRedirect, requestRedirect: {scheme: https, hostname: a.example.com, port: 81, statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /p}}}",
		"{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /p}}}",
	}
)

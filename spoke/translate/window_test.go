package translate_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/spoke/translate"
)

// restricted is a route, its backend, and policies that restrict it in ways
// that are built and not built.
const restricted = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: ns, labels: {app: a}}
spec:
  parentRefs: [{name: g}]
  rules: [{name: main, backendRefs: [{name: b, group: agentgateway.dev, kind: AgentgatewayBackend}]}]
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: ns}
stringData: {alice: k}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: cel, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]
  traffic: {authorization: {policy: {matchExpressions: ["false"]}}}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: keys, namespace: ns}
spec:
  targetSelectors: [{group: gateway.networking.k8s.io, kind: HTTPRoute, matchLabels: {app: a}}]
  traffic: {apiKeyAuthentication: {secretRef: {name: keys}}}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: jwt, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]
  traffic: {jwtAuthentication: {providers: [{issuer: i, jwks: {inline: "{}"}}]}}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: guard, namespace: ns}
spec:
  targetRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: b}]
  backend: {ai: {promptGuard: {request: [{regex: {builtins: [Ssn]}}]}}}
`

func TestNoInterleavingLeavesARouteWithoutThePoliciesThatRestrictIt(t *testing.T) {
	pieces := append(decode(t, shared), decode(t, restricted)...)
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 9))
		tr := many(t, 0)
		tr, _ = tr.Apply([]objects.Change{{Key: pieces[0].Key}, {Key: pieces[1].Key}, {Key: pieces[2].Key}, {Key: pieces[3].Key}}, nil)
		there := map[string]bool{}
		for range 12 {
			c := pieces[rng.IntN(len(pieces))]
			if rng.IntN(4) == 0 {
				c.Object = nil
			}
			there[c.Key.String()] = c.Object != nil
			tr, _ = tr.Apply([]objects.Change{c}, nil)
			open(t, fmt.Sprintf("seed %d", seed), tr, there)
		}
	}
}

// open looks for a route that is served without what restricts it.
func open(t *testing.T, what string, tr translate.Translator, there map[string]bool) {
	t.Helper()
	tab, _, _ := tr.Table("ns/g")
	rule := table.Find[*table.Rule](tab, "HTTPRoute ns/r/0")
	if rule == nil || rule.Closed != "" {
		return
	}
	listener := table.Find[*table.Listener](tab, "ns/g/http")
	e := table.Attach(tab).For(listener, rule)
	if there["AgentgatewayPolicy ns/jwt"] && e.Closed == "" {
		t.Fatalf("%s: what cannot be enforced does not close its route", what)
	}
	if there["AgentgatewayPolicy ns/cel"] && e.Closed == "" && len(e.Authorization) == 0 {
		t.Fatalf("%s: the route is served without its authorization", what)
	}
	if there["AgentgatewayPolicy ns/keys"] && e.Closed == "" {
		if e.APIKey == nil || table.Find[*table.Secret](tab, e.APIKey.Secrets[0]) == nil {
			t.Fatalf("%s: the route is served without its keys", what)
		}
	}
	b := table.Find[*table.Backend](tab, "AgentgatewayBackend ns/b")
	if there["AgentgatewayPolicy ns/guard"] && b != nil && b.Closed == "" {
		t.Fatalf("%s: the backend is served without its guard", what)
	}
}

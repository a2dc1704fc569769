package translate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/spoke/translate"
)

const shared = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: ns}
spec:
  gatewayClassName: nave
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: ns}
spec: {ports: [{port: 80}]}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: b, namespace: ns}
spec: {ai: {provider: {openai: {}, host: models, port: 80}}}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p, namespace: ns}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]
  traffic: {authorization: {policy: {matchExpressions: ["request.method != 'TRACE'"]}}}
`

func decode(t testing.TB, text string) []objects.Change {
	t.Helper()
	list, problems := objects.Decode("f", []byte(text), objects.Options{Cluster: here})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var out []objects.Change
	for _, o := range list {
		o.Generation, o.Created = 1, time.Unix(1, 0)
		out = append(out, objects.Change{Key: o.Key, Object: o})
	}
	return out
}

func route(t testing.TB, i int, path string) []objects.Change {
	return decode(t, fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r%d, namespace: ns}
spec:
  parentRefs: [{name: g}]
  rules:
  - matches: [{path: {value: "%s"}}]
    backendRefs: [{name: s, port: 80, weight: 1}, {name: b, group: agentgateway.dev, kind: AgentgatewayBackend, weight: 1}]
`, i, path))
}

// many is a translator of n routes that share everything.
func many(t testing.TB, n int) translate.Translator {
	t.Helper()
	own := decode(t, shared)
	for i := range n {
		own = append(own, route(t, i, fmt.Sprintf("/%d", i))...)
	}
	tr, _ := translate.New(translate.Options{Cluster: here, Region: here, Standalone: true}).Apply(own, []translate.AssignmentChange{
		put(&assignment.Fleet{}), put(&assignment.Tenant{Name: "default", All: true}), put(&assignment.Peer{Cluster: here, Region: here}),
	})
	return tr
}

func TestOneChangedRouteCostsTheSameHoweverManyThereAre(t *testing.T) {
	cost := func(n int) (runs, changes int) {
		_, result := many(t, n).Apply(route(t, 1, "/changed"), nil)
		for _, c := range result.Tables {
			changes += len(c.Changes)
		}
		return result.Runs, changes
	}
	few, changesFew := cost(100)
	lots, changesLots := cost(5000)
	if few != lots || changesFew != 1 || changesLots != 1 {
		t.Errorf("a changed route takes %d derivations among 100 and %d among 5000, and changes %d and %d resources; want the same and 1", few, lots, changesFew, changesLots)
	}
}

func BenchmarkOneChangedRoute(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tr := many(b, n)
			variants := [][]objects.Change{route(b, 1, "/a"), route(b, 1, "/b")}
			i := 0
			for b.Loop() {
				tr, _ = tr.Apply(variants[i%2], nil)
				i++
			}
		})
	}
}

package translate_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/schema"
	"github.com/navehq/nave/spoke/translate"
)

// What an API server would refuse is not accepted of a folder either: no status
// says so, and what has a place for it says why not.
func TestWhatAnAPIServerRefusesIsNotAccepted(t *testing.T) {
	raw, err := os.ReadFile("../../hack/generate/testdata/refused.yaml")
	if err != nil {
		t.Fatal(err)
	}
	schemas, refused := schema.New(), 0
	for doc := range strings.SplitSeq(string(raw), "\n---\n") {
		list, _ := objects.Decode("a.yaml", []byte(doc), objects.Options{Cluster: here, Schemas: schemas})
		if len(list) != 1 {
			t.Fatalf("%d objects in\n%s", len(list), doc)
		}
		gateway, _ := objects.Decode("g.yaml", []byte(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a, uid: g}
spec: {gatewayClassName: nave, listeners: [{name: l, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a}
spec: {parentRefs: [{name: a}], rules: [{backendRefs: [{name: a, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {ports: [{port: 80}]}
`), objects.Options{Cluster: here})
		changes := []objects.Change{{Key: list[0].Key, Object: list[0]}}
		for _, o := range gateway {
			changes = append(changes, objects.Change{Key: o.Key, Object: o})
		}
		options := translate.Options{Cluster: here, Region: here, Standalone: true}
		tr, _ := translate.New(options).Apply(changes, readAssignment(t, []byte(`[{fleet: {}}, {tenant: {name: default, all: true}}]`)))
		var b bytes.Buffer
		for _, s := range tr.Statuses() {
			if s.Key == list[0].Key {
				showStatus(t, &b, s.Value)
			}
		}
		said := b.String()
		if strings.Contains(said, "Accepted=False") {
			refused++
		}
		if strings.Contains(said, "Accepted=True") || strings.Contains(said, "Accepted=") && !strings.Contains(said, list[0].Invalid[0].Message) {
			t.Errorf("%s\nis said to be\n%s", doc, said)
		}
	}
	if refused < 60 {
		t.Errorf("%d objects are told of in their status, want at least 60", refused)
	}
}

package objects_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/objects"
)

var environment = map[string]string{"KEY": "sk-1", "EMPTY": ""}

func options() objects.Options {
	return objects.Options{Cluster: "eastus", Env: func(name string) (string, bool) {
		v, ok := environment[name]
		return v, ok
	}}
}

func TestDecodeReadsTheRestOfAFileWithBrokenDocuments(t *testing.T) {
	const file = `# first
apiVersion: v1
kind: Namespace
metadata: {name: agents}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: broken
  namespace: agents
data: {a: [}
---

--- # nothing in here
# at all
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: agents}
spec:
  gatewayClassName: nave
  listeners:
  - {name: http, port: "eighty", protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: agents}
spec:
  parentRefs: [{name: g}]
  rules:
  - mathces: [{path: {value: /x}}]
    backendRefs: [{name: s, port: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
---
apiVersion: nave.dev/v1alpha1
kind: Failover
metadata: {name: d}
---
apiVersion: v1
kind: Namespace
metadata: {name: agents, labels: {second: one}}
---
kind: Service
---
- a list
---
apiVersion: v1
kind: Service
metadata: {name: Bad_Name}
`
	list, problems := objects.Decode("a.yaml", []byte(file), options())
	var got strings.Builder
	for _, o := range list {
		fmt.Fprintf(&got, "%s %s invalid=%d\n", o.File, o.Key, len(o.Invalid))
	}
	for _, p := range problems {
		fmt.Fprintf(&got, "%s %s %s\n", p.Reason, p.Severity, p)
	}
	const want = `a.yaml:1 Namespace agents invalid=0
a.yaml:17 Gateway agents/g invalid=1
a.yaml:25 HTTPRoute agents/r invalid=1
SyntaxError  a.yaml:10: ConfigMap agents/broken: is not YAML: did not find expected node content; mend the line that is named
InvalidValue  a.yaml:17: Gateway agents/g: spec.listeners[0].port: a string does not fit here; give a whole number
UnknownField  a.yaml:25: HTTPRoute agents/r: spec.rules[0].mathces: there is no such field; correct its spelling or its place, or remove it
NotRunHere Info a.yaml:34: Deployment d: only a cluster can run a Deployment; it is left out here
UnknownKind  a.yaml:38: Failover d: there is no kind Failover in "nave.dev/v1alpha1"; correct kind or apiVersion
InvalidValue  a.yaml:46: has no kind or no apiVersion; set both
InvalidValue  a.yaml:48: is no object: a list does not fit here; give it apiVersion, kind and metadata
InvalidValue  a.yaml:50: Service default/Bad_Name: name "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'); correct metadata.name and metadata.namespace
Duplicate  a.yaml:42: Namespace agents: is declared in a.yaml:1 already, which counts; remove one of the two
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A value of a wrong type is told what would fit.
func TestTheWantedTypeIsNamed(t *testing.T) {
	for spec, want := range map[string]string{
		"schedule: daily":    "spec.schedule: a string does not fit here; give an object",
		"target: [west]":     "spec.target: a list does not fit here; give an object",
		"mode: 7":            "spec.mode: a number does not fit here; give a string",
		"fault: {close: 1}":  "spec.fault.close: a number does not fit here; give true or false",
		"fault: {status: x}": "spec.fault.status: a string does not fit here; give a whole number",
		"schedule: {cron: \"0 0 * * *\", windows: {}}": "spec.schedule.windows: an object does not fit here; give a list",
	} {
		_, problems := objects.Decode("f", []byte("apiVersion: nave.dev/v1alpha1\nkind: Drill\nmetadata: {name: d}\nspec: {"+spec+"}\n"), options())
		if len(problems) != 1 || !strings.HasSuffix(problems[0].String(), want) {
			t.Errorf("%s: %v, want %s", spec, problems, want)
		}
	}
}

func decodeOne(t *testing.T, text string) *objects.Object {
	t.Helper()
	list, problems := objects.Decode("f", []byte(text), options())
	if len(list) != 1 || len(problems) != 0 {
		t.Fatalf("%d objects and problems %v, want one object", len(list), problems)
	}
	return list[0]
}

func TestDecodeFillsInDefaults(t *testing.T) {
	o := decodeOne(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: g}]
  rules:
  - backendRefs: [{name: s, port: 80}]
    filters: [{type: RequestRedirect, requestRedirect: {}}]
`)
	route := o.Value.(*gwv1.HTTPRoute)
	if o.Namespace != "default" {
		t.Errorf("namespace is %q, want default", o.Namespace)
	}
	m := route.Spec.Rules[0].Matches[0].Path
	b := route.Spec.Rules[0].BackendRefs[0]
	p := route.Spec.ParentRefs[0]
	got := fmt.Sprint(*m.Type, *m.Value, *b.Kind, *b.Group, *b.Weight, *p.Group, *p.Kind, *route.Spec.Rules[0].Filters[0].RequestRedirect.StatusCode)
	if want := fmt.Sprint("PathPrefix", "/", "Service", "", 1, "gateway.networking.k8s.io", "Gateway", 302); got != want {
		t.Errorf("defaults are %s, want %s", got, want)
	}
	if strings.Contains(string(o.JSON), "PathPrefix") {
		t.Error("the declared JSON holds defaults")
	}
}

func TestSecretExpandsVariables(t *testing.T) {
	o := decodeOne(t, `
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {old: b2xk, Authorization: b2xk}
stringData: {Authorization: "Bearer ${KEY}", plain: "a$$b$ $1", empty: $EMPTY}
`)
	got := map[string]string{}
	for k, v := range o.Value.(*corev1.Secret).Data {
		got[k] = string(v)
	}
	want := map[string]string{"old": "old", "Authorization": "Bearer sk-1", "plain": "a$b$ $1", "empty": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(string(o.JSON), "stringData") {
		t.Errorf("stringData is left: %s", o.JSON)
	}
	list, problems := objects.Decode("f", []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: $NOPE}\n"), options())
	if len(list) != 0 || len(problems) != 1 || problems[0].Reason != objects.ReasonMissingEnv || !strings.Contains(problems[0].Message, "NOPE") {
		t.Errorf("a missing variable gives %v and %v", list, problems)
	}
}

func TestHashIgnoresWhatAServerAdds(t *testing.T) {
	plain := decodeOne(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n")
	server := decodeOne(t, `{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"b"},"status":{},
"metadata":{"namespace":"default","name":"c","uid":"x","generation":3,"resourceVersion":"9","creationTimestamp":"2026-01-01T00:00:00Z",
"managedFields":[{}],"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"}}}`)
	if plain.Hash != server.Hash {
		t.Errorf("hashes differ:\n%s\n%s", plain.JSON, server.JSON)
	}
	labelled := decodeOne(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {a: b}}\ndata: {a: b}\n")
	if plain.Hash == labelled.Hash {
		t.Error("a label does not change the hash")
	}
}

func TestListsAreReadItemByItem(t *testing.T) {
	list, problems := objects.Decode("f", []byte(`{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}},{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"b"}}]}`), options())
	if len(list) != 2 || len(problems) != 0 {
		t.Errorf("%v, %v", list, problems)
	}
}

func TestLimits(t *testing.T) {
	for reason, text := range map[string]string{
		"nests deeper": "a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"the document": "a: " + strings.Repeat("x", objects.MaxDocument),
		"the file":     strings.Repeat("x", objects.MaxFile+1),
		"is not YAML":  "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n",
	} {
		list, problems := objects.Decode("f", []byte(text), options())
		if len(list) != 0 || len(problems) != 1 || !strings.Contains(problems[0].Message, reason) {
			t.Errorf("%s: %d objects, problems %.300v", reason, len(list), problems)
		}
	}
}

func TestRedact(t *testing.T) {
	keyed := func(v string) string { return fmt.Sprintf("<%d>", len(v)) }
	for name, c := range map[string]struct{ object, gone, kept string }{
		"secret": {`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"k":"hunter2"}}`, "aHVudGVyMg==", `"k":"<12>"`},
		"inline key": {`{"apiVersion":"agentgateway.dev/v1alpha1","kind":"AgentgatewayBackend","metadata":{"name":"b"},"spec":{"ai":{"groups":[{"providers":[{"name":"p","openai":{"model":"m"},"policies":{"auth":{"key":"hunter2"}}}]}]}}}`,
			"hunter2", `"model":"m"`},
		"environment": {`{"apiVersion":"agentgateway.dev/v1alpha1","kind":"AgentgatewayParameters","metadata":{"name":"p"},"spec":{"env":[{"name":"A","value":"hunter2"}],
"deployment":{"spec":{"template":{"spec":{"containers":[{"env":[{"name":"B","value":"hunter2"}]}]}}}}}}`, "hunter2", `"name":"B"`},
		"password": {`{"apiVersion":"agentgateway.dev/v1alpha1","kind":"AgentgatewayPolicy","metadata":{"name":"p"},"spec":{"targetRefs":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"r"}],"traffic":{"basicAuthentication":{"users":["me:hunter2"]}}}}`,
			"hunter2", `"name":"r"`},
	} {
		t.Run(name, func(t *testing.T) {
			o := decodeOne(t, c.object)
			before := string(o.JSON)
			raw, err := objects.Redact(o, keyed)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(raw), c.gone) || !strings.Contains(string(raw), c.kept) || !json.Valid(raw) {
				t.Errorf("redacted object is %s", raw)
			}
			if string(o.JSON) != before {
				t.Error("the object itself was changed")
			}
		})
	}
}

func TestRedactKeepsAnInvalidObjectInvalid(t *testing.T) {
	list, _ := objects.Decode("f", []byte(`{"apiVersion":"agentgateway.dev/v1alpha1","kind":"AgentgatewayPolicy","metadata":{"name":"p"},
"spec":{"targetRefs":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","name":"r"}],"traffic":{"authorisation":"hunter2"}}}`), options())
	if len(list) != 1 || len(list[0].Invalid) == 0 {
		t.Fatalf("an unknown field is not noticed: %v", list)
	}
	raw, err := objects.Redact(list[0], func(string) string { return "x" })
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "hunter2") {
		t.Errorf("a field that is not known leaves the cluster: %s", raw)
	}
	there, _ := objects.FromJSON(raw, objects.Options{})
	if there == nil || len(there.Invalid) == 0 {
		t.Errorf("another cluster takes it for valid: %s", raw)
	}
}

func TestNewKnowsEveryKindItReads(t *testing.T) {
	if _, ok := objects.New(objects.GroupAgentgateway, "AgentgatewayBackend").(*agentgateway.AgentgatewayBackend); !ok {
		t.Error("AgentgatewayBackend is not made")
	}
	if objects.New(objects.GroupGateway, "GRPCRoute") == nil || objects.New("apps", "Deployment") != nil {
		t.Error("a kind that is not built is kept, one that is not read is not")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: $KEY}\n---\n--- # x\nkind: List\napiVersion: v1\nitems: [{}]\n"))
	f.Add([]byte("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {rules: [{matches: [{}], filters: [{requestMirror: {fraction: {}}}]}]}\n"))
	f.Add([]byte("apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayBackend\nmetadata: {name: r}\nspec: {policies: {auth: {key: x}}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, problems := objects.Decode("f", data, options())
		for _, p := range problems {
			if p.Reason == "" || p.Message == "" {
				t.Fatalf("a problem says nothing: %+v", p)
			}
		}
		for _, o := range list {
			if _, err := objects.Redact(o, func(string) string { return "x" }); err != nil {
				t.Fatal(err)
			}
			again, _ := objects.FromJSON(o.JSON, objects.Options{Cluster: "eastus"})
			if again == nil || again.Hash != o.Hash || again.Key != o.Key {
				t.Fatalf("%s is not read back from its JSON %s", o.Key, o.JSON)
			}
		}
	})
}

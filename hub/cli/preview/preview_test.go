package preview_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/hub/cli/preview"
)

const example = "../../../docs/examples/three-regions"

// fleet is a copy of the example, whose folder may be changed.
func fleet(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, ".nave")); err != nil { // somebody may run the example
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, dir, state string) preview.Preview {
	t.Helper()
	p, err := preview.Read(preview.Options{Dir: dir, State: state, Now: func() time.Time { return time.Unix(1e9, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, path string, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit changes a file of a folder.
func edit(t *testing.T, path, old, now string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), old) {
		t.Fatalf("%s does not hold %q: %v", path, old, err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, now)), 0o600); err != nil {
		t.Fatal(err)
	}
}

type kept struct {
	Resources []stream.Resource `json:"resources"`
}

// obey writes what a fleet that obeys p keeps, with what only a running one has.
func obey(t *testing.T, state string, p preview.Preview) {
	t.Helper()
	assignments := map[string]*kept{}
	for _, a := range p.Assigned {
		if assignments[a.Cluster] == nil {
			assignments[a.Cluster] = &kept{}
		}
		r := a.Resource
		if peer, ok := r.(*assignment.Peer); ok {
			full := *peer
			full.Gossip, full.PublicKey, full.Proxies = "127.0.0.1:1", []byte("key"), []table.LinkProxy{{ID: "x", Address: "127.0.0.1:2"}}
			r = &full
		}
		payload, err := assignment.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		assignments[a.Cluster].Resources = append(assignments[a.Cluster].Resources, stream.Resource{Kind: string(a.Kind), Key: a.Key, Payload: payload})
	}
	for cluster, k := range assignments {
		write(t, filepath.Join(state, "clusters", cluster, "assignment.json"), k)
		write(t, filepath.Join(state, "run", "spoke-"+cluster+".json"), nil)
	}
	for _, x := range p.Tables {
		k := kept{}
		full := x.Table.Apply(
			table.Put(&table.Secret{Name: "session Gateway x", Data: map[string][]byte{"use": []byte("k")}}),
			table.Put(&table.Peer{Cluster: "eastus", Region: "eastus", State: table.Find[*table.Peer](x.Table, "eastus").State, Proxies: []table.LinkProxy{{ID: "x"}}}),
		)
		for r := range full.All() {
			payload, err := table.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			k.Resources = append(k.Resources, stream.Resource{Kind: string(r.ID().Kind), Key: r.ID().Name, Payload: payload})
		}
		proxy := strings.Replace(x.Name, "/", ".", 1) + "-0"
		write(t, filepath.Join(state, "clusters", x.Cluster, "proxies", proxy, "table.json"), k)
		write(t, filepath.Join(state, "run", "proxy-"+x.Cluster+"-"+proxy+".json"), nil)
	}
}

func TestChanges(t *testing.T) {
	dir := fleet(t)
	state := filepath.Join(t.TempDir(), "state")
	now := read(t, dir, state)
	changes := func() []preview.Change {
		t.Helper()
		list, err := read(t, dir, state).Changes(state)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	whole := changes()
	for _, c := range whole {
		if slices.ContainsFunc(c.Lines, func(l string) bool { return !strings.HasPrefix(l, "+ ") }) {
			t.Errorf("where no fleet ran, something goes: %+v", c)
		}
		if text := strings.Join(c.Lines, "\n"); strings.Contains(text, "demo-key") {
			t.Errorf("it shows a key: %s", text)
		}
	}
	if len(whole) < 30 {
		t.Errorf("where no fleet ran, %d things come", len(whole))
	}
	obey(t, state, now)
	if list := changes(); len(list) != 0 {
		t.Errorf("what the fleet obeys already is a change: %+v", list)
	}
	edit(t, filepath.Join(dir, "clusters/westus2/gateways.yaml"), "8082", "8083")
	list := changes()
	tables, assignments := 0, 0
	for _, c := range list {
		switch {
		case c.Table == "agentgateway-system/agentgateway-route-foundry" && c.Kind == "listener" && len(c.Lines) == 2 &&
			strings.HasPrefix(c.Lines[0], "- ") && strings.Contains(c.Lines[0], ":8082") && strings.HasPrefix(c.Lines[1], "+ ") && strings.Contains(c.Lines[1], ":8083"):
			tables++
		case c.Table == "" && c.Kind == "declaration" && strings.Contains(c.Name, "Gateway") && c.Cluster != "westus2":
			assignments++
		default:
			t.Errorf("a port that changed changes %+v", c)
		}
	}
	if tables != 3 || assignments != 2 {
		t.Errorf("a port that changed changes %d tables and %d assignments", tables, assignments)
	}
	if err := os.Remove(filepath.Join(state, "run", "spoke-eastus.json")); err != nil {
		t.Fatal(err)
	}
	if n := len(changes()); n <= len(list) {
		t.Error("the assignment of a cluster that has left still counts")
	}
}

// TestWhatIsKeptCounts: orders in force and names that are held are as the hub
// has them.
func TestWhatIsKeptCounts(t *testing.T) {
	dir := fleet(t)
	state := filepath.Join(t.TempDir(), "state")
	write(t, filepath.Join(state, "hub", "store", "hub.json"), map[string]any{
		"epoch":      map[string]int{"Number": 1},
		"operations": map[string]any{"drain-westus2": map[string]any{"spec": map[string]any{"kind": "Drain", "cluster": "westus2", "who": "a"}}},
	})
	p := read(t, dir, state)
	found := false
	for _, x := range p.Tables {
		if peer := table.Find[*table.Peer](x.Table, "westus2"); peer != nil {
			found = true
			if peer.State != table.PeerDraining {
				t.Errorf("in %s the cluster that is drained is %s", x.Name, peer.State)
			}
		}
	}
	if !found {
		t.Error("no table names the cluster")
	}
}

func TestLooseFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "all.yaml")
	text := `apiVersion: nave.dev/v1alpha1
kind: Cluster
metadata: {name: x}
spec: {}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: ns}
spec:
  gatewayClassName: nave
  listeners: [{name: h, port: 8080, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: ns}
spec:
  parentRefs: [{name: g}]
  rules: [{backendRefs: [{name: nobody, port: 80}]}]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := preview.Read(preview.Options{Files: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range p.Problems {
		got = append(got, x.Object+" "+x.Field)
	}
	for _, want := range []string{"Cluster x spec.region", "HTTPRoute ns/r spec.rules[0].backendRefs[0]"} {
		if !slices.Contains(got, want) {
			t.Errorf("it lacks %q: %q", want, got)
		}
	}
	if len(got) != 2 || len(p.Tables) != 1 {
		t.Errorf("%d tables, problems %q", len(p.Tables), got)
	}
	if _, err := preview.Read(preview.Options{Files: []string{filepath.Join(dir, "none.yaml")}}); err == nil {
		t.Error("a file that is not there is read")
	}
}

package table_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/table"
)

var update = flag.Bool("update", false, "write the goldens anew")

// People call a backend by the last parts of its name, and the nearest counts.
func TestCalled(t *testing.T) {
	tab := table.New()
	for _, name := range []string{"AgentgatewayBackend a/x", "AgentgatewayBackend b/x", "AgentgatewayBackend b/y", "Service b/y", "Service c/z:80"} {
		tab = tab.Apply(table.Change{ID: (&table.Backend{Name: name}).ID(), Resource: &table.Backend{Name: name}})
	}
	for name, want := range map[string]string{
		"AgentgatewayBackend a/x": "AgentgatewayBackend a/x", "a/x": "AgentgatewayBackend a/x", "z:80": "Service c/z:80", "c/z:80": "Service c/z:80",
		"x": "", "b/y": "", "none": "", "": "",
	} {
		b, err := table.Called(tab, name)
		if err == nil && b.Name != want || err != nil && want != "" {
			t.Errorf("%q is %v, %v", name, b, err)
		}
		if many := name == "x" || name == "b/y"; errors.Is(err, table.ErrManyBackends) != many || errors.Is(err, table.ErrNoBackend) != (want == "" && !many) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestApplyOfDiffLeadsFromOneTableToTheOther(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, b := random(rng), random(rng)
		changes := table.Diff(a, b)
		if got := a.Apply(changes...); table.Hash(got) != table.Hash(b) || text(t, got) != text(t, b) {
			t.Fatalf("seed %d: a.Apply(Diff(a, b)) is\n%s\nwant\n%s", seed, text(t, got), text(t, b))
		}
		if again := table.Diff(b, a.Apply(changes...)); len(again) != 0 {
			t.Fatalf("seed %d: a difference is left: %v", seed, again)
		}
		if got, want := table.DigestOf(a).Apply(a, changes...).String(), table.Hash(b); got != want {
			t.Fatalf("seed %d: the digest by changes is %s, anew %s", seed, got, want)
		}
	}
}

func TestDigestTellsContentsApart(t *testing.T) {
	one := table.New(&table.Endpoints{Name: "a", Missing: "b"})
	for name, other := range map[string]table.Table{
		"empty":        table.New(),
		"another name": table.New(&table.Endpoints{Name: "b", Missing: "b"}),
		"another kind": table.New(&table.Host{Name: "a", Address: "b"}),
		"one more":     one.Apply(table.Put(&table.Host{Name: "a"})),
	} {
		if table.Hash(one) == table.Hash(other) {
			t.Errorf("%s: has the same revision %s", name, table.Hash(one))
		}
	}
	if table.Hash(table.New()) != (table.Digest{}).String() {
		t.Error("the empty table's revision is not the zero digest's")
	}
}

func random(rng *rand.Rand) table.Table {
	t := table.New()
	for range rng.IntN(12) {
		name := fmt.Sprintf("n%d", rng.IntN(6))
		switch rng.IntN(3) {
		case 0:
			t = t.Apply(table.Put(&table.Endpoints{Name: name, Missing: fmt.Sprint(rng.IntN(3))}))
		case 1:
			t = t.Apply(table.Put(&table.Secret{Name: name, Data: map[string][]byte{"k": {byte(rng.IntN(2))}}}))
		case 2:
			t = t.Apply(table.Put(&table.Peer{Cluster: name, State: table.PeerReady}))
		}
	}
	return t
}

func text(t *testing.T, tab table.Table) string {
	t.Helper()
	var b bytes.Buffer
	if err := table.Print(&b, tab); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// fill sets every field below v; n numbers the values.
func fill(v reflect.Value, n *int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			*n++
			v.SetBytes(fmt.Appendf(nil, "b%d", *n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		*n++
		v.SetString(fmt.Sprintf("v%d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		*n++
		v.SetInt(int64(*n))
	case reflect.Uint16:
		*n++
		v.SetUint(uint64(*n))
	}
}

var every = []func() table.Resource{
	func() table.Resource { return &table.Self{} }, func() table.Resource { return &table.Listener{} },
	func() table.Resource { return &table.Rule{} }, func() table.Resource { return &table.Policy{} },
	func() table.Resource { return &table.Backend{} }, func() table.Resource { return &table.Endpoints{} },
	func() table.Resource { return &table.Peer{} }, func() table.Resource { return &table.Host{} },
	func() table.Resource { return &table.Secret{} },
}

// blanks visits every field below v with something in it and clears it for the
// time of the visit.
func blanks(v reflect.Value, path string, visit func(string)) {
	switch v.Kind() {
	case reflect.Pointer:
		blanks(v.Elem(), path, visit)
	case reflect.Struct:
		for i := range v.NumField() {
			f, name := v.Field(i), path+"."+v.Type().Field(i).Name
			old := reflect.ValueOf(f.Interface())
			f.SetZero()
			visit(name)
			f.Set(old)
			blanks(f, name, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			blanks(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}

func TestPrintShowsEveryField(t *testing.T) {
	for _, blank := range every {
		r, n := blank(), 0
		fill(reflect.ValueOf(r).Elem(), &n)
		whole := table.Line(r)
		blanks(reflect.ValueOf(r), fmt.Sprintf("%T", r), func(field string) {
			if table.Line(r) == whole {
				t.Errorf("%s is not printed:\n%s", field, whole)
			}
		})
	}
}

func TestDecodeReadsWhatEncodeWrote(t *testing.T) {
	for _, blank := range every {
		r, n := blank(), 0
		fill(reflect.ValueOf(r).Elem(), &n)
		data, err := table.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := table.Decode(r.ID(), data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", r, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	kinds := []table.Kind{
		table.KindSelf, table.KindListener, table.KindRule, table.KindPolicy, table.KindBackend,
		table.KindEndpoints, table.KindPeer, table.KindHost, table.KindSecret,
	}
	for i, blank := range every {
		r, n := blank(), 0
		fill(reflect.ValueOf(r).Elem(), &n)
		data, _ := table.Encode(r)
		f.Add(i, r.ID().Name, data)
	}
	f.Fuzz(func(t *testing.T, kind int, name string, data []byte) {
		id := table.ID{Kind: kinds[uint(kind)%uint(len(kinds))], Name: name}
		r, err := table.Decode(id, data)
		if err != nil {
			return
		}
		again, err := table.Encode(r)
		if err != nil {
			t.Fatalf("what was decoded does not encode: %v", err)
		}
		back, err := table.Decode(id, again)
		if err != nil {
			t.Fatalf("what was encoded does not decode: %v", err)
		}
		third, _ := table.Encode(back)
		if !bytes.Equal(again, third) {
			t.Fatalf("encoding is not stable:\n%s\n%s", again, third)
		}
		table.Line(r)
	})
}

func TestPrintGolden(t *testing.T) {
	var tab = table.New()
	for _, blank := range every {
		r, n := blank(), 0
		fill(reflect.ValueOf(r).Elem(), &n)
		tab = tab.Apply(table.Put(r))
	}
	tab = tab.Apply(examples()...)
	got := text(t, tab)
	if strings.Contains(got, "hunter2") {
		t.Error("a secret's value is printed")
	}
	const file = "testdata/print.golden"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func examples() []table.Change {
	full := "/v1/chat/completions"
	return []table.Change{
		table.Put(&table.Listener{Name: "agents/llm/http", Gateway: "agents/llm", Section: "http", Port: 8082, Protocol: table.ProtocolHTTP}),
		table.Put(&table.Rule{
			Name: "HTTPRoute agents/chat/0", Route: table.Route{Kind: "HTTPRoute", Namespace: "agents", Name: "chat", Cluster: "westus2"},
			Binds:    []table.Bind{{Listener: "agents/llm/http", Hostnames: []string{""}}},
			Matches:  []table.Match{{Path: table.ValueMatch{Type: table.Prefix, Value: "/chat"}, Method: "POST"}},
			Filters:  []table.Filter{{Rewrite: &table.Rewrite{Path: &table.PathEdit{Full: &full}}}},
			Backends: []table.BackendRef{{Backend: "AgentgatewayBackend agents/model", Weight: 1}},
		}),
		table.Put(&table.Secret{Name: "agents/key", Data: map[string][]byte{"Authorization": []byte("hunter2")}}),
	}
}

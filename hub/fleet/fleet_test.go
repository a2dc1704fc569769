package fleet_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/hub/fleet"
)

func TestTranslate(t *testing.T) {
	views := []fleet.View{
		{Viewer: "a", From: netip.MustParsePrefix("127.3.0.0/16"), To: netip.MustParsePrefix("127.93.0.0/16")},
		{Viewer: "a", From: netip.MustParsePrefix("10.0.16.0/20"), To: netip.MustParsePrefix("172.16.32.0/20")},
	}
	cases := map[string]struct{ viewer, in, want string }{
		"translated":       {"a", "127.3.7.9:15443", "127.93.7.9:15443"},
		"odd prefix":       {"a", "10.0.17.4:80", "172.16.33.4:80"},
		"another viewer":   {"b", "127.3.7.9:15443", "127.3.7.9:15443"},
		"outside":          {"a", "127.4.7.9:15443", "127.4.7.9:15443"},
		"a name stays":     {"a", "spoke.example:7946", "spoke.example:7946"},
		"garbage as it is": {"a", "::::", "::::"},
	}
	for name, c := range cases {
		if got := fleet.Translate(views, c.viewer, c.in); got != c.want {
			t.Errorf("%s: %s seen by %s is %s, want %s", name, c.in, c.viewer, got, c.want)
		}
	}
}

func TestRead(t *testing.T) {
	read := func(kind, object string) *fleet.Declaration {
		t.Helper()
		d, err := fleet.Read(&assignment.Declaration{Cluster: "c", Key: objects.Key{Kind: kind, Namespace: "n", Name: "x"}, Object: []byte(object)}, "h")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := read("AgentgatewayBackend", `{"spec":{"ai":{"provider":{}}}}`); !d.Fleet {
		t.Error("a model backend that says nothing is not fleet-wide")
	}
	if d := read("AgentgatewayBackend", `{"spec":{"mcp":{}}}`); d.Fleet {
		t.Error("a tool backend that says nothing is fleet-wide")
	}
	if d := read("AgentgatewayBackend", `{"metadata":{"annotations":{"nave.dev/scope":"Fleet"}},"spec":{"mcp":{}}}`); !d.Fleet {
		t.Error("a tool backend that says Fleet is not fleet-wide")
	}
	route := read("HTTPRoute", `{"spec":{"parentRefs":[{"name":"g"},{"name":"h","namespace":"m"}]}}`)
	want := []objects.Key{
		{Group: "gateway.networking.k8s.io", Kind: "Gateway", Namespace: "n", Name: "g"},
		{Group: "gateway.networking.k8s.io", Kind: "Gateway", Namespace: "m", Name: "h"},
	}
	if diff := cmp.Diff(want, route.Parents); diff != "" {
		t.Errorf("parents (-want +got):\n%s", diff)
	}
	if _, err := fleet.Read(&assignment.Declaration{Key: objects.Key{Kind: "Gateway"}, Object: []byte(`[]`)}, ""); err == nil {
		t.Error("an object that is a list is read without an error")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("Gateway", []byte(`{"metadata":{"annotations":{"nave.dev/placement":"Fleet"}}}`))
	f.Add("HTTPRoute", []byte(`{"spec":{"parentRefs":[{}]}}`))
	f.Fuzz(func(_ *testing.T, kind string, object []byte) {
		_, _ = fleet.Read(&assignment.Declaration{Key: objects.Key{Kind: kind}, Object: object}, "")
	})
}

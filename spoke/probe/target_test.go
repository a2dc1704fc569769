package probe_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/spoke/probe"
)

func rule(name, path, backend string, change func(*table.Rule)) *table.Rule {
	r := &table.Rule{
		Name: name, Route: table.Route{Kind: "HTTPRoute", Namespace: "ns", Name: name},
		Binds:    []table.Bind{{Listener: "ns/g/http", Hostnames: []string{""}}},
		Matches:  []table.Match{{Path: table.ValueMatch{Type: table.Prefix, Value: path}}},
		Backends: []table.BackendRef{{Backend: backend, Weight: 1}},
	}
	if change != nil {
		change(r)
	}
	return r
}

func TestTargets(t *testing.T) {
	ai := func(name string, m *table.Model) *table.Backend {
		return &table.Backend{Name: name, Kind: table.BackendAI, Groups: [][]table.Member{{{Name: "p", Model: m}}}}
	}
	tab := table.New(
		&table.Listener{Name: "ns/g/http", Gateway: "ns/g", Section: "http", Port: 80, Protocol: table.ProtocolHTTP},
		&table.Listener{Name: "ns/g/tls", Gateway: "ns/g", Section: "tls", Port: 443, Protocol: table.ProtocolHTTPS},
		ai("azure", &table.Model{Provider: table.Azure, Deployment: "d"}),
		ai("any", &table.Model{Provider: table.OpenAI}),
		ai("routes", &table.Model{Provider: table.OpenAI, Model: "m", Routes: map[string]string{"/chat": "Completions", "*": "Passthrough"}}),
		&table.Backend{Name: "tools", Kind: table.BackendMCP},
		&table.Backend{Name: "web", Kind: table.BackendHTTP},
		rule("a", "/azure", "azure", nil),
		rule("b", "/", "azure", func(r *table.Rule) { r.Binds[0].Hostnames = []string{"*.example.com"} }),
		rule("c", "/any", "any", nil),
		rule("d", "/routes", "routes", nil),
		rule("e", "/", "tools", nil),
		rule("f", "/web", "web", func(r *table.Rule) {
			r.Matches[0].Method = "POST"
			r.Matches = append(r.Matches, table.Match{
				Path:    table.ValueMatch{Type: table.Exact, Value: "/get"},
				Headers: []table.NamedMatch{{Name: "x", ValueMatch: table.ValueMatch{Type: table.Exact, Value: "y"}}},
			})
		}),
		rule("closed", "/closed", "web", func(r *table.Rule) { r.Closed = "why" }),
		rule("keyed", "/keyed", "web", nil),
		rule("elsewhere", "/x", "web", func(r *table.Rule) { r.Binds[0].Listener = "ns/g/tls" }), // without a certificate
		rule("redirect", "/r", "web", func(r *table.Rule) { r.Filters = []table.Filter{{Redirect: &table.Redirect{}}} }),
		rule("regex", "/.*", "web", func(r *table.Rule) { r.Matches[0].Path.Type = table.Regex }),
		&table.Policy{Name: "p", Targets: []table.Target{{Kind: "HTTPRoute", Namespace: "ns", Name: "keyed"}}, APIKey: &table.APIKey{Mode: table.Strict}},
	)
	proxies := []map[string][]string{{"http": {"http://1:80"}, "tls": {"https://1:443"}}, {"http": {"http://2:80"}}, {}}
	chat := func(model string) []byte {
		return []byte(`{"max_completion_tokens":16,"messages":[{"content":"ping","role":"user"}],"model":"` + model + `"}`)
	}
	want := []probe.Target{
		{Name: "a", Kind: probe.AI, URLs: []string{"http://1:80/azure", "http://2:80/azure"}, Body: chat("d")},
		{Name: "b", Kind: probe.AI, URLs: []string{"http://1:80/v1/chat/completions", "http://2:80/v1/chat/completions"}, Host: "probe.example.com", Body: chat("d")},
		{Name: "c", Kind: probe.Models, URLs: []string{"http://1:80/any/v1/models", "http://2:80/any/v1/models"}},
		{Name: "d", Kind: probe.AI, URLs: []string{"http://1:80/routes/chat", "http://2:80/routes/chat"}, Body: chat("m")},
		{Name: "e", Kind: probe.MCP, URLs: []string{"http://1:80/mcp", "http://2:80/mcp"}},
		{Name: "f", Kind: probe.HTTP, URLs: []string{"http://1:80/get", "http://2:80/get"}, Header: map[string]string{"x": "y"}},
	}
	if diff := cmp.Diff(want, probe.Targets(tab, proxies)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := probe.Targets(tab, nil); len(got) != 0 {
		t.Errorf("without proxies: %v", got)
	}
}

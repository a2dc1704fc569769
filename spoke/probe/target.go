package probe

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/navehq/nave/api/table"
)

// Kind is what a target is asked for.
type Kind string

// The kinds: a short chat completion, the list of a provider's models, a list of
// tools in a session, a GET.
const (
	AI     Kind = "ai"
	Models Kind = "models"
	MCP    Kind = "mcp"
	HTTP   Kind = "http"
)

// maxTargets of a cluster are probed.
const maxTargets = 16

// Target is one rule, at each of the proxies that serve it.
type Target struct {
	// Name is the rule's.
	Name string
	Kind Kind
	URLs []string
	// Host is the Host header and the name asked for in TLS, "" the URL's.
	Host string
	// Trust is PEM that the listener's certificate is held against beside the
	// system's roots; nil without TLS. It is as of the run's beginning.
	Trust []byte
	// Header and Query may hold the prober's key.
	Header map[string]string
	Query  url.Values
	Body   []byte
}

// Targets finds what of a Gateway's table can be probed: rules that a simple
// request meets, and that ask their clients for no key, or for one that is the
// prober's. What a rule's authorization says of a prober is found by trying.
// Each proxy tells its listeners' URLs by section.
func Targets(t table.Table, proxies []map[string][]string) []Target {
	policies := table.Attach(t)
	var out []Target
	for l := range table.Each[*table.Listener](t) {
		d := doorOf(t, l, proxies)
		for r := range table.Each[*table.Rule](t) {
			in := policies.For(l, r)
			if len(out) == maxTargets || len(d.bases) == 0 || in.Closed != "" {
				continue
			}
			if target, ok := targetOf(t, l, r, &d); ok && target.identify(t, in.APIKey) {
				out = append(out, target)
			}
		}
	}
	return out
}

func targetOf(t table.Table, l *table.Listener, r *table.Rule, d *door) (Target, bool) {
	i := slices.IndexFunc(r.Binds, func(b table.Bind) bool { return b.Listener == l.Name })
	b := backendOf(t, r)
	if i < 0 || b == nil || r.Closed != "" || slices.ContainsFunc(r.Filters, func(f table.Filter) bool { return f.Redirect != nil }) {
		return Target{}, false
	}
	host, ok := d.host(r.Binds[i].Hostnames)
	if !ok {
		return Target{}, false
	}
	out := Target{Name: r.Name, Kind: Kind(b.Kind), Host: host}
	if d.tls {
		out.Trust = d.trust
	}
	model := ""
	if out.Kind == AI {
		if model = modelOf(b); model == "" {
			out.Kind = Models
		}
	}
	m, ok := usable(r.Matches, out.Kind)
	if !ok {
		return Target{}, false
	}
	for _, h := range m.Headers {
		out.header(h.Name, h.Value)
	}
	path, ok := pathOf(b, m.Path, out.Kind)
	if !ok {
		return Target{}, false
	}
	if out.Kind == AI {
		out.Body = chatBody(model)
	}
	for _, base := range d.bases {
		out.URLs = append(out.URLs, base+path)
	}
	return out, true
}

// pathOf is where below a match a kind is asked for.
func pathOf(b *table.Backend, m table.ValueMatch, k Kind) (string, bool) {
	prefix := m.Type == table.Prefix
	switch {
	case k == AI && prefix:
		return strings.TrimRight(m.Value, "/") + chatSuffix(b, m.Value), true
	case k == MCP && prefix && m.Value == "/":
		return "/mcp", true
	case k == Models:
		return modelsPath(b, m)
	}
	return m.Value, true
}

// backendOf is the first backend of a rule that takes traffic.
func backendOf(t table.Table, r *table.Rule) *table.Backend {
	for _, ref := range r.Backends {
		if b := table.Find[*table.Backend](t, ref.Backend); ref.Weight > 0 && b != nil && b.Closed == "" {
			return b
		}
	}
	return nil
}

func (k Kind) method() string {
	if k == HTTP || k == Models {
		return "GET"
	}
	return "POST"
}

// usable is the first match that a simple request meets.
func usable(matches []table.Match, k Kind) (table.Match, bool) {
	method := k.method()
	for _, m := range matches {
		regex := m.Path.Type == table.Regex || slices.ContainsFunc(m.Headers, func(h table.NamedMatch) bool { return h.Type != table.Exact })
		if !regex && len(m.Query) == 0 && (m.Method == "" || m.Method == method) {
			return m, true
		}
	}
	return table.Match{}, false
}

// modelOf is a model to ask for; "" where none is declared.
func modelOf(b *table.Backend) string {
	for _, group := range b.Groups {
		for _, member := range group {
			m := member.Model
			if m == nil {
				continue
			}
			if m.Model != "" {
				return m.Model
			}
			if m.Deployment != "" {
				return m.Deployment
			}
			for _, alias := range slices.Sorted(maps.Keys(m.Aliases)) {
				if !strings.Contains(alias, "*") {
					return alias
				}
			}
		}
	}
	return ""
}

// chatSuffix is what a path needs behind it to be a chat completion's.
func chatSuffix(b *table.Backend, path string) string {
	for _, group := range b.Groups {
		for _, member := range group {
			if member.Model == nil || len(member.Model.Routes) == 0 {
				continue
			}
			for _, suffix := range slices.Sorted(maps.Keys(member.Model.Routes)) {
				if member.Model.Routes[suffix] == "Completions" && suffix != "*" && !strings.HasSuffix(path, suffix) {
					return suffix
				}
			}
			return ""
		}
	}
	if path == "/" {
		return "/v1/chat/completions"
	}
	return ""
}

// modelsPath is where a backend that names no model lists its provider's.
func modelsPath(b *table.Backend, m table.ValueMatch) (string, bool) {
	suffix := "/models"
	for _, group := range b.Groups {
		for _, member := range group {
			if member.Model == nil || len(member.Model.Routes) == 0 {
				continue
			}
			routes := member.Model.Routes
			i := slices.IndexFunc(slices.Sorted(maps.Keys(routes)), func(s string) bool { return routes[s] == "Models" && s != "*" })
			if i < 0 {
				return "", false
			}
			suffix = slices.Sorted(maps.Keys(routes))[i]
		}
	}
	path := strings.TrimRight(m.Value, "/")
	switch {
	case strings.HasSuffix(path, suffix):
		return path, true
	case m.Type != table.Prefix:
		return "", false
	case suffix == "/models" && !strings.HasSuffix(path, "/v1"):
		return path + "/v1/models", true
	}
	return path + suffix, true
}

// chatBody asks for as little as models give.
func chatBody(model string) []byte {
	body, err := json.Marshal(map[string]any{
		"model": model, "max_completion_tokens": 16,
		"messages": []map[string]string{{"role": "user", "content": "ping"}},
	})
	if err != nil {
		// Strings and numbers always marshal.
		panic(err)
	}
	return body
}

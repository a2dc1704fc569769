package probe

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/navehq/nave/api/table"
)

// Kind is what a target is asked for.
type Kind string

// The kinds: a short chat completion, a list of tools in a session, a GET.
const (
	AI   Kind = "ai"
	MCP  Kind = "mcp"
	HTTP Kind = "http"
)

// maxTargets of a cluster are probed.
const maxTargets = 16

// Target is one rule, at each of the proxies that serve it.
type Target struct {
	// Name is the rule's.
	Name string
	Kind Kind
	URLs []string
	// Host is the Host header, "" the URL's.
	Host   string
	Header map[string]string
	Body   []byte
}

// Targets finds what of a Gateway's table can be probed: rules of listeners
// without TLS that ask their clients for nothing. Each proxy tells its
// listeners' URLs by section.
func Targets(t table.Table, proxies []map[string][]string) []Target {
	policies := table.Attach(t)
	var out []Target
	for l := range table.Each[*table.Listener](t) {
		if l.Protocol != table.ProtocolHTTP {
			continue
		}
		var bases []string
		for _, p := range proxies {
			bases = append(bases, p[l.Section]...)
		}
		for r := range table.Each[*table.Rule](t) {
			in := policies.For(l, r)
			if len(out) == maxTargets || len(bases) == 0 || in.Closed != "" || in.APIKey != nil || len(in.Authorization) > 0 {
				continue
			}
			if target, ok := targetOf(t, l, r, bases); ok {
				out = append(out, target)
			}
		}
	}
	return out
}

func targetOf(t table.Table, l *table.Listener, r *table.Rule, bases []string) (Target, bool) {
	i := slices.IndexFunc(r.Binds, func(b table.Bind) bool { return b.Listener == l.Name && len(b.Hostnames) > 0 })
	b := backendOf(t, r)
	if i < 0 || b == nil || r.Closed != "" || slices.ContainsFunc(r.Filters, func(f table.Filter) bool { return f.Redirect != nil }) {
		return Target{}, false
	}
	out := Target{Name: r.Name, Kind: Kind(b.Kind), Host: strings.Replace(r.Binds[i].Hostnames[0], "*.", "probe.", 1)}
	m, ok := usable(r.Matches, out.Kind)
	if !ok {
		return Target{}, false
	}
	for _, h := range m.Headers {
		if out.Header == nil {
			out.Header = map[string]string{}
		}
		out.Header[h.Name] = h.Value
	}
	path := m.Path.Value
	switch out.Kind {
	case AI:
		model := modelOf(b)
		if model == "" {
			return Target{}, false
		}
		out.Body = chatBody(model)
		if m.Path.Type == table.Prefix {
			path = strings.TrimRight(path, "/") + chatSuffix(b, path)
		}
	case MCP:
		if m.Path.Type == table.Prefix && path == "/" {
			path = "/mcp"
		}
	}
	for _, base := range bases {
		out.URLs = append(out.URLs, base+path)
	}
	return out, true
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

// usable is the first match that a simple request meets.
func usable(matches []table.Match, k Kind) (table.Match, bool) {
	method := "POST"
	if k == HTTP {
		method = "GET"
	}
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

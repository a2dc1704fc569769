package match_test

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/match"
)

// slow is the obvious matcher: it lists every match of every rule that holds
// and sorts them by the letter of Gateway API's precedence.
func slow(t table.Table, f *match.Facts) (listener, rule string) {
	host := match.Host(f.Host)
	l := slowListener(t, f.Port, host)
	if l == nil {
		return "", ""
	}
	type hit struct {
		r        *table.Rule
		m        *table.Match
		i        int
		hostname string
	}
	var hits []hit
	for r := range table.Each[*table.Rule](t) {
		for _, b := range r.Binds {
			if b.Listener != l.Name {
				continue
			}
			for _, h := range b.Hostnames {
				if !slowHost(h, host) {
					continue
				}
				matches := r.Matches
				if len(matches) == 0 {
					matches = []table.Match{{}}
				}
				for i := range matches {
					if slowMatch(&matches[i], f) {
						hits = append(hits, hit{r, &matches[i], i, h})
					}
				}
			}
		}
	}
	if len(hits) == 0 {
		return l.Name, ""
	}
	rank := func(m *table.Match) (int, int) {
		switch m.Path.Type {
		case table.Exact:
			return 0, 0
		case table.Regex:
			return 2, -len(m.Path.Value)
		}
		return 1, -len(strings.TrimSuffix(m.Path.Value, "/"))
	}
	best := slices.MinFunc(hits, func(a, b hit) int {
		ka, la := rank(a.m)
		kb, lb := rank(b.m)
		return cmp.Or(
			-slowSpecific(a.hostname, b.hostname),
			cmp.Compare(ka, kb), cmp.Compare(la, lb),
			-cmp.Compare(len(a.m.Method), len(b.m.Method))*btoi((a.m.Method == "") != (b.m.Method == "")),
			-cmp.Compare(len(a.m.Headers), len(b.m.Headers)),
			-cmp.Compare(len(a.m.Query), len(b.m.Query)),
			cmp.Compare(a.r.Created, b.r.Created),
			strings.Compare(a.r.Route.Namespace, b.r.Route.Namespace),
			strings.Compare(a.r.Route.Name, b.r.Route.Name),
			strings.Compare(a.r.Route.Kind, b.r.Route.Kind),
			cmp.Compare(a.r.Index, b.r.Index),
			strings.Compare(a.r.Name, b.r.Name),
			cmp.Compare(a.i, b.i),
		)
	})
	return l.Name, best.r.Name
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// slowSpecific is positive where a is more specific than b.
func slowSpecific(a, b string) int {
	kind := func(h string) int {
		switch {
		case h == "":
			return 0
		case strings.HasPrefix(h, "*"):
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(kind(a), kind(b)), cmp.Compare(len(a), len(b)))
}

func slowHost(pattern, host string) bool {
	switch {
	case pattern == "":
		return true
	case strings.HasPrefix(pattern, "*."):
		return strings.HasSuffix(host, strings.ToLower(pattern[1:]))
	}
	return strings.EqualFold(pattern, host)
}

func slowListener(t table.Table, port uint16, host string) *table.Listener {
	var best *table.Listener
	for l := range table.Each[*table.Listener](t) {
		if l.Port == port && slowHost(l.Hostname, host) && (best == nil || slowSpecific(l.Hostname, best.Hostname) > 0) {
			best = l
		}
	}
	return best
}

func slowMatch(m *table.Match, f *match.Facts) bool {
	if m.Method != "" && m.Method != f.Method || !slowPath(m.Path, f.Path) {
		return false
	}
	for _, h := range m.Headers {
		values := slices.Collect(f.Header.Values(h.Name))
		if len(values) == 0 || !slowValue(h.ValueMatch, strings.Join(values, ",")) {
			return false
		}
	}
	q, err := url.ParseQuery(f.Query)
	for _, n := range m.Query {
		if err != nil || len(q[n.Name]) == 0 || !slowValue(n.ValueMatch, q[n.Name][0]) {
			return false
		}
	}
	return true
}

func slowPath(m table.ValueMatch, path string) bool {
	switch m.Type {
	case table.Exact:
		return path == m.Value
	case table.Regex:
		return regexp.MustCompile(`^(?:` + m.Value + `)$`).MatchString(path)
	}
	want := strings.Split(strings.TrimSuffix(m.Value, "/"), "/")
	have := strings.Split(path, "/")
	return strings.HasPrefix(path, "/") && len(have) >= len(want) && slices.Equal(want, have[:len(want)])
}

func slowValue(m table.ValueMatch, v string) bool {
	if m.Type == table.Regex {
		return regexp.MustCompile(`^(?:` + m.Value + `)$`).MatchString(v)
	}
	return m.Value == v
}

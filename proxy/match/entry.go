package match

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/navehq/nave/api/table"
)

type pathKind uint8

const (
	exactPath pathKind = iota
	prefixPath
	regexPath
)

// entry is one match of one rule, compiled.
type entry struct {
	rule    *Rule
	index   int
	kind    pathKind
	value   string // a prefix without its final slash
	prefix  string // as declared, where it is one
	path    *regexp.Regexp
	method  string
	headers []named
	query   []named
}

type named struct {
	name  string
	value string
	regex *regexp.Regexp
}

func (n *named) holds(v string) bool {
	if n.regex != nil {
		return n.regex.MatchString(v)
	}
	return n.value == v
}

// compare orders entries of one hostname and path: Gateway API's precedence
// from the method on. Patterns, for which it prescribes nothing, go before that
// by their length.
func (e *entry) compare(o *entry) int {
	a, b := e.rule, o.rule
	return cmp.Or(
		cmp.Compare(e.patternLength(), o.patternLength())*-1,
		cmp.Compare(set(o.method), set(e.method)),
		cmp.Compare(len(o.headers), len(e.headers)),
		cmp.Compare(len(o.query), len(e.query)),
		cmp.Compare(a.Created, b.Created),
		strings.Compare(a.Route.Namespace, b.Route.Namespace),
		strings.Compare(a.Route.Name, b.Route.Name),
		strings.Compare(a.Route.Kind, b.Route.Kind),
		cmp.Compare(a.Index, b.Index),
		strings.Compare(a.Name, b.Name),
		cmp.Compare(e.index, o.index),
	)
}

func (e *entry) patternLength() int {
	if e.kind != regexPath {
		return 0
	}
	return len(e.value)
}

func set(s string) int {
	if s == "" {
		return 0
	}
	return 1
}

// holds tells whether all but the path hold.
func (e *entry) holds(f *Facts) bool {
	if e.method != "" && e.method != f.Method {
		return false
	}
	for i := range e.headers {
		if !e.headers[i].inHeader(f) {
			return false
		}
	}
	for i := range e.query {
		if !e.query[i].inQuery(f.Query) {
			return false
		}
	}
	return true
}

// inHeader compares a field's value; several fields of one name are one list,
// joined by commas (RFC 9110, 5.3).
func (n *named) inHeader(f *Facts) bool {
	if f.Header == nil {
		return false
	}
	var value string
	found := 0
	for v := range f.Header.Values(n.name) {
		if found++; found > 1 {
			value += ","
		}
		value += v
	}
	return found > 0 && n.holds(value)
}

// inQuery compares the first parameter of that name.
func (n *named) inQuery(query string) bool {
	for len(query) > 0 {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(pair, "=")
		if decoded(key) == n.name {
			return n.holds(decoded(value))
		}
	}
	return false
}

// decoded gives what cannot be decoded back as it is.
func decoded(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// compile makes the entries of a rule. An error makes the table unusable: a
// rule that matches nothing could open what a less specific one serves.
func compile(r *Rule) ([]*entry, error) {
	matches := r.Matches
	if len(matches) == 0 {
		matches = []table.Match{{}}
	}
	entries := make([]*entry, len(matches))
	for i := range matches {
		e, err := compileMatch(&matches[i])
		if err != nil {
			return nil, fmt.Errorf("compiling match %d of rule %q: %w", i, r.Name, err)
		}
		e.rule, e.index = r, i
		entries[i] = e
	}
	return entries, nil
}

func compileMatch(m *table.Match) (*entry, error) {
	e := &entry{method: m.Method, value: m.Path.Value}
	var err error
	switch m.Path.Type {
	case table.Exact:
		e.kind = exactPath
	case table.Prefix, "":
		e.kind = prefixPath
		e.prefix = cmp.Or(m.Path.Value, "/")
		e.value = strings.TrimSuffix(e.value, "/")
	case table.Regex:
		e.kind = regexPath
		if e.path, err = whole(m.Path.Value); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("path type %q is unknown", m.Path.Type)
	}
	if e.headers, err = compileNamed(m.Headers, strings.ToLower); err != nil {
		return nil, err
	}
	e.query, err = compileNamed(m.Query, strings.Clone)
	return e, err
}

// compileNamed keeps the first of several matches on one name, as Gateway API says.
func compileNamed(list []table.NamedMatch, same func(string) string) ([]named, error) {
	var out []named
	seen := map[string]bool{}
	for _, m := range list {
		if seen[same(m.Name)] {
			continue
		}
		seen[same(m.Name)] = true
		n := named{name: m.Name, value: m.Value}
		if m.Type == table.Regex {
			var err error
			if n.regex, err = whole(m.Value); err != nil {
				return nil, err
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// whole compiles an expression that must match the whole value.
func whole(expression string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("compiling the expression %q: %w", expression, err)
	}
	return re, nil
}

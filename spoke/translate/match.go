package translate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/table"
)

// maxPattern bounds the source of a regular expression, bytes.
const maxPattern = 1024

var methods = []gwv1.HTTPMethod{
	gwv1.HTTPMethodGet, gwv1.HTTPMethodHead, gwv1.HTTPMethodPost, gwv1.HTTPMethodPut, gwv1.HTTPMethodDelete,
	gwv1.HTTPMethodConnect, gwv1.HTTPMethodOptions, gwv1.HTTPMethodTrace, gwv1.HTTPMethodPatch,
}

var tokenPattern = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+\\-.^_`|~]+$")

// matches translates a rule's matches. What cannot be matched closes the whole
// route: without it, requests would fall to rules that were not meant for them.
// A match is left out where its path cannot be made; of another, what can be is
// left, so that it closes rather more than was meant.
func (t *ruleTranslation) matches() {
	for i, m := range t.spec.Matches {
		path := fmt.Sprintf("%s.matches[%d]", t.path, i)
		before := len(t.set.refused)
		out := table.Match{Path: t.pathMatch(m.Path, path+".path")}
		pathless := len(t.set.refused) > before
		for j, h := range m.Headers {
			at := fmt.Sprintf("%s.headers[%d]", path, j)
			out.Headers = t.named(out.Headers, strings.ToLower(string(h.Name)), deref(h.Type, "Exact"), h.Value, at)
		}
		for j, q := range m.QueryParams {
			at := fmt.Sprintf("%s.queryParams[%d]", path, j)
			out.Query = t.named(out.Query, string(q.Name), deref(q.Type, "Exact"), q.Value, at)
		}
		if m.Method != nil {
			if out.Method = string(*m.Method); !slices.Contains(methods, *m.Method) {
				t.mismatch(path+".method", fmt.Sprintf("%q is no method", *m.Method))
				out.Method = ""
			}
		}
		if !pathless {
			t.out.rule.Matches = append(t.out.rule.Matches, out)
		}
	}
	t.out.unmatched = len(t.spec.Matches) > 0 && len(t.out.rule.Matches) == 0
}

func (t *ruleTranslation) mismatch(field, message string) {
	t.set.refused = append(t.set.refused, unsupported(field, message))
}

func (t *ruleTranslation) pathMatch(m *gwv1.HTTPPathMatch, path string) table.ValueMatch {
	if m == nil {
		return table.ValueMatch{Type: table.Prefix, Value: "/"}
	}
	v := table.ValueMatch{Value: "/"}
	if m.Value != nil {
		v.Value = *m.Value
	}
	switch kind := deref(m.Type, "PathPrefix"); kind {
	case "PathPrefix", "Exact":
		v.Type = table.Prefix
		if kind == "Exact" {
			v.Type = table.Exact
		}
		if !strings.HasPrefix(v.Value, "/") || strings.Contains(v.Value, "//") || strings.ContainsAny(v.Value, "?#") || dotted(v.Value) {
			t.mismatch(path+".value", fmt.Sprintf("%q is no absolute, clean path", v.Value))
		}
	case "RegularExpression":
		v.Type = table.Regex
		t.pattern(v.Value, path+".value")
	default:
		t.mismatch(path+".type", fmt.Sprintf("there is no type %q", kind))
	}
	return v
}

// dotted tells whether a path has a segment of one or two dots.
func dotted(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func (t *ruleTranslation) pattern(source, path string) {
	if len(source) > maxPattern {
		t.mismatch(path, fmt.Sprintf("is longer than %d bytes", maxPattern))
		return
	}
	if _, err := regexp.Compile(source); err != nil {
		t.mismatch(path, fmt.Sprintf("%q is no regular expression: %v", source, err))
	}
}

// named adds a match of a header or query parameter, if it can be made; of two
// with one name the first counts, as Gateway API has it.
func (t *ruleTranslation) named(list []table.NamedMatch, name, kind, value, path string) []table.NamedMatch {
	before := len(t.set.refused)
	if !tokenPattern.MatchString(name) {
		t.mismatch(path+".name", fmt.Sprintf("%q is no name", name))
	}
	out := table.NamedMatch{Name: name, ValueMatch: table.ValueMatch{Value: value}}
	switch kind {
	case "Exact":
		out.Type = table.Exact
	case "RegularExpression":
		out.Type = table.Regex
		t.pattern(value, path+".value")
	default:
		t.mismatch(path+".type", fmt.Sprintf("there is no type %q", kind))
	}
	if len(t.set.refused) > before || slices.ContainsFunc(list, func(x table.NamedMatch) bool { return x.Name == name }) {
		return list
	}
	return append(list, out)
}

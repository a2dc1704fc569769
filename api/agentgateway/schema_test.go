package agentgateway_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// schema is the part of a CRD's OpenAPI schema that these tests read.
type schema struct {
	Type        string             `json:"type"`
	Format      string             `json:"format"`
	Properties  map[string]*schema `json:"properties"`
	Items       *schema            `json:"items"`
	Values      *schema            `json:"additionalProperties"`
	Required    []string           `json:"required"`
	Enum        []any              `json:"enum"`
	Default     any                `json:"default"`
	Pattern     string             `json:"pattern"`
	MinLength   *int               `json:"minLength"`
	MaxLength   *int               `json:"maxLength"`
	Minimum     *float64           `json:"minimum"`
	Maximum     *float64           `json:"maximum"`
	MinItems    *int               `json:"minItems"`
	MaxItems    *int               `json:"maxItems"`
	MinProps    *int               `json:"minProperties"`
	MaxProps    *int               `json:"maxProperties"`
	MapKeys     []string           `json:"x-kubernetes-list-map-keys"`
	IntOrString bool               `json:"x-kubernetes-int-or-string"`
	Preserve    bool               `json:"x-kubernetes-preserve-unknown-fields"`
	Rules       []struct {
		Message string `json:"message"`
	} `json:"x-kubernetes-validations"`
}

type crd struct {
	Spec struct {
		Group string `json:"group"`
		Scope string `json:"scope"`
		Names struct {
			Kind       string   `json:"kind"`
			Plural     string   `json:"plural"`
			ShortNames []string `json:"shortNames"`
			Categories []string `json:"categories"`
		} `json:"names"`
		Versions []struct {
			Name   string `json:"name"`
			Schema struct {
				OpenAPIV3Schema *schema `json:"openAPIV3Schema"`
			} `json:"schema"`
			Subresources map[string]any `json:"subresources"`
		} `json:"versions"`
	} `json:"spec"`
}

// crds returns the generated CRDs of this package by kind.
func crds(t *testing.T) map[string]*crd {
	t.Helper()
	paths, _ := filepath.Glob("../../charts/crds/templates/agentgateway.dev_*.yaml")
	all := map[string]*crd{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c := new(crd)
		if err := yaml.Unmarshal(raw, c); err != nil {
			t.Fatalf("reading %s: %v", path, err)
		}
		all[c.Spec.Names.Kind] = c
	}
	return all
}

// published is a field of the published schema, as testdata/paths.txt has it.
type published struct {
	typ         string
	required    bool
	constraints []string
	rules       []string
	as          string
	names       []string
	fields      map[string]*published
}

func (p *published) at(path string) *published {
	for name := range strings.SplitSeq(path, ".") {
		if p = p.fields[name]; p == nil {
			return nil
		}
	}
	return p
}

// readPublished returns the published schema by kind, a root's type being its
// plural and its one constraint its short name.
func readPublished(t *testing.T) map[string]*published {
	t.Helper()
	raw, err := os.ReadFile("testdata/paths.txt")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]*published{}
	var stack []*published
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		text := strings.TrimLeft(line, " ")
		depth := len(line) - len(text)
		if rule, ok := strings.CutPrefix(text, "! "); ok {
			owner := stack[len(stack)-1]
			owner.rules = append(owner.rules, rule)
			continue
		}
		name, rest, _ := strings.Cut(text, " ")
		p := parsePublished(rest)
		if depth == 0 {
			kinds[name], stack = p, []*published{p}
			continue
		}
		stack = stack[:depth]
		parent := stack[depth-1]
		parent.fields[name] = p
		parent.names = append(parent.names, name)
		stack = append(stack, p)
	}
	return kinds
}

func parsePublished(rest string) *published {
	p := &published{fields: map[string]*published{}}
	rest, p.as, _ = strings.Cut(rest, " as ")
	p.typ, rest, _ = strings.Cut(rest, " ")
	p.typ, p.required = strings.CutSuffix(p.typ, "*")
	if rest = strings.TrimSuffix(strings.TrimPrefix(rest, "{"), "}"); rest != "" {
		p.constraints = strings.Split(rest, "; ")
	}
	return p
}

// describe says a schema's type and constraints in the words of paths.txt.
func describe(s *schema) (string, []string) {
	var c []string
	add := func(format string, args ...any) { c = append(c, fmt.Sprintf(format, args...)) }
	describeScalar(s, "", add)
	if s.MinItems != nil {
		add("minItems=%d", *s.MinItems)
	}
	if s.MaxItems != nil {
		add("maxItems=%d", *s.MaxItems)
	}
	if s.MinProps != nil {
		add("minProps=%d", *s.MinProps)
	}
	if s.MaxProps != nil {
		add("maxProps=%d", *s.MaxProps)
	}
	if len(s.MapKeys) > 0 {
		add("mapkey=%s", strings.Join(s.MapKeys, ","))
	}
	if s.Items != nil && s.Items.Properties == nil {
		describeScalar(s.Items, "item:", add)
	}
	if s.Values != nil {
		describeScalar(s.Values, "value:", add)
	}
	return typeOf(s), c
}

func typeOf(s *schema) string {
	switch {
	case s.IntOrString:
		return "int-or-string"
	case s.Items != nil:
		return "[]" + typeOf(s.Items)
	case s.Values != nil:
		return "map[string]" + typeOf(s.Values)
	case s.Type == "":
		return "any"
	}
	return s.Type
}

func describeScalar(s *schema, prefix string, add func(string, ...any)) {
	if len(s.Enum) > 0 {
		var words []string
		for _, e := range s.Enum {
			words = append(words, fmt.Sprint(e))
		}
		slices.Sort(words)
		add("%senum=%s", prefix, strings.Join(words, "|"))
	}
	if s.Default != nil {
		add("%sdefault=%v", prefix, s.Default)
	}
	if s.MinLength != nil {
		add("%sminLen=%d", prefix, *s.MinLength)
	}
	if s.MaxLength != nil {
		add("%smaxLen=%d", prefix, *s.MaxLength)
	}
	if s.Minimum != nil {
		add("%smin=%d", prefix, int64(*s.Minimum))
	}
	if s.Maximum != nil {
		add("%smax=%d", prefix, int64(*s.Maximum))
	}
	if s.Pattern != "" {
		add("%spattern=%s", prefix, s.Pattern)
	}
	if s.Format != "" {
		add("%sformat=%s", prefix, s.Format)
	}
	if s.Preserve {
		add("%spreserveUnknown", prefix)
	}
}

// held reports whether ours holds a published constraint, in any order of an
// enumeration's words, and as far as a shortened pattern goes.
func held(ours []string, want string) bool {
	if name, words, ok := strings.Cut(want, "enum="); ok {
		sorted := strings.Split(words, "|")
		slices.Sort(sorted)
		want = name + "enum=" + strings.Join(sorted, "|")
	}
	want = strings.ToLower(want)
	stem, short := strings.CutSuffix(want, "…")
	return slices.ContainsFunc(ours, func(o string) bool {
		o = strings.ToLower(o)
		return o == want || short && strings.HasPrefix(o, stem)
	})
}

type comparison struct {
	t     *testing.T
	all   map[string]*published
	count int
}

// Every published field is there, with its type, its constraints and its rules.
func TestSchemaHoldsThePublished(t *testing.T) {
	generated, c := crds(t), &comparison{t: t, all: readPublished(t)}
	if len(generated) != 3 || len(c.all) != 3 {
		t.Fatalf("found %d CRDs and %d published kinds, want 3 of each", len(generated), len(c.all))
	}
	for kind, root := range c.all {
		g := generated[kind]
		if g == nil {
			t.Errorf("no CRD for %s", kind)
			continue
		}
		n := g.Spec.Names
		if got := []string{n.Plural, n.ShortNames[0], n.Categories[0], g.Spec.Scope, g.Spec.Versions[0].Name}; !slices.Equal(got, []string{root.typ, root.constraints[0], "agentgateway", "Namespaced", "v1alpha1"}) {
			t.Errorf("%s is named %q", kind, got)
		}
		if g.Spec.Versions[0].Subresources["status"] == nil {
			t.Errorf("%s has no status subresource", kind)
		}
		c.fields(kind, root, g.Spec.Versions[0].Schema.OpenAPIV3Schema)
	}
	if c.count < 3000 {
		t.Errorf("compared %d fields, want at least 3000", c.count)
	}
}

func (c *comparison) fields(path string, p *published, s *schema) {
	for s.Items != nil {
		s = s.Items
	}
	for _, name := range p.names {
		want, got, at := p.fields[name], s.Properties[name], path+"."+name
		if got == nil {
			c.t.Errorf("%s: missing", at)
			continue
		}
		c.count++
		c.field(at, want, got)
		if optional := !slices.Contains(s.Required, name); want.required && optional && !strings.HasPrefix(at, "AgentgatewayPolicy.status") {
			c.t.Errorf("%s: optional, published as required", at)
		} else if !want.required && !optional {
			c.t.Errorf("%s: required, published as optional", at)
		}
	}
}

func (c *comparison) field(at string, want *published, got *schema) {
	typ, ours := describe(got)
	free := got.Preserve && got.Type == "object"
	if typ != want.typ && !(free && strings.HasPrefix(want.typ, "map[string]any")) {
		c.t.Errorf("%s: is %s, published as %s", at, typ, want.typ)
	}
	for _, constraint := range want.constraints {
		switch {
		case held(ours, constraint):
		case got.IntOrString && strings.HasPrefix(constraint, "pattern="): // a quantity's own pattern takes more
		case free && constraint == "value:preserveUnknown":
		case strings.HasSuffix(at, ".cors") && constraint == "preserveUnknown": // unknown fields are refused
		default:
			c.t.Errorf("%s: lacks %s; has %s", at, constraint, strings.Join(ours, "; "))
		}
	}
	for _, rule := range want.rules {
		holder, message := got, rule
		if m, ok := strings.CutPrefix(rule, "item: "); ok {
			holder, message = got.Items, m
		}
		if holder == nil || !slices.ContainsFunc(holder.Rules, func(r struct {
			Message string `json:"message"`
		}) bool {
			return r.Message == message
		}) {
			c.t.Errorf("%s: lacks the rule %q", at, rule)
		}
	}
	if want.as != "" {
		for _, root := range c.all {
			if shape := root.at(want.as); shape != nil {
				c.fields(at, shape, got)
				return
			}
		}
		c.t.Errorf("%s: shaped as %s, which is not published", at, want.as)
		return
	}
	c.fields(at, want, got)
}

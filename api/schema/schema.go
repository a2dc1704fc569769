// Package schema judges an object as an API server would by its CRD: types,
// bounds, patterns, required fields and CEL rules, with defaults filled in. The
// CRDs come as schemas.json, which `make generate` writes. It decides nothing
// else: what is done with an object that is refused is the reader's, and fields
// that a kind does not have are the decoder's.
package schema

import (
	"bytes"
	_ "embed" // schemas.json
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
)

//go:embed schemas.json
var published []byte

// node is one schema; Properties, Items and Values are numbers of others.
type node struct {
	Type          string         `json:"type"`
	Default       any            `json:"default"`
	Enum          []string       `json:"enum"`
	Minimum       *float64       `json:"minimum"`
	Maximum       *float64       `json:"maximum"`
	MinLength     *int           `json:"minLength"`
	MaxLength     *int           `json:"maxLength"`
	Pattern       string         `json:"pattern"`
	MinItems      *int           `json:"minItems"`
	MaxItems      *int           `json:"maxItems"`
	MinProperties *int           `json:"minProperties"`
	MaxProperties *int           `json:"maxProperties"`
	Required      []string       `json:"required"`
	Keys          []string       `json:"keys"`
	Set           bool           `json:"set"`
	Rules         []rule         `json:"rules"`
	Properties    map[string]int `json:"properties"`
	Items         *int           `json:"items"`
	Values        *int           `json:"values"`
}

type rule struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// Fault is one thing for which an API server would refuse an object.
type Fault struct {
	// Field is the path as the author wrote it, such as spec.targetRefs[0].kind.
	Field   string
	Message string
	Remedy  string
}

// Checker judges objects. It keeps what it has compiled and is used by one
// goroutine.
type Checker struct {
	kinds    map[string]int
	nodes    []node
	language *cel.Env
	patterns map[string]*regexp.Regexp
	programs map[string]cel.Program
}

// New is a checker for every kind that has a CRD of Nave's.
func New() *Checker {
	c := &Checker{patterns: map[string]*regexp.Regexp{}, programs: map[string]cel.Program{}}
	file := struct {
		Kinds *map[string]int `json:"kinds"`
		Nodes *[]node         `json:"nodes"`
	}{&c.kinds, &c.nodes}
	read := json.NewDecoder(bytes.NewReader(published))
	read.DisallowUnknownFields() // hack/generate/schemas writes what node reads
	if err := read.Decode(&file); err != nil {
		panic(fmt.Sprintf("read schemas.json: %v", err)) // it is part of the program
	}
	return c
}

// Check says why an API server would refuse an object, given as it was written.
// A kind without a schema has no faults. Rules are asked of objects alone that
// are otherwise right, as an API server does.
func (c *Checker) Check(group, kind string, raw []byte) []Fault {
	root, known := c.kinds[group+"/"+kind]
	if !known {
		return nil
	}
	value, err := parse(raw)
	if err != nil {
		return []Fault{{Message: "is not JSON: " + err.Error(), Remedy: "correct it"}}
	}
	w := &walk{Checker: c}
	value = w.shape(root, value, "")
	if len(w.faults) == 0 {
		w.rules(root, value, "")
	}
	return w.faults
}

// walk is one object's check.
type walk struct {
	*Checker
	faults []Fault
}

func (w *walk) fault(path, remedy, message string, args ...any) {
	w.faults = append(w.faults, Fault{Field: path, Message: fmt.Sprintf(message, args...), Remedy: remedy})
}

// shape checks all but the rules. It returns the value with defaults filled in
// and fields named as rules name them.
func (w *walk) shape(number int, v any, path string) any {
	n := &w.nodes[number]
	if n.Type != "" && !fits(n.Type, v) {
		w.fault(path, "give "+wanted[n.Type], "%s does not fit here", named(v))
		return v
	}
	switch v := v.(type) {
	case string:
		w.text(n, v, path)
	case int64:
		w.number(n, float64(v), path)
		if n.Type == "number" {
			return float64(v)
		}
	case float64:
		w.number(n, v, path)
	case []any:
		return w.list(n, v, path)
	case map[string]any:
		return w.object(n, v, path)
	}
	return v
}

func (w *walk) object(n *node, v map[string]any, path string) any {
	out := make(map[string]any, len(v))
	size := 0
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if v[name] == nil {
			continue // an API server drops it
		}
		size++
		at := Join(path, name)
		below, known := n.Properties[name]
		switch {
		case known:
			out[escape(name)] = w.shape(below, v[name], at)
		case n.Values != nil:
			out[name] = w.shape(*n.Values, v[name], at)
		default:
			out[name] = v[name]
		}
	}
	for name, below := range n.Properties {
		if v[name] == nil && w.nodes[below].Default != nil {
			out[escape(name)] = integral(w.nodes[below].Default)
		}
	}
	for _, name := range n.Required {
		if _, set := out[escape(name)]; !set {
			w.fault(Join(path, name), "set it", "is missing")
		}
	}
	w.count(n.MinProperties, n.MaxProperties, size, "entries", path)
	return out
}

func (w *walk) list(n *node, v []any, path string) any {
	out := make([]any, len(v))
	seen := map[string]bool{}
	for i, x := range v {
		at := fmt.Sprintf("%s[%d]", path, i)
		if n.Items != nil {
			x = w.shape(*n.Items, x, at)
		}
		out[i] = x
		if n.Set || len(n.Keys) > 0 {
			key := identity(n.Keys, x)
			if seen[key] {
				w.fault(at, "keep one of the two", "is there already: %s", key)
			}
			seen[key] = true
		}
	}
	w.count(n.MinItems, n.MaxItems, len(v), "items", path)
	return out
}

// identity is what tells an item of a list from the others.
func identity(keys []string, item any) string {
	object, ok := item.(map[string]any)
	if !ok || len(keys) == 0 {
		return fmt.Sprint(item)
	}
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%s %v", k, object[escape(k)])
	}
	return strings.Join(parts, ", ")
}

func (w *walk) count(least, most *int, n int, what, path string) {
	switch {
	case least != nil && n < *least:
		w.fault(path, fmt.Sprintf("give at least %d", *least), "has %d %s", n, what)
	case most != nil && n > *most:
		w.fault(path, fmt.Sprintf("give at most %d", *most), "has %d %s", n, what)
	}
}

func (w *walk) number(n *node, v float64, path string) {
	switch {
	case n.Minimum != nil && v < *n.Minimum:
		w.fault(path, "give at least "+decimal(*n.Minimum), "%s is too little", decimal(v))
	case n.Maximum != nil && v > *n.Maximum:
		w.fault(path, "give at most "+decimal(*n.Maximum), "%s is too much", decimal(v))
	}
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (w *walk) text(n *node, v, path string) {
	if len(n.Enum) > 0 && !slices.Contains(n.Enum, v) {
		w.fault(path, "use one of "+strings.Join(n.Enum, ", "), "%q is not known", shorten(v))
		return
	}
	w.count(n.MinLength, n.MaxLength, len([]rune(v)), "characters", path)
	if n.Pattern == "" {
		return
	}
	if w.patterns[n.Pattern] == nil {
		w.patterns[n.Pattern] = regexp.MustCompile(n.Pattern)
	}
	if !w.patterns[n.Pattern].MatchString(v) {
		w.fault(path, "write it to match "+n.Pattern, "%q is not of the form that is wanted", shorten(v))
	}
}

// Join is the path of a field below a path, "" for none, as people write it: a name
// that has a dot or a slash stands in brackets.
func Join(path, name string) string {
	switch {
	case path == "":
		return name
	case strings.ContainsAny(name, "./"):
		return path + "[" + name + "]"
	}
	return path + "." + name
}

func shorten(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

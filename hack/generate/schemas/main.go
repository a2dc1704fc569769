// Command schemas writes what the CRDs of a folder ask of their objects as one
// small file of JSON for api/schema: without descriptions, and each part that
// stands in several places once. It decides nothing.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// node is a schema; Properties, Items and Values are numbers of other nodes,
// which come before it.
type node struct {
	Type          string          `json:"type,omitempty"`
	Default       json.RawMessage `json:"default,omitempty"`
	Enum          []string        `json:"enum,omitempty"`
	Minimum       *float64        `json:"minimum,omitempty"`
	Maximum       *float64        `json:"maximum,omitempty"`
	MinLength     *int64          `json:"minLength,omitempty"`
	MaxLength     *int64          `json:"maxLength,omitempty"`
	Pattern       string          `json:"pattern,omitempty"`
	MinItems      *int64          `json:"minItems,omitempty"`
	MaxItems      *int64          `json:"maxItems,omitempty"`
	MinProperties *int64          `json:"minProperties,omitempty"`
	MaxProperties *int64          `json:"maxProperties,omitempty"`
	Required      []string        `json:"required,omitempty"`
	Keys          []string        `json:"keys,omitempty"`
	Set           bool            `json:"set,omitempty"`
	Rules         []rule          `json:"rules,omitempty"`
	Properties    map[string]int  `json:"properties,omitempty"`
	Items         *int            `json:"items,omitempty"`
	Values        *int            `json:"values,omitempty"`
}

type rule struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

type writer struct {
	nodes   [][]byte
	numbers map[string]int
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(crds, out string) error {
	paths, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil {
		return err
	}
	w := &writer{numbers: map[string]int{}}
	kinds := map[string]int{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(raw, &crd); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		root := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
		delete(root.Properties, "status") // a server's to write
		number, err := w.add(root)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		kinds[crd.Spec.Group+"/"+crd.Spec.Names.Kind] = number
	}
	head, err := json.Marshal(kinds)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"kinds\": %s, \"nodes\": [\n%s\n]}\n", head, bytes.Join(w.nodes, []byte(",\n")))
	return os.WriteFile(out, b.Bytes(), 0o644)
}

// add gives a schema's number; equal schemas have one.
func (w *writer) add(s *apiextensionsv1.JSONSchemaProps) (int, error) {
	if s.Not != nil || len(s.AllOf)+len(s.OneOf) > 0 || s.Nullable || len(s.AnyOf) > 0 && !s.XIntOrString || s.ExclusiveMaximum || s.ExclusiveMinimum {
		return 0, fmt.Errorf("a keyword that api/schema does not know: %.200v", s)
	}
	n := node{
		Type: s.Type, Minimum: s.Minimum, Maximum: s.Maximum, MinLength: s.MinLength, MaxLength: s.MaxLength, Pattern: s.Pattern,
		MinItems: s.MinItems, MaxItems: s.MaxItems, MinProperties: s.MinProperties, MaxProperties: s.MaxProperties,
		Required: slices.Sorted(slices.Values(s.Required)), Keys: s.XListMapKeys, Set: s.XListType != nil && *s.XListType == "set",
	}
	if s.Default != nil {
		n.Default = s.Default.Raw
	}
	for _, e := range s.Enum {
		var value string
		if err := json.Unmarshal(e.Raw, &value); err != nil {
			return 0, fmt.Errorf("an enum of other than strings: %w", err)
		}
		n.Enum = append(n.Enum, value)
	}
	for _, v := range s.XValidations {
		n.Rules = append(n.Rules, rule{v.Rule, v.Message})
	}
	if err := w.below(&n, s); err != nil {
		return 0, err
	}
	text, err := encode(n)
	if err != nil {
		return 0, err
	}
	number, known := w.numbers[string(text)]
	if !known {
		number = len(w.nodes)
		w.nodes, w.numbers[string(text)] = append(w.nodes, text), number
	}
	return number, nil
}

func (w *writer) below(n *node, s *apiextensionsv1.JSONSchemaProps) error {
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := s.Properties[name]
		number, err := w.add(&p)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n.Properties == nil {
			n.Properties = map[string]int{}
		}
		n.Properties[name] = number
	}
	if s.Items != nil {
		number, err := w.add(s.Items.Schema)
		if err != nil {
			return err
		}
		n.Items = &number
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		number, err := w.add(s.AdditionalProperties.Schema)
		if err != nil {
			return err
		}
		n.Values = &number
	}
	return nil
}

func encode(n node) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(n); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

package model

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxDepth bounds how deep an instance of a schema may grow.
const maxDepth = 8

// source is what a prompt offers to fill a schema with; each is used once.
type source struct {
	numbers []float64
	strings []string
	root    object
}

var (
	number = regexp.MustCompile(`-?\d+(\.\d+)?`)
	quoted = regexp.MustCompile(`"([^"]*)"|'([^']*)'`)
)

func facts(text string) *source {
	s := &source{}
	for _, match := range quoted.FindAllStringSubmatch(text, -1) {
		s.strings = append(s.strings, match[1]+match[2])
	}
	for _, match := range number.FindAllString(quoted.ReplaceAllString(text, ""), -1) {
		value, _ := strconv.ParseFloat(match, 64)
		s.numbers = append(s.numbers, value)
	}
	return s
}

// instance builds a value that is valid under the common part of JSON Schema:
// type, properties, required, items, enum, const, default, anyOf, oneOf, allOf
// and local $refs.
func (s *source) instance(schema any) any {
	s.root, _ = schema.(object)
	return s.fill(schema, 0)
}

func (s *source) fill(schema any, depth int) any {
	o, ok := schema.(object)
	if !ok || depth > maxDepth {
		return object{}
	}
	if ref, ok := o["$ref"].(string); ok {
		return s.fill(s.resolve(ref), depth+1)
	}
	if constant, ok := o["const"]; ok {
		return constant
	}
	if values, ok := o["enum"].([]any); ok && len(values) > 0 {
		return values[0]
	}
	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		if options, ok := o[key].([]any); ok && len(options) > 0 {
			return s.fill(options[0], depth+1)
		}
	}
	switch kindOf(o) {
	case "object":
		return s.object(o, depth)
	case "array":
		return []any{s.fill(o["items"], depth+1)}
	case "integer":
		return int64(s.number())
	case "number":
		return s.number()
	case "boolean":
		return true
	case "null":
		return nil
	}
	return s.word(o)
}

func (s *source) object(o object, depth int) object {
	properties, _ := o["properties"].(object)
	var names []string
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names) // the order in which the prompt's facts are handed out
	if required, ok := o["required"].([]any); ok {
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(required, any(name)) })
	}
	result := object{}
	for _, name := range names {
		result[name] = s.fill(properties[name], depth+1)
	}
	return result
}

func (s *source) number() float64 {
	if len(s.numbers) == 0 {
		return 1
	}
	first := s.numbers[0]
	s.numbers = s.numbers[1:]
	return first
}

func (s *source) word(o object) string {
	if len(s.strings) > 0 {
		first := s.strings[0]
		s.strings = s.strings[1:]
		return first
	}
	if value, ok := o["default"].(string); ok {
		return value
	}
	return "some"
}

func (s *source) resolve(ref string) any {
	var at any = s.root
	for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		o, _ := at.(object)
		at = o[step]
	}
	return at
}

// kindOf is a schema's type; of several, the first that is not null.
func kindOf(o object) string {
	switch kind := o["type"].(type) {
	case string:
		return kind
	case []any:
		for _, one := range kind {
			if name, ok := one.(string); ok && name != "null" {
				return name
			}
		}
	}
	if o["properties"] != nil {
		return "object"
	}
	return "string"
}

package schema

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
)

// parse reads JSON with whole numbers as int64 and others as float64.
func parse(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return integral(f)
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// integral makes of a number without fraction what a schema calls an integer.
func integral(v any) any {
	if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return v
}

// wanted is what to give for a type.
var wanted = map[string]string{
	"string": "a string", "integer": "a whole number", "number": "a number",
	"boolean": "true or false", "array": "a list", "object": "an object",
}

func fits(kind string, v any) bool {
	switch v.(type) {
	case string:
		return kind == "string"
	case int64:
		return kind == "integer" || kind == "number"
	case float64:
		return kind == "number"
	case bool:
		return kind == "boolean"
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	}
	return false
}

func named(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64, float64:
		return "a number"
	case bool:
		return "a bool"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "null"
}

// reserved are CEL's words, which rules write as __word__.
var reserved = []string{
	"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
	"import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
}

// escape is a field's name as rules write it.
func escape(name string) string {
	if slices.Contains(reserved, name) {
		return "__" + name + "__"
	}
	return name
}

// plain is a field's name as its author wrote it.
func plain(escaped string) string {
	if name := strings.TrimSuffix(strings.TrimPrefix(escaped, "__"), "__"); slices.Contains(reserved, name) {
		return name
	}
	return escaped
}

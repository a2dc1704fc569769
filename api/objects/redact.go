package objects

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Redact gives the object as it may leave its cluster: each value that is
// marked secret is replaced by keyed of it, so that equality can still be seen.
// Secret are a Secret's data and what the types mark with the tag nave:"secret"
// (the whole field), nave:"secret=value" (a field of each element) or
// nave:"secret=env.value" (within a free-form patch, that field of each element
// of every list of that name).
func Redact(o *Object, keyed func(string) string) (json.RawMessage, error) {
	tree, err := parse(o.JSON)
	if err != nil {
		return nil, fmt.Errorf("redact %s: %w", o.Key, err)
	}
	r := redactor{keyed}
	if o.Kind == "Secret" && o.Group == "" {
		tree["data"] = r.all(tree["data"])
	} else if o.Value != nil {
		r.typed(tree, reflect.TypeOf(o.Value))
	}
	out, err := render(tree)
	if err != nil {
		return nil, fmt.Errorf("redact %s: %w", o.Key, err)
	}
	return out, nil
}

type redactor struct{ keyed func(string) string }

// all replaces every string below v, and whatever else is no container.
func (r redactor) all(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		for k := range v {
			v[k] = r.all(v[k])
		}
		return v
	case []any:
		for i := range v {
			v[i] = r.all(v[i])
		}
		return v
	case string:
		return r.keyed(v)
	}
	return r.keyed(fmt.Sprint(v))
}

// typed follows a Go type through the JSON that it was read from.
func (r redactor) typed(v any, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		if m, ok := v.(map[string]any); ok {
			r.fields(m, t)
		}
	case reflect.Slice, reflect.Array:
		if list, ok := v.([]any); ok {
			for _, x := range list {
				r.typed(x, t.Elem())
			}
		}
	case reflect.Map:
		if m, ok := v.(map[string]any); ok {
			for _, x := range m {
				r.typed(x, t.Elem())
			}
		}
	}
}

func (r redactor) fields(m map[string]any, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" && (f.Anonymous || strings.Contains(options, "inline")) {
			r.typed(m, f.Type)
			continue
		}
		v, ok := m[name]
		if !ok {
			continue
		}
		mark, where, narrowed := strings.Cut(f.Tag.Get("nave"), "=")
		switch {
		case mark != "secret":
			r.typed(v, f.Type)
		case !narrowed:
			m[name] = r.all(v)
		default:
			r.within(v, strings.Split(where, "."))
		}
	}
}

// within redacts by a path: the last name is the secret field of each element
// of v, or, where a list's name stands before it, of that list wherever it is.
func (r redactor) within(v any, path []string) {
	if list, ok := v.([]any); ok && len(path) == 1 {
		for _, x := range list {
			if m, ok := x.(map[string]any); ok && m[path[0]] != nil {
				m[path[0]] = r.all(m[path[0]])
			}
		}
		return
	}
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			r.within(x, path)
		}
	case map[string]any:
		for k, x := range v {
			if len(path) > 1 && k == path[0] {
				r.within(x, path[1:])
				continue
			}
			r.within(x, path)
		}
	}
}

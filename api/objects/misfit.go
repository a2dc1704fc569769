package objects

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/navehq/nave/api/schema"
)

// misfit is a value that a field cannot hold.
type misfit struct {
	// path is as the author wrote it, such as spec.rules[1].name.
	path string
	// given is the value's type and wanted the field's, in YAML's words; why is
	// what a field says that reads for itself.
	given, wanted, why string
}

func (m misfit) message() string {
	if m.why != "" {
		return m.why
	}
	return m.given + " does not fit here"
}

func (m misfit) remedy() string {
	if m.wanted == "" {
		return "give a value of the type that is wanted"
	}
	return "give " + m.wanted
}

var (
	readsJSON = reflect.TypeFor[json.Unmarshaler]()
	readsText = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// misfits finds the values of a JSON tree that do not fit into a type. A decoder's
// own errors name Go's fields and no positions in lists.
func misfits(t reflect.Type, v any, path string) []misfit {
	if fits(t, v) == nil {
		return nil
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if p := reflect.PointerTo(t); p.Implements(readsJSON) || p.Implements(readsText) {
		return []misfit{{path: path, given: article(typeName(v)), why: ownWords(fits(t, v))}}
	}
	var out []misfit
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if below := field(t, name); below != nil {
				out = append(out, misfits(below, v[name], schema.Join(path, name))...)
			}
		}
	case []any:
		if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
			for i, x := range v {
				out = append(out, misfits(t.Elem(), x, fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	return []misfit{{path: path, given: article(typeName(v)), wanted: wanted(t)}}
}

func fits(t reflect.Type, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, reflect.New(t).Interface())
}

// ownWords is what a type says that reads for itself, if it is no decoder's error.
func ownWords(err error) string {
	if _, isType := err.(*json.UnmarshalTypeError); isType {
		return ""
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// field is the type of an object's field, embedded ones included; nil for none.
func field(t reflect.Type, name string) reflect.Type {
	if t.Kind() == reflect.Map {
		return t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, f := range reflect.VisibleFields(t) {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name && tag != "" {
			return f.Type
		}
	}
	return nil
}

func typeName(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	case nil:
		return "null"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "number"
}

// wanted is what to give for a type, in YAML's words.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return ""
}

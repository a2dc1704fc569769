package agentgateway

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// Field is one set field of a decoded object.
type Field struct {
	// Path says where the field stands, list indices included, such as
	// spec.ai.groups[0].providers[1].policies.health.
	Path string
	// Schema is Path without indices: the field's place in the kind's schema.
	Schema string
	// Secret is true of a field that holds a secret's value.
	Secret bool
}

// Fields returns every field that is set in a decoded object, an object's holder
// before it, in the order of the schema. A field is set if its JSON form would be
// written; {} and [] are set. Maps and free-form values count as one field. Of a
// whole kind, metadata and status are left out. Anything but a struct or a pointer
// to one has no fields.
func Fields(object any) []Field {
	var all []Field
	walk(reflect.ValueOf(object), func(f Field, _ reflect.Value, _ []hidden) {
		all = append(all, f)
	})
	return all
}

// hidden is a secret within a field whose type is not ours to mark.
type hidden struct {
	// below is the Schema of the field that is marked.
	below string
	// rel is the secret's place below it, list indices left out.
	rel string
}

// mark reads a field's nave tag: "secret" marks the field itself, "secret=REL" what
// is at REL below it, in a free-form value at any depth.
func mark(f reflect.StructField, schema string, inherited []hidden) (bool, []hidden) {
	tag := f.Tag.Get("nave")
	if rel, ok := strings.CutPrefix(tag, "secret="); ok {
		return false, append(inherited[:len(inherited):len(inherited)], hidden{below: schema, rel: rel})
	}
	for _, h := range inherited {
		if schema == h.below+"."+h.rel {
			return true, inherited
		}
	}
	return tag == "secret", inherited
}

// member is a struct's field as JSON knows it.
type member struct {
	name   string
	inline bool
	omits  bool // left out when empty
}

func memberOf(f reflect.StructField) (member, bool) {
	tag, ok := f.Tag.Lookup("json")
	name, options, _ := strings.Cut(tag, ",")
	if !f.IsExported() && !f.Anonymous || name == "-" || !ok && !f.Anonymous {
		return member{}, false
	}
	return member{
		name:   name,
		inline: name == "" && (f.Anonymous || strings.Contains(options, "inline")),
		omits:  strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero"),
	}, true
}

func (m member) set(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return !v.IsNil()
	}
	return !m.omits || !v.IsZero()
}

var marshaler = reflect.TypeFor[json.Marshaler]()

// opaque reports whether a type's JSON form is not that of its Go fields.
func opaque(t reflect.Type) bool {
	return t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler)
}

type visitor func(f Field, v reflect.Value, below []hidden)

func walk(v reflect.Value, visit visitor) {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct && !opaque(v.Type()) {
		walkStruct(v, Field{}, nil, visit)
	}
}

func walkStruct(v reflect.Value, at Field, below []hidden, visit visitor) {
	t := v.Type()
	for i := range t.NumField() {
		m, ok := memberOf(t.Field(i))
		root := at.Schema == "" && (m.name == "metadata" || m.name == "status" || t.Field(i).Name == "TypeMeta")
		if !ok || root {
			continue
		}
		if m.inline {
			walkStruct(v.Field(i), at, below, visit)
			continue
		}
		if !m.set(v.Field(i)) {
			continue
		}
		f := Field{Path: join(at.Path, m.name), Schema: join(at.Schema, m.name)}
		var inner []hidden
		f.Secret, inner = mark(t.Field(i), f.Schema, below)
		visit(f, v.Field(i), inner)
		walkValue(v.Field(i), f, inner, visit)
	}
}

func walkValue(v reflect.Value, at Field, below []hidden, visit visitor) {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case opaque(v.Type()):
	case v.Kind() == reflect.Struct:
		walkStruct(v, at, below, visit)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			item := Field{Path: at.Path + "[" + strconv.Itoa(i) + "]", Schema: at.Schema}
			walkValue(v.Index(i), item, below, visit)
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

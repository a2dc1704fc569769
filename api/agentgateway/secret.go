package agentgateway

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ReplaceSecrets puts replace's answer in the place of every secret value that an
// object holds, whatever its type: inline keys, htpasswd lines, values of
// environment variables, agentgateway's raw configuration. object is a pointer to a
// decoded kind, and is changed. replace gets the value's path and the value; an
// empty value is left alone. An error names a free-form value that is not JSON,
// without quoting it.
func ReplaceSecrets(object any, replace func(path, value string) string) error {
	var err error
	walk(reflect.ValueOf(object), func(f Field, v reflect.Value, below []hidden) {
		for v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		free, isFree := v.Interface().(JSON)
		switch {
		case err != nil:
		case isFree && f.Secret && len(free.Raw) > 0:
			raw, _ := json.Marshal(replace(f.Path, string(free.Raw)))
			v.Set(reflect.ValueOf(JSON{Raw: raw}))
		case isFree:
			err = replaceWithin(f, v, free, below, replace)
		case f.Secret:
			replaceStrings(f.Path, v, replace)
		}
	})
	return err
}

// replaceStrings replaces a string, or each of a list of strings.
func replaceStrings(path string, v reflect.Value, replace func(path, value string) string) {
	switch v.Kind() {
	case reflect.String:
		if v.Len() > 0 {
			v.SetString(replace(path, v.String()))
		}
	case reflect.Slice:
		for i := range v.Len() {
			replaceStrings(fmt.Sprintf("%s[%d]", path, i), v.Index(i), replace)
		}
	}
}

// replaceWithin replaces the secrets hidden in a free-form value.
func replaceWithin(f Field, v reflect.Value, free JSON, below []hidden, replace func(path, value string) string) error {
	if len(below) == 0 || len(free.Raw) == 0 {
		return nil
	}
	var content any
	if err := json.Unmarshal(free.Raw, &content); err != nil {
		return fmt.Errorf("reading the free-form value at %s: not JSON", f.Path)
	}
	c := contentWalk{below: below, replace: replace}
	content = c.value(content, f)
	if !c.changed {
		return nil
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("writing the free-form value at %s: not JSON", f.Path)
	}
	v.Set(reflect.ValueOf(JSON{Raw: raw}))
	return nil
}

// contentWalk replaces secrets within a decoded free-form value.
type contentWalk struct {
	below   []hidden
	replace func(path, value string) string
	changed bool
}

func (c *contentWalk) value(v any, at Field) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range sortedKeys(v) {
			v[name] = c.value(v[name], Field{Path: join(at.Path, name), Schema: join(at.Schema, name)})
		}
	case []any:
		for i := range v {
			v[i] = c.value(v[i], Field{Path: fmt.Sprintf("%s[%d]", at.Path, i), Schema: at.Schema})
		}
	case string:
		if v != "" && slices.ContainsFunc(c.below, func(h hidden) bool { return strings.HasSuffix(at.Schema, "."+h.rel) }) {
			c.changed = true
			return c.replace(at.Path, v)
		}
	}
	return v
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// SecretFields returns where the kinds hold secret values, as "KIND SCHEMA", sorted.
// SCHEMA is as Field has it; ** stands for any depth within a free-form value.
func SecretFields() []string {
	var all []string
	for _, t := range []reflect.Type{
		reflect.TypeFor[AgentgatewayBackend](),
		reflect.TypeFor[AgentgatewayPolicy](),
		reflect.TypeFor[AgentgatewayParameters](),
	} {
		spec, _ := t.FieldByName("Spec")
		secretsOf(spec.Type, "spec", nil, func(schema string) {
			all = append(all, t.Name()+" "+schema)
		})
	}
	slices.Sort(all)
	return all
}

func secretsOf(t reflect.Type, at string, below []hidden, found func(schema string)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		t = t.Elem()
	}
	if t == reflect.TypeFor[JSON]() {
		for _, h := range below {
			found(at + ".**." + h.rel)
		}
	}
	if t.Kind() != reflect.Struct || opaque(t) {
		return
	}
	for i := range t.NumField() {
		m, ok := memberOf(t.Field(i))
		switch {
		case !ok:
		case m.inline:
			secretsOf(t.Field(i).Type, at, below, found)
		default:
			schema := join(at, m.name)
			secret, inner := mark(t.Field(i), schema, below)
			if secret {
				found(schema)
				continue
			}
			secretsOf(t.Field(i).Type, schema, inner, found)
		}
	}
}

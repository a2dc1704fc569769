package objects

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/schema"
)

// Settings reads a file that holds no objects, such as hub/wan.yaml, and names
// each field that is not known or does not fit. Where it names one, the value is
// not to be used; kept, which ends each remedy, says what holds then.
func Settings(cluster, file string, data []byte, into any, kept string) (problems []Problem) {
	tell := func(at, field, reason, message, remedy string) {
		problems = append(problems, Problem{Cluster: cluster, File: at, Field: field, Reason: reason, Message: message, Remedy: remedy + "; " + kept})
	}
	err := yaml.UnmarshalStrict(data, into)
	if err == nil {
		return nil
	}
	raw, broken := yaml.YAMLToJSONStrict(data)
	if broken != nil {
		at, message := locate(document{file, 1, data}, broken)
		tell(at.at(), "", ReasonSyntax, "is not YAML: "+message, "mend the line that is named")
		return problems
	}
	var tree any
	if json.Unmarshal(raw, &tree) == nil {
		for _, path := range strangers(reflect.TypeOf(into), tree, "") {
			tell(file, path, ReasonUnknownField, "there is no such field", "correct its spelling or its place, or remove it")
		}
		for _, m := range misfits(reflect.TypeOf(into), tree, "") {
			// A number or a word such as yes is taken as it stands where text is wanted.
			if text := m.wanted == wanted(reflect.TypeFor[string]()); !text || m.given != "a number" && m.given != "a bool" {
				tell(file, m.path, ReasonInvalidValue, m.message(), m.remedy())
			}
		}
	}
	if len(problems) == 0 {
		tell(file, "", ReasonInvalidValue, err.Error(), "correct it")
	}
	return problems
}

// strangers are the paths of a JSON tree's names that a type has no field for.
func strangers(t reflect.Type, v any, path string) (out []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if below := field(t, name); below != nil {
				out = append(out, strangers(below, v[name], schema.Join(path, name))...)
			} else if t.Kind() == reflect.Struct {
				out = append(out, schema.Join(path, name))
			}
		}
	case []any:
		for i := 0; t.Kind() == reflect.Slice && i < len(v); i++ {
			out = append(out, strangers(t.Elem(), v[i], fmt.Sprintf("%s[%d]", path, i))...)
		}
	}
	return out
}

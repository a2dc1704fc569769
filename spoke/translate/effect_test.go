package translate_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/schema"
	"github.com/navehq/nave/spoke/translate"
)

// leaf is a value in an object's spec: a scalar, a map, or a list of such.
type leaf struct {
	path  string // dotted, below spec, without positions
	value any
	set   func(any) // nil takes it away
}

var unmarshals = reflect.TypeFor[json.Unmarshaler]()

// fieldsOf gives the fields of a struct as JSON names them.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			maps.Copy(out, fieldsOf(bare(f.Type)))
		case name != "" && name != "-":
			out[name] = f.Type
		}
	}
	return out
}

func bare(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// inner is the struct that a type is or is a list of, if it is.
func inner(t reflect.Type) (of reflect.Type, list, is bool) {
	t = bare(t)
	if t.Kind() == reflect.Slice {
		t, list = bare(t.Elem()), true
	}
	return t, list, t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(unmarshals)
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

// paths are those of a type's leaves.
func paths(t reflect.Type, path string, out map[string]bool) {
	for name, f := range fieldsOf(t) {
		if of, _, is := inner(f); is {
			if len(fieldsOf(of)) == 0 {
				out[join(path, name)] = true
			}
			paths(of, join(path, name), out)
			continue
		}
		out[join(path, name)] = true
	}
}

// leaves are those of a value of a type.
func leaves(v map[string]any, t reflect.Type, path string, out *[]leaf) {
	types := fieldsOf(t)
	for _, name := range slices.Sorted(maps.Keys(v)) {
		at := join(path, name)
		of, list, is := inner(types[name])
		switch x := v[name].(type) {
		case map[string]any:
			if is && !list && len(fieldsOf(of)) > 0 {
				leaves(x, of, at, out)
				continue
			}
		case []any:
			if is && list {
				for _, e := range x {
					leaves(e.(map[string]any), of, at, out)
				}
				continue
			}
		}
		*out = append(*out, leaf{at, v[name], func(x any) {
			if x == nil {
				delete(v, name)
			} else {
				v[name] = x
			}
		}})
	}
}

func specOf(o *objects.Object) (reflect.Type, bool) {
	f, ok := reflect.TypeOf(o.Value).Elem().FieldByName("Spec")
	return f.Type, ok
}

// TestEveryFieldThatIsBuiltHasAnEffect: for each field of the spec of each kind
// there is a scene in which another value of it, or none, makes another table,
// status or problem: nothing is read and then forgotten.
func TestEveryFieldThatIsBuiltHasAnEffect(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	e := &effects{t: t, schemas: schema.New(), seen: map[string]map[string]any{}, felt: map[string]bool{}, types: map[string]reflect.Type{},
		free: map[string]bool{}, forced: map[string]bool{}}
	var scenes []scene
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		scenes = append(scenes, readScene(t, a))
	}
	for _, object := range examples() {
		scenes = append(scenes, readScene(t, &txtar.Archive{Files: []txtar.File{{Name: "own.yaml", Data: []byte(surroundings + object)}}}))
	}
	for _, s := range scenes {
		for _, c := range s.own {
			e.gather(c.Object)
		}
	}
	for _, s := range scenes {
		e.try(s)
	}
	for _, kind := range slices.Sorted(maps.Keys(e.types)) {
		all := map[string]bool{}
		paths(e.types[kind], "", all)
		for _, path := range slices.Sorted(maps.Keys(all)) {
			is, _ := translate.Built(kind, path)
			switch at := kind + " " + path; {
			case !is || e.felt[at] || e.forced[at] && !e.free[at]:
			case len(e.seen[at]) == 0:
				t.Errorf("%s: no scene has it", at)
			default:
				t.Errorf("%s: makes no difference", at)
			}
		}
	}
}

type effects struct {
	t       *testing.T
	schemas *schema.Checker
	types   map[string]reflect.Type
	seen    map[string]map[string]any // values by their text, by kind and path
	felt    map[string]bool           // by kind and path
	// free could be something else, forced only that or left out: an API server
	// refuses all else.
	free, forced map[string]bool
}

// steered are the kinds whose specs translation reads.
var steered = []string{"Gateway", "HTTPRoute", "AgentgatewayBackend", "AgentgatewayPolicy", "AgentgatewayParameters", "FailoverPolicy", "BackendTLSPolicy", "ReferenceGrant"}

func (e *effects) gather(o *objects.Object) {
	of, ok := specOf(o)
	if !ok || !slices.Contains(steered, o.Key.Kind) {
		return
	}
	e.types[o.Key.Kind] = of
	for _, l := range e.leaves(o, spec(e.t, o)) {
		at := o.Key.Kind + " " + l.path
		if e.seen[at] == nil {
			e.seen[at] = map[string]any{}
		}
		e.seen[at][text(e.t, l.value)] = l.value
	}
}

// spec reads an object's own text.
func spec(t *testing.T, o *objects.Object) map[string]any {
	var whole map[string]any
	if err := json.Unmarshal(o.JSON, &whole); err != nil {
		t.Fatal(err)
	}
	return whole
}

func (e *effects) leaves(o *objects.Object, whole map[string]any) []leaf {
	var out []leaf
	if v, ok := whole["spec"].(map[string]any); ok && len(o.Invalid) == 0 {
		leaves(v, e.types[o.Key.Kind], "", &out)
	}
	return out
}

// try changes one field after the other in a scene.
func (e *effects) try(s scene) {
	tr, _ := translate.New(s.options).Apply(s.own, s.assignment)
	for _, c := range s.own {
		if e.types[c.Key.Kind] == nil {
			continue
		}
		whole, named := spec(e.t, c.Object), unsupported(tr, c.Key)
		for _, l := range e.leaves(c.Object, whole) {
			at := c.Key.Kind + " " + l.path
			if is, _ := translate.Built(c.Key.Kind, l.path); !is || e.felt[at] {
				continue
			}
			e.forced[at] = true
			e.felt[at] = slices.ContainsFunc(named, func(path string) bool { return strings.HasPrefix(l.path+".", path+".") })
			for _, other := range e.others(at, l.value) {
				if e.felt[at] {
					break
				}
				l.set(other)
				if o := e.read(c.Object, whole); o != nil {
					e.free[at] = e.free[at] || other != nil
					e.felt[at] = differs(tr, o)
				}
				l.set(l.value)
			}
		}
	}
}

var positions = regexp.MustCompile(`\[\d+\]`)

// refusals are how a field is said to be obeyed by nobody, by reason or message.
var refusals = regexp.MustCompile(`^(UnsupportedField|UnsupportedAddress): |is not built yet$|does not stand at a backend$`)

// unsupported are the paths below spec that are said to be obeyed by nobody.
func unsupported(tr translate.Translator, k objects.Key) []string {
	var out []string
	for _, p := range tr.Problems() {
		if p.Object == k.String() && refusals.MatchString(p.Reason+": "+p.Message) {
			out = append(out, strings.TrimPrefix(positions.ReplaceAllString(p.Field, ""), "spec."))
		}
	}
	return out
}

// others are what a value may be instead: nothing, something like it, and what it
// is in other scenes.
func (e *effects) others(at string, v any) []any {
	out := []any{nil}
	switch v := v.(type) {
	case string:
		out = append(out, v+"x", "x"+v)
	case float64:
		out = append(out, v+1, v-1)
	case bool:
		out = append(out, !v)
	}
	for _, k := range slices.Sorted(maps.Keys(e.seen[at])) {
		if k != text(e.t, v) {
			out = append(out, e.seen[at][k])
		}
	}
	return out
}

// read makes an object of what is changed, nil where an API server would refuse it.
func (e *effects) read(was *objects.Object, whole map[string]any) *objects.Object {
	list, problems := objects.Decode(was.File, []byte(text(e.t, whole)), objects.Options{Cluster: here, Env: env, Schemas: e.schemas})
	if len(problems) > 0 || len(list) != 1 {
		return nil
	}
	list[0].Generation, list[0].Created, list[0].File = was.Generation, was.Created, was.File
	return list[0]
}

func differs(tr translate.Translator, o *objects.Object) bool {
	_, r := tr.Apply([]objects.Change{{Key: o.Key, Object: o}}, nil)
	return len(r.Tables)+len(r.Statuses)+len(r.Gone)+len(r.Problems) > 0
}

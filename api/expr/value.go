package expr

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

var headersType = cel.MapType(cel.StringType, cel.StringType)

// objects and facts find what roots describe, by path.
var objects, facts = flatten()

func flatten() (objects, facts map[string]variable) {
	objects, facts = map[string]variable{}, map[string]variable{}
	var walk func([]variable)
	walk = func(list []variable) {
		for _, v := range list {
			if v.fields == nil {
				facts[v.name] = v
				continue
			}
			objects[v.name] = v
			walk(v.fields)
		}
	}
	walk(roots)
	return objects, facts
}

// provider teaches CEL the objects' types, so that a field that does not exist
// is found when an expression is compiled.
type provider struct{ types.Provider }

func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := objects[strings.TrimPrefix(name, typePrefix)]; ok && strings.HasPrefix(name, typePrefix) {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	v, ok := objects[strings.TrimPrefix(name, typePrefix)]
	if !ok || !strings.HasPrefix(name, typePrefix) {
		return p.Provider.FindStructFieldNames(name)
	}
	var out []string
	for _, f := range v.fields {
		out = append(out, strings.TrimPrefix(f.name, v.name+"."))
	}
	return out, true
}

func (p provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	path, ok := strings.CutPrefix(name, typePrefix)
	if !ok {
		return p.Provider.FindStructFieldType(name, field)
	}
	path += "." + field
	v, ok := objects[path]
	if !ok {
		if v, ok = facts[path]; !ok {
			return nil, false
		}
	}
	return &types.FieldType{
		Type:    v.celType(),
		IsSet:   func(target any) bool { return target.(object).has(path) },
		GetFrom: func(target any) (any, error) { return target.(object).get(path) },
	}, true
}

// activation resolves root variables from facts.
type activation struct{ facts Facts }

func (a activation) ResolveName(name string) (any, bool) {
	v, err := object{facts: a.facts}.get(name)
	return v, err == nil
}

func (activation) Parent() cel.Activation { return nil }

// object is request, mcp.tool and the like, as a CEL value.
type object struct {
	path  string
	facts Facts
}

// has tells whether a path below has any fact.
func (o object) has(path string) bool {
	v, ok := objects[path]
	if !ok {
		_, ok = o.facts.Fact(path)
		return ok
	}
	for _, f := range v.fields {
		if o.has(f.name) {
			return true
		}
	}
	return false
}

func (o object) get(path string) (any, error) {
	if _, ok := objects[path]; ok {
		if !o.has(path) {
			return nil, fmt.Errorf("%s: %w", path, ErrAbsent)
		}
		return object{path, o.facts}, nil
	}
	v, ok := o.facts.Fact(path)
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, ErrAbsent)
	}
	switch v := v.(type) {
	case string, bool, int64:
		return v, nil
	case map[string]string:
		return headers{types.DefaultTypeAdapter.NativeToValue(v).(traits.Mapper), v}, nil
	case map[string]any:
		return types.DefaultTypeAdapter.NativeToValue(v), nil
	}
	return nil, fmt.Errorf("%s: a %T is not among the types of facts", path, v)
}

// Get gives a field by name, for expressions that have lost the type.
func (o object) Get(index ref.Val) ref.Val {
	field, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	v, err := o.get(o.path + "." + string(field))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// IsSet tests for a field by name.
func (o object) IsSet(field ref.Val) ref.Val {
	s, ok := field.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(field)
	}
	return types.Bool(o.has(o.path + "." + string(s)))
}

func (o object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("convert %s to %v: an object stays one", o.path, t)
}

func (o object) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return types.NewObjectType(typePrefix + o.path)
	}
	return types.NewErr("%s does not convert to %s", o.path, t.TypeName())
}

func (o object) Equal(other ref.Val) ref.Val {
	x, ok := other.(object)
	return types.Bool(ok && x.path == o.path)
}

func (o object) Type() ref.Type {
	return types.NewObjectType(typePrefix+o.path, traits.FieldTesterType|traits.IndexerType)
}
func (o object) Value() any { return o }

// headers is a map from field names in lower case, looked up in any case.
type headers struct {
	traits.Mapper
	fields map[string]string
}

func (h headers) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	v, ok := h.fields[strings.ToLower(string(name))]
	return types.String(v), ok
}

func (h headers) Get(key ref.Val) ref.Val {
	if v, ok := h.Find(key); ok {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

func (h headers) Contains(key ref.Val) ref.Val {
	_, ok := h.Find(key)
	return types.Bool(ok)
}

package jsonrpc

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

var errFound = errors.New("found")

// Get returns the value at the path of members in object, nil where there is none.
func Get(object jsontext.Value, path ...string) jsontext.Value {
	for _, want := range path {
		var found jsontext.Value
		_ = Members(object, func(name string, value jsontext.Value) error {
			if name == want {
				found = value
				return errFound
			}
			return nil
		})
		if found == nil {
			return nil
		}
		object = found
	}
	return object
}

// Set returns object with the member of that name given that value, in its
// place if it was there and at the end if not. A nil object is an empty one;
// what is no object is returned as it is.
func Set(object jsontext.Value, name string, value jsontext.Value) jsontext.Value {
	if object == nil {
		object = jsontext.Value("{}")
	}
	seen := false
	out, err := EditObject(object, func(n string, v jsontext.Value) jsontext.Value {
		if n == name {
			seen = true
			return value
		}
		return v
	})
	if err != nil {
		return object
	}
	if seen {
		return out
	}
	out = out[: len(out)-1 : len(out)-1]
	if len(out) > 1 {
		out = append(out, ',')
	}
	out = append(appendString(out, name), ':')
	return append(append(out, value...), '}')
}

// EditObject writes object anew with each member's value replaced by what f
// returns; nil leaves the member out.
func EditObject(object jsontext.Value, f func(string, jsontext.Value) jsontext.Value) (jsontext.Value, error) {
	out := append(make(jsontext.Value, 0, len(object)+32), '{')
	err := Members(object, func(name string, value jsontext.Value) error {
		value = f(name, value)
		if value == nil {
			return nil
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(appendString(out, name), ':')
		out = append(out, value...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return append(out, '}'), nil
}

// EditArray writes array anew with each element replaced by what f returns; nil
// leaves the element out.
func EditArray(array jsontext.Value, f func(jsontext.Value) jsontext.Value) (jsontext.Value, error) {
	out := append(make(jsontext.Value, 0, len(array)+32), '[')
	err := Elements(array, func(value jsontext.Value) error {
		value = f(value)
		if value == nil {
			return nil
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, value...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return append(out, ']'), nil
}

// EditMember returns object with the value of one member replaced by what f
// makes of it; an object without it, or anything else, is returned as it is.
func EditMember(object jsontext.Value, name string, f func(jsontext.Value) jsontext.Value) jsontext.Value {
	if Get(object, name) == nil {
		return object
	}
	out, err := EditObject(object, func(n string, v jsontext.Value) jsontext.Value {
		if n == name {
			return f(v)
		}
		return v
	})
	if err != nil {
		return object
	}
	return out
}

// OneLine takes the line breaks between tokens out, so that the value fits one
// line of an event stream; strings and numbers stay as they are.
func OneLine(v jsontext.Value) jsontext.Value {
	for _, c := range v {
		if c == '\n' || c == '\r' {
			out := v.Clone()
			if out.Compact(jsontext.PreserveRawStrings(true)) == nil {
				return out
			}
			return v
		}
	}
	return v
}

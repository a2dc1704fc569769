package message

import (
	"iter"
	"slices"
)

// Field is one header line. Name keeps the spelling it arrived with; two names
// are the same header when they differ only in the case of ASCII letters.
type Field struct {
	Name  string
	Value string
}

// Header is an ordered list of fields, small enough that a scan beats a map.
// The zero value is empty and ready. Its strings may point into a buffer that
// an engine reuses, so they are valid only while the exchange lasts: whoever
// keeps one longer clones it.
type Header struct {
	fields []Field
}

// Get returns the first value of name, or "".
func (h *Header) Get(name string) string {
	v, _ := h.Lookup(name)
	return v
}

// Lookup returns the first value of name and whether there is one.
func (h *Header) Lookup(name string) (string, bool) {
	for i := range h.fields {
		if EqualFold(h.fields[i].Name, name) {
			return h.fields[i].Value, true
		}
	}
	return "", false
}

// Has tells whether a field of that name is present, empty or not.
func (h *Header) Has(name string) bool {
	_, ok := h.Lookup(name)
	return ok
}

// Values yields each value of name in order.
func (h *Header) Values(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range h.fields {
			if EqualFold(h.fields[i].Name, name) && !yield(h.fields[i].Value) {
				return
			}
		}
	}
}

// Add appends a field.
func (h *Header) Add(name, value string) {
	h.fields = append(h.fields, Field{name, value})
}

// Set gives name exactly one value, at the place of its first field if it had one.
func (h *Header) Set(name, value string) {
	for i := range h.fields {
		if EqualFold(h.fields[i].Name, name) {
			h.fields[i] = Field{name, value}
			h.delFrom(i+1, name)
			return
		}
	}
	h.Add(name, value)
}

// Del removes every field of that name.
func (h *Header) Del(name string) { h.delFrom(0, name) }

func (h *Header) delFrom(from int, name string) {
	keep := from
	for i := from; i < len(h.fields); i++ {
		if !EqualFold(h.fields[i].Name, name) {
			h.fields[keep] = h.fields[i]
			keep++
		}
	}
	clear(h.fields[keep:])
	h.fields = h.fields[:keep]
}

// All yields the fields in order.
func (h *Header) All() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for i := range h.fields {
			if !yield(h.fields[i]) {
				return
			}
		}
	}
}

// Grow makes room for n more fields, so that adding them allocates once.
func (h *Header) Grow(n int) { h.fields = slices.Grow(h.fields, n) }

// Len is the number of fields.
func (h *Header) Len() int { return len(h.fields) }

// Reset empties the header and keeps its memory.
func (h *Header) Reset() {
	clear(h.fields)
	h.fields = h.fields[:0]
}

// Clone copies the list; the strings are shared.
func (h *Header) Clone() Header {
	return Header{fields: append([]Field(nil), h.fields...)}
}

// EqualFold compares two header names, ASCII letters without case.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}

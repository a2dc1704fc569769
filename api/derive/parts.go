package derive

import (
	"slices"

	"github.com/benbjohnson/immutable"
)

// Input is a collection of facts, set from outside.
type Input[K comparable, V any] struct {
	schema *Schema
	part   int
}

// NewInput adds a collection of facts. equal tells values apart; a Set of an
// equal value changes nothing.
func NewInput[K comparable, V any](s *Schema, name string, equal func(a, b V) bool) *Input[K, V] {
	return &Input[K, V]{s, s.add(part{name: name, equal: erase(equal)})}
}

func erase[V any](equal func(a, b V) bool) func(a, b any) bool {
	return func(a, b any) bool { return equal(a.(V), b.(V)) }
}

// Set puts a fact.
func (in *Input[K, V]) Set(tx *Tx, key K, value V) {
	n := node{in.part, key}
	var before any
	if c, ok := tx.cells.Get(n); ok {
		before = c.value
	}
	tx.put(n, value)
	in.tell(tx, key, before, value)
}

// Delete takes a fact away.
func (in *Input[K, V]) Delete(tx *Tx, key K) {
	n := node{in.part, key}
	c, ok := tx.cells.Get(n)
	if !ok {
		return
	}
	tx.drop(n)
	in.tell(tx, key, c.value, nil)
}

func (in *Input[K, V]) tell(tx *Tx, key K, before, after any) {
	for _, w := range tx.schema.parts[in.part].watchers {
		w.moved(tx, key, before, after)
	}
}

// Get looks a fact up.
func (in *Input[K, V]) Get(l *Look, key K) (V, bool) {
	return value[V](l.read(node{in.part, key}))
}

// At reads a fact of a state, outside of any rule.
func (in *Input[K, V]) At(s State, key K) (V, bool) {
	return value[V](s.cells.Get(node{in.part, key}))
}

func value[V any](c *cell, ok bool) (V, bool) {
	if !ok {
		var none V
		return none, false
	}
	return c.value.(V), true
}

// Index finds an input's keys by something in its values.
type Index[K, IK comparable] struct {
	part int
	keys func(key, value any) []IK
	cmp  func(a, b K) int
}

// NewIndex adds an index over in: of lists where a fact stands, cmp orders the
// keys in one place.
func NewIndex[K comparable, V any, IK comparable](in *Input[K, V], name string, of func(K, V) []IK, cmp func(a, b K) int) *Index[K, IK] {
	x := &Index[K, IK]{
		part: in.schema.add(part{name: name, equal: func(a, b any) bool { return slices.Equal(list[K](a), list[K](b)) }}),
		keys: func(k, v any) []IK { return of(k.(K), v.(V)) },
		cmp:  cmp,
	}
	p := &in.schema.parts[in.part]
	p.watchers = append(p.watchers, x)
	return x
}

// bucket is a sorted list that shares its structure with its neighbours in time.
type bucket[K comparable] struct {
	m *immutable.SortedMap[K, struct{}]
}

func list[K comparable](v any) []K {
	b := v.(bucket[K])
	keys := make([]K, 0, b.m.Len())
	for it := b.m.Iterator(); !it.Done(); {
		k, _, _ := it.Next()
		keys = append(keys, k)
	}
	return keys
}

type comparer[K any] func(a, b K) int

func (c comparer[K]) Compare(a, b K) int { return c(a, b) }

func (x *Index[K, IK]) moved(tx *Tx, key, before, after any) {
	var was, is []IK
	if before != nil {
		was = x.keys(key, before)
	}
	if after != nil {
		is = x.keys(key, after)
	}
	for _, ik := range was {
		if !slices.Contains(is, ik) {
			x.edit(tx, ik, key.(K), false)
		}
	}
	for _, ik := range is {
		if !slices.Contains(was, ik) {
			x.edit(tx, ik, key.(K), true)
		}
	}
}

func (x *Index[K, IK]) edit(tx *Tx, ik IK, key K, add bool) {
	n := node{x.part, ik}
	m := immutable.NewSortedMap[K, struct{}](comparer[K](x.cmp))
	if c, ok := tx.cells.Get(n); ok {
		m = c.value.(bucket[K]).m
	}
	if add {
		m = m.Set(key, struct{}{})
	} else {
		m = m.Delete(key)
	}
	if m.Len() == 0 {
		tx.drop(n)
		return
	}
	tx.cells = tx.cells.Set(n, &cell{value: bucket[K]{m}, changed: tx.commit, checked: tx.commit})
	tx.spoil(n)
}

// Get lists the keys that stand at ik, in order.
func (x *Index[K, IK]) Get(l *Look, ik IK) []K {
	c, ok := l.read(node{x.part, ik})
	if !ok {
		return nil
	}
	return list[K](c.value)
}

// At lists the keys that stand at ik in a state, outside of any rule.
func (x *Index[K, IK]) At(s State, ik IK) []K {
	c, ok := s.cells.Get(node{x.part, ik})
	if !ok {
		return nil
	}
	return list[K](c.value)
}

// Rule derives a value from a key by look-ups.
type Rule[K comparable, V any] struct {
	schema *Schema
	part   int
}

// NewRule adds a derivation. run must be a plain function of its key and what
// it looks up; where the value comes out equal, nothing further is derived anew.
func NewRule[K comparable, V any](s *Schema, name string, run func(*Look, K) V, equal func(a, b V) bool) *Rule[K, V] {
	return &Rule[K, V]{s, s.add(part{
		name:  name,
		run:   func(l *Look, k any) any { return run(l, k.(K)) },
		equal: erase(equal),
	})}
}

// Schema is the schema that the input is part of.
func (in *Input[K, V]) Schema() *Schema { return in.schema }

// Peek derives a value outside of any rule; tx is not to be committed.
func (r *Rule[K, V]) Peek(tx *Tx, key K) V {
	c, _ := tx.read(node{r.part, key})
	return c.value.(V)
}

// Get looks the derived value up.
func (r *Rule[K, V]) Get(l *Look, key K) V {
	c, _ := l.read(node{r.part, key})
	return c.value.(V)
}

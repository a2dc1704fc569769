package derive

import "github.com/benbjohnson/immutable"

// Output is a rule applied to every key of an input: what the outside takes.
type Output[K comparable, V any] struct {
	rule  int
	input int
	// part stands for the outside as a reader, so that values are kept.
	part int
}

// NewOutput applies rule to each key of in, as long as the key is there.
func NewOutput[K comparable, I, V any](in *Input[K, I], name string, rule *Rule[K, V]) *Output[K, V] {
	o := &Output[K, V]{rule: rule.part, input: in.part}
	o.part = in.schema.add(part{
		name:  name,
		run:   func(l *Look, k any) any { return rule.Get(l, k.(K)) },
		equal: in.schema.parts[rule.part].equal,
	})
	p := &in.schema.parts[in.part]
	p.watchers = append(p.watchers, o)
	return o
}

type pendingOutput struct{ gone bool }

func (o *Output[K, V]) moved(tx *Tx, key, _, after any) {
	tx.pending[node{o.part, key}] = &pendingOutput{gone: after == nil}
}

// Changes are the outputs that a commit changed.
type Changes struct {
	changed map[int][]node
}

// settle derives the outputs whose keys came, went or lead to something spoilt.
func (tx *Tx) settle() Changes {
	for n := range tx.dirty {
		if tx.pending[n] == nil && tx.isOutput(n) {
			tx.pending[n] = &pendingOutput{}
		}
	}
	changes := Changes{changed: map[int][]node{}}
	for n, p := range tx.pending {
		if tx.settleOne(n, p.gone) {
			changes.changed[n.part] = append(changes.changed[n.part], n)
		}
	}
	tx.sweep()
	return changes
}

func (tx *Tx) isOutput(n node) bool {
	m, ok := tx.outputs.Get(n.part)
	if !ok {
		return false
	}
	_, ok = m.Get(n)
	return ok
}

func (tx *Tx) settleOne(n node, gone bool) (changed bool) {
	m, ok := tx.outputs.Get(n.part)
	if !ok {
		m = immutable.NewMap[node, any](tx.schema.hasher)
	}
	before, had := m.Get(n)
	if gone {
		if had {
			tx.outputs = tx.outputs.Set(n.part, m.Delete(n))
		}
		tx.forget(n)
		return had
	}
	c, _ := tx.read(n)
	if had && tx.schema.parts[n.part].equal(before, c.value) {
		return false
	}
	tx.outputs = tx.outputs.Set(n.part, m.Set(n, c.value))
	return true
}

// Changed lists the keys whose output a commit added, changed or removed, in
// no order.
func (o *Output[K, V]) Changed(c Changes) []K {
	keys := make([]K, 0, len(c.changed[o.part]))
	for _, n := range c.changed[o.part] {
		keys = append(keys, n.key.(K))
	}
	return keys
}

// Get returns the output of a key in a state.
func (o *Output[K, V]) Get(s State, key K) (V, bool) {
	var none V
	m, ok := s.outputs.Get(o.part)
	if !ok {
		return none, false
	}
	v, ok := m.Get(node{o.part, key})
	if !ok {
		return none, false
	}
	return v.(V), true
}

// All lists every key and value of the output in a state, in no order.
func (o *Output[K, V]) All(s State) map[K]V {
	all := map[K]V{}
	m, ok := s.outputs.Get(o.part)
	if !ok {
		return all
	}
	for it := m.Iterator(); !it.Done(); {
		n, v, _ := it.Next()
		all[n.key.(K)] = v.(V)
	}
	return all
}

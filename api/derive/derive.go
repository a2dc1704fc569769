// Package derive is the engine of change. Facts go in as inputs; rules derive
// values from them by plain functions of a key and their look-ups; the engine
// remembers what each rule looked up and runs it again only when something
// that it looked up has changed. States are immutable: Commit gives the next
// one and leaves the old one as it was. It decides nothing itself, knows no
// time and starts nothing.
//
// A Schema of inputs, indexes, rules and outputs is set up once; a State holds
// the values. Building from nothing is one Commit on the empty State, and gives
// the same values as any sequence of Commits that ends in the same inputs.
package derive

import (
	"fmt"
	"hash/maphash"

	"github.com/benbjohnson/immutable"
)

// node is one cell's identity: the part of the schema and the key in it.
type node struct {
	part int
	key  any
}

type nodeHasher struct{ seed maphash.Seed }

func (h nodeHasher) Hash(n node) uint32 {
	x := maphash.Comparable(h.seed, n)
	return uint32(x ^ x>>32)
}

func (nodeHasher) Equal(a, b node) bool { return a == b }

// cell is a remembered value with what it was derived from.
type cell struct {
	value any
	deps  []node
	// changed is the commit in which value last became another one.
	changed uint64
	// checked is the commit in which value was last known to be right.
	checked uint64
}

type set = *immutable.Map[node, struct{}]

// Schema is the fixed part: which inputs there are and what is derived.
type Schema struct {
	parts  []part
	hasher nodeHasher
}

// part is an input, an index or a rule.
type part struct {
	name string
	// run derives the value of a key; nil for inputs and indexes.
	run   func(*Look, any) any
	equal func(a, b any) bool
	// watchers are told of an input's changes: indexes and outputs.
	watchers []watcher
}

type watcher interface {
	moved(tx *Tx, key, before, after any)
}

// NewSchema returns an empty schema.
func NewSchema() *Schema { return &Schema{hasher: nodeHasher{maphash.MakeSeed()}} }

func (s *Schema) add(p part) int {
	s.parts = append(s.parts, p)
	return len(s.parts) - 1
}

// State holds every value at one instant.
type State struct {
	schema *Schema
	commit uint64
	cells  *immutable.Map[node, *cell]
	// readers of a node: the cells that looked it up.
	readers *immutable.Map[node, set]
	outputs *immutable.Map[int, *immutable.Map[node, any]]
}

// Empty is the state without facts.
func (s *Schema) Empty() State {
	return State{
		schema:  s,
		cells:   immutable.NewMap[node, *cell](s.hasher),
		readers: immutable.NewMap[node, set](s.hasher),
		outputs: immutable.NewMap[int, *immutable.Map[node, any]](nil),
	}
}

// Tx is one change under way. It is used by one goroutine.
type Tx struct {
	State
	dirty   map[node]bool
	pending map[node]*pendingOutput
	running []node
	// orphans are derived values that lost their last reader. Who is running may
	// have looked one up and will be its reader, so that they are forgotten only
	// at the end.
	orphans []node
	runs    int
}

// Begin starts a change on top of s.
func (s State) Begin() *Tx {
	s.commit++
	return &Tx{State: s, dirty: map[node]bool{}, pending: map[node]*pendingOutput{}}
}

// Runs is how often a rule was run in this change: the work it cost.
func (tx *Tx) Runs() int { return tx.runs }

// Commit derives everything that the change touches and gives the next state
// with the changes of its outputs.
func (tx *Tx) Commit() (State, Changes) {
	changes := tx.settle()
	return tx.State, changes
}

// put stores a value that is not derived (an input's, an index's bucket).
func (tx *Tx) put(n node, value any) {
	if old, ok := tx.cells.Get(n); ok && tx.schema.parts[n.part].equal(old.value, value) {
		return
	}
	tx.cells = tx.cells.Set(n, &cell{value: value, changed: tx.commit, checked: tx.commit})
	tx.spoil(n)
}

func (tx *Tx) drop(n node) {
	if _, ok := tx.cells.Get(n); !ok {
		return
	}
	tx.cells = tx.cells.Delete(n)
	tx.spoil(n)
}

// spoil marks all that was derived from n, directly or not, as to be checked.
func (tx *Tx) spoil(n node) {
	stack := []node{n}
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		readers, ok := tx.readers.Get(top)
		if !ok {
			continue
		}
		for it := readers.Iterator(); !it.Done(); {
			r, _, _ := it.Next()
			if !tx.dirty[r] {
				tx.dirty[r] = true
				stack = append(stack, r)
			}
		}
	}
}

// read returns the value of a node as of this change, deriving it if need be.
func (tx *Tx) read(n node) (*cell, bool) {
	c, ok := tx.cells.Get(n)
	p := &tx.schema.parts[n.part]
	if p.run == nil {
		return c, ok
	}
	if ok && !tx.dirty[n] {
		return c, true
	}
	if ok && !tx.stale(c) {
		delete(tx.dirty, n)
		return c, true
	}
	return tx.derive(n, p, c), true
}

// stale tells whether something that c looked up has changed since.
func (tx *Tx) stale(c *cell) bool {
	for _, d := range c.deps {
		now, ok := tx.read(d)
		if !ok || now.changed > c.checked {
			return true
		}
	}
	return false
}

func (tx *Tx) derive(n node, p *part, old *cell) *cell {
	for _, r := range tx.running {
		if r == n {
			panic(fmt.Sprintf("derive: %s of %v looks itself up", p.name, n.key))
		}
	}
	tx.running = append(tx.running, n)
	look := &Look{tx: tx}
	value := p.run(look, n.key)
	tx.running = tx.running[:len(tx.running)-1]
	tx.runs++
	next := &cell{value: value, deps: look.deps, changed: tx.commit, checked: tx.commit}
	if old != nil && p.equal(old.value, value) {
		next.value, next.changed = old.value, old.changed
	}
	tx.cells = tx.cells.Set(n, next)
	delete(tx.dirty, n)
	tx.rewire(n, old, next)
	return next
}

// rewire keeps readers in step with what n looks up now.
func (tx *Tx) rewire(n node, old, next *cell) {
	now := make(map[node]bool, len(next.deps))
	for _, d := range next.deps {
		now[d] = true
		readers, ok := tx.readers.Get(d)
		if !ok {
			readers = immutable.NewMap[node, struct{}](tx.schema.hasher)
		}
		tx.readers = tx.readers.Set(d, readers.Set(n, struct{}{}))
	}
	if old == nil {
		return
	}
	for _, d := range old.deps {
		if !now[d] {
			tx.unread(d, n)
		}
	}
}

// unread forgets that reader looked d up.
func (tx *Tx) unread(d, reader node) {
	readers, ok := tx.readers.Get(d)
	if !ok {
		return
	}
	if readers = readers.Delete(reader); readers.Len() > 0 {
		tx.readers = tx.readers.Set(d, readers)
		return
	}
	tx.readers = tx.readers.Delete(d)
	if tx.schema.parts[d.part].run != nil {
		tx.orphans = append(tx.orphans, d)
	}
}

// sweep forgets what nobody asks for any more, with all that only it looked up.
func (tx *Tx) sweep() {
	for len(tx.orphans) > 0 {
		last := len(tx.orphans) - 1
		n := tx.orphans[last]
		tx.orphans = tx.orphans[:last]
		if _, wanted := tx.readers.Get(n); !wanted {
			tx.forget(n)
		}
	}
}

func (tx *Tx) forget(n node) {
	c, ok := tx.cells.Get(n)
	if !ok {
		return
	}
	tx.cells = tx.cells.Delete(n)
	delete(tx.dirty, n)
	for _, d := range c.deps {
		tx.unread(d, n)
	}
}

// Look is how a rule looks other values up; what it looks up is remembered.
type Look struct {
	tx   *Tx
	deps []node
	seen map[node]bool
}

func (l *Look) read(n node) (*cell, bool) {
	if !l.seen[n] {
		if l.seen == nil {
			l.seen = map[node]bool{}
		}
		l.seen[n] = true
		l.deps = append(l.deps, n)
	}
	return l.tx.read(n)
}

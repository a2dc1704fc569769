package mcp

import (
	"container/list"
	"sync"

	"github.com/navehq/nave/proxy/mcp/session"
)

// lru keeps the most lately used values, for use by many goroutines.
type lru[K comparable, V any] struct {
	mu    sync.Mutex
	max   int
	order *list.List // of *entry, latest first
	all   map[K]*list.Element
	// evicted is told, outside the lock, of values that had to go.
	evicted func(K, V)
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](most int, evicted func(K, V)) *lru[K, V] {
	return &lru[K, V]{max: most, order: list.New(), all: map[K]*list.Element{}, evicted: evicted}
}

func (l *lru[K, V]) get(k K) (v V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.all[k]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

// put sets a value. Whoever iterates may call it.
func (l *lru[K, V]) put(k K, v V) {
	l.getOrPut(k, func() V { return v }, true)
}

// getOrPut returns the value of k, made by f where there is none or replace is set.
func (l *lru[K, V]) getOrPut(k K, f func() V, replace bool) V {
	l.mu.Lock()
	if e, ok := l.all[k]; ok {
		l.order.MoveToFront(e)
		x := e.Value.(*entry[K, V])
		if replace {
			x.value = f()
		}
		v := x.value
		l.mu.Unlock()
		return v
	}
	v := f()
	l.all[k] = l.order.PushFront(&entry[K, V]{k, v})
	var out *entry[K, V]
	if l.order.Len() > l.max {
		last := l.order.Back()
		out = l.order.Remove(last).(*entry[K, V])
		delete(l.all, out.key)
	}
	l.mu.Unlock()
	if out != nil && l.evicted != nil {
		l.evicted(out.key, out.value)
	}
	return v
}

func (l *lru[K, V]) remove(k K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.all[k]; ok {
		l.order.Remove(e)
		delete(l.all, k)
	}
}

// values are all values, without changing their order.
func (l *lru[K, V]) values() []V {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]V, 0, l.order.Len())
	for e := l.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*entry[K, V]).value)
	}
	return out
}

// counter counts the open streams of sessions.
type counter struct {
	mu   sync.Mutex
	open map[session.Handle]int
}

// take counts one more unless there are most already.
func (c *counter) take(h session.Handle, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[h] >= most {
		return false
	}
	c.open[h]++
	return true
}

func (c *counter) give(h session.Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[h]--; c.open[h] <= 0 {
		delete(c.open, h)
	}
}

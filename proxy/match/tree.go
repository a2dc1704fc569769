package match

import (
	"slices"
	"strings"

	"github.com/benbjohnson/immutable"
)

// tree holds a listener's rules by hostname.
type tree struct {
	hosts *immutable.Map[string, *paths]
}

func newTree() *tree { return &tree{immutable.NewMap[string, *paths](texts{})} }

// find goes from the most specific hostname to the least: a request that no
// rule of one matches may belong to a rule of a less specific one.
func (t *tree) find(host string, f *Facts) *entry {
	if host != "" {
		if e := t.at(host, f); e != nil {
			return e
		}
		for i := 0; i < len(host); i++ {
			if host[i] != '.' {
				continue
			}
			if e := t.at(host[i:], f); e != nil {
				return e
			}
		}
	}
	return t.at("", f)
}

func (t *tree) at(key string, f *Facts) *entry {
	p, ok := t.hosts.Get(key)
	if !ok {
		return nil
	}
	return p.find(f)
}

func (t *tree) edit(hostname string, f func(*paths) *paths) *tree {
	key := hostKey(hostname)
	p, ok := t.hosts.Get(key)
	if !ok {
		p = newPaths()
	}
	if p = f(p); p.empty() {
		return &tree{t.hosts.Delete(key)}
	}
	return &tree{t.hosts.Set(key, p)}
}

// paths holds the entries of one hostname. A prefix is kept without its final
// slash, so the prefix / is "". depths counts prefixes by their number of
// elements, so that a path of thousands of elements costs no more than the
// longest declared prefix.
type paths struct {
	exact  *immutable.Map[string, []*entry]
	prefix *immutable.Map[string, []*entry]
	depths []int
	regex  []*entry
}

func newPaths() *paths {
	return &paths{
		exact:  immutable.NewMap[string, []*entry](texts{}),
		prefix: immutable.NewMap[string, []*entry](texts{}),
	}
}

func (p *paths) empty() bool {
	return p.exact.Len() == 0 && p.prefix.Len() == 0 && len(p.regex) == 0
}

func (p *paths) find(f *Facts) *entry {
	if list, ok := p.exact.Get(f.Path); ok {
		if e := first(list, f); e != nil {
			return e
		}
	}
	if e := p.findPrefix(f); e != nil {
		return e
	}
	for _, e := range p.regex {
		if e.path.MatchString(f.Path) && e.holds(f) {
			return e
		}
	}
	return nil
}

func (p *paths) findPrefix(f *Facts) *entry {
	path := f.Path
	if len(path) == 0 || path[0] != '/' {
		return nil
	}
	for depth := strings.Count(path, "/"); depth >= 0; depth-- {
		if depth < len(p.depths) && p.depths[depth] > 0 {
			if list, ok := p.prefix.Get(path); ok {
				if e := first(list, f); e != nil {
					return e
				}
			}
		}
		if depth > 0 {
			path = path[:strings.LastIndexByte(path, '/')]
		}
	}
	return nil
}

func first(list []*entry, f *Facts) *entry {
	for _, e := range list {
		if e.holds(f) {
			return e
		}
	}
	return nil
}

func (p *paths) add(e *entry) *paths {
	next := *p
	switch e.kind {
	case exactPath:
		next.exact = insertInto(p.exact, e.value, e)
	case prefixPath:
		next.prefix = insertInto(p.prefix, e.value, e)
		next.depths = counted(p.depths, strings.Count(e.value, "/"), 1)
	case regexPath:
		next.regex = insert(p.regex, e)
	}
	return &next
}

func (p *paths) remove(e *entry) *paths {
	next := *p
	switch e.kind {
	case exactPath:
		next.exact = removeFrom(p.exact, e.value, e)
	case prefixPath:
		next.prefix = removeFrom(p.prefix, e.value, e)
		next.depths = counted(p.depths, strings.Count(e.value, "/"), -1)
	case regexPath:
		next.regex = remove(p.regex, e)
	}
	return &next
}

func counted(depths []int, at, by int) []int {
	next := slices.Clone(depths)
	for len(next) <= at {
		next = append(next, 0)
	}
	next[at] += by
	for len(next) > 0 && next[len(next)-1] == 0 {
		next = next[:len(next)-1]
	}
	return next
}

type lists = immutable.Map[string, []*entry]

func insertInto(m *lists, key string, e *entry) *lists {
	list, _ := m.Get(key)
	return m.Set(key, insert(list, e))
}

func removeFrom(m *lists, key string, e *entry) *lists {
	list, _ := m.Get(key)
	if list = remove(list, e); len(list) == 0 {
		return m.Delete(key)
	}
	return m.Set(key, list)
}

// insert and remove never touch the list that they are given.
func insert(list []*entry, e *entry) []*entry {
	i, _ := slices.BinarySearchFunc(list, e, (*entry).compare)
	next := make([]*entry, 0, len(list)+1)
	return append(append(append(next, list[:i]...), e), list[i:]...)
}

func remove(list []*entry, e *entry) []*entry {
	i, ok := slices.BinarySearchFunc(list, e, (*entry).compare)
	if !ok {
		return list
	}
	return append(append(make([]*entry, 0, len(list)-1), list[:i]...), list[i+1:]...)
}

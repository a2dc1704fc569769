package match

import (
	"slices"
	"strings"

	"github.com/navehq/nave/api/table"
)

// Apply gives the index of t. changes name every resource in which t differs
// from x's table. An error refuses all of them: x stays good.
func (x *Index) Apply(t table.Table, changes []table.Change) (*Index, error) {
	next := *x
	next.table = t
	s := &step{x: &next, old: x.table, dirty: dirt{
		targets: map[table.Target]bool{}, listeners: map[string]bool{}, rules: map[string]bool{},
	}}
	seen := map[table.ID]bool{}
	for _, c := range changes {
		if seen[c.ID] {
			continue
		}
		seen[c.ID] = true
		if err := s.take(c.ID, t.Get(c.ID)); err != nil {
			return nil, err
		}
	}
	s.guards()
	return &next, nil
}

// Build is Apply on the empty index.
func Build(t table.Table) (*Index, error) {
	var changes []table.Change
	for r := range t.All() {
		changes = append(changes, table.Put(r))
	}
	return Empty().Apply(t, changes)
}

// step is one Apply on its way.
type step struct {
	x     *Index
	old   table.Table
	dirty dirt
}

// dirt is what must be guarded anew: all that a policy targets, what was or is
// reached by a listener, a rule.
type dirt struct {
	targets   map[table.Target]bool
	listeners map[string]bool
	rules     map[string]bool
}

func (s *step) take(id table.ID, now table.Resource) error {
	was := s.x.Find(id)
	if now == nil {
		s.x.resources = s.x.resources.Delete(id)
	} else {
		s.x.resources = s.x.resources.Set(id, now)
	}
	switch id.Kind {
	case table.KindListener:
		s.listener(as[*table.Listener](was), as[*table.Listener](now))
	case table.KindRule:
		return s.rule(as[*table.Rule](was), as[*table.Rule](now))
	case table.KindPolicy:
		s.policy(as[*table.Policy](was), as[*table.Policy](now))
	case table.KindSecret:
		s.secret(id.Name)
	}
	return nil
}

// as is the typed resource, or nil.
func as[R table.Resource](r table.Resource) R {
	typed, _ := r.(R)
	return typed
}

func (s *step) listener(was, now *table.Listener) {
	if was != nil {
		s.bind(was, false)
		s.dirty.listeners[was.Name] = true
	}
	if now != nil {
		s.bind(now, true)
		s.dirty.listeners[now.Name] = true
	}
}

// bind adds a listener to its port or takes it off. Listeners that collide are
// refused where they are declared; should two arrive, the first by name serves.
func (s *step) bind(l *table.Listener, add bool) {
	p, ok := s.x.ports.Get(l.Port)
	if !ok {
		p = &port{newHosts()}
	}
	key := hostKey(l.Hostname)
	was, _ := p.hosts.Get(key)
	list := slices.DeleteFunc(slices.Clone(was), func(o *table.Listener) bool { return o.Name == l.Name })
	if add {
		list = append(list, l)
		slices.SortFunc(list, func(a, b *table.Listener) int { return strings.Compare(a.Name, b.Name) })
	}
	hosts := p.hosts.Delete(key)
	if len(list) > 0 {
		hosts = p.hosts.Set(key, list)
	}
	if hosts.Len() == 0 {
		s.x.ports = s.x.ports.Delete(l.Port)
		return
	}
	s.x.ports = s.x.ports.Set(l.Port, &port{hosts})
}

func (s *step) rule(was, now *table.Rule) error {
	if was != nil {
		// It compiled once, so it compiles again.
		if compiled, err := compileRule(was); err == nil {
			s.enter(compiled, (*paths).remove)
		}
		s.name(was, false)
		s.unguard(was)
	}
	if now != nil {
		compiled, err := compileRule(now)
		if err != nil {
			return err
		}
		s.enter(compiled, (*paths).add)
		s.name(now, true)
		s.dirty.rules[now.Name] = true
	}
	return nil
}

func (s *step) enter(r *Rule, edit func(*paths, *entry) *paths) {
	for _, b := range r.Binds {
		t, ok := s.x.trees.Get(b.Listener)
		if !ok {
			t = newTree()
		}
		for _, hostname := range b.Hostnames {
			t = t.edit(hostname, func(p *paths) *paths {
				for _, e := range r.entries {
					p = edit(p, e)
				}
				return p
			})
		}
		if t.hosts.Len() == 0 {
			s.x.trees = s.x.trees.Delete(b.Listener)
			continue
		}
		s.x.trees = s.x.trees.Set(b.Listener, t)
	}
}

// name keeps the rules of each route, for policies that target the route.
func (s *step) name(r *table.Rule, add bool) {
	key := routeTarget(r.Route)
	was, _ := s.x.routes.Get(key)
	s.x.routes = s.x.routes.Delete(key)
	if list := edited(was, r.Name, add); len(list) > 0 {
		s.x.routes = s.x.routes.Set(key, list)
	}
}

// edited gives a sorted list with a name added or taken away; the given one
// stays as it is.
func edited(list []string, name string, add bool) []string {
	i, found := slices.BinarySearch(list, name)
	switch {
	case add && !found:
		return slices.Insert(slices.Clone(list), i, name)
	case !add && found:
		return slices.Delete(slices.Clone(list), i, i+1)
	}
	return list
}

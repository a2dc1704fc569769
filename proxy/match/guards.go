package match

import (
	"slices"
	"strings"

	"github.com/benbjohnson/immutable"

	"github.com/navehq/nave/api/table"
)

func newHosts() *immutable.Map[string, []*table.Listener] {
	return immutable.NewMap[string, []*table.Listener](texts{})
}

func (s *step) policy(was, now *table.Policy) {
	if was != nil {
		s.attach(was, false)
	}
	if now != nil {
		s.attach(now, true)
	}
}

func (s *step) attach(p *table.Policy, add bool) {
	for _, t := range p.Targets {
		list, _ := s.x.attached.Get(t)
		list = slices.DeleteFunc(slices.Clone(list), func(o *table.Policy) bool { return o.Name == p.Name })
		if add {
			list = append(list, p)
			slices.SortFunc(list, func(a, b *table.Policy) int { return strings.Compare(a.Name, b.Name) })
		}
		s.x.attached = s.x.attached.Delete(t)
		if len(list) > 0 {
			s.x.attached = s.x.attached.Set(t, list)
		}
		s.dirty.targets[t] = true
	}
	if p.APIKey == nil {
		return
	}
	for _, name := range p.APIKey.Secrets {
		list, _ := s.x.users.Get(name)
		s.x.users = s.x.users.Delete(name)
		if list = edited(list, p.Name, add); len(list) > 0 {
			s.x.users = s.x.users.Set(name, list)
		}
	}
}

// secret marks all that is guarded by keys of that secret.
func (s *step) secret(name string) {
	users, _ := s.x.users.Get(name)
	for _, policy := range users {
		if p := table.Find[*table.Policy](s.x.table, policy); p != nil {
			for _, t := range p.Targets {
				s.dirty.targets[t] = true
			}
		}
	}
}

// guards builds anew what changed. A Gateway's policy costs its listeners and
// the rules that are targeted themselves; all other rules share their
// listener's guard.
func (s *step) guards() {
	for t := range s.dirty.targets {
		switch t.Kind {
		case "Gateway":
			s.touchGateway(t)
		case "AgentgatewayBackend", "Service":
			s.serve(t)
		default:
			rules, _ := s.x.routes.Get(section(t, ""))
			for _, name := range rules {
				s.dirty.rules[name] = true
			}
		}
	}
	for name := range s.dirty.listeners {
		s.touchListener(name)
	}
	for name := range s.dirty.rules {
		if r := as[*table.Rule](s.x.Find(table.ID{Kind: table.KindRule, Name: name})); r != nil {
			s.guardRule(r)
		}
	}
}

func (s *step) touchGateway(t table.Target) {
	gateway := section(t, "")
	for it := s.x.ports.Iterator(); !it.Done(); {
		_, p, _ := it.Next()
		for hosts := p.hosts.Iterator(); !hosts.Done(); {
			_, list, _ := hosts.Next()
			for _, l := range list {
				if gatewayTarget(l) == gateway {
					s.dirty.listeners[l.Name] = true
				}
			}
		}
	}
}

func (s *step) touchListener(name string) {
	s.x.base = s.x.base.Delete(name)
	if l := as[*table.Listener](s.x.Find(table.ID{Kind: table.KindListener, Name: name})); l != nil {
		if g := build(s.levels(l, nil), s.lookup); g != nil {
			s.x.base = s.x.base.Set(name, g)
		}
	}
	for it := s.x.own.Iterator(); !it.Done(); {
		if p, _, _ := it.Next(); p.listener == name {
			s.dirty.rules[p.rule] = true
		}
	}
}

// guardRule gives a rule guards of its own where a policy targets it.
func (s *step) guardRule(r *table.Rule) {
	s.unguard(r)
	route := routeTarget(r.Route)
	_, whole := s.x.attached.Get(route)
	_, part := s.x.attached.Get(section(route, r.Section))
	if !whole && (r.Section == "" || !part) {
		return
	}
	for _, b := range r.Binds {
		l := as[*table.Listener](s.x.Find(table.ID{Kind: table.KindListener, Name: b.Listener}))
		if l == nil {
			// Nothing reaches it now; the route's own policies hold until then.
			l = &table.Listener{Name: b.Listener}
		}
		s.x.own = s.x.own.Set(place{b.Listener, r.Name}, build(s.levels(l, r), s.lookup))
	}
}

func (s *step) unguard(r *table.Rule) {
	for _, b := range r.Binds {
		s.x.own = s.x.own.Delete(place{b.Listener, r.Name})
	}
}

func (s *step) levels(l *table.Listener, r *table.Rule) table.Levels {
	var v table.Levels
	gateway := gatewayTarget(l)
	v.Gateway, _ = s.x.attached.Get(gateway)
	if l.Section != "" {
		v.Listener, _ = s.x.attached.Get(section(gateway, l.Section))
	}
	if r != nil {
		route := routeTarget(r.Route)
		v.Route, _ = s.x.attached.Get(route)
		if r.Section != "" {
			v.Rule, _ = s.x.attached.Get(section(route, r.Section))
		}
	}
	return v
}

// serve guards a backend or a part of it.
func (s *step) serve(t table.Target) {
	policies, _ := s.x.attached.Get(t)
	s.x.served = s.x.served.Delete(t)
	if g := build(table.Levels{Route: policies}, s.lookup); g != nil {
		s.x.served = s.x.served.Set(t, g)
	}
}

func (s *step) lookup(name string) *table.Secret {
	return as[*table.Secret](s.x.Find(table.ID{Kind: table.KindSecret, Name: name}))
}

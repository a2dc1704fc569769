package match

import (
	"cmp"
	"strings"

	"github.com/benbjohnson/immutable"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/apikey"
	"github.com/navehq/nave/proxy/filter/authorization"
)

// Guard is what restricts a place: a rule under a listener, a backend, or one
// member of a backend. Nil restricts nothing.
type Guard struct {
	// Closed refuses everything (500, PolicyInvalid) and says why: a policy that
	// is invalid, or that could not be built here.
	Closed string
	Keys   *apikey.Keys
	Rules  *authorization.Rules
	// Policies are the names of those that contribute, for the explanation.
	Policies []string
}

// guarding is the part of an index that follows policies.
type guarding struct {
	// attached are the policies that target something, by name.
	attached *immutable.Map[table.Target, []*table.Policy]
	// users are the policies that read a secret.
	users *immutable.Map[string, []string]
	// base holds each listener's guard, own those of rules that are targeted
	// themselves, served those of backends and of their members.
	base   *immutable.Map[string, *Guard]
	own    *immutable.Map[place, *Guard]
	served *immutable.Map[table.Target, *Guard]
}

func noGuards() guarding {
	return guarding{
		attached: immutable.NewMap[table.Target, []*table.Policy](targets{}),
		users:    immutable.NewMap[string, []string](texts{}),
		base:     immutable.NewMap[string, *Guard](texts{}),
		own:      immutable.NewMap[place, *Guard](places{}),
		served:   immutable.NewMap[table.Target, *Guard](targets{}),
	}
}

// guard is what restricts a rule under a listener.
func (g *guarding) guard(listener, rule string) *Guard {
	if own, ok := g.own.Get(place{listener, rule}); ok {
		return own
	}
	base, _ := g.base.Get(listener)
	return base
}

// Serving is what restricts a backend as a whole, and a part of it: a member by
// name, or a Service's port. Nil restricts nothing.
func (x *Index) Serving(backend, member string) (whole, part *Guard) {
	if x.served.Len() == 0 {
		return nil, nil
	}
	t := backendTarget(backend)
	if t.Kind != "Service" {
		t.Section = member
	}
	if t.Section != "" {
		part, _ = x.served.Get(t)
	}
	whole, _ = x.served.Get(section(t, ""))
	return whole, part
}

// backendTarget reads Kind namespace/name[:port]; a Service's port is its section.
func backendTarget(name string) table.Target {
	kind, rest, _ := strings.Cut(name, " ")
	namespace, name, _ := strings.Cut(rest, "/")
	t := table.Target{Kind: kind, Namespace: namespace, Name: name}
	if kind == "Service" {
		t.Name, t.Section, _ = strings.Cut(name, ":")
	}
	return t
}

func gatewayTarget(l *table.Listener) table.Target {
	namespace, name, _ := strings.Cut(l.Gateway, "/")
	return table.Target{Kind: "Gateway", Namespace: namespace, Name: name}
}

func routeTarget(r table.Route) table.Target {
	return table.Target{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

func section(t table.Target, name string) table.Target {
	t.Section = name
	return t
}

// build merges levels and compiles what is in force. What cannot be compiled closes.
func build(l table.Levels, secret func(string) *table.Secret) *Guard {
	if len(l.Gateway)+len(l.Listener)+len(l.Route)+len(l.Rule) == 0 {
		return nil
	}
	e := table.Effective(l)
	g := &Guard{Closed: e.Closed, Policies: e.Sources}
	var err error
	if len(e.Authorization) > 0 {
		if g.Rules, err = authorization.Compile(e.Authorization); err != nil {
			g.Closed = cmp.Or(g.Closed, err.Error())
		}
	}
	if e.APIKey != nil {
		if g.Keys, err = apikey.Compile(e.APIKey, secret); err != nil {
			g.Closed = cmp.Or(g.Closed, err.Error())
		}
	}
	return g
}

// Guarded tells whether any policy targets a backend at all.
func (x *Index) Guarded() bool { return x.served.Len() > 0 }

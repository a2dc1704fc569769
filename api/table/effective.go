package table

import (
	"cmp"
	"slices"
	"strings"
)

// EffectivePolicy is what is in force for one rule under one listener.
type EffectivePolicy struct {
	// Authorization holds every set of every level, the least specific first:
	// unlike all other fields, authorization accumulates. The actions are judged
	// over all sets together: see Action.
	Authorization []*Authorization
	// APIKey is the most specific one.
	APIKey *APIKey
	// Closed refuses everything with 500 and says why.
	Closed string
	// Sources name the policies that contribute, the least specific first.
	Sources []string
}

// Levels are the policies that target each level.
type Levels struct {
	Gateway, Listener, Route, Rule []*Policy
}

// Effective merges policies: for each top-level field the more specific level
// wins, at one level the older policy, then the one whose name comes first;
// authorization accumulates; one closed policy closes.
func Effective(l Levels) EffectivePolicy {
	var e EffectivePolicy
	for _, level := range [][]*Policy{l.Gateway, l.Listener, l.Route, l.Rule} {
		level = slices.Clone(level)
		slices.SortFunc(level, older)
		var key *APIKey
		for _, p := range level {
			e.Sources = append(e.Sources, p.Name)
			if e.Closed == "" {
				e.Closed = p.Closed
			}
			if p.Authorization != nil {
				e.Authorization = append(e.Authorization, p.Authorization)
			}
			key = cmp.Or(key, p.APIKey)
		}
		e.APIKey = cmp.Or(key, e.APIKey)
	}
	return e
}

func older(a, b *Policy) int {
	return cmp.Or(cmp.Compare(a.Created, b.Created), strings.Compare(a.Name, b.Name))
}

// Attachments find the policies of a table by what they target.
type Attachments struct {
	by map[Target][]*Policy
}

// Attach indexes the policies of a table.
func Attach(t Table) Attachments {
	a := Attachments{map[Target][]*Policy{}}
	for p := range Each[*Policy](t) {
		for _, target := range p.Targets {
			if !slices.Contains(a.by[target], p) {
				a.by[target] = append(a.by[target], p)
			}
		}
	}
	return a
}

// For is what is in force for a rule that is reached through a listener. rule
// may be nil, for what no rule matches.
func (a Attachments) For(listener *Listener, rule *Rule) EffectivePolicy {
	var l Levels
	namespace, name, _ := strings.Cut(listener.Gateway, "/")
	gateway := Target{Kind: "Gateway", Namespace: namespace, Name: name}
	l.Gateway = a.by[gateway]
	gateway.Section = listener.Section
	l.Listener = a.by[gateway]
	if rule != nil {
		route := Target{Kind: rule.Route.Kind, Namespace: rule.Route.Namespace, Name: rule.Route.Name}
		l.Route = a.by[route]
		if rule.Section != "" {
			route.Section = rule.Section
			l.Rule = a.by[route]
		}
	}
	return Effective(l)
}

package translate

import (
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// steer writes into a rule what is in force for its backends where a
// FailoverPolicy targets the rule, its route or one of its listeners. Of what is
// said at several of them the rule's goes before the route's and that before the
// listener's; what is said at the backend goes before all three.
func (s *schema) steer(l *derive.Look, n node, rule *table.Rule, backends []backendTarget) {
	route := ref{n.view, n.key}
	gateway, ok := s.gatewayOf(l, n)
	if !ok || len(backends) == 0 {
		return
	}
	byRoute := s.held(l, failoverTarget{ref: route})
	if rule.Section != "" {
		byRoute = append(byRoute, s.held(l, failoverTarget{route, rule.Section})...)
	}
	// The listeners with a policy of their own, and "" for the others.
	listeners := []string{}
	if len(byRoute) > 0 {
		listeners = append(listeners, "")
	}
	for _, b := range rule.Binds {
		if len(s.held(l, failoverTarget{gateway, section(b.Listener)})) > 0 {
			listeners = append(listeners, b.Listener)
		}
	}
	for _, b := range backends {
		kind := table.BackendHTTP
		if b.key.Kind == kindBackend {
			kind = s.declared.Get(l, ref{n.view, b.key}).kind
		}
		to := backendNode(n.view, n.table, b.key, b.port)
		for _, listener := range listeners {
			levels := []failoverTarget{{ref: gateway}}
			if listener != "" {
				levels = append(levels, failoverTarget{gateway, section(listener)})
			}
			levels = append(append(levels, byRoute...), failoverTarget{ref: ref{n.view, b.key}})
			choice := s.choose(l, to, kind, levels)
			rule.Steering = append(rule.Steering, table.Steering{
				Backend: to.id.Name, Listener: listener, By: strings.Join(choice.by, ","), Failover: choice.settings, Closed: choice.closed,
			})
		}
	}
}

// held is the target where a policy holds it.
func (s *schema) held(l *derive.Look, t failoverTarget) []failoverTarget {
	if _, ok := s.failoverOn(l, t); !ok {
		return nil
	}
	return []failoverTarget{t}
}

// section is the name of a listener within its Gateway.
func section(listener string) string { return listener[strings.LastIndexByte(listener, '/')+1:] }

func (s *schema) productOfFailover(l *derive.Look, r ref, o *objects.Object) product {
	if _, ok := o.Value.(*v1alpha1.FailoverPolicy); !ok || r.cluster != s.options.Cluster {
		return product{}
	}
	f := s.failovers.Get(l, r)
	status := &gwv1.PolicyStatus{Ancestors: []gwv1.PolicyAncestorStatus{}}
	faults := append(slices.Clone(f.faults), f.partial...)
	for i, t := range f.targets {
		accepted := yes(v1alpha1.ConditionAccepted, string(gwv1.PolicyReasonAccepted), "is in force")
		holder, _ := s.failoverOn(l, t)
		missing := s.absent(l, t.ref, t.section)
		switch {
		case len(f.faults) > 0:
			accepted = no(accepted.kind, string(gwv1.PolicyReasonInvalid), join(f.faults))
		case missing != "":
			accepted = no(accepted.kind, string(gwv1.PolicyReasonTargetNotFound), missing)
		case holder != r:
			accepted = no(accepted.kind, string(gwv1.PolicyReasonConflicted), holder.Key.String()+" holds the target and was first")
		}
		if accepted.status != "True" && len(f.faults) == 0 {
			faults = append(faults, fault{"spec.targetRefs[" + itoa(i) + "]", accepted.reason, accepted.message, "correct the reference"})
		}
		conditions := []condition{accepted}
		if len(f.partial) > 0 {
			conditions = append(conditions, yes(v1alpha1.ConditionPartiallyInvalid, v1alpha1.ReasonUnsupportedField, join(f.partial)))
		}
		status.Ancestors = appendAncestor(status.Ancestors, parentReference(t.Key, t.section), at(o.Generation, conditions...))
	}
	return product{status: &objects.Status{Key: r.Key, File: o.File, Generation: o.Generation, Value: status}, problems: s.problems(o, faults[min(len(o.Invalid), len(faults)):])}
}

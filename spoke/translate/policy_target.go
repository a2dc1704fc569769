package translate

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// policyTargets indexes the policies that name their targets.
func policyTargets(r ref, o *objects.Object) []target {
	add := func(out []target, group, kind, name string) []target {
		t := target{r.Kind, ref{r.cluster, objects.Key{Group: group, Kind: kind, Namespace: r.Namespace, Name: name}}}
		if slices.Contains(out, t) {
			return out
		}
		return append(out, t)
	}
	var out []target
	switch p := o.Value.(type) {
	case *agentgateway.AgentgatewayPolicy:
		for _, t := range p.Spec.TargetRefs {
			out = add(out, t.Group, t.Kind, t.Name)
		}
	case *v1alpha1.FailoverPolicy:
		for _, t := range p.Spec.TargetRefs {
			out = add(out, t.Group, t.Kind, string(t.Name))
		}
	default:
		for _, t := range tlsPolicyTargets(o) {
			out = add(out, string(t.Group), string(t.Kind), string(t.Name))
		}
	}
	return out
}

// policySelectors indexes the policies that select their targets, by the first
// of the labels.
func policySelectors(r ref, o *objects.Object) []kindAt {
	p, ok := o.Value.(*agentgateway.AgentgatewayPolicy)
	if !ok {
		return nil
	}
	var out []kindAt
	for _, t := range p.Spec.TargetSelectors {
		pairs := labelPairs(t.MatchLabels)
		at := kindAt{r.cluster, t.Kind, r.Namespace, ""}
		if len(pairs) > 0 {
			at.label = pairs[0]
		}
		if !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	return out
}

func labelPairs(m map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return out
}

// policiesFor lists the AgentgatewayPolicies that target an object.
func (s *schema) policiesFor(l *derive.Look, r ref) []ref {
	out := slices.Clone(s.policiesOn.Get(l, target{kindPolicy, r}))
	o, ok := s.objects.Get(l, r)
	if ok {
		for _, label := range append([]string{""}, labelPairs(o.Labels)...) {
			for _, p := range s.selectors.Get(l, kindAt{r.cluster, r.Kind, r.Namespace, label}) {
				if s.selects(l, p, r, o.Labels) && !slices.Contains(out, p) {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

func (s *schema) selects(l *derive.Look, policy, r ref, labels map[string]string) bool {
	_, p, ok := get[*agentgateway.AgentgatewayPolicy](s, l, policy)
	return ok && slices.ContainsFunc(p.Spec.TargetSelectors, func(t agentgateway.PolicyTargetSelector) bool {
		if t.Kind != r.Kind || t.Group != r.Group {
			return false
		}
		for k, v := range t.MatchLabels {
			if labels[k] != v {
				return false
			}
		}
		return true
	})
}

// selected lists the objects of a kind and namespace that carry all labels.
func (s *schema) selected(l *derive.Look, of kindAt, labels map[string]string) []ref {
	pairs := labelPairs(labels)
	if len(pairs) == 0 {
		return s.labelled.Get(l, of)
	}
	of.label = pairs[0]
	list := s.labelled.Get(l, of)
	for _, pair := range pairs[1:] {
		of.label = pair
		also := s.labelled.Get(l, of)
		list = slices.DeleteFunc(slices.Clone(list), func(r ref) bool { return !slices.Contains(also, r) })
	}
	return list
}

func (s *schema) findTargets(l *derive.Look, r ref, p *agentgateway.AgentgatewayPolicy, st *policyState) {
	if (len(p.Spec.TargetRefs) == 0) == (len(p.Spec.TargetSelectors) == 0) {
		st.faults = append(st.faults, fault{"spec", "Invalid", "needs exactly one of targetRefs and targetSelectors", "set one of them"})
	}
	for i, t := range p.Spec.TargetRefs {
		key := objects.Key{Group: t.Group, Kind: t.Kind, Namespace: r.Namespace, Name: t.Name}
		s.addTarget(l, r, key, t.PolicyTarget, fmt.Sprintf("spec.targetRefs[%d]", i), st)
	}
	for i, t := range p.Spec.TargetSelectors {
		for _, x := range s.selected(l, kindAt{r.cluster, t.Kind, r.Namespace, ""}, t.MatchLabels) {
			if x.Group == t.Group {
				s.addTarget(l, r, x.Key, t.PolicyTarget, fmt.Sprintf("spec.targetSelectors[%d]", i), st)
			}
		}
	}
}

func (s *schema) addTarget(l *derive.Look, r ref, key objects.Key, t agentgateway.PolicyTarget, path string, st *policyState) {
	x := policyTarget{key: key, section: string(t.SectionName)}
	switch {
	case !slices.Contains([]string{kindGateway, kindRoute, kindBackend, kindService}, key.Kind):
		st.faults = append(st.faults, fault{path + ".kind", v1alpha1.ReasonUnsupportedField, "a target of kind " + key.Kind + " is not built yet", "target a Gateway, HTTPRoute or AgentgatewayBackend"})
	default:
		x.missing = s.absent(l, ref{r.cluster, key}, x.section)
	}
	st.targets = append(st.targets, x)
	if x.missing == "" {
		st.policy.Targets = append(st.policy.Targets, table.Target{Kind: key.Kind, Namespace: key.Namespace, Name: key.Name, Section: x.section})
	}
}

// absent says what of a target is not there, "" for nothing.
func (s *schema) absent(l *derive.Look, r ref, section string) string {
	o, ok := s.objects.Get(l, r)
	if !ok {
		return r.Key.String() + " is not found"
	}
	if section == "" || slices.Contains(s.sections(l, r, o), section) {
		return ""
	}
	return fmt.Sprintf("%s has no part %q", r.Key, section)
}

func (s *schema) sections(l *derive.Look, r ref, o *objects.Object) []string {
	var out []string
	switch r.Kind {
	case kindGateway:
		for _, x := range s.gateways.Get(l, r).listeners {
			out = append(out, x.name)
		}
	case kindRoute:
		for _, x := range s.ruleSets.Get(l, r).rules {
			out = append(out, x.rule.Section)
		}
	case kindBackend:
		for _, g := range s.declared.Get(l, r).groups {
			for _, m := range g {
				out = append(out, m.member.Name)
			}
		}
	case kindService:
		if v, ok := o.Value.(*corev1.Service); ok {
			for _, p := range v.Spec.Ports {
				out = append(out, itoa(p.Port))
			}
		}
	}
	return out
}

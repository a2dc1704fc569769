package translate

import (
	"slices"
	"strings"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
)

// productOfBackend reports a backend of this cluster as this cluster sees it.
func (s *schema) productOfBackend(l *derive.Look, r ref, o *objects.Object) product {
	if r.cluster != s.options.Cluster {
		return product{}
	}
	d := s.declared.Get(l, r)
	whose := s.owners.Get(l, place{r.cluster, r.Namespace})
	m := s.merges.Get(l, backendNode(r.cluster, "", r.Key, 0))
	unresolved, idle := s.instances.Get(l, r).report(d)
	shut, left := m.shut(d, s.options.Cluster)
	accepted := yes(v1alpha1.ConditionAccepted, v1alpha1.ReasonAccepted, "is understood and allowed")
	switch {
	case whose.reason != "":
		accepted = whose.accepted()
	case len(d.faults) > 0:
		accepted = no(accepted.kind, d.faults[0].reason, join(d.faults))
	case m.backend != nil && m.backend.Closed != "":
		reason, message, _ := strings.Cut(m.backend.Closed, ": ")
		accepted = no(accepted.kind, reason, message)
	case !left && len(shut) > 0:
		accepted = no(accepted.kind, shut[0].reason, join(shut))
	}
	if c, is := refused(s.verdict(l, r)); is {
		accepted = c
	}
	resolved := yes(v1alpha1.ConditionResolvedRefs, "ResolvedRefs", "all references are resolved")
	if len(unresolved) > 0 {
		resolved = no(resolved.kind, unresolved[0].reason, join(unresolved))
	} else if len(idle) > 0 {
		resolved.message = join(idle)
	}
	conditions := []condition{accepted, resolved}
	partial := append(slices.Clone(d.partial), shut...)
	if len(partial) > 0 && accepted.status == "True" {
		conditions = append(conditions, yes(v1alpha1.ConditionPartiallyInvalid, partial[0].reason, join(partial)))
	}
	if d.fleet && whose.reason == "" {
		conditions = append(conditions, m.instancesCondition())
	}
	faults := slices.Concat(d.faults[min(len(o.Invalid), len(d.faults)):], partial, unresolved, idle)
	if accepted.status != "True" && len(d.faults) == 0 && len(shut) == 0 {
		faults = append(faults, waiting(accepted))
	}
	return product{
		status: &objects.Status{Key: r.Key, File: o.File, Generation: o.Generation,
			Value: &objects.Conditions{Conditions: overlay(at(o.Generation, conditions...), s.verdict(l, r))}},
		problems: s.problems(o, faults),
	}
}

// shut lists the instances of this cluster that the merge has closed although
// the declaration is in order, and tells whether any instance is left anywhere.
func (m *merge) shut(d *declaration, cluster string) (faults []fault, left bool) {
	if m.backend == nil {
		return nil, false
	}
	for gi, g := range m.backend.Groups {
		for mi, member := range g {
			for _, i := range member.Instances {
				left = left || i.Closed == ""
				reason, message, _ := strings.Cut(i.Closed, ": ")
				if i.Cluster == cluster && slices.Contains(limits, reason) {
					faults = append(faults, fault{field: d.groups[gi][mi].path, reason: reason, message: message})
				}
			}
		}
	}
	return faults, left
}

// limits are the reasons for which others than the author close an instance.
var limits = []string{v1alpha1.ReasonRegionUnknown, v1alpha1.ReasonRegionNotAllowed, reasonProvider, v1alpha1.ReasonPolicyInvalid}

// report lists the references that lead nowhere, and the Services that nobody
// is behind.
func (i *localInstances) report(d *declaration) (unresolved, idle []fault) {
	for gi, g := range i.groups {
		for mi, x := range g {
			if x.fault != nil {
				unresolved = append(unresolved, *x.fault)
			}
			if x.idle != "" {
				idle = append(idle, fault{field: d.groups[gi][mi].path, reason: "NoEndpoints", message: x.idle})
			}
		}
	}
	return unresolved, idle
}

func (m *merge) instancesCondition() condition {
	message := "served by " + strings.Join(m.clusters, ", ")
	if len(m.unpaired) > 0 {
		message += "; without a pair: " + strings.Join(m.unpaired, ", ")
	}
	if len(m.conflicts) > 0 {
		return no(v1alpha1.ConditionInstances, v1alpha1.ReasonInstanceConflict, message+"; "+strings.Join(m.conflicts, ", "))
	}
	return yes(v1alpha1.ConditionInstances, v1alpha1.ReasonInstances, message)
}

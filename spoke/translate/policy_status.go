package translate

import (
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
)

func tlsPolicyTargets(o *objects.Object) []gwv1.LocalPolicyTargetReferenceWithSectionName {
	if p, ok := o.Value.(*gwv1.BackendTLSPolicy); ok {
		return p.Spec.TargetRefs
	}
	return nil
}

// productOfPolicy reports a policy to each of its targets.
func (s *schema) productOfPolicy(l *derive.Look, r ref, o *objects.Object) product {
	if r.cluster != s.options.Cluster {
		return product{}
	}
	st := s.policies.Get(l, r)
	whose := s.owners.Get(l, place{r.cluster, r.Namespace})
	status := &gwv1.PolicyStatus{Ancestors: []gwv1.PolicyAncestorStatus{}}
	faults := append(slices.Clone(st.faults), st.partial...)
	for _, t := range st.targets {
		accepted := yes(agentgateway.ConditionAccepted, agentgateway.ReasonValid, "is in force")
		attached := yes(agentgateway.ConditionAttached, agentgateway.ReasonAttached, "is attached")
		switch {
		case whose.reason != "":
			accepted = whose.accepted()
		case st.closes:
			accepted = no(accepted.kind, agentgateway.ReasonInvalid, "what it targets answers 500: "+join(st.faults))
		case len(st.faults) > 0:
			accepted = no(accepted.kind, agentgateway.ReasonInvalid, join(st.faults))
		case len(st.partial) > 0:
			accepted = yes(accepted.kind, agentgateway.ReasonPartiallyValid, join(st.partial))
		}
		if t.missing != "" {
			attached = no(attached.kind, string(gwv1.PolicyReasonTargetNotFound), t.missing)
			faults = append(faults, fault{"spec.targetRefs", string(gwv1.PolicyReasonTargetNotFound), t.missing, "correct the reference"})
		} else if accepted.status != "True" && !st.closes {
			attached = no(attached.kind, agentgateway.ReasonPending, "is not accepted")
		}
		status.Ancestors = appendAncestor(status.Ancestors, parentReference(t.key, t.section), overlay(at(o.Generation, accepted, attached), s.verdict(l, r)))
	}
	return product{
		status:   &objects.Status{Key: r.Key, File: o.File, Generation: o.Generation, Value: status},
		problems: s.problems(o, faults[min(len(o.Invalid), len(faults)):]),
	}
}

func (s *schema) pieceOfPolicy(l *derive.Look, n node) piece {
	st := s.policies.Get(l, ref{n.view, n.key})
	if len(st.policy.Targets) == 0 || st.policy.Closed == "" && st.policy.Authorization == nil && st.policy.APIKey == nil {
		return piece{}
	}
	p := st.policy
	return piece{resource: &p, needs: st.needs}
}

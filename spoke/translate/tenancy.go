package translate

import (
	"fmt"
	"slices"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/v1alpha1"
)

// owner is whose a namespace is, or why it is nobody's.
type owner struct {
	tenant string
	// reason is empty where tenant owns it.
	reason, message string
}

// accepted is the condition of objects in a namespace that nobody owns.
func (o owner) accepted() condition {
	if o.reason == v1alpha1.ReasonAwaitingHub {
		return unknown(v1alpha1.ConditionAccepted, o.reason, o.message)
	}
	return no(v1alpha1.ConditionAccepted, o.reason, o.message)
}

func (s *schema) deriveOwner(l *derive.Look, p place) owner {
	if p.cluster != s.options.Cluster {
		return s.deriveOwnerElsewhere(l, p)
	}
	f, assigned := s.fleet.Get(l, only)
	if !assigned {
		return owner{
			reason:  v1alpha1.ReasonAwaitingHub,
			message: "the hub has not yet said whose namespace this is; nothing new is served until it does",
		}
	}
	everything := f.DefaultTenant
	for _, name := range s.tenantNames.Get(l, only) {
		t, _ := s.tenants.Get(l, name)
		if slices.Contains(t.Namespaces, p.namespace) {
			return owned(t)
		}
		if t.All {
			everything = name
		}
	}
	if everything != "" {
		return owner{tenant: everything}
	}
	return owner{
		reason:  v1alpha1.ReasonNamespaceNotAdmitted,
		message: fmt.Sprintf("no Tenant claims namespace %q of this cluster; ask the platform team to add it to one", p.namespace),
	}
}

func owned(t *assignment.Tenant) owner {
	if t.NotAdmitted {
		return owner{
			reason:  v1alpha1.ReasonNamespaceNotAdmitted,
			message: fmt.Sprintf("the namespace is tenant %q's, which this cluster does not admit; ask the platform team to name it in the Cluster's tenants", t.Name),
		}
	}
	return owner{tenant: t.Name}
}

// deriveOwnerElsewhere finds whose a namespace of another cluster is: a placed
// Gateway's tenant, what the hub says, else the fleet's default, else whose it is here.
func (s *schema) deriveOwnerElsewhere(l *derive.Look, p place) owner {
	for _, key := range s.placedFrom.Get(l, p) {
		placed, _ := s.placements.Get(l, key)
		return owner{tenant: placed.Tenant}
	}
	told := false
	for _, name := range s.tenantNames.Get(l, only) {
		t, _ := s.tenants.Get(l, name)
		if t.All || slices.Contains(t.Elsewhere[p.cluster], p.namespace) {
			return owned(t)
		}
		told = told || len(t.Elsewhere[p.cluster]) > 0
	}
	if f, assigned := s.fleet.Get(l, only); assigned && f.DefaultTenant != "" {
		return owner{tenant: f.DefaultTenant}
	}
	if told {
		return owner{reason: v1alpha1.ReasonNamespaceNotAdmitted}
	}
	return s.owners.Get(l, place{s.options.Cluster, p.namespace})
}

// tenant returns a tenant as assigned; never nil.
func (s *schema) tenant(l *derive.Look, name string) *assignment.Tenant {
	if t, ok := s.tenants.Get(l, name); ok {
		return t
	}
	return &assignment.Tenant{Name: name}
}

// region is where a cluster is, "" unknown.
func (s *schema) region(l *derive.Look, cluster string) string {
	if p, ok := s.peers.Get(l, cluster); ok && p.Region != "" {
		return p.Region
	}
	if cluster == s.options.Cluster {
		return s.options.Region
	}
	return ""
}

// verdict is what the hub says of an object of this cluster, or nil.
func (s *schema) verdict(l *derive.Look, r ref) *assignment.Verdict {
	if r.cluster != s.options.Cluster {
		return nil
	}
	v, _ := s.verdicts.Get(l, assignment.ObjectKey(r.Key))
	return v
}

// refused is the fault of an object that the hub keeps from serving.
func refused(v *assignment.Verdict) (condition, bool) {
	if v == nil || !v.Refused {
		return condition{}, false
	}
	for _, c := range v.Conditions {
		if c.Type == v1alpha1.ConditionAccepted {
			return condition{c.Type, c.Status, c.Reason, c.Message}, true
		}
	}
	return no(v1alpha1.ConditionAccepted, "Refused", "the hub refuses it"), true
}

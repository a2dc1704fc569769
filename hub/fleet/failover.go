package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/failover"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
)

// tenantNamespace begins the names of the hub's namespaces that are tenants'.
const tenantNamespace = "tenant-"

// builtInTenant owns everything while no Tenant exists.
const builtInTenant = "default"

// defaults reads the FailoverPolicies of the hub: each is the default of the
// tenant that its namespace names. Of two for one tenant the older is in force,
// then the first by name.
func (r *platformReader) defaults() {
	slices.SortFunc(r.policies, func(a, b *objects.Object) int {
		return cmp.Or(a.Created.Compare(b.Created), a.Key.Compare(b.Key))
	})
	r.Failover = map[string]*assignment.FailoverDefault{}
	first := map[string]*objects.Object{}
	for _, o := range r.policies {
		p, ok := o.Value.(*v1alpha1.FailoverPolicy)
		if !ok {
			continue
		}
		tenant, named := strings.CutPrefix(o.Key.Namespace, tenantNamespace)
		switch {
		case !named:
			r.problem(o, "metadata.namespace", "NotATenant", fmt.Sprintf("namespace %q is no tenant's, so that the policy is nobody's default", o.Key.Namespace),
				"put it into namespace tenant-<name of the tenant>; the fleet's default is FleetConfig spec.failover")
		case !r.hasTenant(tenant):
			r.problem(o, "metadata.namespace", "NoSuchTenant", fmt.Sprintf("there is no tenant %q", tenant),
				"declare the Tenant, or correct the namespace; while there is no Tenant at all, the one there is is named "+builtInTenant)
		case first[tenant] != nil:
			r.problem(o, "metadata.name", v1alpha1.ReasonConflicted, fmt.Sprintf("%s is tenant %q's default and was first", first[tenant].Key, tenant), "remove one of the two")
		default:
			first[tenant] = o
			r.Failover[tenant] = r.defaultOf(o, p)
		}
	}
}

func (r *platformReader) hasTenant(name string) bool {
	if len(r.Tenants) == 0 {
		return name == builtInTenant
	}
	return slices.ContainsFunc(r.Tenants, func(t Tenant) bool { return t.Name == name })
}

// defaultOf reads one policy. Of one with a fault nothing is in force but its
// limit of regions; one that cannot be read could limit them, and closes.
func (r *platformReader) defaultOf(o *objects.Object, p *v1alpha1.FailoverPolicy) *assignment.FailoverDefault {
	out := &assignment.FailoverDefault{Settings: r.Settings.Failover}
	for _, region := range p.Spec.AllowedRegions {
		out.Settings.AllowedRegions = append(out.Settings.AllowedRegions, string(region))
	}
	if len(o.Invalid) > 0 {
		out.Closed = fmt.Sprintf("%s: %s in the hub: %s: %s", v1alpha1.ReasonPolicyInvalid, o.Key, o.Invalid[0].Field, o.Invalid[0].Message)
		return out
	}
	refusals := failover.Check(&p.Spec)
	if len(p.Spec.TargetRefs) > 0 {
		refusals = append(refusals, failover.Refusal{Path: "spec.targetRefs", Message: "a tenant's default has no targets", Remedy: "remove them, or declare the policy in the clusters"})
	}
	faulty := false
	for _, x := range refusals {
		reason := "Invalid"
		if x.Unbuilt {
			reason = v1alpha1.ReasonUnsupportedField
		}
		faulty = faulty || !x.Unbuilt
		r.problem(o, x.Path, reason, x.Message, x.Remedy)
	}
	if faulty {
		return out
	}
	out.Settings, _ = failover.Apply(out.Settings, p.Spec.FailoverRules, "spec")
	out.PolicyDrift = p.Spec.PolicyDrift == v1alpha1.PolicyDriftAllow
	out.Regions = failover.Regions(p.Spec.Providers)
	return out
}

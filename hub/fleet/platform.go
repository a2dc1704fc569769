package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/failover"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/drill"
)

// Platform is what the platform team declares, read for the plan.
type Platform struct {
	Clusters []Cluster
	Tenants  []Tenant
	Settings assignment.Fleet
	// Failover are the tenants' defaults, by tenant.
	Failover map[string]*assignment.FailoverDefault
	Drills   []*v1alpha1.Drill
	Problems []objects.Problem
}

// Orders are the standing orders by name, as persons and automation gave them.
type Orders map[string]*v1alpha1.Operation

// InForce tells whether an order stands.
func InForce(o *v1alpha1.Operation, now time.Time) bool {
	return o.Spec.ExpiresAt == nil || now.Before(o.Spec.ExpiresAt.Time)
}

// ReadPlatform reads the hub's own objects with the orders given. Of what is
// declared and what is ordered the safer is in force. The implied clusters are
// there without a Cluster object, each in a region of its own name.
func ReadPlatform(set objects.Set, orders Orders, implied []string, now time.Time) Platform {
	r := &platformReader{orders: withDeclared(orders, set), now: now, declared: map[string]bool{}}
	r.Settings.Failover = failover.Default()
	for o := range set.All() {
		r.read(o)
	}
	for _, name := range implied {
		if !r.declared[name] {
			c := &v1alpha1.Cluster{Spec: v1alpha1.ClusterSpec{Region: v1alpha1.Region(name)}}
			c.Name = name
			r.register(c)
		}
	}
	r.checkTenants()
	r.checkOrdered()
	r.defaults()
	r.frozen()
	return r.Platform
}

type platformReader struct {
	Platform
	orders Orders
	now    time.Time
	// declared are the clusters that have an object, be it valid or not.
	declared map[string]bool
	// ordered are the Operations of the folder.
	ordered []*objects.Object
	// policies are the FailoverPolicies.
	policies []*objects.Object
}

// problem names what is wrong with a field, unless the reader of the file has.
func (r *platformReader) problem(o *objects.Object, field, reason, message, remedy string) {
	if slices.ContainsFunc(o.Invalid, func(p objects.Problem) bool { return p.Field == field }) {
		return
	}
	r.Problems = append(r.Problems, objects.Problem{File: o.File, Object: o.Key.String(), Field: field, Reason: reason, Message: message, Remedy: remedy})
}

func (r *platformReader) read(o *objects.Object) {
	switch v := o.Value.(type) {
	case *v1alpha1.Cluster:
		r.cluster(o, v)
	case *v1alpha1.Tenant:
		if len(o.Invalid) == 0 { // part of its restrictions would be none
			r.tenant(o, v)
		}
	case *v1alpha1.FleetConfig:
		r.config(o, v)
	case *v1alpha1.Drill:
		for _, g := range drill.Gaps(v.Spec) {
			r.problem(o, g.Path, g.Reason, g.Message, g.Remedy)
		}
		if len(o.Invalid) == 0 {
			r.Drills = append(r.Drills, v)
		}
	case *v1alpha1.Operation:
		// It is among the orders already; see withDeclared.
		r.ordered = append(r.ordered, o)
	case *v1alpha1.FailoverPolicy:
		r.policies = append(r.policies, o)
	default:
		r.problem(o, "kind", "NotThePlatforms", "is not something that the hub obeys", "put it into clusters/<cluster>/")
	}
}

// withDeclared adds the Operations of the folder to the orders given, before
// any cluster is read: an order is in force wherever it stands in the folder.
func withDeclared(orders Orders, set objects.Set) Orders {
	all := Orders{}
	maps.Copy(all, orders)
	for o := range set.All() {
		if v, ok := o.Value.(*v1alpha1.Operation); ok {
			all["declared/"+v.Name] = v
		}
	}
	return all
}

// checkOrdered names the Operations of the folder that order what cannot be done.
func (r *platformReader) checkOrdered() {
	for _, o := range r.ordered {
		spec := o.Value.(*v1alpha1.Operation).Spec
		known := slices.ContainsFunc(r.Clusters, func(c Cluster) bool { return c.Name == string(spec.Cluster) })
		switch forCluster := spec.Kind == v1alpha1.OperationCordon || spec.Kind == v1alpha1.OperationDrain; {
		case spec.Kind == v1alpha1.OperationHold:
			r.problem(o, "spec.kind", "NotBuilt", "Hold is not obeyed", "order Freeze, or take it out")
		case forCluster && !known:
			r.problem(o, "spec.cluster", v1alpha1.ReasonNoSuchCluster, fmt.Sprintf("there is no cluster %q", spec.Cluster), "name one that is registered")
		case spec.Kind == v1alpha1.OperationFreeze && spec.Cluster != "":
			r.problem(o, "spec.cluster", "NotBuilt", "one cluster alone is not frozen: the whole fleet is", "take it out")
		}
	}
}

func (r *platformReader) cluster(o *objects.Object, c *v1alpha1.Cluster) {
	r.declared[c.Name] = true
	if c.Spec.Region == "" {
		r.problem(o, "spec.region", "Required", "is missing", "name the region that the cluster is in")
		return
	}
	if c.Spec.Capacity != nil {
		r.problem(o, "spec.capacity", "NotBuilt", "headroom is not obeyed", "take it out")
	}
	r.register(c)
}

func (r *platformReader) register(c *v1alpha1.Cluster) {
	out := Cluster{Name: c.Name, Region: string(c.Spec.Region), Zone: string(c.Spec.Zone), Provider: string(c.Spec.Provider), State: r.state(c)}
	for _, t := range c.Spec.Tenants {
		out.Tenants = append(out.Tenants, string(t))
	}
	r.Clusters = append(r.Clusters, out)
}

// state is the safest of what is declared and ordered for a cluster.
func (r *platformReader) state(c *v1alpha1.Cluster) table.PeerState {
	cordoned, drained := c.Spec.Cordoned, c.Spec.Drained
	for _, o := range r.orders {
		if string(o.Spec.Cluster) != c.Name || !InForce(o, r.now) {
			continue
		}
		cordoned = cordoned || o.Spec.Kind == v1alpha1.OperationCordon
		drained = drained || o.Spec.Kind == v1alpha1.OperationDrain
	}
	switch {
	case drained:
		return table.PeerDraining
	case cordoned:
		return table.PeerCordoned
	}
	return table.PeerReady
}

func (r *platformReader) frozen() {
	for _, o := range r.orders {
		if o.Spec.Kind == v1alpha1.OperationFreeze && InForce(o, r.now) {
			r.Settings.Frozen = true
		}
	}
}

func (r *platformReader) tenant(o *objects.Object, t *v1alpha1.Tenant) {
	if t.Spec.Limits != nil {
		r.problem(o, "spec.limits", "NotBuilt", "limits are not enforced, so the tenant is not admitted", "take them out")
		return
	}
	if t.Spec.Priority != 0 {
		r.problem(o, "spec.priority", "NotBuilt", "priority is not obeyed", "take it out")
	}
	out := Tenant{Name: t.Name, DefaultPlacement: t.Spec.DefaultPlacement, ServedBy: o.Annotations["nave.dev/served-by"] == "Enabled"}
	for i, n := range t.Spec.Namespaces {
		if n.Selector != nil {
			r.problem(o, fmt.Sprintf("spec.namespaces[%d].selector", i), "NotBuilt", "namespaces by label are not admitted", "name them")
		}
		claim := Claim{}
		for _, c := range n.Clusters {
			claim.Clusters = append(claim.Clusters, string(c))
		}
		for _, name := range n.Namespaces {
			claim.Namespaces = append(claim.Namespaces, string(name))
		}
		out.Claims = append(out.Claims, claim)
	}
	for _, h := range t.Spec.AllowedHostnames {
		out.AllowedHostnames = append(out.AllowedHostnames, string(h))
	}
	for _, region := range t.Spec.AllowedRegions {
		out.AllowedRegions = append(out.AllowedRegions, string(region))
	}
	for _, p := range t.Spec.AllowedProviders {
		out.AllowedProviders = append(out.AllowedProviders, string(p))
	}
	if t.Spec.Egress != nil {
		for i, c := range t.Spec.Egress.AllowedCIDRs {
			if _, err := netip.ParsePrefix(string(c)); err != nil {
				r.problem(o, fmt.Sprintf("spec.egress.allowedCIDRs[%d]", i), objects.ReasonInvalidValue, fmt.Sprintf("%q is no CIDR", c), "write it like 10.1.0.0/16")
				continue
			}
			out.AllowedAddresses = append(out.AllowedAddresses, string(c))
		}
	}
	r.Tenants = append(r.Tenants, out)
}

// checkTenants refuses what two tenants claim: a namespace is then neither's,
// and overlapping hostnames keep the later tenant by name out.
func (r *platformReader) checkTenants() {
	slices.SortFunc(r.Tenants, func(a, b Tenant) int { return cmp.Compare(a.Name, b.Name) })
	for i := range r.Tenants {
		for j := range r.Tenants[:i] {
			r.checkPair(&r.Tenants[j], &r.Tenants[i])
		}
	}
}

func (r *platformReader) checkPair(a, b *Tenant) {
	for _, c := range r.Clusters {
		for _, n := range a.Namespaces(c.Name) {
			if !slices.Contains(b.Namespaces(c.Name), n) {
				continue
			}
			r.Problems = append(r.Problems, objects.Problem{Cluster: c.Name, Object: "Tenant " + b.Name, Field: "spec.namespaces",
				Reason: v1alpha1.ReasonNamespaceConflict, Message: fmt.Sprintf("namespace %q is claimed by tenant %q too and belongs to neither", n, a.Name),
				Remedy: "take it out of one of the two"})
			a.disown(n)
			b.disown(n)
		}
	}
	for _, x := range a.AllowedHostnames {
		for _, y := range b.AllowedHostnames {
			if overlap(x, y) {
				r.Problems = append(r.Problems, objects.Problem{Object: "Tenant " + b.Name, Field: "spec.allowedHostnames",
					Reason: v1alpha1.ReasonHostnameConflict, Message: fmt.Sprintf("%q overlaps with %q of tenant %q", y, x, a.Name),
					Remedy: "give each name to one tenant"})
				b.AllowedHostnames = slices.DeleteFunc(b.AllowedHostnames, func(h string) bool { return h == y })
				if len(b.AllowedHostnames) == 0 {
					// An empty list would allow every name.
					b.AllowedHostnames = []string{"conflict.invalid"}
				}
			}
		}
	}
}

func (t *Tenant) disown(namespace string) {
	for i := range t.Claims {
		t.Claims[i].Namespaces = slices.DeleteFunc(slices.Clone(t.Claims[i].Namespaces), func(n string) bool { return n == namespace })
	}
}

// overlap tells whether some name is meant by both patterns.
func overlap(a, b string) bool {
	covers := func(wide, name string) bool {
		suffix, wild := strings.CutPrefix(wide, "*")
		return wild && strings.HasSuffix(name, suffix)
	}
	return a == b || covers(a, b) || covers(b, a)
}

func (r *platformReader) config(o *objects.Object, c *v1alpha1.FleetConfig) {
	if c.Name != v1alpha1.FleetConfigName {
		r.problem(o, "metadata.name", "Name", "is not obeyed: the one FleetConfig is named fleet", "name it fleet")
		return
	}
	r.Settings.Frozen = c.Spec.Automation == v1alpha1.FleetAutomationFrozen
	r.Settings.DefaultTenant = string(c.Spec.DefaultTenant)
	for path, set := range map[string]bool{
		"spec.probing": c.Spec.Probing != nil, "spec.certificates": c.Spec.Certificates != nil, "spec.gossip": c.Spec.Gossip != nil,
	} {
		if set {
			r.problem(o, path, "NotBuilt", "is not obeyed", "take it out")
		}
	}
	if c.Spec.Failover == nil {
		return
	}
	rules, refusals := failover.Apply(failover.Default(), *c.Spec.Failover, "spec.failover")
	for _, refusal := range refusals {
		r.problem(o, refusal.Path, "Invalid", refusal.Message, refusal.Remedy+"; until then Nave's own defaults hold")
	}
	if len(refusals) == 0 {
		r.Settings.Failover = rules
	}
}

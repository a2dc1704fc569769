package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/failover"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// What a backend gets where neither a policy nor the fleet says anything.
const (
	defaultAttempts = 3
	defaultMaxBody  = 4 << 20 // bytes
)

// failoverState is a FailoverPolicy as read.
type failoverState struct {
	targets []failoverTarget
	rules   v1alpha1.FailoverRules
	allowed []string
	regions map[string]string
	drift   v1alpha1.PolicyDrift
	// faults leave the policy out; partial ones a field of it.
	faults, partial []fault
	// unread: nobody knows what of the object was meant.
	unread bool
}

// failoverTarget is what a policy holds for: an object, or the part of it that
// section names, a Gateway's listener or a route's rule.
type failoverTarget struct {
	ref
	section string
}

// narrow tells whether a target is less than what a table's backend is derived
// for: its policy steers by rules.
func (t failoverTarget) narrow() bool {
	return t.Kind == kindRoute || t.Kind == kindGateway && t.section != ""
}

// failoverChoice is what is in force for a backend.
type failoverChoice struct {
	settings table.Failover
	regions  map[string]string
	drift    bool
	// limits are the lists of regions that are allowed, each by itself.
	limits [][]string
	// by are the policies in force, the most specific first.
	by []string
	// closed says why the backend is: a policy cannot be read, and could limit
	// residency, or no region is within all limits.
	closed string
}

func (s *schema) deriveFailover(l *derive.Look, r ref) *failoverState {
	o, p, ok := get[*v1alpha1.FailoverPolicy](s, l, r)
	if !ok {
		return &failoverState{}
	}
	f := &failoverState{rules: p.Spec.FailoverRules, drift: p.Spec.PolicyDrift, regions: failover.Regions(p.Spec.Providers), faults: invalid(o)}
	f.unread = unreadable(o)
	for _, x := range failover.Check(&p.Spec) {
		if x.Unbuilt {
			f.partial = append(f.partial, fault{x.Path, v1alpha1.ReasonUnsupportedField, x.Message, x.Remedy})
			continue
		}
		f.faults = append(f.faults, fault{x.Path, "Invalid", x.Message, x.Remedy})
	}
	for _, region := range p.Spec.AllowedRegions {
		f.allowed = append(f.allowed, string(region))
	}
	for _, t := range p.Spec.TargetRefs {
		key := objects.Key{Group: t.Group, Kind: t.Kind, Namespace: r.Namespace, Name: string(t.Name)}
		section := string(t.SectionName)
		if t.Kind != kindRoute && t.Kind != kindGateway {
			section = "" // is refused, and what is limited is then all of it
		}
		f.targets = append(f.targets, failoverTarget{ref{r.cluster, key}, section})
	}
	if len(f.targets) == 0 && !f.unread {
		f.faults = append(f.faults, fault{"spec.targetRefs", "Invalid", "is empty, so that it holds for nothing", "name what it is for; a tenant's default is declared in the hub"})
	}
	if slices.ContainsFunc(f.targets, failoverTarget.narrow) {
		f.ofInstances()
	}
	return f
}

// ofInstances refuses for a route or a listener what is decided for a backend's
// instances and not for requests.
func (f *failoverState) ofInstances() {
	refuse := func(field string) {
		f.partial = append(f.partial, fault{field, v1alpha1.ReasonUnsupportedField, "is not built yet for a route or a listener, and holds for the other targets only",
			"say it in a policy for the backend or for the whole Gateway"})
	}
	if f.drift == v1alpha1.PolicyDriftAllow {
		refuse("spec.policyDrift")
	}
	if len(f.regions) > 0 {
		refuse("spec.providers")
	}
}

// failoverFor is what is in force for a backend in a table wherever no rule is
// steered otherwise: what the fleet says, the tenant, the Gateway, the backend.
func (s *schema) failoverFor(l *derive.Look, n node, kind table.BackendKind) failoverChoice {
	var levels []failoverTarget
	if gateway, ok := s.gatewayOf(l, n); ok {
		levels = append(levels, failoverTarget{ref: gateway})
	}
	return s.choose(l, n, kind, append(levels, failoverTarget{ref: ref{n.view, n.key}}))
}

// gatewayOf is the Gateway whose table a node is in.
func (s *schema) gatewayOf(l *derive.Look, n node) (ref, bool) {
	namespace, name, ok := strings.Cut(n.table, "/")
	gateway := ref{n.view, objects.Key{Group: objects.GroupGateway, Kind: kindGateway, Namespace: namespace, Name: name}}
	return gateway, ok && s.gateways.Get(l, gateway).table == n.table
}

// choose puts the policies of levels over each other, the least specific first;
// each decides what those after it leave unset. Limits of regions add up: none
// lifts another.
func (s *schema) choose(l *derive.Look, n node, kind table.BackendKind, levels []failoverTarget) failoverChoice {
	choice := failoverChoice{regions: map[string]string{}}
	if fleet, ok := s.fleet.Get(l, only); ok {
		choice.settings = fleet.Failover
	}
	tenant := s.tenant(l, s.owners.Get(l, place{n.view, n.key.Namespace}).tenant)
	if d := tenant.Failover; d != nil {
		choice.settings, choice.drift, choice.closed = d.Settings, d.PolicyDrift, d.Closed
		maps.Copy(choice.regions, d.Regions)
		choice.limit(d.Settings.AllowedRegions)
	}
	for _, level := range levels {
		holder, ok := s.failoverOn(l, level)
		if !ok {
			continue
		}
		f := s.failovers.Get(l, holder)
		choice.limit(f.allowed)
		if len(f.faults) > 0 {
			if f.unread && choice.closed == "" {
				choice.closed = v1alpha1.ReasonPolicyInvalid + ": " + holder.Key.String() + ": " + join(f.faults)
			}
			continue
		}
		choice.settings, _ = failover.Apply(choice.settings, f.rules, "spec")
		choice.by = append([]string{holder.Key.String()}, choice.by...)
		if f.drift != "" {
			choice.drift = f.drift == v1alpha1.PolicyDriftAllow
		}
		maps.Copy(choice.regions, f.regions)
	}
	choice.finish(tenant.AllowedRegions, kind)
	return choice
}

func (c *failoverChoice) limit(regions []string) {
	if len(regions) > 0 {
		c.limits = append(c.limits, regions)
	}
}

// finish fills in what nobody says, and makes one limit of all.
func (c *failoverChoice) finish(tenant []string, kind table.BackendKind) {
	t := &c.settings
	t.Order = cmp.Or(t.Order, table.ByLatency)
	t.Attempts = cmp.Or(t.Attempts, defaultAttempts)
	t.MaxBody = cmp.Or(t.MaxBody, defaultMaxBody)
	if len(t.Triggers) == 0 && kind == table.BackendAI {
		for _, x := range v1alpha1.Triggers() {
			t.Triggers = append(t.Triggers, table.Trigger(x))
		}
	}
	if len(tenant) > 0 {
		c.limits = append([][]string{tenant}, c.limits...)
	}
	t.AllowedRegions = nil
	for i, limit := range c.limits {
		if i == 0 {
			t.AllowedRegions = slices.Clone(limit)
			continue
		}
		t.AllowedRegions = slices.DeleteFunc(t.AllowedRegions, func(r string) bool { return !slices.Contains(limit, r) })
	}
	if len(c.limits) > 0 && len(t.AllowedRegions) == 0 {
		t.AllowedRegions = c.limits[0]
		if c.closed == "" {
			c.closed = fmt.Sprintf("%s: no region is within every limit of %v", v1alpha1.ReasonRegionNotAllowed, c.limits)
		}
	}
}

// failoverOn is the policy that holds a target: the oldest, then the first by
// name. One with faults is not obeyed, but for the regions that it allows,
// which are the hard limit.
func (s *schema) failoverOn(l *derive.Look, t failoverTarget) (ref, bool) {
	var list []ref
	for _, r := range s.policiesOn.Get(l, target{kindFailover, t.ref}) {
		if slices.Contains(s.failovers.Get(l, r).targets, t) {
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return ref{}, false
	}
	return slices.MinFunc(list, func(a, b ref) int {
		x, _ := s.objects.Get(l, a)
		y, _ := s.objects.Get(l, b)
		return cmp.Or(x.Created.Compare(y.Created), compareRef(a, b))
	}), true
}

package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// What a backend gets where neither a policy nor the fleet says anything.
const (
	defaultAttempts = 3
	defaultMaxBody  = 4 << 20 // bytes
	// maxBodyLimit bounds what a policy may ask a proxy to keep for each request.
	maxBodyLimit = 64 << 20 // bytes
	maxAttempts  = 16
)

// failoverState is a FailoverPolicy as read.
type failoverState struct {
	settings        table.Failover
	set             failoverSet
	allowed         []string
	regions         map[string]string
	drift           bool
	faults, partial []fault
	// closes tells that an HTTPRoute is targeted and residency asked for, which
	// is not built: the route is closed.
	closes bool
	// unread: the object itself is invalid.
	unread bool
}

// failoverSet tells which of the settings are declared.
type failoverSet struct {
	order, triggers, attempts, timeout, budget, maxBody, unsafe, window, ramp, margin bool
}

// failoverChoice is what is in force for a backend in a table.
type failoverChoice struct {
	settings table.Failover
	regions  map[string]string
	drift    bool
	// closed says why the backend is: its policy cannot be read, and could limit
	// residency.
	closed string
}

var builtFailover = built("targetRefs", "order", "triggers", "retry", "failback", "allowedRegions", "providers.name",
	"providers.region", "policyDrift", "automation", "credentials")

func (s *schema) deriveFailover(l *derive.Look, r ref) *failoverState {
	o, p, ok := get[*v1alpha1.FailoverPolicy](s, l, r)
	if !ok {
		return &failoverState{}
	}
	f := &failoverState{faults: invalid(o), drift: p.Spec.PolicyDrift == v1alpha1.PolicyDriftAllow, regions: map[string]string{}}
	f.unread = len(f.faults) > 0
	for _, path := range unbuilt(o, builtFailover) {
		f.partial = append(f.partial, notBuilt(path))
	}
	if p.Spec.Credentials == v1alpha1.CredentialsSealed {
		f.partial = append(f.partial, fault{"spec.credentials", v1alpha1.ReasonUnsupportedField, "Sealed is not built yet; keys stay where they are", "use Local"})
	}
	for _, region := range p.Spec.AllowedRegions {
		f.allowed = append(f.allowed, string(region))
	}
	for _, x := range p.Spec.Providers {
		if x.Region != "" {
			f.regions[string(x.Name)] = string(x.Region)
		}
	}
	f.order(p.Spec.Order)
	f.retry(&p.Spec.FailoverRules)
	f.failback(p.Spec.Failback)
	f.targets(p)
	return f
}

func (f *failoverState) invalid(field, message string) {
	f.faults = append(f.faults, fault{field, "Invalid", message, "correct it"})
}

func (f *failoverState) targets(p *v1alpha1.FailoverPolicy) {
	for i, t := range p.Spec.TargetRefs {
		path := fmt.Sprintf("spec.targetRefs[%d]", i)
		if t.SectionName != "" {
			f.faults = append(f.faults, notBuilt(path+".sectionName"))
		}
		if t.Kind == kindRoute {
			f.faults = append(f.faults, fault{path + ".kind", v1alpha1.ReasonUnsupportedField, "HTTPRoute is not built yet", "target the backend or the Gateway"})
			f.closes = f.closes || len(f.allowed) > 0
		}
	}
}

func (f *failoverState) order(o *v1alpha1.FailoverOrder) {
	if o == nil {
		return
	}
	f.set.order = true
	f.settings.Order = table.OrderBy(o.By)
	f.settings.Margin = f.duration(o.LatencyMargin, "spec.order.latencyMargin")
	for _, r := range o.Regions {
		f.settings.Regions = append(f.settings.Regions, string(r))
	}
	switch o.By {
	case v1alpha1.OrderByRegion:
		if len(o.Regions) == 0 {
			f.invalid("spec.order.regions", "order by Region needs regions")
		}
	case v1alpha1.OrderByLatency, v1alpha1.OrderByStatic:
	case v1alpha1.OrderByCost:
		f.partial = append(f.partial, fault{"spec.order.by", v1alpha1.ReasonUnsupportedField, "Cost is not built yet; the order is by latency", "use Region, Latency or Static"})
		f.settings.Order = table.ByLatency
	default:
		f.invalid("spec.order.by", fmt.Sprintf("there is no order by %q", o.By))
	}
}

func (f *failoverState) retry(r *v1alpha1.FailoverRules) {
	for i, t := range r.Triggers {
		if !slices.Contains(v1alpha1.Triggers(), t) {
			f.invalid(fmt.Sprintf("spec.triggers[%d]", i), fmt.Sprintf("there is no trigger %q", t))
		}
		f.settings.Triggers, f.set.triggers = append(f.settings.Triggers, table.Trigger(t)), true
	}
	if r.Retry == nil {
		return
	}
	if a := r.Retry.Attempts; a != nil {
		if f.settings.Attempts, f.set.attempts = int(*a), true; *a < 1 || *a > maxAttempts {
			f.invalid("spec.retry.attempts", fmt.Sprintf("%d is not within 1 and %d", *a, maxAttempts))
		}
	}
	f.settings.PerAttemptTimeout, f.set.timeout = f.duration(r.Retry.PerAttemptTimeout, "spec.retry.perAttemptTimeout"), r.Retry.PerAttemptTimeout != ""
	if b := r.Retry.BudgetPercent; b != nil {
		if f.settings.BudgetPercent, f.set.budget = int(*b), true; *b < 0 || *b > 100 {
			f.invalid("spec.retry.budgetPercent", fmt.Sprintf("%d is no share of a hundred", *b))
		}
	}
	if m := r.Retry.MaxBodySize; m != nil {
		if f.settings.MaxBody, f.set.maxBody = m.Value(), true; m.Value() < 0 || m.Value() > maxBodyLimit {
			f.invalid("spec.retry.maxBodySize", fmt.Sprintf("%s is not within 0 and %d bytes", m, maxBodyLimit))
		}
	}
	f.settings.ReplayUnsafe, f.set.unsafe = r.Retry.ReplayUnsafe, r.Retry.ReplayUnsafe
}

// failback reads when traffic comes back. A ramp's steps last as long together
// as the table's even ramp does.
func (f *failoverState) failback(b *v1alpha1.Failback) {
	if b == nil {
		return
	}
	f.settings.Failback.Window, f.set.window = f.duration(b.StabilizationWindow, "spec.failback.stabilizationWindow"), b.StabilizationWindow != ""
	if r := b.Ramp; r != nil {
		f.settings.Failback.Ramp, f.set.ramp = table.Duration(len(r.Steps))*f.duration(r.StepDuration, "spec.failback.ramp.stepDuration"), true
	}
	if m := b.Margin; m != nil {
		f.set.margin = true
		f.settings.Failback.Absolute = f.duration(m.Absolute, "spec.failback.margin.absolute")
		if m.Percent != nil {
			f.settings.Failback.Percent = int(*m.Percent)
		}
	}
}

func (f *failoverState) duration(d v1alpha1.Duration, field string) table.Duration {
	v, err := d.Or(0)
	if err != nil {
		f.invalid(field, fmt.Sprintf("%q is no duration", string(d)))
	}
	return table.Duration(v.Round(time.Millisecond))
}

// over puts what a policy declares over what is there.
func (f *failoverState) over(t *table.Failover) {
	put := func(set bool, do func()) {
		if set {
			do()
		}
	}
	put(f.set.order, func() {
		t.Order, t.Regions, t.Margin = f.settings.Order, f.settings.Regions, cmp.Or(f.settings.Margin, t.Margin)
	})
	put(f.set.triggers, func() { t.Triggers = f.settings.Triggers })
	put(f.set.attempts, func() { t.Attempts = f.settings.Attempts })
	put(f.set.timeout, func() { t.PerAttemptTimeout = f.settings.PerAttemptTimeout })
	put(f.set.budget, func() { t.BudgetPercent = f.settings.BudgetPercent })
	put(f.set.maxBody, func() { t.MaxBody = f.settings.MaxBody })
	put(f.set.unsafe, func() { t.ReplayUnsafe = true })
	put(f.set.window, func() { t.Failback.Window = f.settings.Failback.Window })
	put(f.set.ramp, func() { t.Failback.Ramp = f.settings.Failback.Ramp })
	put(f.set.margin, func() {
		t.Failback.Absolute, t.Failback.Percent = f.settings.Failback.Absolute, f.settings.Failback.Percent
	})
	if len(f.allowed) > 0 {
		t.AllowedRegions = f.allowed
	}
}

// failoverFor is what is in force for a backend in a table: the fleet's
// defaults, then the Gateway's policy, then the backend's.
func (s *schema) failoverFor(l *derive.Look, n node, kind table.BackendKind) failoverChoice {
	choice := failoverChoice{regions: map[string]string{}}
	if fleet, ok := s.fleet.Get(l, only); ok {
		choice.settings = fleet.Failover
	}
	targets := []ref{{n.view, n.key}}
	if namespace, name, ok := strings.Cut(n.table, "/"); ok {
		gateway := ref{n.view, objects.Key{Group: objects.GroupGateway, Kind: kindGateway, Namespace: namespace, Name: name}}
		if s.gateways.Get(l, gateway).table == n.table {
			targets = []ref{gateway, targets[0]}
		}
	}
	for _, t := range targets {
		holder, ok := s.failoverOn(l, t)
		if !ok {
			continue
		}
		f := s.failovers.Get(l, holder)
		if len(f.faults) > 0 {
			if len(f.allowed) > 0 {
				choice.settings.AllowedRegions = f.allowed
			}
			if f.unread && choice.closed == "" {
				choice.closed = v1alpha1.ReasonPolicyInvalid + ": " + holder.Key.String() + ": " + join(f.faults)
			}
			continue
		}
		f.over(&choice.settings)
		choice.drift = choice.drift || f.drift
		for name, region := range f.regions {
			choice.regions[name] = region
		}
	}
	t := &choice.settings
	t.Order = cmp.Or(t.Order, table.ByLatency)
	t.Attempts = cmp.Or(t.Attempts, defaultAttempts)
	t.MaxBody = cmp.Or(t.MaxBody, defaultMaxBody)
	if len(t.Triggers) == 0 && kind == table.BackendAI {
		for _, x := range v1alpha1.Triggers() {
			t.Triggers = append(t.Triggers, table.Trigger(x))
		}
	}
	return choice
}

// failoverOn is the policy that holds a target: the oldest, then the first by
// name. One with faults is not obeyed, but for the regions that it allows,
// which are the hard limit.
func (s *schema) failoverOn(l *derive.Look, t ref) (ref, bool) {
	list := s.policiesOn.Get(l, target{kindFailover, t})
	if len(list) == 0 {
		return ref{}, false
	}
	slices.SortStableFunc(list, func(a, b ref) int {
		x, _ := s.objects.Get(l, a)
		y, _ := s.objects.Get(l, b)
		return cmp.Or(x.Created.Compare(y.Created), compareRef(a, b))
	})
	return list[0], true
}

func (s *schema) productOfFailover(l *derive.Look, r ref, o *objects.Object) product {
	p, ok := o.Value.(*v1alpha1.FailoverPolicy)
	if !ok || r.cluster != s.options.Cluster {
		return product{}
	}
	f := s.failovers.Get(l, r)
	status := &gwv1.PolicyStatus{Ancestors: []gwv1.PolicyAncestorStatus{}}
	faults := append(slices.Clone(f.faults), f.partial...)
	for i, t := range p.Spec.TargetRefs {
		key := objects.Key{Group: t.Group, Kind: t.Kind, Namespace: r.Namespace, Name: string(t.Name)}
		accepted := yes(v1alpha1.ConditionAccepted, string(gwv1.PolicyReasonAccepted), "is in force")
		holder, _ := s.failoverOn(l, ref{r.cluster, key})
		_, exists := s.objects.Get(l, ref{r.cluster, key})
		switch {
		case len(f.faults) > 0:
			accepted = no(accepted.kind, string(gwv1.PolicyReasonInvalid), join(f.faults))
		case !exists:
			accepted = no(accepted.kind, string(gwv1.PolicyReasonTargetNotFound), key.String()+" is not found")
		case holder != r:
			accepted = no(accepted.kind, string(gwv1.PolicyReasonConflicted), holder.Key.String()+" holds the target and was first")
		}
		if accepted.status != "True" && len(f.faults) == 0 {
			faults = append(faults, fault{fmt.Sprintf("spec.targetRefs[%d]", i), accepted.reason, accepted.message, "correct the reference"})
		}
		conditions := []condition{accepted}
		if len(f.partial) > 0 {
			conditions = append(conditions, yes(v1alpha1.ConditionPartiallyInvalid, v1alpha1.ReasonUnsupportedField, join(f.partial)))
		}
		status.Ancestors = appendAncestor(status.Ancestors, parentReference(key, string(t.SectionName)), at(o.Generation, conditions...))
	}
	return product{status: &objects.Status{Key: r.Key, Generation: o.Generation, Value: status}, problems: s.problems(o, faults[min(len(o.Invalid), len(faults)):])}
}

package translate

import (
	"fmt"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// attachment is how a route hangs on its parents.
type attachment struct{ parents []parent }

// parent is one parentRef that is ours.
type parent struct {
	ref      gwv1.ParentReference
	field    string
	gateway  ref
	accepted condition
	// table is the Gateway's, "" where it has none here; away: see gatewayState.
	table string
	away  bool
	// tenant is the Gateway's.
	tenant string
	// binds are to listeners that serve, listeners all that it is attached to.
	binds     []table.Bind
	listeners []string
	// partial are host names that are not served.
	partial []fault
}

func (s *schema) deriveAttachment(l *derive.Look, r ref) *attachment {
	_, route, ok := get[*gwv1.HTTPRoute](s, l, r)
	if !ok {
		return &attachment{}
	}
	whose := s.owners.Get(l, place{r.cluster, r.Namespace})
	veto, vetoed := refused(s.verdict(l, r))
	a := &attachment{}
	for i, p := range route.Spec.ParentRefs {
		got, ours := s.attach(l, r, route, p)
		if !ours {
			continue
		}
		got.ref, got.field = p, fmt.Sprintf("spec.parentRefs[%d]", i)
		switch {
		case whose.reason != "":
			got.accepted = whose.accepted()
		case vetoed:
			got.accepted = veto
		case got.tenant != "" && got.tenant != whose.tenant:
			got.accepted = no(v1alpha1.ConditionAccepted, string(gwv1.RouteReasonNotAllowedByListeners), "the Gateway belongs to another tenant; use a Gateway of your own")
		}
		if got.accepted.status != "True" {
			got.binds, got.listeners, got.partial = nil, nil, nil
		}
		a.parents = append(a.parents, got)
	}
	return a
}

// attach finds the listeners that a parentRef leads to.
func (s *schema) attach(l *derive.Look, r ref, route *gwv1.HTTPRoute, p gwv1.ParentReference) (parent, bool) {
	key := gatewayKey(p, r.Namespace)
	got := parent{gateway: ref{r.cluster, key}}
	if key.Group != objects.GroupGateway || key.Kind != kindGateway {
		return got, false
	}
	g := s.gateways.Get(l, got.gateway)
	if !g.owned {
		_, exists := s.objects.Get(l, got.gateway)
		if exists || !s.options.Standalone || r.cluster != s.options.Cluster {
			return got, false
		}
		got.accepted = no(v1alpha1.ConditionAccepted, string(gwv1.RouteReasonNoMatchingParent), key.String()+" is not found; declare it, or correct the name")
		return got, true
	}
	got.tenant, got.away, got.table = g.tenant, g.away, g.table
	reason, message := gwv1.RouteReasonNoMatchingParent, "no listener of "+key.String()+" has this name or port; correct sectionName or port"
	for i := range g.listeners {
		x := &g.listeners[i]
		if p.SectionName != nil && string(*p.SectionName) != x.name || p.Port != nil && *p.Port != int32(x.port) {
			continue
		}
		if !x.routes || !s.admits(l, got.gateway, x, r.Namespace) {
			if reason == gwv1.RouteReasonNoMatchingParent {
				reason, message = gwv1.RouteReasonNotAllowedByListeners, "no listener allows HTTPRoutes of namespace "+r.Namespace+"; allow it in a listener's allowedRoutes, or declare the route in one that is allowed"
			}
			continue
		}
		names := hostnamesOf(route)
		hostnames := common([]string{x.hostname}, names)
		if len(hostnames) == 0 || len(names) == 0 && len(route.Spec.Hostnames) > 0 {
			reason, message = gwv1.RouteReasonNoMatchingListenerHostname, "no listener serves a host name of this route; correct its hostnames, or a listener's hostname"
			continue
		}
		allowed := s.tenant(l, g.tenant).AllowedHostnames
		if hostnames = common(allowed, hostnames); len(hostnames) == 0 {
			reason, message = v1alpha1.ReasonHostnameNotAllowed, "the tenant may not serve a host name of this route; ask the platform team to allow one, or use another"
			continue
		}
		got.partial = appendNew(got.partial, disallowed(route, x.hostname, allowed))
		got.listeners = append(got.listeners, x.name)
		if x.serves {
			got.binds = append(got.binds, table.Bind{Listener: key.Namespace + "/" + key.Name + "/" + x.name, Hostnames: hostnames})
		}
	}
	got.accepted = yes(v1alpha1.ConditionAccepted, string(gwv1.RouteReasonAccepted), "attached to "+strings.Join(got.listeners, ", "))
	if len(got.listeners) == 0 {
		got.accepted = no(v1alpha1.ConditionAccepted, string(reason), message)
	}
	return got, true
}

// hostnamesOf are the host names of a route that are some.
func hostnamesOf(route *gwv1.HTTPRoute) []string {
	var out []string
	for _, h := range route.Spec.Hostnames {
		if name := strings.ToLower(string(h)); validHostname(name) {
			out = append(out, name)
		}
	}
	return out
}

// disallowed names the host names of a route that a listener would serve and
// the tenant may not.
func disallowed(route *gwv1.HTTPRoute, listener string, allowed []string) []fault {
	var out []fault
	for i, h := range route.Spec.Hostnames {
		name := []string{strings.ToLower(string(h))}
		if len(common([]string{listener}, name)) > 0 && len(common(allowed, name)) == 0 {
			out = append(out, fault{
				fmt.Sprintf("spec.hostnames[%d]", i), v1alpha1.ReasonHostnameNotAllowed,
				fmt.Sprintf("the tenant may not serve %q, so that it is not served", h), "ask the platform team to allow it, or remove it",
			})
		}
	}
	return out
}

// productOfRoute puts a route's rules and policies into its Gateways' tables.
func (s *schema) productOfRoute(l *derive.Look, r ref, o *objects.Object) product {
	a, set := s.attachments.Get(l, r), s.ruleSets.Get(l, r)
	p := product{}
	tables := map[string]bool{}
	for _, x := range a.parents {
		if len(x.listeners) == 0 {
			continue
		}
		for _, name := range x.listeners {
			id := listenerID{x.gateway.Key, name}
			if r.cluster == s.options.Cluster && !set.rejected() && !slices.Contains(p.attached, id) {
				p.attached = append(p.attached, id)
			}
		}
		if x.away {
			p.roots = append(p.roots, s.lend(l, r, x.tenant, set)...)
		}
		if x.table == "" || len(x.binds) == 0 || tables[x.table] {
			continue
		}
		tables[x.table] = true
		for i := range set.rules {
			if !set.rules[i].unmatched {
				p.roots = append(p.roots, root{x.table, ruleNode(r, x.table, i)})
			}
		}
		for _, policy := range s.policiesFor(l, r) {
			p.roots = append(p.roots, root{x.table, policyNode(s, policy)})
		}
	}
	p.roots = uniqueRoots(p.roots)
	if r.cluster == s.options.Cluster && len(a.parents) > 0 {
		p.status = &objects.Status{Key: r.Key, File: o.File, Generation: o.Generation, Value: s.routeStatus(l, r, o, a, set)}
		p.problems = s.routeProblems(o, a, set)
	}
	return p
}

func uniqueRoots(roots []root) []root {
	seen := make(map[root]bool, len(roots))
	return slices.DeleteFunc(roots, func(x root) bool {
		was := seen[x]
		seen[x] = true
		return was
	})
}

// lend puts the backends of a route whose Gateway runs in other clusters only
// into the tenant's tables here, where the link serves them.
func (s *schema) lend(l *derive.Look, r ref, tenant string, set *ruleSet) []root {
	var roots []root
	for _, name := range s.tenantTables.Get(l, tenant) {
		for _, x := range set.rules {
			for _, b := range x.backends {
				roots = append(roots, root{name, backendNode(r.cluster, name, b.key, b.port)})
			}
		}
	}
	return roots
}

func ruleNode(r ref, tableName string, i int) node {
	return node{view: r.cluster, table: tableName, key: r.Key, index: i, id: table.ID{Kind: table.KindRule, Name: r.Key.String() + "/" + itoa(i)}}
}

func (s *schema) pieceOfRule(l *derive.Look, n node) piece {
	r := ref{n.view, n.key}
	set, a := s.ruleSets.Get(l, r), s.attachments.Get(l, r)
	if n.index >= len(set.rules) {
		return piece{}
	}
	x := set.rules[n.index]
	resource := x.rule
	for _, p := range a.parents {
		if p.table != n.table {
			continue
		}
		for _, b := range p.binds {
			resource.Binds = bind(resource.Binds, b)
		}
	}
	s.steer(l, n, &resource, x.backends)
	out := piece{resource: &resource}
	for _, b := range x.backends {
		out.needs = append(out.needs, backendNode(n.view, n.table, b.key, b.port))
	}
	out.needs = uniqueNodes(out.needs)
	return out
}

// bind adds a bind to a sorted list, merged with one to the same listener.
func bind(list []table.Bind, b table.Bind) []table.Bind {
	for i := range list {
		if list[i].Listener == b.Listener {
			list[i].Hostnames = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(list[i].Hostnames), b.Hostnames...))))
			return list
		}
	}
	list = append(list, b)
	slices.SortFunc(list, func(a, b table.Bind) int { return strings.Compare(a.Listener, b.Listener) })
	return list
}

func (s *schema) routeStatus(l *derive.Look, r ref, o *objects.Object, a *attachment, set *ruleSet) *gwv1.RouteStatus {
	status := &gwv1.RouteStatus{}
	for _, p := range a.parents {
		accepted := p.accepted
		switch {
		case accepted.status != "True":
		case set.rejected():
			accepted = no(v1alpha1.ConditionAccepted, string(gwv1.RouteReasonUnsupportedValue), join(slices.Concat(set.unread, set.refused)))
		}
		conditions := []condition{accepted, set.resolved}
		if partial := slices.Concat(set.partial, p.partial); len(partial) > 0 && !set.rejected() {
			conditions = append(conditions, yes(v1alpha1.ConditionPartiallyInvalid, partial[0].reason, set.partialMessage(partial)))
		}
		status.Parents = append(status.Parents, gwv1.RouteParentStatus{
			ParentRef: p.ref, ControllerName: v1alpha1.ControllerName,
			Conditions: overlay(at(o.Generation, conditions...), s.verdict(l, r)),
		})
	}
	return status
}

func (s *schema) routeProblems(o *objects.Object, a *attachment, set *ruleSet) []objects.Problem {
	var faults []fault
	for _, p := range a.parents {
		if p.accepted.status != "True" && len(o.Invalid) == 0 {
			f := waiting(p.accepted)
			f.field = p.field
			faults = append(faults, f)
		}
		faults = append(faults, p.partial...)
	}
	faults = append(faults, set.refused...)
	faults = append(faults, set.partial...)
	faults = append(faults, set.unresolved...)
	return s.problems(o, append(faults, set.idle...))
}

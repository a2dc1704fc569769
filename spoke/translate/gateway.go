package translate

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// gatewayState is a Gateway as this cluster sees it.
type gatewayState struct {
	// owned: of one of our classes, or placed here.
	owned bool
	// table is its name here, "" where it has none; away tells that it is placed
	// in other clusters only, so that this one still serves them.
	table  string
	away   bool
	tenant string
	// accepted is the condition; partial are faults that leave it serving.
	accepted  condition
	partial   []fault
	faults    []fault
	listeners []listenerState
	info      TableInfo
}

func gatewayKey(p gwv1.ParentReference, namespace string) objects.Key {
	k := objects.Key{Group: objects.GroupGateway, Kind: kindGateway, Namespace: namespace, Name: string(p.Name)}
	if p.Group != nil {
		k.Group = string(*p.Group)
	}
	if p.Kind != nil {
		k.Kind = string(*p.Kind)
	}
	if p.Namespace != nil {
		k.Namespace = string(*p.Namespace)
	}
	return k
}

// builtGateway are the fields of a Gateway that are built. Those left out and
// under spec.tls restrict: with one of them set the Gateway is not served.
var builtGateway = built("gatewayClassName", "addresses", "infrastructure.labels", "infrastructure.annotations",
	"infrastructure.parametersRef", "listeners.name", "listeners.hostname", "listeners.port", "listeners.protocol",
	"listeners.tls.mode", "listeners.tls.certificateRefs", "listeners.tls.options", "listeners.allowedRoutes")

func (s *schema) deriveGateway(l *derive.Look, r ref) *gatewayState {
	o, gw, ok := get[*gwv1.Gateway](s, l, r)
	if !ok {
		return &gatewayState{}
	}
	g := &gatewayState{}
	class := ref{r.cluster, objects.Key{Group: objects.GroupGateway, Kind: kindClass, Name: string(gw.Spec.GatewayClassName)}}
	if r.cluster == s.options.Cluster {
		g.owned = s.classes.Get(l, class).owned
	} else {
		_, g.owned = s.hosted(l, r)
	}
	if !g.owned {
		return g
	}
	whose := s.owners.Get(l, place{r.cluster, r.Namespace})
	g.tenant = whose.tenant
	g.info = TableInfo{Name: r.Namespace + "/" + r.Name, Tenant: g.tenant, Gateway: r.Key, Home: r.cluster, Class: class.Name, Replicas: 1}
	g.listeners, g.partial = s.deriveListeners(l, r, gw)
	s.infrastructure(l, r, gw, class, g)
	g.accepted = s.acceptGateway(l, r, o, gw, whose, g)
	if g.accepted.status == "True" {
		s.locate(l, r, g)
	}
	return g
}

// infrastructure reads labels, annotations and parameters.
func (s *schema) infrastructure(l *derive.Look, r ref, gw *gwv1.Gateway, class ref, g *gatewayState) {
	if p := s.classes.Get(l, class).parameters; p != "" {
		g.info.Parameters = append(g.info.Parameters, p)
	}
	if i := gw.Spec.Infrastructure; i != nil {
		for k, v := range i.Labels {
			g.info.Labels = with(g.info.Labels, string(k), string(v))
		}
		for k, v := range i.Annotations {
			g.info.Annotations = with(g.info.Annotations, string(k), string(v))
		}
		if p := i.ParametersRef; p != nil {
			spec, faults := s.parameters(l, r.cluster, r.Namespace, string(p.Group), string(p.Kind), p.Name)
			for _, f := range faults {
				f.field = "spec.infrastructure.parametersRef"
				g.faults = append(g.faults, f)
			}
			if spec != "" {
				g.info.Parameters = append(g.info.Parameters, spec)
			}
		}
	}
	g.info.infer(r.cluster == s.options.Cluster)
}

func with(m map[string]string, k, v string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[k] = v
	return m
}

// acceptGateway says whether a Gateway is understood and allowed.
func (s *schema) acceptGateway(l *derive.Look, r ref, o *objects.Object, gw *gwv1.Gateway, whose owner, g *gatewayState) condition {
	const accepted = v1alpha1.ConditionAccepted
	for _, path := range unbuilt(o, builtGateway) {
		if strings.HasPrefix(path, "spec.tls") {
			g.faults = append(g.faults, notBuilt(path))
		} else {
			g.partial = append(g.partial, notBuilt(path))
		}
	}
	if len(gw.Spec.Addresses) > 0 {
		g.faults = append(g.faults, fault{field: "spec.addresses", reason: string(gwv1.GatewayReasonUnsupportedAddress),
			message: "addresses cannot be asked for", remedy: "remove it"})
	}
	if whose.reason != "" {
		return whose.accepted()
	}
	if c, is := refused(s.verdict(l, r)); is {
		return c
	}
	if faults := append(invalid(o), g.faults...); len(faults) > 0 {
		return no(accepted, faults[0].reason, join(faults))
	}
	var wrong []string
	for _, x := range g.listeners {
		if x.accepted.status != "True" {
			wrong = append(wrong, x.name)
		}
	}
	switch {
	case len(wrong) == len(g.listeners):
		return no(accepted, string(gwv1.GatewayReasonListenersNotValid), "no listener is valid; see the listeners' conditions")
	case len(wrong) > 0:
		return yes(accepted, string(gwv1.GatewayReasonListenersNotValid), "not served: listeners "+strings.Join(wrong, ", "))
	}
	return yes(accepted, string(gwv1.GatewayReasonAccepted), "all listeners are valid")
}

// locate says where an accepted Gateway has its table.
func (s *schema) locate(l *derive.Look, r ref, g *gatewayState) {
	if r.cluster == s.options.Cluster {
		if p, ok := s.placements.Get(l, r.cluster+"/"+g.info.Name); ok && !slices.Contains(p.Hosts, r.cluster) {
			g.away = true
			return
		}
		if _, taken := s.tenants.Get(l, r.Name); taken && r.Namespace == "tenant" {
			g.accepted = no(v1alpha1.ConditionAccepted, v1alpha1.ReasonNameTaken,
				fmt.Sprintf("%q is the name of a tenant's own table; name the Gateway otherwise", g.info.Name))
			return
		}
		g.table = g.info.Name
		return
	}
	if _, taken := s.nameTaken(l, r); !taken {
		g.table = g.info.Name
	}
}

// hosted tells whether a Gateway of another cluster is placed here.
func (s *schema) hosted(l *derive.Look, r ref) (*assignment.Placement, bool) {
	p, ok := s.placements.Get(l, r.cluster+"/"+r.Namespace+"/"+r.Name)
	if !ok || !slices.Contains(p.Hosts, s.options.Cluster) {
		return nil, false
	}
	return p, true
}

// nameTaken tells by whom a placed Gateway's name is held here: a Gateway of
// this cluster, else the placement that comes first.
func (s *schema) nameTaken(l *derive.Look, r ref) (string, bool) {
	if s.gateways.Get(l, ref{s.options.Cluster, r.Key}).owned {
		return s.options.Cluster, true
	}
	for _, key := range s.placedAs.Get(l, r.Namespace+"/"+r.Name) {
		p, _ := s.placements.Get(l, key)
		if slices.Contains(p.Hosts, s.options.Cluster) && p.Home != s.options.Cluster {
			return p.Home, p.Home != r.cluster
		}
	}
	return "", false
}

// tableRoots are what a Gateway's table begins with; routes add their own.
func (s *schema) tableRoots(l *derive.Look, r ref, g *gatewayState) []root {
	roots := []root{{g.table, node{view: r.cluster, table: g.table, id: (&table.Self{}).ID(), key: r.Key, entry: g.tenant}}}
	for _, x := range g.listeners {
		if x.serves {
			roots = append(roots, root{g.table, node{
				view: r.cluster, table: g.table, key: r.Key, entry: x.name,
				id: table.ID{Kind: table.KindListener, Name: r.Namespace + "/" + r.Name + "/" + x.name},
			}})
		}
	}
	for _, p := range s.policiesFor(l, r) {
		roots = append(roots, root{g.table, policyNode(s, p)})
	}
	return roots
}

func (s *schema) productOfGateway(l *derive.Look, r ref, o *objects.Object) product {
	g := s.gateways.Get(l, r)
	if r.cluster != s.options.Cluster {
		return product{problems: s.problems(o, s.taken(l, g))}
	}
	if !g.owned {
		return s.productOfStranger(o)
	}
	p := product{}
	if g.table != "" {
		p.table, p.roots = &g.info, s.tableRoots(l, r, g)
	}
	faults := append(slices.Clone(g.faults), g.partial...)
	for _, x := range g.listeners {
		faults = append(faults, x.faults...)
	}
	faults = append(faults, s.taken(l, g)...)
	p.problems = s.problems(o, faults)
	if g.accepted.status != "True" && len(faults) == 0 && len(o.Invalid) == 0 {
		p.problems = s.problems(o, []fault{waiting(g.accepted)})
	}
	p.status = &objects.Status{Key: r.Key, File: o.File, Generation: o.Generation, Value: s.gatewayStatus(l, r, o, g)}
	return p
}

// taken are the faults of ports that the proxies here could not have.
func (s *schema) taken(l *derive.Look, g *gatewayState) []fault {
	facts, _ := s.facts.Get(l, g.table)
	var out []fault
	for _, x := range g.listeners {
		out = append(out, x.taken(facts.Elsewhere[x.name])...)
	}
	return out
}

// productOfStranger tells of a Gateway that nobody serves: in a folder there is
// no other controller.
func (s *schema) productOfStranger(o *objects.Object) product {
	gw, ok := o.Value.(*gwv1.Gateway)
	if !ok || !s.options.Standalone {
		return product{}
	}
	return product{problems: s.problems(o, []fault{{"spec.gatewayClassName", "NotOurs",
		fmt.Sprintf("nobody serves Gateways of class %q here", gw.Spec.GatewayClassName), "use class " + v1alpha1.ClassNave}})}
}

func (s *schema) gatewayStatus(l *derive.Look, r ref, o *objects.Object, g *gatewayState) *gwv1.GatewayStatus {
	facts, _ := s.facts.Get(l, g.table)
	programmed := s.programmed(l, r, g, facts)
	conditions := []condition{g.accepted, programmed}
	if len(g.partial) > 0 {
		conditions = append(conditions, yes(v1alpha1.ConditionPartiallyInvalid, g.partial[0].reason, join(g.partial)))
	}
	status := &gwv1.GatewayStatus{Conditions: overlay(at(o.Generation, conditions...), s.verdict(l, r))}
	if g.table != "" {
		for _, a := range facts.Addresses {
			status.Addresses = append(status.Addresses, statusAddress(a))
		}
	}
	for _, x := range g.listeners {
		status.Listeners = append(status.Listeners, x.status(o.Generation, programmed, x.taken(facts.Elsewhere[x.name])))
	}
	return status
}

func statusAddress(a string) gwv1.GatewayStatusAddress {
	kind := gwv1.HostnameAddressType
	if isIP(a) {
		kind = gwv1.IPAddressType
	}
	return gwv1.GatewayStatusAddress{Type: &kind, Value: a}
}

// programmed says whether proxies obey a Gateway.
func (s *schema) programmed(l *derive.Look, r ref, g *gatewayState, facts Facts) condition {
	const kind = v1alpha1.ConditionProgrammed
	if g.away {
		if v := s.verdict(l, r); v != nil {
			for _, c := range v.Conditions {
				if c.Type == v1alpha1.ConditionPlaced {
					return condition{kind, c.Status, "Placed", "runs in other clusters only: " + c.Message}
				}
			}
		}
		return no(kind, string(gwv1.GatewayReasonPending), "is placed in other clusters only, which have not reported yet")
	}
	switch {
	case g.accepted.status == metav1.ConditionUnknown:
		return unknown(kind, string(gwv1.GatewayReasonPending), g.accepted.message)
	case g.table == "":
		return no(kind, string(gwv1.GatewayReasonInvalid), "is not accepted")
	case facts.Error != "":
		return no(kind, string(gwv1.GatewayReasonInvalid), facts.Error)
	case facts.Programmed == 0:
		return no(kind, string(gwv1.GatewayReasonPending), fmt.Sprintf("0 of %d proxies obey it", max(facts.Proxies, g.info.Replicas)))
	}
	return yes(kind, string(gwv1.GatewayReasonProgrammed), fmt.Sprintf("%d of %d proxies obey it", facts.Programmed, max(facts.Proxies, facts.Programmed)))
}

// withCounts puts the numbers of attached routes into a Gateway's status.
func (r *run) withCounts(s objects.Status) objects.Status {
	g, ok := s.Value.(*gwv1.GatewayStatus)
	if !ok {
		return s
	}
	counted := *g
	counted.Listeners = slices.Clone(g.Listeners)
	for i := range counted.Listeners {
		n, _ := r.attached.Get(listenerID{s.Key, string(counted.Listeners[i].Name)})
		counted.Listeners[i].AttachedRoutes = int32(n)
	}
	s.Value = &counted
	return s
}

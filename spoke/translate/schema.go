package translate

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// Kinds by name.
const (
	kindClass     = "GatewayClass"
	kindGateway   = "Gateway"
	kindRoute     = "HTTPRoute"
	kindGrant     = "ReferenceGrant"
	kindTLSPolicy = "BackendTLSPolicy"
	kindService   = "Service"
	kindSecret    = "Secret"
	kindConfigMap = "ConfigMap"
	kindNamespace = "Namespace"
	kindSlice     = "EndpointSlice"
	kindBackend   = agentgateway.KindBackend
	kindPolicy    = agentgateway.KindPolicy
	kindFailover  = v1alpha1.KindFailoverPolicy
)

// only is the key of inputs with one value.
const only = "fleet"

// place is a namespace of a cluster.
type place struct{ cluster, namespace string }

// kindAt is a kind in a namespace ("" all) of a cluster, label "" or key=value.
type kindAt struct{ cluster, kind, namespace, label string }

// target is what a policy attaches to, for policies of one kind.
type target struct {
	policy string
	ref
}

// schema is what there is and what follows from what.
type schema struct {
	options Options
	engine  *derive.Schema

	objects    *derive.Input[ref, *objects.Object]
	fleet      *derive.Input[string, *assignment.Fleet]
	tenants    *derive.Input[string, *assignment.Tenant]
	peers      *derive.Input[string, *assignment.Peer]
	placements *derive.Input[string, *assignment.Placement]
	verdicts   *derive.Input[string, *assignment.Verdict]
	keys       *derive.Input[string, map[string][]byte]
	facts      *derive.Input[string, Facts]
	nacks      *derive.Input[table.ID, []Nack]
	wanted     *derive.Input[node, struct{}]

	tenantNames    *derive.Index[string, string]
	peerNames      *derive.Index[string, string]
	placedAs       *derive.Index[string, string]
	placedFrom     *derive.Index[string, place]
	byKind         *derive.Index[ref, kindAt]
	namesakes      *derive.Index[ref, objects.Key]
	slicesOf       *derive.Index[ref, ref]
	policiesOn     *derive.Index[ref, target]
	selectors      *derive.Index[ref, kindAt]
	labelled       *derive.Index[ref, kindAt]
	routesTo       *derive.Index[ref, ref]
	placementNames *derive.Index[string, string]

	owners       *derive.Rule[place, owner]
	classes      *derive.Rule[ref, classState]
	gateways     *derive.Rule[ref, *gatewayState]
	attachments  *derive.Rule[ref, *attachment]
	ruleSets     *derive.Rule[ref, *ruleSet]
	policies     *derive.Rule[ref, *policyState]
	tlsPolicies  *derive.Rule[ref, *tlsState]
	declared     *derive.Rule[ref, *declaration]
	failovers    *derive.Rule[ref, *failoverState]
	instances    *derive.Rule[ref, *localInstances]
	merges       *derive.Rule[node, *merge]
	tenantTables *derive.Rule[string, []string]
	exports      *derive.Rule[string, []objects.Key]
	allowed      *derive.Rule[node, piece]
	backings     *derive.Rule[servicePort, *table.Endpoints]
	missing      *derive.Rule[servicePort, string]

	pieces         *derive.Output[node, piece]
	products       *derive.Output[ref, product]
	placed         *derive.Output[string, product]
	tenantProducts *derive.Output[string, product]
}

func deep[T any](a, b T) bool { return reflect.DeepEqual(a, b) }

func sameObject(a, b *objects.Object) bool {
	return a == b || a.Hash == b.Hash && a.Generation == b.Generation && a.Created.Equal(b.Created) &&
		a.File == b.File && slices.Equal(a.Invalid, b.Invalid)
}

func newSchema(o Options) *schema {
	e := derive.NewSchema()
	s := &schema{
		options:    o,
		engine:     e,
		objects:    derive.NewInput[ref](e, "objects", sameObject),
		fleet:      derive.NewInput[string](e, "fleet", deep[*assignment.Fleet]),
		tenants:    derive.NewInput[string](e, "tenants", deep[*assignment.Tenant]),
		peers:      derive.NewInput[string](e, "peers", deep[*assignment.Peer]),
		placements: derive.NewInput[string](e, "placements", deep[*assignment.Placement]),
		verdicts:   derive.NewInput[string](e, "verdicts", deep[*assignment.Verdict]),
		keys:       derive.NewInput[string](e, "session keys", deep[map[string][]byte]),
		facts:      derive.NewInput[string](e, "facts", deep[Facts]),
		nacks:      derive.NewInput[table.ID](e, "nacks", slices.Equal[[]Nack]),
		wanted:     derive.NewInput[node](e, "wanted", func(_, _ struct{}) bool { return true }),
	}
	s.addIndexes()
	s.addRules()
	return s
}

func (s *schema) addIndexes() {
	s.tenantNames = derive.NewIndex(s.tenants, "tenant names", all[*assignment.Tenant], strings.Compare)
	s.peerNames = derive.NewIndex(s.peers, "peer names", all[*assignment.Peer], strings.Compare)
	s.placedAs = derive.NewIndex(s.placements, "placements by name", func(_ string, p *assignment.Placement) []string {
		return []string{p.Namespace + "/" + p.Name}
	}, strings.Compare)
	s.placedFrom = derive.NewIndex(s.placements, "placements by home", func(_ string, p *assignment.Placement) []place {
		return []place{{p.Home, p.Namespace}}
	}, strings.Compare)
	s.byKind = derive.NewIndex(s.objects, "objects by kind", byKind, compareRef)
	s.namesakes = derive.NewIndex(s.objects, "namesakes", func(r ref, _ *objects.Object) []objects.Key {
		if r.Kind == kindBackend {
			return []objects.Key{r.Key}
		}
		return nil
	}, compareRef)
	s.slicesOf = derive.NewIndex(s.objects, "slices of a service", sliceOwner, compareRef)
	s.policiesOn = derive.NewIndex(s.objects, "policies by target", policyTargets, compareRef)
	s.selectors = derive.NewIndex(s.objects, "policies by selector", policySelectors, compareRef)
	s.labelled = derive.NewIndex(s.objects, "objects by label", byLabel, compareRef)
	s.routesTo = derive.NewIndex(s.objects, "routes by backend", routeBackends, compareRef)
	s.placementNames = derive.NewIndex(s.placements, "placement names", all[*assignment.Placement], strings.Compare)
}

func all[V any](string, V) []string { return []string{only} }

func byKind(r ref, _ *objects.Object) []kindAt {
	switch r.Kind {
	case kindGateway, kindBackend:
		return []kindAt{{cluster: r.cluster, kind: r.Kind}}
	case kindGrant:
		return []kindAt{{cluster: r.cluster, kind: r.Kind, namespace: r.Namespace}}
	}
	return nil
}

func sliceOwner(r ref, o *objects.Object) []ref {
	if _, ok := o.Value.(*discoveryv1.EndpointSlice); !ok {
		return nil
	}
	name := o.Labels[discoveryv1.LabelServiceName]
	if name == "" {
		return nil
	}
	return []ref{{r.cluster, objects.Key{Kind: kindService, Namespace: r.Namespace, Name: name}}}
}

// routeBackends lists what a route refers to.
func routeBackends(r ref, o *objects.Object) []ref {
	route, ok := o.Value.(*gwv1.HTTPRoute)
	if !ok {
		return nil
	}
	var out []ref
	for _, rule := range route.Spec.Rules {
		for _, b := range rule.BackendRefs {
			k := objects.Key{Group: deref(b.Group, ""), Kind: deref(b.Kind, kindService), Namespace: r.Namespace, Name: string(b.Name)}
			if b.Namespace != nil {
				k.Namespace = string(*b.Namespace)
			}
			if !slices.Contains(out, ref{r.cluster, k}) {
				out = append(out, ref{r.cluster, k})
			}
		}
	}
	return out
}

// byLabel lists an object under its namespace and under each of its labels
// there, for the kinds that selectors choose among.
func byLabel(r ref, o *objects.Object) []kindAt {
	switch o.Value.(type) {
	case *gwv1.Gateway, *gwv1.HTTPRoute, *agentgateway.AgentgatewayBackend, *corev1.Secret:
	default:
		return nil
	}
	out := []kindAt{{r.cluster, r.Kind, r.Namespace, ""}}
	for _, k := range slices.Sorted(maps.Keys(o.Labels)) {
		out = append(out, kindAt{r.cluster, r.Kind, r.Namespace, k + "=" + o.Labels[k]})
	}
	return out
}

func (s *schema) addRules() {
	e := s.engine
	s.owners = derive.NewRule(e, "owner of a namespace", s.deriveOwner, deep[owner])
	s.classes = derive.NewRule(e, "class", s.deriveClass, deep[classState])
	s.gateways = derive.NewRule(e, "gateway", s.deriveGateway, deep[*gatewayState])
	s.attachments = derive.NewRule(e, "attachment", s.deriveAttachment, deep[*attachment])
	s.ruleSets = derive.NewRule(e, "rules", s.deriveRules, deep[*ruleSet])
	s.policies = derive.NewRule(e, "policy", s.derivePolicy, deep[*policyState])
	s.tlsPolicies = derive.NewRule(e, "tls policy", s.deriveTLSPolicy, deep[*tlsState])
	s.declared = derive.NewRule(e, "declared backend", s.deriveDeclaration, deep[*declaration])
	s.failovers = derive.NewRule(e, "failover policy", s.deriveFailover, deep[*failoverState])
	s.instances = derive.NewRule(e, "local instances", s.deriveInstances, deep[*localInstances])
	s.merges = derive.NewRule(e, "backend", s.deriveMerge, deep[*merge])
	s.tenantTables = derive.NewRule(e, "tables of a tenant", s.deriveTenantTables, slices.Equal[[]string])
	s.backings = derive.NewRule(e, "endpoints", s.deriveEndpoints, deep[*table.Endpoints])
	s.missing = derive.NewRule(e, "missing endpoints", func(l *derive.Look, sp servicePort) string {
		return s.backings.Get(l, sp).Missing
	}, func(a, b string) bool { return a == b })
	s.exports = derive.NewRule(e, "exports of a tenant", s.deriveExports, slices.Equal[[]objects.Key])

	s.allowed = derive.NewRule(e, "piece", s.deriveAllowed, deep[piece])
	s.pieces = derive.NewOutput(s.wanted, "pieces", s.allowed)
	products := derive.NewRule(e, "product", s.deriveProduct, deep[product])
	s.products = derive.NewOutput(s.objects, "products", products)
	placed := derive.NewRule(e, "placed gateway", s.derivePlaced, deep[product])
	s.placed = derive.NewOutput(s.placements, "placed gateways", placed)
	tenants := derive.NewRule(e, "tenant's table", s.deriveTenantProduct, deep[product])
	s.tenantProducts = derive.NewOutput(s.tenants, "tenants' tables", tenants)
}

// assign puts one resource of the assignment in, or takes it away.
func (s *schema) assign(tx *derive.Tx, c AssignmentChange) {
	switch c.Kind {
	case assignment.KindFleet:
		assignTo(tx, s.fleet, only, c.Resource)
	case assignment.KindTenant:
		assignTo(tx, s.tenants, c.Key, c.Resource)
	case assignment.KindPeer:
		assignTo(tx, s.peers, c.Key, c.Resource)
	case assignment.KindPlacement:
		assignTo(tx, s.placements, c.Key, c.Resource)
	case assignment.KindVerdict:
		assignTo(tx, s.verdicts, c.Key, c.Resource)
	case assignment.KindDeclaration:
		s.declare(tx, c)
	}
}

func assignTo[T any](tx *derive.Tx, in *derive.Input[string, T], key string, r assignment.Resource) {
	v, ok := r.(T)
	if !ok {
		in.Delete(tx, key)
		return
	}
	in.Set(tx, key, v)
}

// declare puts another cluster's declaration in. What cannot be read is taken
// away: its origin's own status says why.
func (s *schema) declare(tx *derive.Tx, c AssignmentChange) {
	d, ok := c.Resource.(*assignment.Declaration)
	if !ok {
		if r, ok := parseDeclarationKey(c.Key); ok && r.cluster != s.options.Cluster {
			s.objects.Delete(tx, r)
		}
		return
	}
	at := ref{d.Cluster, d.Key}
	if d.Cluster == s.options.Cluster {
		return
	}
	o, _ := objects.FromJSON(d.Object, objects.Options{Cluster: d.Cluster})
	if o == nil || o.Key != d.Key {
		s.objects.Delete(tx, at)
		return
	}
	o.Generation, o.Created = d.Generation, d.Created
	s.objects.Set(tx, at, o)
}

// parseDeclarationKey reads cluster/Kind.group/namespace/name.
func parseDeclarationKey(key string) (ref, bool) {
	parts := strings.SplitN(key, "/", 4)
	if len(parts) != 4 {
		return ref{}, false
	}
	kind, group, _ := strings.Cut(parts[1], ".")
	return ref{parts[0], objects.Key{Group: group, Kind: kind, Namespace: parts[2], Name: parts[3]}}, true
}

// get looks an object up with its typed value.
func get[T any](s *schema, l *derive.Look, r ref) (o *objects.Object, value T, ok bool) {
	o, ok = s.objects.Get(l, r)
	if !ok {
		return nil, value, false
	}
	value, ok = o.Value.(T)
	return o, value, ok
}

func itoa[N ~int | ~int32](n N) string { return strconv.Itoa(int(n)) }

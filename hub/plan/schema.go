package plan

import (
	"bytes"
	"reflect"
	"slices"
	"strings"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/hub/fleet"
)

// fleetKey is the one key of inputs that hold one value.
const fleetKey = "fleet"

// place is a namespace of a cluster.
type place struct{ cluster, namespace string }

// kindAt is a kind of objects in a cluster.
type kindAt struct{ cluster, kind string }

// owner is a tenant in a cluster.
type owner struct{ cluster, tenant string }

type schema struct {
	engine       *derive.Schema
	clusters     *derive.Input[string, fleet.Cluster]
	tenants      *derive.Input[string, fleet.Tenant]
	declarations *derive.Input[fleet.DeclarationID, *fleet.Declaration]
	facts        *derive.Input[string, *assignment.Facts]
	settings     *derive.Input[string, assignment.Fleet]
	views        *derive.Input[string, []fleet.View]
	sealed       *derive.Input[string, *assignment.Sealed]
	claims       *derive.Input[string, string]
	failovers    *derive.Input[string, map[string]*assignment.FailoverDefault]

	clusterNames *derive.Index[string, string]
	tenantNames  *derive.Index[string, string]
	// present lists Gateways and backends by cluster: who takes part, and what is placed.
	present *derive.Index[fleet.DeclarationID, kindAt]

	tenantOf     *derive.Rule[place, string]
	placement    *derive.Rule[fleet.DeclarationID, placement]
	hostsOf      *derive.Rule[owner, []string]
	takesPart    *derive.Rule[owner, bool]
	participants *derive.Rule[string, []string]

	outputs []output
}

func equalValue[T any](a, b T) bool { return reflect.DeepEqual(a, b) }

func sameDeclaration(a, b *fleet.Declaration) bool {
	return a.Hash == b.Hash && a.Generation == b.Generation
}

func sameSealed(a, b *assignment.Sealed) bool {
	return a.Recipient == b.Recipient && bytes.Equal(a.Ciphertext, b.Ciphertext)
}

func everyKey[V any](string, V) []string { return []string{""} }

func newSchema() *schema {
	e := derive.NewSchema()
	s := &schema{
		engine:       e,
		clusters:     derive.NewInput[string, fleet.Cluster](e, "clusters", fleet.Cluster.Equal),
		tenants:      derive.NewInput[string](e, "tenants", equalValue[fleet.Tenant]),
		declarations: derive.NewInput[fleet.DeclarationID](e, "declarations", sameDeclaration),
		facts:        derive.NewInput[string](e, "facts", equalValue[*assignment.Facts]),
		settings:     derive.NewInput[string](e, "settings", equalValue[assignment.Fleet]),
		views:        derive.NewInput[string](e, "views", slices.Equal[[]fleet.View]),
		sealed:       derive.NewInput[string](e, "sealed", sameSealed),
		claims:       derive.NewInput[string](e, "claims", equalValue[string]),
		failovers:    derive.NewInput[string](e, "tenants' failover", equalValue[map[string]*assignment.FailoverDefault]),
	}
	s.clusterNames = derive.NewIndex(s.clusters, "cluster names", everyKey[fleet.Cluster], strings.Compare)
	s.tenantNames = derive.NewIndex(s.tenants, "tenant names", everyKey[fleet.Tenant], strings.Compare)
	s.present = derive.NewIndex(s.declarations, "gateways and backends", presence, fleet.DeclarationID.Compare)
	s.tenantOf = derive.NewRule(e, "tenant of a namespace", s.deriveTenant, equalValue[string])
	s.placement = derive.NewRule(e, "placement of a gateway", s.derivePlacement, placement.equal)
	s.hostsOf = derive.NewRule(e, "hosts of a tenant's gateways", s.deriveHosts, slices.Equal[[]string])
	s.takesPart = derive.NewRule(e, "tenant takes part", s.deriveTakesPart, equalValue[bool])
	s.participants = derive.NewRule(e, "clusters of a tenant", s.deriveParticipants, slices.Equal[[]string])
	s.outputs = []output{
		newOutput(s.declarations, "declarations to clusters", s.passDeclaration),
		newOutput(s.clusters, "peers to clusters", s.passPeer),
		newOutput(s.settings, "settings to clusters", s.passSettings),
		newOutput(s.tenants, "tenants to clusters", s.passTenant),
		newOutput(s.clusters, "default tenant to clusters", s.passDefaultTenant),
		newOutput(s.sealed, "sealed secrets to clusters", s.passSealed),
	}
	return s
}

func presence(id fleet.DeclarationID, _ *fleet.Declaration) []kindAt {
	if k := id.Key.Kind; k == "Gateway" || k == "AgentgatewayBackend" {
		return []kindAt{{id.Cluster, k}}
	}
	return nil
}

// output is what one part of the plan assigns.
type output interface {
	diff(before, after derive.State, c derive.Changes) []Assigned
	all(derive.State) []Assigned
}

// bundle is an output whose every key gives resources for any clusters.
type bundle[K comparable] struct {
	out *derive.Output[K, []Assigned]
}

func newOutput[K comparable, V any](in *derive.Input[K, V], name string, run func(*derive.Look, K) []Assigned) output {
	rule := derive.NewRule(in.Schema(), name, run, equalValue[[]Assigned])
	return bundle[K]{derive.NewOutput(in, name, rule)}
}

func (b bundle[K]) diff(before, after derive.State, c derive.Changes) []Assigned {
	var out []Assigned
	for _, k := range b.out.Changed(c) {
		was, _ := b.out.Get(before, k)
		is, _ := b.out.Get(after, k)
		out = append(out, bundleDiff(was, is)...)
	}
	return out
}

func bundleDiff(was, is []Assigned) []Assigned {
	type id struct {
		cluster string
		kind    assignment.Kind
		key     string
	}
	old := make(map[id]Assigned, len(was))
	for _, a := range was {
		old[id{a.Cluster, a.Kind, a.Key}] = a
	}
	var out []Assigned
	for _, a := range is {
		at := id{a.Cluster, a.Kind, a.Key}
		if o, ok := old[at]; !ok || !reflect.DeepEqual(o, a) {
			out = append(out, a)
		}
		delete(old, at)
	}
	for _, a := range old {
		a.Resource, a.Declaration = nil, nil
		out = append(out, a)
	}
	return out
}

func (b bundle[K]) all(s derive.State) []Assigned {
	var out []Assigned
	for _, list := range b.out.All(s) {
		out = append(out, list...)
	}
	return out
}

func assigned(cluster string, r assignment.Resource) Assigned {
	kind, key := r.ID()
	return Assigned{Cluster: cluster, Kind: kind, Key: key, Resource: r}
}

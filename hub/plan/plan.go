// Package plan turns the fleet into one assignment per cluster: who sees which
// declarations, which Gateways are placed where, how each cluster reaches the
// others, and what the hub has to say about each object. It is a pure
// derivation (api/derive): one changed declaration costs the same in a small
// fleet and in a large one, and the order in which things came never matters.
// It never sends and never remembers: claims, which do depend on who came
// first, are handed to it as facts.
package plan

import (
	"slices"
	"strings"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/hub/fleet"
)

// Plan is the assignment of every cluster at one instant.
type Plan struct {
	schema *schema
	state  derive.State
}

// Assigned is one resource of one cluster's assignment. In a change, Resource
// is nil where it is taken away.
type Assigned struct {
	Cluster  string
	Kind     assignment.Kind
	Key      string
	Resource assignment.Resource
	// Declaration is set where Resource passes on what another cluster
	// declared, so that its envelope can be passed on with it.
	Declaration *fleet.DeclarationID
}

// Edit is one change of the fleet.
type Edit func(*schema, *derive.Tx)

// New is the plan of an empty fleet.
func New() Plan {
	s := newSchema()
	return Plan{s, s.engine.Empty()}
}

// Apply gives the plan after the edits and what changed in each assignment.
func (p Plan) Apply(edits ...Edit) (Plan, []Assigned) {
	tx := p.state.Begin()
	for _, e := range edits {
		e(p.schema, tx)
	}
	next, changes := tx.Commit()
	var out []Assigned
	for _, d := range p.schema.outputs {
		out = append(out, d.diff(p.state, next, changes)...)
	}
	slices.SortFunc(out, compare)
	return Plan{p.schema, next}, out
}

// All lists every assignment, in order.
func (p Plan) All() []Assigned {
	var out []Assigned
	for _, d := range p.schema.outputs {
		out = append(out, d.all(p.state)...)
	}
	slices.SortFunc(out, compare)
	return out
}

// Tenant is the tenant that owns a namespace of a cluster, "" if none admits it.
func (p Plan) Tenant(cluster, namespace string) string {
	tx := p.state.Begin()
	return p.schema.tenantOf.Peek(tx, place{cluster, namespace})
}

func compare(a, b Assigned) int {
	if c := strings.Compare(a.Cluster, b.Cluster); c != 0 {
		return c
	}
	if c := strings.Compare(string(a.Kind), string(b.Kind)); c != 0 {
		return c
	}
	return strings.Compare(a.Key, b.Key)
}

// PutCluster registers a cluster or changes what is known of it.
func PutCluster(c fleet.Cluster) Edit {
	return func(s *schema, tx *derive.Tx) { s.clusters.Set(tx, c.Name, c) }
}

// DropCluster removes a cluster; nothing is assigned to it any more.
func DropCluster(name string) Edit {
	return func(s *schema, tx *derive.Tx) { s.clusters.Delete(tx, name) }
}

// PutTenant adds or changes a tenant.
func PutTenant(t fleet.Tenant) Edit {
	return func(s *schema, tx *derive.Tx) { s.tenants.Set(tx, t.Name, t) }
}

// DropTenant removes a tenant.
func DropTenant(name string) Edit {
	return func(s *schema, tx *derive.Tx) { s.tenants.Delete(tx, name) }
}

// PutFailover takes the tenants' defaults of failover, by tenant.
func PutFailover(defaults map[string]*assignment.FailoverDefault) Edit {
	return func(s *schema, tx *derive.Tx) { s.failovers.Set(tx, fleetKey, defaults) }
}

// PutDeclaration takes what a spoke pushed.
func PutDeclaration(d *fleet.Declaration) Edit {
	return func(s *schema, tx *derive.Tx) { s.declarations.Set(tx, d.ID, d) }
}

// DropDeclaration takes it away.
func DropDeclaration(id fleet.DeclarationID) Edit {
	return func(s *schema, tx *derive.Tx) { s.declarations.Delete(tx, id) }
}

// PutFacts takes what a cluster says about itself.
func PutFacts(f *assignment.Facts) Edit {
	return func(s *schema, tx *derive.Tx) { s.facts.Set(tx, f.Cluster, f) }
}

// PutSettings takes the fleet-wide settings.
func PutSettings(f assignment.Fleet) Edit {
	return func(s *schema, tx *derive.Tx) { s.settings.Set(tx, fleetKey, f) }
}

// PutViews takes how clusters see each other's addresses.
func PutViews(v []fleet.View) Edit {
	return func(s *schema, tx *derive.Tx) { s.views.Set(tx, fleetKey, v) }
}

// PutSealed takes a sealed secret to be carried.
func PutSealed(v *assignment.Sealed) Edit {
	return func(s *schema, tx *derive.Tx) { s.sealed.Set(tx, sealedKey(v), v) }
}

// DropSealed takes it away.
func DropSealed(key string) Edit {
	return func(s *schema, tx *derive.Tx) { s.sealed.Delete(tx, key) }
}

// PutClaim records who holds a name that only one may hold.
func PutClaim(name, cluster string) Edit {
	return func(s *schema, tx *derive.Tx) { s.claims.Set(tx, name, cluster) }
}

// DropClaim frees a name.
func DropClaim(name string) Edit {
	return func(s *schema, tx *derive.Tx) { s.claims.Delete(tx, name) }
}

func sealedKey(v *assignment.Sealed) string {
	_, key := v.ID()
	return key
}

// ClaimName is the name under which a placed Gateway is claimed.
func ClaimName(gateway objects.Key) string {
	return "gateway/" + gateway.Namespace + "/" + gateway.Name
}

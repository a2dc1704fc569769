// Package translate turns what a cluster declares, and what its assignment
// says, into one table per local proxy and the status owed to each object. It
// is pure: a Translator is an immutable value, Apply gives the next one with
// what changed, and building from nothing is Apply on the empty value. It never
// listens, dials or writes; it knows no time.
//
// Declarations are seen by view: the cluster that declares. A Gateway's table is
// built in the view of the cluster that declares the Gateway, so that a placed
// Gateway obeys its home's routes, policies and order wherever it runs.
package translate

import (
	"maps"
	"slices"

	"github.com/benbjohnson/immutable"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// Options are fixed for a cluster.
type Options struct {
	// Cluster is the one whose tables are built; Region is used until the
	// assignment says where the cluster is.
	Cluster string
	Region  string
	// Standalone tells that objects come from a folder: proxies may dial the
	// loopback addresses that it names, references to Gateways that do not exist
	// are reported, and ClassNames are owned whatever their controllerName.
	Standalone bool
	// ClassNames are the GatewayClasses that are owned by name in standalone
	// mode; nil is nave, agentgateway and enterprise-agentgateway.
	ClassNames []string
	// Probe is the hash of the key of the cluster's prober; see table.Self.
	Probe string
}

// AssignmentChange puts a resource of the assignment, or takes it away where
// Resource is nil.
type AssignmentChange struct {
	Kind     assignment.Kind
	Key      string
	Resource assignment.Resource
}

// Facts are what is known of the proxies of one table.
type Facts struct {
	// Proxies run, Programmed of them have acknowledged the table's last revision.
	Proxies, Programmed int
	// Addresses are where the Gateway is reached: IP addresses or host names.
	Addresses []string
	// Elsewhere are the listeners whose port could not be had, by name, with the
	// URL at which a proxy answers instead.
	Elsewhere map[string]string
	// Error is a proxy's NACK, or why none runs.
	Error string
}

// TableInfo is what whoever provisions needs to know of a table.
type TableInfo struct {
	// Name is namespace/name of the Gateway, or tenant/name.
	Name   string
	Tenant string
	// Gateway is the zero Key for a tenant's table.
	Gateway objects.Key
	// Home is the cluster that declares the Gateway.
	Home string
	// Replicas is how many proxies the Gateway gets.
	Replicas int
	// Class is the Gateway's class.
	Class string
	// Labels and Annotations are of the Gateway's infrastructure.
	Labels, Annotations map[string]string
	// Runtime is what its proxies obey of the parameters: it is in the table's Self
	// too. Env are the variables of their processes, NAME=value, sorted; a Gateway
	// that is placed elsewhere has none there.
	Runtime table.Runtime
	Env     []string
	// Parameters are the specs of the AgentgatewayParameters in force, the
	// class's first, as declared: overlays are the provisioner's to apply.
	Parameters []string
}

// TableChange is what becomes of one table.
type TableChange struct {
	Info TableInfo
	// Created, Removed: the table is new, or is no more.
	Created, Removed bool
	Changes          []table.Change
	// Revision is the table's digest after the changes.
	Revision string
}

// Result is what an Apply changed.
type Result struct {
	Tables map[string]TableChange
	// Statuses are those that are owed anew, sorted by key; Gone are keys of
	// objects to which none is owed any more.
	Statuses []objects.Status
	Gone     []objects.Key
	// Problems are the lists that changed, by place; an empty list is solved.
	Problems []assignment.Problems
	// Runs counts the derivations that were run: the work it took.
	Runs int
}

// Translator is everything a cluster declares and is assigned, translated.
type Translator struct {
	schema   *schema
	state    derive.State
	tables   *immutable.SortedMap[string, *tableState]
	holders  *immutable.Map[node, *immutable.Map[string, holding]]
	attached *immutable.Map[listenerID, int]
	statuses *immutable.Map[objects.Key, objects.Status]
	problems *immutable.SortedMap[string, []objects.Problem]
}

// New is the translator that knows nothing.
func New(o Options) Translator {
	if o.ClassNames == nil {
		o.ClassNames = []string{v1alpha1.ClassNave, v1alpha1.ClassAgentgateway, v1alpha1.ClassEnterpriseAgentgateway}
	}
	s := newSchema(o)
	return Translator{
		schema:   s,
		state:    s.engine.Empty(),
		tables:   immutable.NewSortedMap[string, *tableState](nil),
		holders:  immutable.NewMap[node, *immutable.Map[string, holding]](hasher[node]{seed}),
		attached: immutable.NewMap[listenerID, int](hasher[listenerID]{seed}),
		statuses: immutable.NewMap[objects.Key, objects.Status](hasher[objects.Key]{seed}),
		problems: immutable.NewSortedMap[string, []objects.Problem](nil),
	}
}

// Apply gives the translator after the changes, and what they change.
func (t Translator) Apply(own []objects.Change, remote []AssignmentChange) (Translator, Result) {
	return t.apply(func(tx *derive.Tx) {
		for _, c := range own {
			at := ref{t.schema.options.Cluster, c.Key}
			if c.Object == nil {
				t.schema.objects.Delete(tx, at)
			} else {
				t.schema.objects.Set(tx, at, c.Object)
			}
		}
		for _, c := range remote {
			t.schema.assign(tx, c)
		}
	})
}

// Observe notes what is known of the proxies, by table; it changes statuses only.
func (t Translator) Observe(facts map[string]Facts) (Translator, Result) {
	return t.apply(func(tx *derive.Tx) {
		for _, name := range slices.Sorted(maps.Keys(facts)) {
			t.schema.facts.Set(tx, name, facts[name])
		}
	})
}

// Forget drops what Observe noted of a table.
func (t Translator) Forget(name string) (Translator, Result) {
	return t.apply(func(tx *derive.Tx) { t.schema.facts.Delete(tx, name) })
}

// SetSessionKeys gives the keys that seal a Gateway's MCP session ids, by the
// name of its table: key ids to 32 bytes, and "use" to the id to seal with. No
// keys take them away.
func (t Translator) SetSessionKeys(name string, keys map[string][]byte) (Translator, Result) {
	return t.apply(func(tx *derive.Tx) {
		if len(keys) == 0 {
			t.schema.keys.Delete(tx, name)
			return
		}
		t.schema.keys.Set(tx, name, maps.Clone(keys))
	})
}

// Tables lists the names of the tables there are, sorted.
func (t Translator) Tables() []string {
	var names []string
	for it := t.tables.Iterator(); !it.Done(); {
		name, _, _ := it.Next()
		names = append(names, name)
	}
	return names
}

// Table returns a table with what is known of it.
func (t Translator) Table(name string) (table.Table, TableInfo, bool) {
	s, ok := t.tables.Get(name)
	if !ok {
		return table.New(), TableInfo{}, false
	}
	return s.table, s.info, true
}

// Revision is a table's digest.
func (t Translator) Revision(name string) string {
	s, ok := t.tables.Get(name)
	if !ok {
		return ""
	}
	return s.digest.String()
}

// Statuses lists the status owed to each object, sorted by key.
func (t Translator) Statuses() []objects.Status {
	var out []objects.Status
	for it := t.statuses.Iterator(); !it.Done(); {
		_, s, _ := it.Next()
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b objects.Status) int { return a.Key.Compare(b.Key) })
	return out
}

// Problems lists what people must mend, by object.
func (t Translator) Problems() []objects.Problem {
	var out []objects.Problem
	for it := t.problems.Iterator(); !it.Done(); {
		_, list, _ := it.Next()
		out = append(out, list...)
	}
	return out
}

// Reached tells whether a route that is attached to one of our Gateways leads to
// a backend of this cluster: on a cluster that is shared with agentgateway only
// such a backend's status is written.
func (t Translator) Reached(k objects.Key) bool {
	for _, r := range t.schema.routesTo.At(t.state, ref{t.schema.options.Cluster, k}) {
		if p, ok := t.schema.products.Get(t.state, r); ok && len(p.attached) > 0 {
			return true
		}
	}
	return false
}

package board

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/plan"
)

// SetClusters takes the registered clusters with the orders in force for them.
// Of a cluster that is not among them nothing is kept: no session, no declaration,
// and no name that others may want.
func (b *Board) SetClusters(list []fleet.Cluster) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var edits []plan.Edit
	now := map[string]fleet.Cluster{}
	for _, c := range list {
		now[c.Name] = c
		if old, ok := b.clusters[c.Name]; !ok || !old.Equal(c) {
			edits = append(edits, plan.PutCluster(c))
		}
	}
	gone := b.strangers(now)
	b.clusters = now
	for _, name := range gone {
		edits = append(edits, plan.DropCluster(name))
		edits = append(edits, b.withdraw(name)...)
	}
	b.apply(edits)
	for _, name := range gone {
		b.forget(name)
	}
}

// strangers are the clusters of which something is known and that are not among
// the registered ones, by name.
func (b *Board) strangers(registered map[string]fleet.Cluster) []string {
	known := map[string]bool{}
	for name := range b.clusters {
		known[name] = true
	}
	for name := range b.members {
		known[name] = true
	}
	for _, name := range b.claims {
		known[name] = true
	}
	maps.DeleteFunc(known, func(name string, _ bool) bool { _, ok := registered[name]; return ok })
	return slices.Sorted(maps.Keys(known))
}

// withdraw takes back all that a cluster declared, and offers the names that it
// held to the others.
func (b *Board) withdraw(cluster string) []plan.Edit {
	var edits []plan.Edit
	m := b.member(cluster)
	for id := range m.raw {
		edit, err := b.takeAway(m, cluster, id)
		if err != nil {
			b.opts.Log.Error("take back what a cluster declared", "cluster", cluster, "resource", id.String(), "err", err)
		}
		edits = append(edits, edit...)
	}
	for name, holder := range b.claims { // of Gateways that are not known any more
		if holder == cluster {
			edits = append(edits, b.free(name)...)
		}
	}
	return edits
}

// forget ends a cluster's session and drops what was stored of it.
func (b *Board) forget(cluster string) {
	b.opts.Log.Info("forget a cluster that is not registered", "cluster", cluster)
	m := b.member(cluster)
	m.session.Disconnect(errUnregistered)
	m.session.Close()
	delete(b.members, cluster)
	delete(b.opts.State.Clusters, cluster)
	if err := b.opts.Store.Forget(cluster); err != nil {
		b.opts.Log.Error("forget what a cluster declared", "cluster", cluster, "err", err)
	}
}

// Member is one cluster as the console and the CLI show it.
type Member struct {
	Cluster fleet.Cluster
	Lease   assignment.Lease
	// Heard is when its spoke was last heard; zero never.
	Heard time.Time
	// Behind is since when it lacks the assignment that it should have.
	Behind   time.Time
	Hold     string
	Facts    *assignment.Facts
	Statuses []*assignment.Status
	Problems []objects.Problem
	Samples  []*assignment.Sample
}

// Members lists every registered cluster as it is now, by name.
func (b *Board) Members() []Member {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Member, 0, len(b.clusters))
	for _, name := range slices.Sorted(maps.Keys(b.clusters)) {
		out = append(out, b.show(name))
	}
	return out
}

func (b *Board) show(name string) Member {
	m := b.member(name)
	v := Member{Cluster: b.clusters[name], Lease: b.lease(m), Heard: m.heard, Hold: m.hold, Facts: m.facts, Behind: m.session.Standing().Behind}
	for _, key := range slices.Sorted(maps.Keys(m.statuses)) {
		v.Statuses = append(v.Statuses, m.statuses[key])
	}
	for _, key := range slices.Sorted(maps.Keys(m.problems)) {
		v.Problems = append(v.Problems, m.problems[key]...)
	}
	for _, nack := range m.nacks {
		v.Problems = append(v.Problems, objects.Problem{Cluster: name, Object: nack.ID.String(), Reason: "Refused", Message: nack.Error,
			Remedy: "look at the spoke's log; what was obeyed before stays"})
	}
	for _, key := range slices.Sorted(maps.Keys(m.samples)) {
		v.Samples = append(v.Samples, m.samples[key])
	}
	return v
}

// lease is how lately a cluster was heard of. It moves no traffic.
func (b *Board) lease(m *member) assignment.Lease {
	silence := b.opts.Now().Sub(m.heard)
	switch {
	case m.heard.IsZero() || silence >= cmp.Or(b.opts.Lost, 90*time.Second):
		return assignment.Lost
	case silence >= cmp.Or(b.opts.Suspect, 30*time.Second):
		return assignment.Suspect
	}
	return assignment.Connected
}

// Clusters lists the registered clusters by name.
func (b *Board) Clusters() []fleet.Cluster {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.clusters), func(x, y fleet.Cluster) int { return cmp.Compare(x.Name, y.Name) })
}

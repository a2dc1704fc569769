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
// A cluster that is no longer among them loses its session.
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
	gone := b.clusters
	b.clusters = now
	for name := range gone {
		if _, ok := now[name]; !ok {
			edits = append(edits, plan.DropCluster(name))
			b.member(name).session.Disconnect(errUnregistered)
		}
	}
	b.apply(edits)
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
	// Declared are the declarations that it pushed.
	Declared []objects.Key
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
	for id := range m.raw {
		if r, err := assignment.Decode(assignment.KindDeclaration, id.Key, m.raw[id].Payload); err == nil {
			v.Declared = append(v.Declared, r.(*assignment.Declaration).Key)
		}
	}
	slices.SortFunc(v.Declared, objects.Key.Compare)
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

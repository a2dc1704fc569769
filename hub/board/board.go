// Package board holds the one thing that a hub remembers while it runs: the
// fleet as it is now, the plan that follows from it, and a session per cluster
// that the plan is published to. Everything that changes the fleet comes
// through it, one change at a time. It decides nothing: hub/plan does.
package board

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/plan"
	"github.com/navehq/nave/hub/store"
)

// Options are what a board is made of.
type Options struct {
	Store *store.Folder
	State store.State
	Log   *slog.Logger
	Now   func() time.Time
	// Session makes the session of a cluster, given what is held of it already.
	Session func(cluster string, held []stream.Version, h wire.Handler) *wire.Session
	// Hear is how long to wait for clusters to be heard after a start before
	// anything is published.
	Hear time.Duration
	// Leases say after which silence a cluster is Suspect and Lost.
	Suspect, Lost time.Duration
}

// Board is the hub's fleet. It is safe for concurrent use.
type Board struct {
	opts  Options
	epoch stream.Epoch

	mu       sync.Mutex
	plan     plan.Plan
	members  map[string]*member
	clusters map[string]fleet.Cluster
	claims   map[string]string
	open     bool
	began    time.Time
	marks    uint64
}

// member is one cluster as it is heard.
type member struct {
	session    *wire.Session
	raw        map[stream.ID]stream.Resource
	facts      *assignment.Facts
	statuses   map[string]*assignment.Status
	problems   map[string][]objects.Problem
	samples    map[string]*assignment.Sample
	tombstones map[stream.ID]stream.Resource
	heard      time.Time
	up         bool
	synced     bool
	hold       string
	nacks      []stream.Nack
}

// New takes up what was stored, under a new epoch.
func New(opts Options) (*Board, error) {
	b := &Board{
		opts: opts, plan: plan.New(), members: map[string]*member{}, clusters: map[string]fleet.Cluster{},
		claims: map[string]string{}, began: opts.Now(),
		epoch: stream.Epoch{Number: opts.State.Epoch.Number + 1, Term: opts.State.Epoch.Term},
	}
	if err := opts.Store.SetEpoch(b.epoch); err != nil {
		return nil, err
	}
	edits := []plan.Edit{plan.PutViews(opts.State.Views)}
	for name, cluster := range opts.State.Claims {
		b.claims[name] = cluster
		edits = append(edits, plan.PutClaim(name, cluster))
	}
	for cluster, list := range opts.State.Clusters {
		m := b.member(cluster)
		for _, r := range list {
			edit, err := b.take(m, cluster, stream.Change{Resource: r})
			if err != nil {
				opts.Log.Warn("leave out what was stored", "cluster", cluster, "resource", r.ID().String(), "err", err)
				continue
			}
			edits = append(edits, edit...)
		}
	}
	b.apply(edits)
	return b, nil
}

// Edit changes the fleet from the hub's own side: clusters, tenants, settings.
func (b *Board) Edit(edits ...plan.Edit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.apply(edits)
}

// SetViews takes how clusters see each other's addresses, and keeps it: without
// it, a hub that comes back would send everybody to addresses that lead nowhere.
func (b *Board) SetViews(views []fleet.View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.opts.Store.SetViews(views); err != nil {
		b.opts.Log.Error("keep how clusters see each other", "err", err)
	}
	b.apply([]plan.Edit{plan.PutViews(views)})
}

// apply plans and publishes; the caller holds the lock.
func (b *Board) apply(edits []plan.Edit) {
	if len(edits) == 0 {
		return
	}
	next, changes := b.plan.Apply(edits...)
	b.plan = next
	byCluster := map[string][]plan.Assigned{}
	for _, c := range changes {
		byCluster[c.Cluster] = append(byCluster[c.Cluster], c)
	}
	for cluster, list := range byCluster {
		b.publish(cluster, list)
	}
}

// publish puts what changed into a cluster's session, and names the state where
// publishing has begun.
func (b *Board) publish(cluster string, changes []plan.Assigned) {
	m := b.member(cluster)
	b.marks++
	mark := b.mark()
	m.session.Update(func(src *stream.Source) {
		for _, c := range changes {
			b.put(src, c)
		}
		if b.open {
			src.Mark(mark, false)
		}
	})
}

func (b *Board) mark() string { return fmt.Sprintf("%d.%d", b.epoch.Number, b.marks) }

func (b *Board) put(src *stream.Source, a plan.Assigned) {
	id := stream.ID{Kind: string(a.Kind), Key: a.Key}
	if a.Resource == nil {
		if t, ok := b.tombstone(id); ok {
			if err := src.Set(t); err != nil {
				b.opts.Log.Error("pass a deletion on", "resource", id.String(), "err", err)
			}
		}
		src.Delete(id)
		return
	}
	r, err := b.envelope(a)
	if err == nil {
		err = src.Set(r)
	}
	if err != nil {
		b.opts.Log.Error("assign a resource", "cluster", a.Cluster, "resource", id.String(), "err", err)
	}
}

// tombstone is the origin's word that it deleted a declaration.
func (b *Board) tombstone(id stream.ID) (stream.Resource, bool) {
	for _, m := range b.members {
		if t, ok := m.tombstones[stream.TombstoneID(id)]; ok {
			return t, true
		}
	}
	return stream.Resource{}, false
}

// envelope is a resource ready to be sent: what a cluster says to others as its
// origin signed it, the hub's own word otherwise.
func (b *Board) envelope(a plan.Assigned) (stream.Resource, error) {
	id := stream.ID{Kind: string(a.Kind), Key: a.Key}
	origin := ""
	if a.Declaration != nil {
		origin = a.Declaration.Cluster
	} else if s, ok := a.Resource.(*assignment.Sealed); ok {
		origin = s.From
	}
	if origin != "" {
		if r, ok := b.member(origin).raw[id]; ok {
			return r, nil
		}
	}
	payload, err := assignment.Encode(a.Resource)
	if err != nil {
		return stream.Resource{}, err
	}
	return stream.Resource{Kind: id.Kind, Key: id.Key, Payload: payload}, nil
}

// member returns what is known of a cluster, and makes its session at first.
func (b *Board) member(cluster string) *member {
	if m := b.members[cluster]; m != nil {
		return m
	}
	m := &member{
		raw: map[stream.ID]stream.Resource{}, statuses: map[string]*assignment.Status{},
		problems: map[string][]objects.Problem{}, samples: map[string]*assignment.Sample{},
		tombstones: map[stream.ID]stream.Resource{},
	}
	var held []stream.Version
	for _, r := range b.opts.State.Clusters[cluster] {
		held = append(held, r.Version())
	}
	m.session = b.opts.Session(cluster, held, b.handler(cluster, m))
	m.session.Update(func(src *stream.Source) { src.SetEpoch(b.epoch) })
	b.members[cluster] = m
	return m
}

// Session is the session of a registered cluster, or nil.
func (b *Board) Session(cluster string) *wire.Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.clusters[cluster]; !ok {
		return nil
	}
	return b.member(cluster).session
}

// Disconnect ends a cluster's stream, if there is one; it may come back.
func (b *Board) Disconnect(cluster string, reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.members[cluster]; m != nil {
		m.session.Disconnect(reason)
	}
}

// Open begins to publish once every registered cluster was heard or time is
// up; it is asked whenever one is heard, and by a tick.
func (b *Board) Open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		return
	}
	if b.opts.Now().Sub(b.began) < b.opts.Hear {
		for name := range b.clusters {
			if !b.member(name).synced {
				return
			}
		}
		if len(b.clusters) == 0 {
			return
		}
	}
	b.open = true
	for _, m := range b.members {
		b.marks++
		mark := b.mark()
		m.session.Update(func(src *stream.Source) { src.Mark(mark, false) })
	}
	b.opts.Log.Info("publish", "epoch", b.epoch.Number, "clusters", len(b.clusters))
}

// Confirm lets a held assignment through: a person has seen what it deletes.
func (b *Board) Confirm(cluster string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.members[cluster]
	if m == nil || m.hold == "" {
		return fmt.Errorf("confirm the assignment of cluster %q: nothing is held", cluster)
	}
	b.marks++
	mark := b.mark()
	m.session.Update(func(src *stream.Source) { src.Mark(mark, true) })
	m.hold = ""
	return nil
}

// Close ends every session.
func (b *Board) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.members {
		m.session.Close()
	}
}

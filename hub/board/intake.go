package board

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/plan"
)

var (
	errForeign      = errors.New("speaks for another cluster")
	errUnregistered = errors.New("cluster is no longer registered")
)

// handler takes what one cluster pushes.
func (b *Board) handler(cluster string, m *member) wire.Handler {
	return wire.Handler{
		OnChanges: func(r stream.Release) []stream.Nack { return b.intake(cluster, m, r.Changes) },
		OnSynced: func() {
			b.mu.Lock()
			m.synced = true
			b.mu.Unlock()
			b.Open()
		},
		OnHeartbeat: func(wire.Beat) { b.heard(m, true) },
		OnHello:     func(wire.Greeting) error { b.heard(m, true); return nil },
		OnAcked: func(_ string, nacks []stream.Nack, hold string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			m.nacks, m.hold = nacks, hold
		},
		OnDisconnect: func(err error) {
			b.heard(m, false)
			b.opts.Log.Warn("lose the stream of a spoke", "cluster", cluster, "cause", err)
		},
	}
}

func (b *Board) heard(m *member, up bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m.up = up
	if up {
		m.heard = b.opts.Now()
	}
}

// intake takes a state that a cluster released and answers what it refuses.
func (b *Board) intake(cluster string, m *member, changes []stream.Change) []stream.Nack {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.members[cluster] != m {
		return nil // it is not registered any more
	}
	m.heard = b.opts.Now()
	var nacks []stream.Nack
	var edits []plan.Edit
	for _, c := range changes {
		edit, err := b.take(m, cluster, c)
		if err != nil {
			nacks = append(nacks, stream.Nack{ID: c.ID(), Hash: c.Hash, Error: err.Error()})
			b.opts.Log.Warn("refuse what a spoke pushed", "cluster", cluster, "resource", c.ID().String(), "err", err)
			continue
		}
		edits = append(edits, edit...)
	}
	b.opts.Store.Put(cluster, changes)
	b.apply(edits)
	return nacks
}

// take turns one pushed resource into edits of the plan; the caller holds the lock.
func (b *Board) take(m *member, cluster string, c stream.Change) ([]plan.Edit, error) {
	id := c.ID()
	if key := keyOfTombstone(id); id == stream.TombstoneID(stream.ID{Kind: string(assignment.KindDeclaration), Key: key}) {
		return nil, takeTombstone(m, cluster, key, c)
	}
	if c.Deleted {
		return b.takeAway(m, cluster, id)
	}
	r, err := assignment.Decode(assignment.Kind(c.Kind), c.Key, c.Payload)
	if errors.Is(err, assignment.ErrUnknownKind) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch r := r.(type) {
	case *assignment.Declaration:
		return b.takeDeclaration(m, cluster, c.Resource, r)
	case *assignment.Facts:
		if r.Cluster != cluster {
			return nil, fmt.Errorf("facts of %q: %w", r.Cluster, errForeign)
		}
		m.facts = r
		return []plan.Edit{plan.PutFacts(r)}, nil
	case *assignment.Sealed:
		if r.From != cluster || c.Origin != cluster {
			return nil, fmt.Errorf("a secret from %q: %w", r.From, errForeign)
		}
		m.raw[id] = c.Resource
		return []plan.Edit{plan.PutSealed(r)}, nil
	case *assignment.Sample:
		if r.From != cluster {
			return nil, fmt.Errorf("a sample from %q: %w", r.From, errForeign)
		}
		m.samples[c.Key] = r
	case *assignment.Status:
		m.statuses[c.Key] = r
	case *assignment.Problems:
		m.problems[c.Key] = r.List
	default:
		return nil, fmt.Errorf("%s does not come from a spoke", c.Kind)
	}
	return nil, nil
}

// takeTombstone keeps a cluster's word that it deleted a declaration of its own;
// who receives it holds it against the signature.
func takeTombstone(m *member, cluster, declaration string, c stream.Change) error {
	switch {
	case c.Deleted:
		delete(m.tombstones, c.ID())
	case c.Origin != cluster || !strings.HasPrefix(declaration, cluster+"/"):
		return fmt.Errorf("the deletion of %q: %w", declaration, errForeign)
	default:
		m.tombstones[c.ID()] = c.Resource
	}
	return nil
}

func keyOfTombstone(id stream.ID) string {
	prefix := string(assignment.KindDeclaration) + "/"
	if len(id.Key) > len(prefix) && id.Key[:len(prefix)] == prefix {
		return id.Key[len(prefix):]
	}
	return ""
}

func (b *Board) takeDeclaration(m *member, cluster string, envelope stream.Resource, body *assignment.Declaration) ([]plan.Edit, error) {
	if body.Cluster != cluster || envelope.Origin != cluster {
		return nil, fmt.Errorf("a declaration of %q: %w", body.Cluster, errForeign)
	}
	d, err := fleet.Read(body, envelope.Hash)
	if err != nil {
		return nil, err
	}
	m.raw[envelope.ID()] = envelope
	return append(b.claim(d), plan.PutDeclaration(d)), nil
}

// claim records the first claimant of a placed Gateway's name.
func (b *Board) claim(d *fleet.Declaration) []plan.Edit {
	if d.ID.Key.Kind != "Gateway" {
		return nil
	}
	name := plan.ClaimName(d.ID.Key)
	if d.Placement == "" || d.Placement == "Local" {
		return b.release(d.ID)
	}
	if holder, taken := b.claims[name]; taken && (b.admitted(holder, d) || !b.admitted(d.ID.Cluster, d)) {
		return nil
	}
	if err := b.opts.Store.SetClaim(name, d.ID.Cluster); err != nil {
		b.opts.Log.Error("keep a claim", "claim", name, "cluster", d.ID.Cluster, "err", err)
	}
	b.claims[name] = d.ID.Cluster
	return []plan.Edit{plan.PutClaim(name, d.ID.Cluster)}
}

// admitted tells whether a tenant owns a declaration's namespace in a cluster. A
// cluster where none does holds no name against one that may use it.
func (b *Board) admitted(cluster string, d *fleet.Declaration) bool {
	return b.plan.Tenant(cluster, d.ID.Key.Namespace) != ""
}

// release frees what a declaration claimed, if it was the holder.
func (b *Board) release(id fleet.DeclarationID) []plan.Edit {
	name := plan.ClaimName(id.Key)
	if id.Key.Kind != "Gateway" || b.claims[name] != id.Cluster {
		return nil
	}
	return append(b.free(name), b.offer(id.Key)...)
}

func (b *Board) free(name string) []plan.Edit {
	if err := b.opts.Store.SetClaim(name, ""); err != nil {
		b.opts.Log.Error("free a claim", "claim", name, "cluster", b.claims[name], "err", err)
	}
	delete(b.claims, name)
	return []plan.Edit{plan.DropClaim(name)}
}

// offer gives a name that is free to the first cluster that declares the Gateway.
func (b *Board) offer(gateway objects.Key) (edits []plan.Edit) {
	for _, cluster := range slices.Sorted(maps.Keys(b.clusters)) {
		m := b.members[cluster]
		if m == nil {
			continue
		}
		envelope, ok := m.raw[stream.ID{Kind: string(assignment.KindDeclaration), Key: assignment.DeclarationKey(cluster, gateway)}]
		if !ok {
			continue
		}
		d, err := declared(envelope)
		if err != nil {
			b.opts.Log.Error("read what a cluster declared", "cluster", cluster, "resource", envelope.ID().String(), "err", err)
			continue
		}
		edits = append(edits, b.claim(d)...)
	}
	return edits
}

func declared(envelope stream.Resource) (*fleet.Declaration, error) {
	r, err := assignment.Decode(assignment.KindDeclaration, envelope.Key, envelope.Payload)
	if err != nil {
		return nil, err
	}
	return fleet.Read(r.(*assignment.Declaration), envelope.Hash)
}

func (b *Board) takeAway(m *member, cluster string, id stream.ID) ([]plan.Edit, error) {
	switch assignment.Kind(id.Kind) {
	case assignment.KindDeclaration:
		envelope, ok := m.raw[id]
		if !ok {
			return nil, nil
		}
		delete(m.raw, id)
		var body assignment.Declaration
		if r, err := assignment.Decode(assignment.KindDeclaration, id.Key, envelope.Payload); err == nil {
			body = *r.(*assignment.Declaration)
		}
		d := fleet.DeclarationID{Cluster: cluster, Key: body.Key}
		return append(b.release(d), plan.DropDeclaration(d)), nil
	case assignment.KindSealed:
		if !strings.HasPrefix(id.Key, cluster+"/") {
			return nil, fmt.Errorf("the secret %q: %w", id.Key, errForeign)
		}
		delete(m.raw, id)
		return []plan.Edit{plan.DropSealed(id.Key)}, nil
	case assignment.KindStatus:
		delete(m.statuses, id.Key)
	case assignment.KindProblems:
		delete(m.problems, id.Key)
	case assignment.KindSample:
		delete(m.samples, id.Key)
	}
	return nil, nil
}

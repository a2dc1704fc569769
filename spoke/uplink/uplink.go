// Package uplink is a spoke's side of the stream to the hub: it pushes what the
// cluster declares, signed and without secrets, and what it says about itself;
// it takes the assignment, holds other clusters' declarations against their
// signatures, and keeps the last good assignment on disk. It decides nothing
// about what is declared.
package uplink

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/spoke/identity"
)

// kept are the kinds that never leave their cluster: secrets, and what changes
// with every pod.
var kept = []string{"Secret", "ConfigMap", "EndpointSlice"}

var errUnknown = errors.New("its certificate has not come")

// Change is one resource of the assignment, nil where it is taken away.
type Change struct {
	Kind     assignment.Kind
	Key      string
	Resource assignment.Resource
}

// soon is how long changes gather before the assignment is written.
const soon = 100 * time.Millisecond

// stored is an assignment as it stands on disk.
type stored struct {
	Epoch     stream.Epoch      `json:"epoch"`
	Resources []stream.Resource `json:"resources"`
}

// Options of an Uplink.
type Options struct {
	Cluster   string
	Identity  *identity.Identity
	Heartbeat time.Duration
	// Cache is the file of the last good assignment.
	Cache string
	// Key makes the hashes that stand for secrets.
	Key []byte
	// Assign takes changes of the assignment.
	Assign func([]Change)
	// Ask answers the hub's questions.
	Ask     func(ctx context.Context, path string, body []byte) ([]byte, error)
	Backoff wire.Backoff
	Log     *slog.Logger
	Now     func() time.Time
}

// Uplink is the stream to the hub. It is safe for concurrent use.
type Uplink struct {
	opts    Options
	session *wire.Session
	cache   *atomicfile.Value[stored]

	mu    sync.Mutex
	held  map[stream.ID]stream.Resource
	marks int
	// signers verify other clusters' declarations; waiting are those whose
	// cluster's certificate has not come.
	signers map[string]pki.Signer
	waiting map[stream.ID]stream.Resource
}

// New loads the last good assignment and hands it to Assign.
func New(opts Options) *Uplink {
	u := &Uplink{opts: opts, held: map[stream.ID]stream.Resource{}, signers: map[string]pki.Signer{}, waiting: map[stream.ID]stream.Resource{}}
	u.cache = atomicfile.NewValue[stored](opts.Cache, soon, func(err error) { opts.Log.Error("keep the last good assignment", "err", err) })
	k := u.load()
	changes := make([]stream.Change, 0, len(k.Resources))
	for _, r := range k.Resources {
		changes = append(changes, stream.Change{Resource: r})
	}
	u.take(changes)
	var held []stream.Version
	for _, r := range u.held {
		held = append(held, r.Version())
	}
	guard := stream.DefaultGuard
	guard.Explained = u.explained
	u.session = wire.New(wire.Options{
		Name: opts.Identity.Name().String(), Build: version.Version, Heartbeat: opts.Heartbeat, Held: held, Epoch: k.Epoch, Guard: guard, Log: opts.Log,
		Handler: wire.Handler{OnChanges: u.release, OnAsk: opts.Ask, OnHold: func(why string) { opts.Log.Warn("hold an assignment that deletes much", "reason", why) }},
	})
	return u
}

// load reads what was kept; what cannot be read is as good as nothing, since the
// hub sends it again.
func (u *Uplink) load() stored {
	k, err := u.cache.Load()
	if err != nil {
		u.opts.Log.Warn("begin without the last good assignment", "err", err)
		return stored{}
	}
	was := len(k.Resources)
	k.Resources = slices.DeleteFunc(k.Resources, damaged)
	if n := was - len(k.Resources); n > 0 {
		u.opts.Log.Warn("begin without a part of the last good assignment", "resources", n)
	}
	return k
}

// damaged resources are left out: the hub would take them for what it sent.
func damaged(r stream.Resource) bool {
	return r.Kind == "" || r.Key == "" || stream.HashOf(r.Payload) != r.Hash
}

// Run keeps the stream connected until ctx ends.
func (u *Uplink) Run(ctx context.Context) error {
	defer u.cache.Close()
	// A renewed certificate is met with the next connection.
	open := func(ctx context.Context) (wire.Stream, func(), error) { return u.opts.Identity.Dialer().OpenHub(ctx) }
	err := wire.Loop{Session: u.session, Open: open, Backoff: u.opts.Backoff, Log: u.opts.Log}.Run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Hub tells whether the hub is there, and when it was heard last, zero for never.
func (u *Uplink) Hub() (there bool, heard time.Time) {
	s := u.session.Standing()
	return s.Up, s.Heard
}

// Verify holds what a cluster has signed against that cluster's certificate, as
// the assignment gives it.
func (u *Uplink) Verify(r stream.Resource) error {
	u.mu.Lock()
	signer, known := u.signers[r.Origin]
	u.mu.Unlock()
	if !known {
		return fmt.Errorf("verify the signature of cluster %q: %w", r.Origin, errUnknown)
	}
	return signer.Verify(r)
}

// explained tells whether a declaration's origin has said that it deleted it.
func (u *Uplink) explained(id stream.ID, staged func(stream.ID) (stream.Resource, bool)) bool {
	tombstone, ok := staged(stream.TombstoneID(id))
	if !ok {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	signer, known := u.signers[tombstone.Origin]
	return known && signer.Verify(tombstone) == nil && strings.HasPrefix(id.Key, tombstone.Origin+"/")
}

// release takes a state of the assignment into effect.
func (u *Uplink) release(r stream.Release) []stream.Nack {
	nacks := u.take(r.Changes)
	u.mu.Lock()
	defer u.mu.Unlock()
	k := stored{Epoch: r.Epoch}
	for _, res := range u.held {
		k.Resources = append(k.Resources, res)
	}
	u.cache.Save(k)
	return nacks
}

// take verifies and hands on. Certificates come first, so that declarations of
// one batch find them whatever their order.
func (u *Uplink) take(changes []stream.Change) []stream.Nack {
	slices.SortStableFunc(changes, func(a, b stream.Change) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
	var out []Change
	var nacks []stream.Nack
	u.mu.Lock()
	for _, c := range changes {
		list, err := u.one(c)
		if err != nil {
			nacks = append(nacks, stream.Nack{ID: c.ID(), Hash: c.Hash, Error: err.Error()})
			u.opts.Log.Warn("refuse a part of the assignment", "resource", c.ID().String(), "err", err)
			continue
		}
		out = append(out, list...)
	}
	u.mu.Unlock()
	if len(out) > 0 {
		u.opts.Assign(out)
	}
	return nacks
}

func orWrong(err error) error {
	if err == nil {
		return pki.ErrWrongIssuer
	}
	return err
}

func rank(kind string) int {
	if kind == string(assignment.KindPeer) {
		return 0
	}
	return 1
}

func (u *Uplink) one(c stream.Change) ([]Change, error) {
	id := c.ID()
	delete(u.waiting, id)
	if c.Deleted {
		delete(u.held, id)
		if c.Kind == string(assignment.KindPeer) {
			delete(u.signers, c.Key) // who has left the fleet signs nothing any more
		}
		return []Change{{Kind: assignment.Kind(c.Kind), Key: c.Key}}, nil
	}
	r, err := assignment.Decode(assignment.Kind(c.Kind), c.Key, c.Payload)
	if errors.Is(err, assignment.ErrUnknownKind) {
		u.held[id] = c.Resource
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if from := signed(r); from != "" {
		signer, known := u.signers[from]
		if !known {
			u.held[id], u.waiting[id] = c.Resource, c.Resource
			return nil, nil
		}
		if err := signer.Verify(c.Resource); err != nil || c.Origin != from {
			u.waiting[id] = c.Resource // for the certificate that it was signed under
			return nil, fmt.Errorf("verify the signature of cluster %q: %w", from, orWrong(err))
		}
	}
	u.held[id] = c.Resource
	out := []Change{{Kind: assignment.Kind(c.Kind), Key: c.Key, Resource: r}}
	if p, ok := r.(*assignment.Peer); ok {
		return append(out, u.meet(p)...), nil
	}
	return out, nil
}

// signed is the cluster whose word a resource is, under its signature; "" is for
// the hub's own words.
func signed(r assignment.Resource) string {
	switch r := r.(type) {
	case *assignment.Declaration:
		return r.Cluster
	case *assignment.Sealed:
		return r.From
	}
	return ""
}

// meet takes a peer's certificate, and what waited for it.
func (u *Uplink) meet(p *assignment.Peer) []Change {
	if len(p.Intermediate) == 0 {
		return nil
	}
	cert, err := x509.ParseCertificate(p.Intermediate)
	if err != nil {
		u.opts.Log.Warn("read a peer's certificate", "cluster", p.Cluster, "err", err)
		return nil
	}
	signer, err := pki.NewSigner(cert, u.opts.Identity.Roots(), u.opts.Identity.Revoked(), u.opts.Now())
	if err != nil || signer.Cluster().Cluster != p.Cluster {
		u.opts.Log.Warn("refuse a peer's certificate", "cluster", p.Cluster, "err", orWrong(err))
		delete(u.signers, p.Cluster)
		return nil
	}
	u.signers[p.Cluster] = signer
	var out []Change
	for id, r := range maps.Clone(u.waiting) {
		if r.Origin != p.Cluster {
			continue
		}
		delete(u.waiting, id)
		list, err := u.one(stream.Change{Resource: r})
		if err != nil {
			u.opts.Log.Warn("refuse a declaration that waited for its cluster", "resource", id.String(), "err", err)
			continue
		}
		out = append(out, list...)
	}
	return out
}

// Revoke forgets the certificates of those that are revoked: nothing new that
// they sign is taken. What is obeyed already stays, until the hub takes it away.
func (u *Uplink) Revoke(ids pki.Revoked) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.signers, func(_ string, s pki.Signer) bool { return ids.Has(s.Cluster().UID, s.Cluster().Serial) })
}

// Declare pushes what changed among the cluster's own objects. What cannot be
// pushed is taken back, and told of.
func (u *Uplink) Declare(changes []objects.Change) (problems []objects.Problem) {
	resources := map[objects.Key]stream.Resource{}
	for _, c := range changes {
		if slices.Contains(kept, c.Key.Kind) {
			continue
		}
		r, err := u.declaration(c)
		if err != nil {
			problems = append(problems, unpushed(c, err))
			continue
		}
		resources[c.Key] = r
	}
	failed := map[objects.Key]error{}
	u.update(func(src *stream.Source) {
		for key, r := range resources {
			id := stream.ID{Kind: string(assignment.KindDeclaration), Key: assignment.DeclarationKey(u.opts.Cluster, key)}
			if r.ID() == id {
				src.Delete(stream.TombstoneID(id))
			} else {
				src.Delete(id)
			}
			if err := src.Set(r); err != nil {
				src.Delete(id)
				failed[key] = err
			}
		}
	})
	for _, c := range changes {
		if err := failed[c.Key]; err != nil {
			problems = append(problems, unpushed(c, err))
		}
	}
	return problems
}

func unpushed(c objects.Change, err error) objects.Problem {
	p := objects.Problem{Object: c.Key.String(), Reason: "NotPushed", Message: "is not known in other clusters: " + err.Error(), Remedy: "make it smaller"}
	if c.Object != nil {
		p.Cluster, p.File = c.Object.Cluster, c.Object.File
	}
	return p
}

// declaration is an object as it leaves its cluster; for one that is gone, the
// cluster's signed word that it deleted it.
func (u *Uplink) declaration(c objects.Change) (stream.Resource, error) {
	key := assignment.DeclarationKey(u.opts.Cluster, c.Key)
	if c.Object == nil {
		return u.opts.Identity.Sign(stream.Tombstone(stream.ID{Kind: string(assignment.KindDeclaration), Key: key}, u.opts.Cluster, 0))
	}
	raw, err := objects.Redact(c.Object, u.keyed)
	if err != nil {
		return stream.Resource{}, err
	}
	payload, err := assignment.Encode(&assignment.Declaration{Cluster: u.opts.Cluster, Key: c.Key, Generation: c.Object.Generation, Created: c.Object.Created, Object: raw})
	if err != nil {
		return stream.Resource{}, err
	}
	return u.opts.Identity.Sign(stream.Resource{
		Kind: string(assignment.KindDeclaration), Key: key, Generation: c.Object.Generation, Payload: payload, Hash: stream.HashOf(payload),
	})
}

func (u *Uplink) keyed(v string) string {
	mac := hmac.New(sha256.New, u.opts.Key)
	mac.Write([]byte(v))
	return "sealed:" + hex.EncodeToString(mac.Sum(nil)[:8])
}

// Tell pushes what the cluster says about itself.
func (u *Uplink) Tell(list ...assignment.Resource) {
	u.update(func(src *stream.Source) {
		for _, r := range list {
			kind, key := r.ID()
			payload, err := assignment.Encode(r)
			envelope := stream.Resource{Kind: string(kind), Key: key, Payload: payload}
			if err == nil && signed(r) != "" {
				envelope, err = u.opts.Identity.Sign(envelope)
			}
			if err == nil {
				err = src.Set(envelope)
			}
			if err != nil {
				u.opts.Log.Error("tell the hub", "kind", string(kind), "key", key, "err", err)
			}
		}
	})
}

// Untell takes something back.
func (u *Uplink) Untell(kind assignment.Kind, key string) {
	u.update(func(src *stream.Source) { src.Delete(stream.ID{Kind: string(kind), Key: key}) })
}

func (u *Uplink) update(f func(*stream.Source)) {
	u.mu.Lock()
	u.marks++
	mark := fmt.Sprintf("%d.%d", u.opts.Now().UnixNano(), u.marks)
	u.mu.Unlock()
	u.session.Update(func(src *stream.Source) {
		f(src)
		src.Mark(mark, true)
	})
}

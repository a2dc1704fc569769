// Package stream is the delta protocol between the parts of Nave as a pure
// machine: a Source on the sending side of each direction, a Sink on the
// receiving one. It decides what is sent, in what portions, when a receiver may
// let what it has staged take effect, and which deletions need a second look.
// It never touches a connection, a clock or a goroutine: package wire carries
// its Deltas and Acks.
//
// One exchange, from the connection on:
//
//	receiver                                source
//	Sink.Connect
//	Sink.Held        ── what I hold ──▶     Source.Begin
//	Sink.Receive     ◀── Delta 1 … n ──     Source.Next
//	(mark: release)  ── Ack 1 … n ──▶       Source.Acked
//
// Resources are compared by content, never by age: only epochs are ordered. A
// receiver stages what arrives and releases all of it at a mark, so whatever it
// obeys is a state that the source had at one instant. Nothing is released, and
// so nothing deleted, before the source has said that the difference to what
// the receiver held is complete.
package stream

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Bounds of one resource. A resource is one declaration or a shard of some,
// so these are generous; together they keep a Delta with a single resource
// under the 4 MiB that a gRPC message may have.
const (
	MaxName    = 1 << 10 // bytes of a kind or a key
	MaxPayload = 3 << 20 // bytes of a payload
	maxExtra   = 64 << 10
)

// ID names a resource: a kind, and a key that is unique within it.
type ID struct{ Kind, Key string }

func (id ID) String() string { return id.Kind + " " + id.Key }

// Compare orders by kind, then key.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Kind, other.Kind), cmp.Compare(id.Key, other.Key))
}

// Resource is one thing that is sent whole: what a person wrote, a part of a
// table, a status, a sample. Its kind need not be known to who carries it.
type Resource struct {
	Kind, Key string
	// Origin is the cluster that authored it, "" where that does not matter.
	Origin string
	// Generation is the source object's own, as observed; it orders nothing here.
	Generation int64
	// Hash is HashOf(Payload). Source.Set fills it where it is empty.
	Hash    string
	Payload []byte
	// Signature is the origin's, over everything above except the payload, which
	// the hash stands for. Package pki makes and checks it.
	Signature []byte
	// Extra holds, in their wire form, the fields that this build does not know.
	Extra []byte
}

// ID names the resource.
func (r *Resource) ID() ID { return ID{r.Kind, r.Key} }

// Version says exactly which content of the resource this is.
func (r *Resource) Version() Version { return Version{r.ID(), r.tag()} }

// tag covers all that a receiver could tell apart, so that equal tags mean
// that nothing has to be sent.
func (r *Resource) tag() string {
	h := sha256.New()
	var n [8]byte
	for _, part := range [...]string{r.Origin, r.Hash, string(r.Signature), string(r.Extra)} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	binary.BigEndian.PutUint64(n[:], uint64(r.Generation))
	h.Write(n[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// size is what the resource adds to a Delta, in bytes, roughly from above.
func (r *Resource) size() int {
	return len(r.Kind) + len(r.Key) + len(r.Origin) + len(r.Hash) + len(r.Payload) + len(r.Signature) + len(r.Extra) + 48
}

// Check refuses what no receiver would take.
func (r *Resource) Check() error {
	if err := r.ID().check(); err != nil {
		return err
	}
	if len(r.Payload) > MaxPayload || len(r.Origin) > MaxName || len(r.Signature) > MaxName || len(r.Extra) > maxExtra {
		return fmt.Errorf("resource %q: larger than allowed (payload %d bytes of at most %d)", r.ID(), len(r.Payload), MaxPayload)
	}
	if !utf8.ValidString(r.Origin) {
		return fmt.Errorf("resource %q: origin is not UTF-8", r.ID())
	}
	return nil
}

func (id ID) check() error {
	if id.Kind == "" || id.Key == "" {
		return fmt.Errorf("resource %q: kind or key is missing", id)
	}
	if len(id.Kind) > MaxName || len(id.Key) > MaxName {
		return errors.New("a resource's kind or key is too long")
	}
	if !utf8.ValidString(id.Kind) || !utf8.ValidString(id.Key) {
		return fmt.Errorf("resource %q: kind or key is not UTF-8", id)
	}
	return nil
}

// HashOf is the content hash of a payload: the first 16 bytes of its SHA-256,
// in hex.
func HashOf(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:16])
}

// Version is a resource and which content of it. Tags are compared for
// equality only.
type Version struct {
	ID
	Tag string
}

// Epoch says under whose lead a state was made. Epochs are ordered, by number
// and then by term; the zero Epoch is for directions that have none.
type Epoch struct{ Number, Term uint64 }

// Compare orders two epochs.
func (e Epoch) Compare(other Epoch) int {
	return cmp.Or(cmp.Compare(e.Number, other.Number), cmp.Compare(e.Term, other.Term))
}

// Delta is a portion of change.
type Delta struct {
	// Nonce counts the deltas of one connection, from 1, without gaps.
	Nonce   uint64
	Epoch   Epoch
	Upserts []Resource
	Deletes []ID
	// Mark, where not empty, names the state that the receiver has with this
	// delta. Empty: more follows.
	Mark string
	// Complete: the difference to what the receiver offered has been sent.
	Complete bool
	// Confirmed: a person has seen what this mark deletes, and wants it.
	Confirmed bool
}

// Ack answers the delta with its nonce, and all before it.
type Ack struct {
	Nonce uint64
	// Nacks name every resource that the receiver cannot obey at this mark,
	// those that it has refused before included.
	Nacks []Nack
	// Hold, where not empty, says why the mark was not taken at all.
	Hold string
}

// Nack is one resource that a receiver keeps its last good version of.
type Nack struct {
	ID
	// Hash is that of the refused payload.
	Hash  string
	Error string
}

// Change is one resource as it is from now on, or its end.
type Change struct {
	// Resource has kind and key only where Deleted is set.
	Resource
	Deleted bool
}

// tombstoneKind is the kind of resource by which an origin says that it has
// deleted another one.
const tombstoneKind = "Tombstone"

// Tombstone is a resource that says: the origin deleted id, at this
// generation. Signed like any other, it lets a receiver tell a deletion that
// the origin wants from one that somebody between lost. It is kept for as long
// as a receiver may be away.
func Tombstone(id ID, origin string, generation int64) Resource {
	r := Resource{Kind: tombstoneKind, Key: TombstoneID(id).Key, Origin: origin, Generation: generation}
	r.Hash = HashOf(nil)
	return r
}

// TombstoneID is the name of the tombstone of id.
func TombstoneID(id ID) ID { return ID{tombstoneKind, id.Kind + "/" + id.Key} }

func sortVersions(vs []Version) {
	slices.SortFunc(vs, func(a, b Version) int { return a.ID.Compare(b.ID) })
}

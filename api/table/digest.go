package table

import (
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
)

// lanes is the width of a Digest. 1,024 lanes of 16 bits are LtHash's published
// parameters (Lewi et al., "Securing update propagation with homomorphic
// hashing", 2019), far beyond what could be collided.
const lanes = 1024

// Digest is a content hash of a table that follows changes at the cost of the
// change: each resource is expanded to lanes numbers, and the digest is their
// sum, so that order plays no part and a resource can be taken out again. The
// zero value is the empty table's.
type Digest struct {
	sum *[lanes]uint16
}

// DigestOf is the digest of a whole table.
func DigestOf(t Table) Digest {
	var changes []Change
	for r := range t.All() {
		changes = append(changes, Put(r))
	}
	return Digest{}.Apply(New(), changes...)
}

// Apply gives the digest of before.Apply(changes...), where d is before's and
// no two changes are of one ID.
func (d Digest) Apply(before Table, changes ...Change) Digest {
	if len(changes) == 0 {
		return d
	}
	next := new([lanes]uint16)
	if d.sum != nil {
		*next = *d.sum
	}
	for _, c := range changes {
		if old := before.Get(c.ID); old != nil {
			add(next, old, ^uint16(0))
		}
		if c.Resource != nil {
			add(next, c.Resource, 1)
		}
	}
	return Digest{next}
}

// add puts a resource's lanes to sum, sign times; 2^16-1 is minus one.
func add(sum *[lanes]uint16, r Resource, sign uint16) {
	data, err := Encode(r)
	if err != nil {
		// What cannot be encoded cannot be sent either; its name stands for it.
		data = nil
	}
	h := sha3.NewSHAKE128()
	id := r.ID()
	for _, part := range [...][]byte{[]byte(id.Kind), []byte(id.Name), data} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	var wide [lanes * 2]byte
	h.Read(wide[:])
	for i := range sum {
		sum[i] += sign * binary.LittleEndian.Uint16(wide[2*i:])
	}
}

// String is the revision: 16 bytes of SHA-256 over the sum, in hex.
func (d Digest) String() string {
	var flat [lanes * 2]byte
	if d.sum != nil {
		for i, v := range d.sum {
			binary.LittleEndian.PutUint16(flat[2*i:], v)
		}
	}
	sum := sha256.Sum256(flat[:])
	return hex.EncodeToString(sum[:16])
}

// Hash is the revision of a table: equal tables have equal ones.
func Hash(t Table) string { return DigestOf(t).String() }

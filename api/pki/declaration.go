package pki

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/navehq/nave/api/stream"
)

// ErrUnsigned is the cause where a declaration is not its origin's word.
var ErrUnsigned = errors.New("declaration is not signed by its origin")

// declarationLabel begins what is signed. No certificate, request or TLS
// handshake begins so, hence the key of a cluster's intermediate can sign
// declarations beside certificates.
const declarationLabel = "nave declaration v1\x00"

// message is what an origin signs: everything that says which content of which
// resource this is, each part with its length, so that no two resources have
// the same.
func message(r *stream.Resource) []byte {
	out := []byte(declarationLabel)
	for _, part := range [...]string{r.Kind, r.Key, r.Origin, r.Hash} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return binary.BigEndian.AppendUint64(out, uint64(r.Generation))
}

// SignDeclaration returns r with its origin's signature, made with the key of
// the origin's intermediate. Origin and Generation have to be set; the hash is
// taken from the payload.
func SignDeclaration(r stream.Resource, key crypto.Signer) (stream.Resource, error) {
	r.Hash = stream.HashOf(r.Payload)
	sig, err := key.Sign(nil, message(&r), crypto.Hash(0))
	if err != nil {
		return stream.Resource{}, fmt.Errorf("signing %q: %w", r.ID(), err)
	}
	r.Signature = sig
	return r, nil
}

// Signer checks the declarations of one origin, whose intermediate it has
// verified once.
type Signer struct {
	cluster Identity
	key     ed25519.PublicKey
}

// NewSigner verifies an intermediate against the fleet's roots.
func NewSigner(intermediate *x509.Certificate, roots []*x509.Certificate, revoked Revoked, now time.Time) (Signer, error) {
	id, err := VerifyCluster(intermediate, roots, revoked, now)
	if err != nil {
		return Signer{}, err
	}
	key, ok := intermediate.PublicKey.(ed25519.PublicKey)
	if !ok {
		return Signer{}, fmt.Errorf("verifying the intermediate of %q: %w: not an Ed25519 key", id.Cluster, ErrUnsigned)
	}
	return Signer{id, key}, nil
}

// Cluster is whose declarations these are.
func (s Signer) Cluster() Identity { return s.cluster }

// Verify checks that r is the word of this origin, and that its payload is
// what was signed.
func (s Signer) Verify(r stream.Resource) error {
	switch {
	case r.Origin != s.cluster.Cluster:
		return fmt.Errorf("verifying %q of %q by the key of %q: %w", r.ID(), r.Origin, s.cluster.Cluster, ErrUnsigned)
	case stream.HashOf(r.Payload) != r.Hash:
		return fmt.Errorf("verifying %q of %q: %w", r.ID(), r.Origin, stream.ErrDamaged)
	case !ed25519.Verify(s.key, message(&r), r.Signature):
		return fmt.Errorf("verifying %q of %q: %w", r.ID(), r.Origin, ErrUnsigned)
	}
	return nil
}

// VerifyDeclaration checks one resource by the intermediate of its origin. Who
// checks many of one origin keeps a Signer.
func VerifyDeclaration(r stream.Resource, intermediate *x509.Certificate, roots []*x509.Certificate, revoked Revoked, now time.Time) error {
	s, err := NewSigner(intermediate, roots, revoked, now)
	if err != nil {
		return err
	}
	return s.Verify(r)
}

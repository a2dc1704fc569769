package keys

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/navehq/nave/api/assignment"
)

// purpose begins the purpose of a sealed set; the Gateway follows.
const purpose = "session/"

// maxKeys bounds a set that is taken: two overlap in a rotation.
const maxKeys = 8

// The causes for which a set is not sealed or not taken.
var (
	ErrPinned  = errors.New("cluster shows another public key than before")
	errForeign = errors.New("it is not sealed to this spoke")
	errNoSet   = errors.New("it holds no set of keys")
)

// Seal seals an own Gateway's keys to a cluster that hosts it.
func (r *Ring) Seal(gateway, to string, public []byte) (*assignment.Sealed, error) {
	s, err := r.seal(gateway, to, public)
	if err != nil {
		return nil, fmt.Errorf("seal the session keys of %q to cluster %q: %w", gateway, to, err)
	}
	return s, nil
}

func (r *Ring) seal(gateway, to string, public []byte) (*assignment.Sealed, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pinned, ok := r.state.Pinned[to]; ok && !bytes.Equal(pinned, public) {
		return nil, ErrPinned
	}
	set, err := r.own(gateway)
	if err != nil {
		return nil, err
	}
	key, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	if r.state.Pinned[to] == nil {
		r.state.Pinned[to] = bytes.Clone(public)
		if err := r.save(); err != nil {
			return nil, err
		}
	}
	plain, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	text, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(r.opts.Cluster, to, gateway), plain)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(public)
	return &assignment.Sealed{
		From: r.opts.Cluster, To: to, Purpose: purpose + gateway, Recipient: hex.EncodeToString(sum[:]), Ciphertext: text,
	}, nil
}

// info binds a ciphertext to who sealed what for whom.
func info(from, to, gateway string) []byte {
	return []byte("nave session keys\x00" + from + "\x00" + to + "\x00" + gateway)
}

// Take opens what another cluster sealed to this one. What is sealed for another
// purpose is left alone.
func (r *Ring) Take(s *assignment.Sealed) error {
	gateway, ok := strings.CutPrefix(s.Purpose, purpose)
	if !ok || s.To != r.opts.Cluster {
		return nil
	}
	set, err := r.open(s, gateway)
	if err != nil {
		return fmt.Errorf("open the session keys of %q from cluster %q: %w", gateway, s.From, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Given[s.From+"/"+gateway] = set
	return r.save()
}

func (r *Ring) open(s *assignment.Sealed, gateway string) (Set, error) {
	plain, err := hpke.Open(r.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(s.From, s.To, gateway), s.Ciphertext)
	if err != nil {
		return nil, errForeign
	}
	var set Set
	if json.Unmarshal(plain, &set) != nil || len(set) < 2 || len(set) > maxKeys+1 || len(set[string(set[use])]) != length {
		return nil, errNoSet
	}
	for id, key := range set {
		if id != use && (len(key) != length || id != name(key)) {
			return nil, errNoSet
		}
	}
	return set, nil
}

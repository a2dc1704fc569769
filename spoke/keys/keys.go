// Package keys holds the keys that seal MCP session ids: a Gateway's home
// cluster makes them and seals them to every cluster that hosts it, whose
// public keys are pinned at first sight. The hub carries ciphertext only.
// Encryption is HPKE (RFC 9180): X25519, HKDF-SHA256, AES-256-GCM.
package keys

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/navehq/nave/api/assignment"
)

const (
	purpose = "session/"
	length  = 32
)

// ErrPinned is the cause where a cluster shows another key than the first time.
var ErrPinned = errors.New("cluster shows another public key than before")

// Ring holds what is kept. It is safe for concurrent use.
type Ring struct {
	cluster string
	path    string

	mu    sync.Mutex
	state state
	key   hpke.PrivateKey
}

// state is what the file holds, mode 0600.
type state struct {
	// Private opens what others seal to this cluster.
	Private []byte `json:"private"`
	// Own are the keys of the Gateways that are at home here.
	Own map[string][]byte `json:"own"`
	// Given are those of others' Gateways, by home/namespace/name.
	Given map[string][]byte `json:"given"`
	// Pinned are other clusters' public keys.
	Pinned map[string][]byte `json:"pinned"`
}

// Open loads the ring, or makes it.
func Open(cluster, path string) (*Ring, error) {
	r := &Ring{cluster: cluster, path: path}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &r.state)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the session keys: %w", err)
	}
	for _, m := range []*map[string][]byte{&r.state.Own, &r.state.Given, &r.state.Pinned} {
		if *m == nil {
			*m = map[string][]byte{}
		}
	}
	kem := hpke.DHKEM(ecdh.X25519())
	if len(r.state.Private) == 0 {
		if r.key, err = kem.GenerateKey(); err != nil {
			return nil, fmt.Errorf("make a key pair: %w", err)
		}
		if r.state.Private, err = r.key.Bytes(); err != nil {
			return nil, fmt.Errorf("make a key pair: %w", err)
		}
		return r, r.save()
	}
	if r.key, err = kem.NewPrivateKey(r.state.Private); err != nil {
		return nil, fmt.Errorf("read the session keys: %w", err)
	}
	return r, nil
}

func (r *Ring) save() error {
	data, err := json.Marshal(r.state)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(r.path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(r.path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the session keys: %w", err)
	}
	return nil
}

// PublicKey is what others seal to.
func (r *Ring) PublicKey() []byte { return r.key.PublicKey().Bytes() }

// Own gives the keys of a Gateway that is at home here, made at first.
func (r *Ring) Own(gateway string) (map[string][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.state.Own[gateway]) != length {
		key := make([]byte, length)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("make a session key: %w", err)
		}
		r.state.Own[gateway] = key
		if err := r.save(); err != nil {
			return nil, err
		}
	}
	return keySet(r.state.Own[gateway]), nil
}

// Given gives the keys of another cluster's Gateway, if they have come.
func (r *Ring) Given(home, gateway string) (map[string][]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := r.state.Given[home+"/"+gateway]
	return keySet(key), len(key) == length
}

// keySet is a set of one key, named by its hash.
func keySet(key []byte) map[string][]byte {
	sum := sha256.Sum256(key)
	id := hex.EncodeToString(sum[:4])
	return map[string][]byte{id: key, "use": []byte(id)}
}

// Seal seals an own Gateway's key to a cluster that hosts it.
func (r *Ring) Seal(gateway, to string, public []byte) (*assignment.Sealed, error) {
	if _, err := r.Own(gateway); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if pinned, ok := r.state.Pinned[to]; ok && !bytes.Equal(pinned, public) {
		return nil, fmt.Errorf("seal the session key of %q to cluster %q: %w; remove it from %s if the cluster was made anew", gateway, to, ErrPinned, r.path)
	}
	key, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("seal the session key of %q to cluster %q: %w", gateway, to, err)
	}
	if r.state.Pinned[to] == nil {
		r.state.Pinned[to] = public
		if err := r.save(); err != nil {
			return nil, err
		}
	}
	text, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), r.info(r.cluster, to, gateway), r.state.Own[gateway])
	if err != nil {
		return nil, fmt.Errorf("seal the session key of %q to cluster %q: %w", gateway, to, err)
	}
	sum := sha256.Sum256(public)
	return &assignment.Sealed{From: r.cluster, To: to, Purpose: purpose + gateway, Recipient: hex.EncodeToString(sum[:]), Ciphertext: text}, nil
}

// info binds a ciphertext to who sealed what for whom.
func (r *Ring) info(from, to, gateway string) []byte {
	return []byte("nave session key\x00" + from + "\x00" + to + "\x00" + gateway)
}

// Take opens what another cluster sealed to this one.
func (r *Ring) Take(s *assignment.Sealed) error {
	gateway, ok := strings.CutPrefix(s.Purpose, purpose)
	if !ok || s.To != r.cluster {
		return nil
	}
	key, err := hpke.Open(r.key, hpke.HKDFSHA256(), hpke.AES256GCM(), r.info(s.From, s.To, gateway), s.Ciphertext)
	if err != nil || len(key) != length {
		return fmt.Errorf("open the session key of %q from cluster %q: it is not sealed to this spoke", gateway, s.From)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes.Equal(r.state.Given[s.From+"/"+gateway], key) {
		return nil
	}
	r.state.Given[s.From+"/"+gateway] = key
	return r.save()
}

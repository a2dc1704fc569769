// Package keys holds the keys that seal MCP session ids: a Gateway's home
// cluster makes them and seals them to every cluster that hosts it, whose
// public keys are pinned at first sight. The hub carries ciphertext only.
// Encryption is HPKE (RFC 9180): X25519, HKDF-SHA256, AES-256-GCM. It decides
// when a key is renewed, and nothing about sessions.
package keys

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/navehq/nave/api/pki/keep"
)

const (
	length = 32
	// use names, in a Set, the key to seal with.
	use = "use"
)

// The times of keys, where Options say nothing else.
const (
	DefaultPeriod = 365 * 24 * time.Hour
	DefaultSpread = 10 * time.Minute
	DefaultLife   = 48 * time.Hour
)

// Options of a Ring. Cluster and Keeper are required.
type Options struct {
	Cluster string
	Keeper  keep.Keeper
	// Period is how long a key is in use [a year]; Spread how long a new one is
	// accepted before it is used, so that every host has it by then [10 min];
	// Life how long an old one is accepted after that, longer than any session
	// lives [48 h].
	Period, Spread, Life time.Duration
	Now                  func() time.Time
}

// Set is the keys of one Gateway: ids to 32 bytes each, and "use" to the id of
// the one to seal with.
type Set map[string][]byte

// Ring holds what is kept. It is safe for concurrent use.
type Ring struct {
	opts Options
	key  hpke.PrivateKey

	mu      sync.Mutex
	state   state
	version string
}

// made is a key with its age; those of a Gateway stand oldest first.
type made struct {
	Secret []byte    `json:"secret"`
	Made   time.Time `json:"made"`
}

// state is what is kept.
type state struct {
	// Private opens what others seal to this cluster.
	Private []byte `json:"private"`
	// Own are the keys of the Gateways that are at home here.
	Own map[string][]made `json:"own"`
	// Given are those of others' Gateways, by home/namespace/name.
	Given map[string]Set `json:"given"`
	// Pinned are other clusters' public keys.
	Pinned map[string][]byte `json:"pinned"`
}

// Open loads the ring, or makes it.
func Open(opts Options) (*Ring, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	for _, d := range []struct {
		into *time.Duration
		is   time.Duration
	}{{&opts.Period, DefaultPeriod}, {&opts.Spread, DefaultSpread}, {&opts.Life, DefaultLife}} {
		if *d.into <= 0 {
			*d.into = d.is
		}
	}
	r := &Ring{opts: opts, state: state{Own: map[string][]made{}, Given: map[string]Set{}, Pinned: map[string][]byte{}}}
	if err := r.load(); err != nil {
		return nil, fmt.Errorf("open the session keys: %w", err)
	}
	return r, nil
}

func (r *Ring) load() error {
	blob, version, err := r.opts.Keeper.Load()
	if err == nil {
		err = json.Unmarshal(blob, &r.state)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.version = version
	r.state.mend()
	kem := hpke.DHKEM(ecdh.X25519())
	if len(r.state.Private) > 0 {
		r.key, err = kem.NewPrivateKey(r.state.Private)
		return err
	}
	if r.key, err = kem.GenerateKey(); err != nil {
		return err
	}
	if r.state.Private, err = r.key.Bytes(); err != nil {
		return err
	}
	return r.save()
}

// mend leaves out of what was kept that which is no key.
func (s *state) mend() {
	for gateway, list := range s.Own {
		s.Own[gateway] = slices.DeleteFunc(list, func(m made) bool { return len(m.Secret) != length })
	}
	if s.Own == nil {
		s.Own = map[string][]made{}
	}
	if s.Given == nil {
		s.Given = map[string]Set{}
	}
	if s.Pinned == nil {
		s.Pinned = map[string][]byte{}
	}
}

func (r *Ring) save() error {
	blob, err := json.Marshal(r.state)
	if err == nil {
		r.version, err = r.opts.Keeper.Save(blob, r.version)
	}
	if err != nil {
		return fmt.Errorf("keep the session keys: %w", err)
	}
	return nil
}

// PublicKey is what others seal to.
func (r *Ring) PublicKey() []byte { return r.key.PublicKey().Bytes() }

// Own gives the keys of a Gateway that is at home here, as of now: made at
// first, renewed and dropped in their time.
func (r *Ring) Own(gateway string) (Set, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own(gateway)
}

func (r *Ring) own(gateway string) (Set, error) {
	now := r.opts.Now()
	list := r.state.Own[gateway]
	next := r.current(list, now)
	if n := len(next); n == 0 || now.Sub(next[n-1].Made) >= r.opts.Period {
		key := make([]byte, length)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("make a session key of %q: %w", gateway, err)
		}
		next = append(next, made{key, now})
	}
	if len(next) != len(list) || !next[0].Made.Equal(list[0].Made) {
		r.state.Own[gateway] = next
		if err := r.save(); err != nil {
			return nil, err
		}
	}
	out := Set{}
	for i, k := range next {
		id := name(k.Secret)
		out[id] = k.Secret
		// The first was never preceded by another, so that nobody has to wait.
		if i == 0 || now.Sub(k.Made) >= r.opts.Spread {
			out[use] = []byte(id)
		}
	}
	return out, nil
}

// current leaves out the keys whose successor has been in use for longer than
// any session lives.
func (r *Ring) current(list []made, now time.Time) []made {
	for len(list) > 1 && now.Sub(list[1].Made) >= r.opts.Spread+r.opts.Life {
		list = list[1:]
	}
	return slices.Clone(list)
}

// name is what a key is called in sealed ids: a part of its hash.
func name(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:4])
}

// Given gives the keys of another cluster's Gateway, if they have come.
func (r *Ring) Given(home, gateway string) (Set, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set, ok := r.state.Given[home+"/"+gateway]
	return maps.Clone(set), ok
}

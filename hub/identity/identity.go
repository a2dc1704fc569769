// Package identity is the hub's certificate authority: the root of the fleet,
// the tokens by which clusters join, the intermediates that they get and renew,
// and the list of those that are revoked. All of it is one kept blob, which
// replicas of the hub share. It decides who belongs to the fleet, never what
// they may do there, and it sees no private key but the root's.
package identity

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/pki/keep"
)

// DefaultGrace is how long after its end an intermediate may still be renewed
// by the key that it was for.
const DefaultGrace = 60 * 24 * time.Hour

// ErrOtherCluster is the cause where a token is used for a cluster that it was
// not made for. The token stays unspent.
var ErrOtherCluster = errors.New("token is for another cluster")

// ErrUnknown is the cause where an identity is proved and not one of the fleet's
// current ones: the cluster has joined again since, or is not known at all.
var ErrUnknown = errors.New("identity is not a current one of this fleet")

// Options of an Authority. Keeper and Fleet are required.
type Options struct {
	Keeper keep.Keeper
	// Fleet is the name of the fleet; a kept authority has to be for the same.
	Fleet string
	// Life of intermediates [30 days], and Grace in which an expired one may be
	// renewed [60 days].
	Life, Grace time.Duration

	Now    func() time.Time // nil: the clock
	Random io.Reader        // nil: crypto/rand
	Log    *slog.Logger     // nil: silent
}

func (o *Options) fill() {
	if o.Life <= 0 {
		o.Life = pki.IntermediateLife
	}
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Authority gives out the fleet's identities. It is safe for concurrent use.
type Authority struct {
	opts Options

	mu      sync.Mutex
	state   state
	version string
	leaves  map[pki.Role]*tls.Certificate
	changed chan struct{} // closed when the revoked change
}

// Open loads the fleet's authority, or makes it where nothing is kept yet.
func Open(opts Options) (*Authority, error) {
	opts.fill()
	a := &Authority{opts: opts, leaves: map[pki.Role]*tls.Certificate{}, changed: make(chan struct{})}
	err := a.Refresh()
	if errors.Is(err, fs.ErrNotExist) {
		err = a.found()
	}
	if errors.Is(err, keep.ErrConflict) { // another replica was first
		err = a.Refresh()
	}
	if err != nil {
		return nil, fmt.Errorf("opening the authority of fleet %q: %w", opts.Fleet, err)
	}
	if a.state.Fleet != opts.Fleet {
		return nil, fmt.Errorf("opening the authority of fleet %q: what is kept is for %q", opts.Fleet, a.state.Fleet)
	}
	return a, nil
}

// found makes the root, at the hub's first start.
func (a *Authority) found() error {
	root, err := pki.NewRoot(a.opts.Fleet, a.opts.Random, a.opts.Now())
	if err != nil {
		return err
	}
	a.opts.Log.Info("fleet has a new root", "fleet", a.opts.Fleet, "pin", pki.KeyHash(root.Certificate))
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.save(newState(a.opts.Fleet, root))
}

// Refresh takes over what another replica has changed.
func (a *Authority) Refresh() error {
	blob, version, err := a.opts.Keeper.Load()
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if version == a.version {
		return nil
	}
	s, err := parseState(blob)
	if err != nil {
		return err
	}
	a.adopt(s, version)
	return nil
}

// adopt makes s the state, and tells those that wait for revocations.
func (a *Authority) adopt(s state, version string) {
	if !slices.Equal(s.revoked(), a.state.revoked()) {
		close(a.changed)
		a.changed = make(chan struct{})
	}
	a.state, a.version = s, version
}

// save keeps s and makes it the state. The mutex is held.
func (a *Authority) save(s state) error {
	blob, err := s.encode()
	if err != nil {
		return err
	}
	version, err := a.opts.Keeper.Save(blob, a.version)
	if err != nil {
		return err
	}
	a.adopt(s, version)
	return nil
}

// change applies f to the state and keeps it; where another replica was faster,
// f is applied to what that one left.
func (a *Authority) change(f func(*state) error) error {
	for range 10 {
		a.mu.Lock()
		next := a.state.clone()
		err := f(&next)
		if err == nil {
			err = a.save(next)
		}
		a.mu.Unlock()
		if !errors.Is(err, keep.ErrConflict) {
			return err
		}
		if err := a.Refresh(); err != nil {
			return err
		}
	}
	return keep.ErrConflict
}

// Fleet is the fleet's name.
func (a *Authority) Fleet() string { return a.opts.Fleet }

// Pin is the hash of the root's key, as tokens carry it.
func (a *Authority) Pin() string { return pki.KeyHash(a.root().Certificate) }

// Roots are the certificates that the fleet trusts.
func (a *Authority) Roots() []*x509.Certificate {
	return []*x509.Certificate{a.root().Certificate}
}

func (a *Authority) root() pki.Issuer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.root
}

// Certificate is the hub's own, issued as needed.
func (a *Authority) Certificate() (*tls.Certificate, error) {
	return a.leaf(pki.HubName(a.opts.Fleet))
}

// Supervisor is the certificate of the supervisor of a standalone fleet, who
// opens the same authority in its own process.
func (a *Authority) Supervisor() (*tls.Certificate, error) {
	return a.leaf(pki.SupervisorName(a.opts.Fleet))
}

func (a *Authority) leaf(name pki.Name) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.opts.Now()
	if c := a.leaves[name.Role]; c != nil && pki.Fresh(c.Leaf, now) {
		return c, nil
	}
	key, err := pki.NewKey(a.opts.Random)
	if err != nil {
		return nil, err
	}
	root := a.state.root
	cert, err := root.Leaf(name, key.Public(), a.opts.Random, now, pki.LeafLife)
	if err != nil {
		return nil, err
	}
	a.leaves[name.Role] = pki.Credentials{Key: key, Chain: []*x509.Certificate{cert}}.TLS(root.Certificate)
	return a.leaves[name.Role], nil
}

// Party is the hub's side of its connections.
func (a *Authority) Party() pki.Party {
	return pki.Party{Certificate: a.Certificate, Roots: a.Roots, Revoked: a.Revoked, Now: a.opts.Now}
}

// SupervisorParty is the supervisor's side.
func (a *Authority) SupervisorParty() pki.Party {
	p := a.Party()
	p.Certificate = a.Supervisor
	return p
}

// TLS is the configuration of the hub's port.
func (a *Authority) TLS() *tls.Config { return a.Party().HubServer(a.opts.Grace) }

// Grace is how long an expired identity is still recognised, for renewing.
func (a *Authority) Grace() time.Duration { return a.opts.Grace }

// CreateToken makes a single-use token by which the named cluster may join
// until ttl [1 h] has passed. It is shown once: only a hash is kept.
func (a *Authority) CreateToken(cluster string, ttl time.Duration) (string, error) {
	if ttl <= 0 {
		ttl = pki.TokenLife
	}
	if err := pki.SpokeName(a.opts.Fleet, cluster).Check(); err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	token, err := pki.NewToken(a.opts.Random, a.Pin())
	if err != nil {
		return "", err
	}
	err = a.change(func(s *state) error {
		now := a.opts.Now()
		s.Tokens = s.Tokens.Add(token.Secret(), pki.Grant{Subject: cluster, Expires: now.Add(ttl)}, now)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("making a token for cluster %q: %w", cluster, err)
	}
	return token.Format(), nil
}

// Join redeems a token's secret for the intermediate of its cluster, with the
// key that csr proves. A cluster that joins again is a new identity; the one
// before cannot renew any more, and ends by itself or by Revoke.
func (a *Authority) Join(secret, cluster string, csr []byte) (*x509.Certificate, error) {
	key, err := pki.RequestedKey(csr)
	if err == nil {
		err = a.Refresh() // another replica may have made the token, or taken it
	}
	if err != nil {
		return nil, fmt.Errorf("joining cluster %q: %w", cluster, err)
	}
	var cert *x509.Certificate
	err = a.change(func(s *state) error {
		now := a.opts.Now()
		grant, left, err := s.Tokens.Redeem(secret, now)
		if err != nil {
			return err
		}
		if grant.Subject != cluster {
			return fmt.Errorf("%w: it is for %q", ErrOtherCluster, grant.Subject)
		}
		s.Tokens = left
		uid, err := a.uid()
		if err != nil {
			return err
		}
		cert, err = s.root.Intermediate(pki.SpokeName(s.Fleet, cluster), uid, key, a.opts.Random, now, a.opts.Life)
		if err != nil {
			return err
		}
		s.admit(cluster, uid, cert, now)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("joining cluster %q: %w", cluster, err)
	}
	a.opts.Log.Info("cluster has joined", "cluster", cluster, "serial", pki.Serial(cert))
	return cert, nil
}

func (a *Authority) uid() (string, error) {
	raw := make([]byte, 16)
	if _, err := io.ReadFull(a.opts.Random, raw); err != nil {
		return "", fmt.Errorf("making an id: %w", err)
	}
	return hex.EncodeToString(raw), nil
}

// Renew issues a cluster's intermediate again, to the same identity. One that
// has expired is renewed only for the key that it was for.
func (a *Authority) Renew(id pki.Identity, csr []byte) (*x509.Certificate, error) {
	key, err := pki.RequestedKey(csr)
	if err == nil {
		err = a.Refresh()
	}
	if err != nil {
		return nil, fmt.Errorf("renewing %q: %w", id.Name, err)
	}
	var cert *x509.Certificate
	err = a.change(func(s *state) error {
		if err := s.known(id); err != nil {
			return err
		}
		now := a.opts.Now()
		cert, err = s.root.Intermediate(id.Name, id.UID, key, a.opts.Random, now, a.opts.Life)
		if err != nil {
			return err
		}
		if id.Expired && pki.KeyHash(cert) != s.Clusters[id.Cluster].Key {
			return fmt.Errorf("%w: it has expired, and asks for another key", ErrUnknown)
		}
		s.admit(id.Cluster, id.UID, cert, now)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("renewing %q: %w", id.Name, err)
	}
	return cert, nil
}

// Known tells whether a proved identity is the cluster's current one. Whoever
// accepts a spoke's stream asks.
func (a *Authority) Known(id pki.Identity) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.known(id)
}

// Revoke ends identities: of a cluster by its name, all that it ever had; or
// of one certificate by its serial number. It returns the ids that are revoked
// now and were not before. Live streams are closed by who holds them, on Changed.
func (a *Authority) Revoke(what, by string) ([]string, error) {
	var added []string
	err := a.change(func(s *state) error {
		ids, err := s.idsOf(what)
		if err != nil {
			return err
		}
		added = s.revoke(ids, what, by, a.opts.Now())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("revoking %q: %w", what, err)
	}
	a.opts.Log.Warn("identity is revoked", "what", what, "by", by, "ids", added)
	return added, nil
}

// Revoked is the list that rides in every assignment.
func (a *Authority) Revoked() pki.Revoked {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.revoked()
}

// Changed is closed when the revoked change; to be asked again then.
func (a *Authority) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// Cluster is one that has joined.
type Cluster struct {
	Name string
	// UID is the current identity's.
	UID      string
	Serial   string
	Joined   time.Time
	NotAfter time.Time
	Revoked  bool
}

// Clusters are those that have joined, by name.
func (a *Authority) Clusters() []Cluster {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Cluster
	revoked := a.state.revoked()
	for _, name := range slices.Sorted(maps.Keys(a.state.Clusters)) {
		c := a.state.Clusters[name]
		out = append(out, Cluster{
			Name: name, UID: c.UID, Serial: c.Serial, Joined: c.Joined, NotAfter: c.NotAfter,
			Revoked: revoked.Has(c.UID, c.Serial),
		})
	}
	return out
}

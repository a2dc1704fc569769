// Package identity is the hub's certificate authority: the root of the fleet,
// the tokens by which clusters join, the intermediates that they get and renew,
// and the list of those that are revoked. All of it is one kept blob, which
// replicas of the hub share. It decides who belongs to the fleet, never what
// they may do there, and it sees no private key but the root's.
package identity

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/pki/keep"
)

// DefaultGrace is how long after its end an intermediate may still be renewed
// by the key that it was for.
const DefaultGrace = 60 * 24 * time.Hour

// refreshEvery is how long a revocation made on another replica may go unseen.
const refreshEvery = 5 * time.Second

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

	// keeping serializes loading and saving, which may take long; it is taken
	// before mu, and version changes under both.
	keeping sync.Mutex

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
	a.keeping.Lock()
	defer a.keeping.Unlock()
	return a.save(newState(a.opts.Fleet, root))
}

// Refresh takes over what another replica has changed.
func (a *Authority) Refresh() error {
	a.keeping.Lock()
	defer a.keeping.Unlock()
	return a.refresh()
}

// refresh is Refresh with the lock on keeping held.
func (a *Authority) refresh() error {
	blob, version, err := a.opts.Keeper.Load()
	if err != nil {
		return err
	}
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

// Run takes over what other replicas change, every few seconds, until ctx ends.
func (a *Authority) Run(ctx context.Context) error {
	every := time.NewTicker(refreshEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-every.C:
			if err := a.Refresh(); err != nil {
				a.opts.Log.Warn("authority is not read again", "cause", err)
			}
		}
	}
}

// adopt makes s the state, and tells those that wait for revocations.
func (a *Authority) adopt(s state, version string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(s.revoked(), a.state.revoked()) {
		close(a.changed)
		a.changed = make(chan struct{})
	}
	a.state, a.version = s, version
}

// save keeps s and makes it the state. The lock on keeping is held.
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
	a.keeping.Lock()
	defer a.keeping.Unlock()
	for range 10 {
		a.mu.Lock()
		next := a.state.clone()
		a.mu.Unlock()
		if err := f(&next); err != nil {
			return err
		}
		if err := a.save(next); !errors.Is(err, keep.ErrConflict) {
			return err
		}
		if err := a.refresh(); err != nil {
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

// Package identity is who a proxy is: a leaf that its cluster's spoke has given
// to a key made here, kept so that a proxy comes back alone, and renewed in
// time. It decides nothing about who else may connect; package pki does.
package identity

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/api/wire"
)

// Proof is what a proxy shows to its spoke to get its first certificate.
type Proof struct {
	// Secret is a ticket's, or a ServiceAccount's token.
	Secret string
	// Pin is the hash of the fleet's root key (pki.KeyHash), by which the spoke
	// is recognised.
	Pin string
}

// Options of an Identity. Cluster, Keeper, Spoke and Proof are required.
type Options struct {
	Cluster string
	// Name is the identity to ask for; zero: whatever the proof stands for.
	Name   pki.Name
	Keeper keep.Keeper
	// Spoke is the spoke's address, Dial how to reach it (nil: TCP).
	Spoke string
	Dial  func(ctx context.Context, address string) (net.Conn, error)
	// Proof is asked when there is no identity, or none that can be renewed any more.
	Proof func(context.Context) (Proof, error)

	Now    func() time.Time // nil: the clock
	Random io.Reader        // nil: crypto/rand
	Log    *slog.Logger     // nil: silent
}

func (o *Options) fill() {
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

// Ticket is the proof of a proxy that was started with a single-use token.
func Ticket(formatted string) func(context.Context) (Proof, error) {
	return func(context.Context) (Proof, error) {
		t, err := pki.ParseToken(formatted)
		if err != nil {
			return Proof{}, err
		}
		return Proof{Secret: t.Secret(), Pin: t.Pin}, nil
	}
}

// ErrOther is the cause where an identity is not the one that was asked for.
var ErrOther = errors.New("identity is another one's")

// Identity is a proxy's. It is safe for concurrent use.
type Identity struct {
	opts Options

	mu      sync.Mutex
	name    pki.Name
	creds   pki.Credentials
	version string
	due     time.Time
	revoked pki.Revoked
}

// Open loads the proxy's identity, or enrols where nothing is kept. What is
// kept is taken even if it has expired: a proxy goes on serving without its
// spoke, and renews when that is back.
func Open(ctx context.Context, opts Options) (*Identity, error) {
	opts.fill()
	i := &Identity{opts: opts}
	err := i.load()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrOther) {
		err = i.enrol(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the identity of a proxy in cluster %q: %w", opts.Cluster, err)
	}
	return i, nil
}

func (i *Identity) load() error {
	blob, version, err := i.opts.Keeper.Load()
	if err != nil {
		return err
	}
	i.version = version
	creds, err := pki.ParseCredentials(blob)
	if err != nil {
		return err
	}
	return i.adopt(creds)
}

// adopt makes credentials the current ones, if they are for this proxy.
func (i *Identity) adopt(creds pki.Credentials) error {
	name, err := leafName(creds.Chain[0])
	if err != nil {
		return err
	}
	if name.Role != pki.Proxy || name.Cluster != i.opts.Cluster || i.opts.Name != (pki.Name{}) && name != i.opts.Name {
		return fmt.Errorf("%q: %w", name, ErrOther)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var word [8]byte
	_, _ = io.ReadFull(i.opts.Random, word[:]) // without chance, the earliest moment does
	i.creds, i.name = creds, name
	i.due = pki.RenewAt(creds.Chain[0], binary.NativeEndian.Uint64(word[:]))
	return nil
}

func leafName(c *x509.Certificate) (pki.Name, error) {
	if len(c.URIs) != 1 {
		return pki.Name{}, pki.ErrNoIdentity
	}
	return pki.ParseName(c.URIs[0].String())
}

// take checks what the spoke gave for a new key, keeps it, and adopts it.
func (i *Identity) take(key pki.Credentials) error {
	if _, err := pki.Verify(key.Chain, key.Roots, nil, i.opts.Now(), 0); err != nil {
		return err
	}
	if err := i.adopt(key); err != nil {
		return err
	}
	blob, err := key.Encode()
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.version, err = i.opts.Keeper.Save(blob, i.version)
	return err
}

// enrol trades a proof for a leaf.
func (i *Identity) enrol(ctx context.Context) error {
	proof, err := i.opts.Proof(ctx)
	if err != nil {
		return err
	}
	key, err := pki.NewKey(i.opts.Random)
	if err != nil {
		return err
	}
	csr, err := pki.Request(key, i.opts.Random)
	if err != nil {
		return err
	}
	d := wire.Dialer{Address: i.opts.Spoke, TLS: pki.Pinned(proof.Pin, pki.Spoke, i.opts.Cluster, i.opts.Now), Dial: i.opts.Dial}
	conn, err := d.Conn()
	if err != nil {
		return err
	}
	defer conn.Close()
	req := &wire.EnrolRequest{Token: proof.Secret, Csr: csr}
	if i.opts.Name != (pki.Name{}) {
		req.Name = i.opts.Name.String()
	}
	r, err := wire.NewSpokeIdentityClient(conn).Enrol(ctx, req)
	if err != nil {
		return fmt.Errorf("enrolling at %q: %w", i.opts.Spoke, err)
	}
	creds, err := pki.NewCredentials(key, r.GetChain(), r.GetRoots())
	if err == nil {
		err = i.take(creds)
	}
	if err != nil {
		return fmt.Errorf("enrolling at %q: %w", i.opts.Spoke, err)
	}
	return nil
}

// Name is the proxy's, as certificates say it.
func (i *Identity) Name() pki.Name {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.name
}

// Certificate is the proxy's leaf, for the spoke and for the link.
func (i *Identity) Certificate() (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.creds.TLS(), nil
}

// Roots are the certificates that the fleet trusts.
func (i *Identity) Roots() []*x509.Certificate {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.creds.Roots
}

// Revoke replaces what is revoked in the fleet, as the last table says it.
func (i *Identity) Revoke(ids pki.Revoked) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.revoked = ids
}

// Revoked is what Revoke was last told.
func (i *Identity) Revoked() pki.Revoked {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.revoked
}

// Party is the proxy's side of its connections.
func (i *Identity) Party() pki.Party {
	return pki.Party{Certificate: i.Certificate, Roots: i.Roots, Revoked: i.Revoked, Now: i.opts.Now}
}

// Dialer reaches the spoke as this proxy.
func (i *Identity) Dialer() wire.Dialer {
	return wire.Dialer{Address: i.opts.Spoke, TLS: i.Party().SpokeClient(i.opts.Cluster), Dial: i.opts.Dial}
}

// Run renews the leaf in the last third of its life, until ctx ends.
func (i *Identity) Run(ctx context.Context) error {
	return keep.Renewal{Due: i.Due, Renew: i.Renew, Now: i.opts.Now, Log: i.opts.Log}.Run(ctx)
}

// Due is when the next renewal is to be.
func (i *Identity) Due() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.due
}

// Renew asks the spoke for the same identity, for a new key. Where that fails
// and the leaf has expired, the proof is tried again.
func (i *Identity) Renew(ctx context.Context) error {
	err := i.renew(ctx)
	if err == nil {
		return nil
	}
	i.mu.Lock()
	expired := i.opts.Now().After(i.creds.Chain[0].NotAfter)
	i.mu.Unlock()
	if expired {
		if again := i.enrol(ctx); again == nil {
			return nil
		}
	}
	return fmt.Errorf("renewing the identity %q: %w", i.Name(), err)
}

func (i *Identity) renew(ctx context.Context) error {
	key, err := pki.NewKey(i.opts.Random)
	if err != nil {
		return err
	}
	csr, err := pki.Request(key, i.opts.Random)
	if err != nil {
		return err
	}
	conn, err := i.Dialer().Conn()
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := wire.NewSpokeIdentityClient(conn).Renew(ctx, &wire.RenewRequest{Csr: csr})
	if err != nil {
		return err
	}
	creds, err := pki.NewCredentials(key, r.GetChain(), r.GetRoots())
	if err != nil {
		return err
	}
	if name, err := leafName(creds.Chain[0]); err != nil || name != i.Name() {
		return errors.Join(ErrOther, err)
	}
	return i.take(creds)
}

// Register adds the metric of this certificate's end; nil registers nothing.
func (i *Identity) Register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	return r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "nave_certificate_expiry_seconds", Help: "Seconds until the certificate of a cluster ends; negative after that.",
		ConstLabels: prometheus.Labels{"cluster": i.opts.Cluster},
	}, func() float64 {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.creds.Chain[0].NotAfter.Sub(i.opts.Now()).Seconds()
	}))
}

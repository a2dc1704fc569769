// Package identity is who a cluster is: the intermediate that the hub has
// given to a key made here, kept so that the spoke comes back with the hub
// gone, and renewed in time. By it the spoke proves itself, signs the cluster's
// declarations and gives the cluster's proxies their leaves. It decides nothing
// about other clusters.
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
	"math/big"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/wire"
)

// Options of an Identity. Cluster, Keeper and Hub are required.
type Options struct {
	Cluster string
	Keeper  keep.Keeper
	// Hub is the address of the hub, Dial how to reach it (nil: TCP).
	Hub  string
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Token is the join token, needed where nothing is kept yet. It comes from
	// the environment, a file or stdin, never from an argument.
	Token string
	// Info is what the spoke says about itself when it joins, for people.
	Info map[string]string
	// Life of the leaves that it gives out [24 h].
	Life time.Duration

	Now    func() time.Time // nil: the clock
	Random io.Reader        // nil: crypto/rand
	Log    *slog.Logger     // nil: silent
}

func (o *Options) fill() {
	if o.Life <= 0 {
		o.Life = pki.LeafLife
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

// ErrOther is the cause where what is kept is another cluster's identity.
var ErrOther = errors.New("kept identity is for another cluster")

// Identity is a cluster's. It is safe for concurrent use.
type Identity struct {
	opts Options
	name pki.Name

	mu      sync.Mutex
	creds   pki.Credentials
	version string
	due     time.Time
	leaf    *tls.Certificate
	revoked pki.Revoked
}

// Open loads the cluster's identity, or joins by the token where there is none.
func Open(ctx context.Context, opts Options) (*Identity, error) {
	opts.fill()
	i, err := load(opts)
	if errors.Is(err, fs.ErrNotExist) && opts.Token != "" {
		i, err = join(ctx, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the identity of cluster %q: %w", opts.Cluster, err)
	}
	return i, nil
}

func load(opts Options) (*Identity, error) {
	blob, version, err := opts.Keeper.Load()
	if err != nil {
		return nil, err
	}
	creds, err := pki.ParseCredentials(blob)
	if err != nil {
		return nil, err
	}
	return newIdentity(opts, creds, version)
}

func newIdentity(opts Options, creds pki.Credentials, version string) (*Identity, error) {
	id, err := pki.ClusterOf(creds.Chain[0])
	if err != nil {
		return nil, err
	}
	if id.Cluster != opts.Cluster {
		return nil, fmt.Errorf("%w: %q", ErrOther, id.Cluster)
	}
	i := &Identity{opts: opts, name: id.Name, creds: creds, version: version}
	i.plan()
	return i, nil
}

// plan picks the moment of the next renewal.
func (i *Identity) plan() {
	i.due = pki.RenewAt(i.creds.Chain[0], word(i.opts.Random))
}

// word is a random word; where there is no randomness, the earliest moment does.
func word(random io.Reader) uint64 {
	n, err := rand.Int(random, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return 0
	}
	return n.Uint64()
}

// join makes a key and trades the token for the cluster's intermediate.
func join(ctx context.Context, opts Options) (*Identity, error) {
	token, err := pki.ParseToken(opts.Token)
	if err != nil {
		return nil, err
	}
	key, err := pki.NewKey(opts.Random)
	if err != nil {
		return nil, err
	}
	csr, err := pki.Request(key, opts.Random)
	if err != nil {
		return nil, err
	}
	d := wire.Dialer{Address: opts.Hub, TLS: pki.Pinned(token.Pin, pki.Hub, "", opts.Now), Dial: opts.Dial}
	conn, err := d.Conn()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r, err := wire.NewHubIdentityClient(conn).Join(ctx, &wire.JoinRequest{
		Token: token.Secret(), Csr: csr, Cluster: opts.Cluster, Info: opts.Info,
	})
	if err != nil {
		return nil, fmt.Errorf("joining at %q: %w", opts.Hub, err)
	}
	creds, err := pki.NewCredentials(key, r.GetChain(), r.GetRoots())
	if err != nil {
		return nil, fmt.Errorf("joining at %q: %w", opts.Hub, err)
	}
	i, err := newIdentity(opts, creds, "")
	if err != nil {
		return nil, fmt.Errorf("joining at %q: %w", opts.Hub, err)
	}
	if _, err := pki.VerifyCluster(creds.Chain[0], creds.Roots, nil, opts.Now()); err != nil {
		return nil, fmt.Errorf("joining at %q: %w", opts.Hub, err)
	}
	opts.Log.Info("cluster has joined", "cluster", opts.Cluster, "fleet", i.name.Fleet)
	return i, i.keep(creds)
}

// keep stores credentials and makes them the current ones.
func (i *Identity) keep(creds pki.Credentials) error {
	blob, err := creds.Encode()
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	version, err := i.opts.Keeper.Save(blob, i.version)
	if err != nil {
		return err
	}
	i.creds, i.version, i.leaf = creds, version, nil
	i.plan()
	return nil
}

func (i *Identity) current() pki.Credentials {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.creds
}

// Name is the cluster's, as certificates say it.
func (i *Identity) Name() pki.Name { return i.name }

// Intermediate is the cluster's certificate, by which others check its
// declarations and its proxies.
func (i *Identity) Intermediate() *x509.Certificate { return i.current().Chain[0] }

// Roots are the certificates that the fleet trusts.
func (i *Identity) Roots() []*x509.Certificate { return i.current().Roots }

// Revoke replaces what is revoked in the fleet, as the last assignment says it.
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

// Certificate is the spoke's own leaf, signed here as needed, for its
// connections to the hub and from the proxies.
func (i *Identity) Certificate() (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.opts.Now()
	if i.leaf != nil && pki.Fresh(i.leaf.Leaf, now) {
		return i.leaf, nil
	}
	// When the intermediate has expired, so that it can still be renewed within
	// the hub's grace, a leaf is made of its last moment.
	if last := i.creds.Chain[0].NotAfter.Add(-time.Minute); now.After(last) {
		now = last
	}
	key, err := pki.NewKey(i.opts.Random)
	if err != nil {
		return nil, err
	}
	leaf, err := i.creds.Issuer().Leaf(i.name, key.Public(), i.opts.Random, now, pki.LeafLife)
	if err != nil {
		return nil, err
	}
	chain := []*x509.Certificate{leaf, i.creds.Chain[0]}
	i.leaf = pki.Credentials{Key: key, Chain: chain}.TLS(i.creds.Roots...)
	return i.leaf, nil
}

// Party is the spoke's side of its connections.
func (i *Identity) Party() pki.Party {
	return pki.Party{Certificate: i.Certificate, Roots: i.Roots, Revoked: i.Revoked, Now: i.opts.Now}
}

// Dialer reaches the hub as this spoke.
func (i *Identity) Dialer() wire.Dialer {
	return wire.Dialer{Address: i.opts.Hub, TLS: i.Party().HubClient(), Dial: i.opts.Dial}
}

// Sign puts the cluster's name and signature on a declaration.
func (i *Identity) Sign(r stream.Resource) (stream.Resource, error) {
	r.Origin = i.name.Cluster
	return pki.SignDeclaration(r, i.current().Key)
}

// Run renews the intermediate in the last third of its life, until ctx ends.
func (i *Identity) Run(ctx context.Context) error {
	return keep.Renewal{Due: i.Due, Renew: i.Renew, Now: i.opts.Now, Log: i.opts.Log}.Run(ctx)
}

// Due is when the next renewal is to be.
func (i *Identity) Due() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.due
}

// Renew asks the hub for the same identity again, for the same key: signatures
// on declarations stay what they are.
func (i *Identity) Renew(ctx context.Context) error {
	key := i.current().Key
	csr, err := pki.Request(key, i.opts.Random)
	if err != nil {
		return err
	}
	conn, err := i.Dialer().Conn()
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := wire.NewHubIdentityClient(conn).Renew(ctx, &wire.RenewRequest{Csr: csr})
	if err != nil {
		return fmt.Errorf("renewing the identity of cluster %q: %w", i.name.Cluster, err)
	}
	creds, err := pki.NewCredentials(key, r.GetChain(), r.GetRoots())
	if err != nil {
		return fmt.Errorf("renewing the identity of cluster %q: %w", i.name.Cluster, err)
	}
	id, err := pki.VerifyCluster(creds.Chain[0], creds.Roots, nil, i.opts.Now())
	if err != nil || id.Name != i.name {
		return errors.Join(fmt.Errorf("renewing the identity of cluster %q: got that of %q", i.name.Cluster, id.Name), err)
	}
	return i.keep(creds)
}

// Register adds the metric of this certificate's end; nil registers nothing.
func (i *Identity) Register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	return r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "nave_certificate_expiry_seconds", Help: "Seconds until the certificate of a cluster ends; negative after that.",
		ConstLabels: prometheus.Labels{"cluster": i.name.Cluster},
	}, func() float64 { return i.Intermediate().NotAfter.Sub(i.opts.Now()).Seconds() }))
}

package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/wire"
)

// ProxyGrace is how long after its end a proxy's leaf may still be renewed, as
// after a machine has slept.
const ProxyGrace = 7 * 24 * time.Hour

// Admit decides by a proof which proxy somebody is. asked is the name that was
// asked for, and its zero value where none was. Tickets.Admit is one for
// standalone; on a cluster the proof is a ServiceAccount's token.
type Admit func(ctx context.Context, proof string, asked pki.Name) (pki.Name, error)

// SignProxy gives a proxy of this cluster its leaf: [leaf, intermediate].
func (i *Identity) SignProxy(name pki.Name, key ed25519.PublicKey) ([]*x509.Certificate, error) {
	if name.Role != pki.Proxy || name.Cluster != i.name.Cluster || name.Fleet != i.name.Fleet {
		return nil, fmt.Errorf("signing a leaf for %q: not a proxy of cluster %q", name, i.name.Cluster)
	}
	issuer := i.current().Issuer()
	leaf, err := issuer.Leaf(name, key, i.opts.Random, i.opts.Now(), i.opts.Life)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{leaf, issuer.Certificate}, nil
}

// Server answers the calls by which proxies get their certificates. It is to
// be registered on a server with wire.Authorize and wire.SpokeAccess.
type Server struct {
	wire.UnimplementedSpokeIdentityServer
	identity *Identity
	admit    Admit
	log      *slog.Logger
}

// NewServer serves an identity to the proxies that admit knows.
func NewServer(i *Identity, admit Admit) *Server {
	return &Server{identity: i, admit: admit, log: i.opts.Log}
}

// Enrol is the one call for those that have no certificate.
func (s *Server) Enrol(ctx context.Context, r *wire.EnrolRequest) (*wire.EnrolResponse, error) {
	chain, name, err := s.enrol(ctx, r)
	if err != nil {
		return nil, s.refuse("enrol", name, err)
	}
	return &wire.EnrolResponse{Chain: pki.Raw(chain), Roots: pki.Raw(s.identity.Roots())}, nil
}

func (s *Server) enrol(ctx context.Context, r *wire.EnrolRequest) ([]*x509.Certificate, pki.Name, error) {
	key, err := pki.RequestedKey(r.GetCsr())
	if err != nil {
		return nil, pki.Name{}, err
	}
	var asked pki.Name
	if r.GetName() != "" {
		if asked, err = pki.ParseName(r.GetName()); err != nil {
			return nil, pki.Name{}, err
		}
	}
	name, err := s.admit(ctx, r.GetToken(), asked)
	if err != nil {
		return nil, asked, err
	}
	chain, err := s.identity.SignProxy(name, key)
	return chain, name, err
}

// Renew gives a proxy its identity again, for a new key.
func (s *Server) Renew(ctx context.Context, r *wire.RenewRequest) (*wire.RenewResponse, error) {
	id, ok := wire.Caller(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, pki.ErrNoIdentity.Error())
	}
	key, err := pki.RequestedKey(r.GetCsr())
	if err != nil {
		return nil, s.refuse("renew", id.Name, err)
	}
	chain, err := s.identity.SignProxy(id.Name, key)
	if err != nil {
		return nil, s.refuse("renew", id.Name, err)
	}
	return &wire.RenewResponse{Chain: pki.Raw(chain), Roots: pki.Raw(s.identity.Roots())}, nil
}

func (s *Server) refuse(what string, name pki.Name, err error) error {
	s.log.Warn("certificate is refused", "call", what, "proxy", name.Proxy, "cause", err)
	for _, cause := range []error{pki.ErrTokenUnknown, pki.ErrTokenExpired, pki.ErrNotAdmitted} {
		if errors.Is(err, cause) {
			return status.Error(codes.PermissionDenied, cause.Error())
		}
	}
	return status.Error(codes.FailedPrecondition, "no certificate is issued; the spoke's log says why")
}

// Tickets are single-use tokens for proxies that this spoke has started. They
// live in memory: after a restart the spoke makes new ones.
type Tickets struct {
	identity *Identity

	mu   sync.Mutex
	open pki.Grants
}

// NewTickets makes tickets for proxies of the identity's cluster.
func NewTickets(i *Identity) *Tickets { return &Tickets{identity: i} }

// Issue makes a token by which one proxy may enrol under this name until ttl
// [1 h] has passed. It is handed over as join tokens are.
func (t *Tickets) Issue(name pki.Name, ttl time.Duration) (string, error) {
	if err := name.Check(); err != nil {
		return "", fmt.Errorf("making a ticket: %w", err)
	}
	if ttl <= 0 {
		ttl = pki.TokenLife
	}
	token, err := pki.NewToken(t.identity.opts.Random, pki.KeyHash(t.identity.Roots()[0]))
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.identity.opts.Now()
	t.open = t.open.Add(token.Secret(), pki.Grant{Subject: name.String(), Expires: now.Add(ttl)}, now)
	return token.Format(), nil
}

// Admit takes a ticket for the name that it was made for.
func (t *Tickets) Admit(_ context.Context, secret string, asked pki.Name) (pki.Name, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	grant, left, err := t.open.Redeem(secret, t.identity.opts.Now())
	if err != nil {
		return pki.Name{}, err
	}
	name, err := pki.ParseName(grant.Subject)
	if err != nil {
		return pki.Name{}, err
	}
	if asked != (pki.Name{}) && asked != name {
		return pki.Name{}, fmt.Errorf("ticket for %q: %w", name, pki.ErrNotAdmitted)
	}
	t.open = left
	return name, nil
}

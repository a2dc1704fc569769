package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The reasons for which a chain proves nothing.
var (
	ErrRevoked     = errors.New("identity is revoked")
	ErrExpired     = errors.New("certificate is out of its time")
	ErrWrongIssuer = errors.New("issuer may not give out this identity")
	ErrNoIdentity  = errors.New("peer presented no identity")
)

// Identity is what a verified chain proves.
type Identity struct {
	Name
	// UID tells a cluster from a later one of the same name; "" for the hub and
	// the supervisor.
	UID string
	// Serial is the leaf's, in hex.
	Serial   string
	NotAfter time.Time
	// Expired: the chain was valid until recently, within the grace that the
	// verifier allows. Such a peer may renew and nothing else.
	Expired bool
	// Key is the hash of the public key that this identity was proved with.
	Key string
}

// Revoked is a set of ids that prove nothing any more: the UIDs of clusters,
// and the serial numbers of certificates in hex.
type Revoked []string

// Has tells whether any of ids is revoked.
func (r Revoked) Has(ids ...string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(r, id) })
}

// Verify checks a presented chain, leaf first, against the fleet's roots.
//
// A leaf is signed either by a root, and then is the hub or the supervisor, or
// by the intermediate of a cluster, and then is that cluster's spoke or one of
// its proxies. Nothing else is an identity, whatever else X.509 would allow. A
// chain that expired less than grace ago is taken and says so.
func Verify(chain, roots []*x509.Certificate, revoked Revoked, now time.Time, grace time.Duration) (Identity, error) {
	if len(chain) == 0 {
		return Identity{}, ErrNoIdentity
	}
	name, err := nameOf(chain[0])
	if err != nil {
		return Identity{}, err
	}
	if chain[0].IsCA {
		return Identity{}, fmt.Errorf("verifying %q: an issuer's certificate is no identity: %w", name, ErrWrongIssuer)
	}
	path, expired, err := pathTo(chain, roots, now, grace)
	if err != nil {
		return Identity{}, fmt.Errorf("verifying %q: %w", name, err)
	}
	id := Identity{Name: name, Serial: Serial(path[0]), NotAfter: path[0].NotAfter, Expired: expired, Key: KeyHash(path[0])}
	if err := id.issuedBy(path); err != nil {
		return Identity{}, fmt.Errorf("verifying %q: %w", name, err)
	}
	ids := []string{id.UID}
	for _, c := range path[:len(path)-1] {
		ids = append(ids, Serial(c))
	}
	if revoked.Has(ids...) {
		return Identity{}, fmt.Errorf("verifying %q: %w", name, ErrRevoked)
	}
	return id, nil
}

// issuedBy holds the chain, leaf first and root last, against the rules of who
// signs whom, and completes the identity by its intermediate.
func (id *Identity) issuedBy(path []*x509.Certificate) error {
	direct := id.Role == Hub || id.Role == Supervisor
	if direct && len(path) == 2 {
		return nil
	}
	if direct || len(path) != 3 {
		return ErrWrongIssuer
	}
	issuer, err := ClusterOf(path[1])
	if err != nil {
		return err
	}
	if issuer.Cluster != id.Cluster || issuer.Fleet != id.Fleet {
		return fmt.Errorf("signed by cluster %q: %w", issuer.Cluster, ErrWrongIssuer)
	}
	id.UID = issuer.UID
	return nil
}

// ClusterOf reads the identity that an intermediate stands for. It does not
// verify who signed it.
func ClusterOf(intermediate *x509.Certificate) (Identity, error) {
	name, err := nameOf(intermediate)
	if err != nil {
		return Identity{}, err
	}
	if !intermediate.IsCA || name.Role != Spoke {
		return Identity{}, fmt.Errorf("%q is not a cluster's intermediate: %w", name, ErrWrongIssuer)
	}
	return Identity{
		Name: name, UID: intermediate.Subject.SerialNumber, Serial: Serial(intermediate),
		NotAfter: intermediate.NotAfter, Key: KeyHash(intermediate),
	}, nil
}

// VerifyCluster checks an intermediate against the roots.
func VerifyCluster(intermediate *x509.Certificate, roots []*x509.Certificate, revoked Revoked, now time.Time) (Identity, error) {
	id, err := ClusterOf(intermediate)
	if err != nil {
		return Identity{}, err
	}
	path, _, err := pathTo([]*x509.Certificate{intermediate}, roots, now, 0)
	if err != nil {
		return Identity{}, fmt.Errorf("verifying the intermediate of %q: %w", id.Cluster, err)
	}
	if len(path) != 2 {
		return Identity{}, fmt.Errorf("verifying the intermediate of %q: %w", id.Cluster, ErrWrongIssuer)
	}
	if revoked.Has(id.UID, id.Serial) {
		return Identity{}, fmt.Errorf("verifying the intermediate of %q: %w", id.Cluster, ErrRevoked)
	}
	return id, nil
}

// pathTo finds the path from the leaf to a root, and tells whether it holds
// only thanks to grace.
func pathTo(chain, roots []*x509.Certificate, now time.Time, grace time.Duration) ([]*x509.Certificate, bool, error) {
	opts := x509.VerifyOptions{
		Roots: pool(roots), Intermediates: pool(chain[1:]), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	paths, err := chain[0].Verify(opts)
	if err == nil {
		return paths[0], false, nil
	}
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		return nil, false, err
	}
	end := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	if !now.After(end) || now.Sub(end) > grace {
		return nil, false, fmt.Errorf("%w: it ended at %s", ErrExpired, end.UTC().Format(time.RFC3339))
	}
	opts.CurrentTime = end
	if paths, err = chain[0].Verify(opts); err != nil {
		return nil, false, err
	}
	return paths[0], true, nil
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

// nameOf reads the one identity of a certificate.
func nameOf(c *x509.Certificate) (Name, error) {
	if len(c.URIs) != 1 {
		return Name{}, fmt.Errorf("reading a certificate's identity: %d URIs, want one: %w", len(c.URIs), ErrNoIdentity)
	}
	return ParseName(c.URIs[0].String())
}

// Serial is a certificate's number in hex, as revocations name it.
func Serial(c *x509.Certificate) string { return c.SerialNumber.Text(16) }

// KeyHash is the hex SHA-256 of a certificate's public key (its
// SubjectPublicKeyInfo): what a join token pins, and how a known key is
// recognised.
func KeyHash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// ParseChain reads certificates in DER, at most eight of them.
func ParseChain(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) > 8 {
		return nil, fmt.Errorf("reading a chain of %d certificates: at most eight are taken", len(ders))
	}
	chain := make([]*x509.Certificate, 0, len(ders))
	for i, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("reading certificate %d of a chain: %w", i, err)
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// Raw returns certificates in DER.
func Raw(certs []*x509.Certificate) [][]byte {
	ders := make([][]byte, 0, len(certs))
	for _, c := range certs {
		ders = append(ders, c.Raw)
	}
	return ders
}

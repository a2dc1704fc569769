package pki

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"time"
)

// The lifetimes that rules give, as defaults. An intermediate lives as long as
// the hub may be away.
const (
	RootLife         = 10 * 365 * 24 * time.Hour
	IntermediateLife = 30 * 24 * time.Hour
	LeafLife         = 24 * time.Hour
	// backdate allows for clocks that run behind the issuer's.
	backdate = 5 * time.Minute
	maxCSR   = 8 << 10
)

// NewKey makes a private key. Keys are Ed25519: small, quick to make, and their
// signatures are a function of what is signed, so that a declaration signed
// again after a restart is the same resource.
func NewKey(random io.Reader) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// Issuer is a certificate that may sign, and its key.
type Issuer struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// NewRoot makes the root of a fleet.
func NewRoot(fleet string, random io.Reader, now time.Time) (Issuer, error) {
	if !segment(fleet) {
		return Issuer{}, fmt.Errorf("making a root for fleet %q: not a name", fleet)
	}
	key, err := NewKey(random)
	if err != nil {
		return Issuer{}, err
	}
	tmpl := &x509.Certificate{
		Subject: pkix.Name{CommonName: "nave " + fleet}, NotBefore: now.Add(-backdate), NotAfter: now.Add(RootLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	cert, err := sign(tmpl, tmpl, key.Public(), key, random)
	return Issuer{cert, key}, err
}

// Intermediate signs a cluster's own issuer. uid tells this joining of the
// cluster from others under the same name.
func (i Issuer) Intermediate(name Name, uid string, key crypto.PublicKey, random io.Reader, now time.Time, life time.Duration) (*x509.Certificate, error) {
	if name.Role != Spoke {
		return nil, fmt.Errorf("issuing an intermediate to %q: not a cluster", name)
	}
	tmpl := &x509.Certificate{
		Subject: pkix.Name{CommonName: name.Cluster, SerialNumber: uid},
		URIs:    []*url.URL{name.URI()}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	return i.issue(name, tmpl, key, random)
}

// Leaf signs an identity that can listen and dial.
func (i Issuer) Leaf(name Name, key crypto.PublicKey, random io.Reader, now time.Time, life time.Duration) (*x509.Certificate, error) {
	tmpl := &x509.Certificate{
		Subject: pkix.Name{CommonName: string(name.Role)},
		URIs:    []*url.URL{name.URI()}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return i.issue(name, tmpl, key, random)
}

func (i Issuer) issue(name Name, tmpl *x509.Certificate, key crypto.PublicKey, random io.Reader) (*x509.Certificate, error) {
	if err := name.Check(); err != nil {
		return nil, fmt.Errorf("issuing a certificate: %w", err)
	}
	if i.Certificate.NotAfter.Before(tmpl.NotAfter) {
		tmpl.NotAfter = i.Certificate.NotAfter
	}
	cert, err := sign(tmpl, i.Certificate, key, i.Key, random)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate to %q: %w", name, err)
	}
	return cert, nil
}

func sign(tmpl, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer, random io.Reader) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always of the same length
	tmpl.SerialNumber = new(big.Int).SetBytes(serial)
	der, err := x509.CreateCertificate(random, tmpl, parent, key, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Request makes a certificate request (PKCS #10, DER) that proves possession
// of the key. It carries no name: the issuer decides on that by other proof.
func Request(key crypto.Signer, random io.Reader) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(random, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return der, nil
}

// RequestedKey reads a request and returns the key whose possession it proves.
// Everything else in it is ignored.
func RequestedKey(der []byte) (ed25519.PublicKey, error) {
	if len(der) > maxCSR {
		return nil, fmt.Errorf("reading a certificate request: %d bytes, at most %d are taken", len(der), maxCSR)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate request: %w", err)
	}
	key, ok := csr.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("reading a certificate request: want an Ed25519 key")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("reading a certificate request: %w", err)
	}
	return key, nil
}

// RenewAt is when to renew a certificate: at a point of the last third of its
// life that chance (a uniform random word) picks.
func RenewAt(c *x509.Certificate, chance uint64) time.Time {
	third := c.NotAfter.Sub(c.NotBefore) / 3
	spread := time.Duration(float64(third/2) * (float64(chance>>11) / (1 << 53)))
	return c.NotAfter.Add(-third).Add(spread)
}

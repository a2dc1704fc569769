package pki

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Credentials are what a member of a fleet keeps: its key, its own chain, leaf
// or intermediate first and without roots, and the fleet's roots.
type Credentials struct {
	Key   ed25519.PrivateKey
	Chain []*x509.Certificate
	Roots []*x509.Certificate
}

// kept is the form that Credentials are stored in.
type kept struct {
	Key   []byte   `json:"key"` // PKCS #8
	Chain [][]byte `json:"chain"`
	Roots [][]byte `json:"roots"`
}

// Encode writes credentials as JSON. It holds the private key.
func (c Credentials) Encode() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		return nil, fmt.Errorf("encoding credentials: %w", err)
	}
	return json.Marshal(kept{Key: key, Chain: Raw(c.Chain), Roots: Raw(c.Roots)})
}

// ParseCredentials reads what Encode wrote, and checks that key and chain
// belong together.
func ParseCredentials(blob []byte) (Credentials, error) {
	var k kept
	if err := json.Unmarshal(blob, &k); err != nil {
		// The cause could quote the blob, which holds a key.
		return Credentials{}, errors.New("reading credentials: not the JSON that was written")
	}
	key, err := x509.ParsePKCS8PrivateKey(k.Key)
	if err != nil {
		return Credentials{}, errors.New("reading credentials: the key is not PKCS #8")
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return Credentials{}, errors.New("reading credentials: the key is not Ed25519")
	}
	return NewCredentials(private, k.Chain, k.Roots)
}

// NewCredentials checks what an issuer has given for a key.
func NewCredentials(key ed25519.PrivateKey, chain, roots [][]byte) (Credentials, error) {
	c := Credentials{Key: key}
	var err error
	if c.Chain, err = ParseChain(chain); err != nil {
		return Credentials{}, err
	}
	if c.Roots, err = ParseChain(roots); err != nil {
		return Credentials{}, err
	}
	if len(c.Chain) == 0 || len(c.Roots) == 0 {
		return Credentials{}, errors.New("reading credentials: no certificate, or no root")
	}
	public, ok := c.Chain[0].PublicKey.(ed25519.PublicKey)
	if !ok || !public.Equal(key.Public()) {
		return Credentials{}, errors.New("reading credentials: the certificate is for another key")
	}
	return c, nil
}

// Issuer is the credentials' certificate as one that signs.
func (c Credentials) Issuer() Issuer { return Issuer{Certificate: c.Chain[0], Key: c.Key} }

// TLS is the credentials' leaf for a handshake, with the given certificates
// behind it.
func (c Credentials) TLS(behind ...*x509.Certificate) *tls.Certificate {
	return &tls.Certificate{Certificate: Raw(append(c.Chain[:len(c.Chain):len(c.Chain)], behind...)), PrivateKey: c.Key, Leaf: c.Chain[0]}
}

// Fresh tells whether a leaf that is issued by its own holder is still to be
// used, or is in the last third of its life.
func Fresh(c *x509.Certificate, now time.Time) bool {
	return now.Before(RenewAt(c, 0))
}

package identity

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/navehq/nave/api/pki"
)

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

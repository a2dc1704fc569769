package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Party is one side of a connection: its own certificate and what it knows of
// the fleet. The functions are asked at every handshake, so that a renewal, a
// new root and a revocation hold from the next one on.
type Party struct {
	// Certificate is this side's own, with its chain; a hub's and a spoke's
	// includes the root, for those that pin it.
	Certificate func() (*tls.Certificate, error)
	Roots       func() []*x509.Certificate
	Revoked     func() Revoked
	Now         func() time.Time
}

// Rule decides on a peer whose chain is verified; an error refuses it.
type Rule func(Identity) error

// ErrNotAdmitted is the cause where a peer proves who it is and that is not
// somebody to talk to here.
var ErrNotAdmitted = errors.New("identity is not admitted here")

func admit(id Identity, ok bool) error {
	if !ok {
		return fmt.Errorf("%q: %w", id.Name, ErrNotAdmitted)
	}
	return nil
}

// HubServer is for the hub's port: spokes and the supervisor, and those that
// have no certificate yet, whom the calls themselves turn away except for the
// joining one. An identity that expired less than grace ago gets through and is
// marked, so that it can renew.
func (p Party) HubServer(grace time.Duration) *tls.Config {
	return optional(p.serve(func(id Identity) error { return admit(id, id.Role == Spoke || id.Role == Supervisor) }, grace))
}

// HubClient is for a spoke, or the supervisor, that dials the hub.
func (p Party) HubClient() *tls.Config {
	return p.dial(func(id Identity) error { return admit(id, id.Role == Hub) })
}

// SpokeServer is for a spoke's port: the proxies of its own cluster. Those
// that have no certificate yet get through to enrol, as on the hub's port.
func (p Party) SpokeServer(cluster string, grace time.Duration) *tls.Config {
	return optional(p.serve(func(id Identity) error { return admit(id, id.Role == Proxy && id.Cluster == cluster) }, grace))
}

// optional lets peers through that present nothing at all.
func optional(c *tls.Config) *tls.Config {
	c.ClientAuth = tls.RequestClientCert
	verify := c.VerifyConnection
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return nil
		}
		return verify(cs)
	}
	return c
}

// SpokeClient is for a proxy that dials the spoke of its own cluster.
func (p Party) SpokeClient(cluster string) *tls.Config {
	return p.dial(func(id Identity) error { return admit(id, id.Role == Spoke && id.Cluster == cluster) })
}

// LinkServer is for a proxy's link port: proxies of the same tenant, of any
// cluster of the fleet.
func (p Party) LinkServer(tenant string) *tls.Config {
	return p.serve(func(id Identity) error { return admit(id, id.Role == Proxy && id.Tenant == tenant) }, 0)
}

// LinkClient is for a proxy that dials one of the same tenant in a given cluster.
func (p Party) LinkClient(cluster, tenant string) *tls.Config {
	return p.dial(func(id Identity) error {
		return admit(id, id.Role == Proxy && id.Tenant == tenant && id.Cluster == cluster)
	})
}

func (p Party) serve(rule Rule, grace time.Duration) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.Certificate() },
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true, // every connection proves itself anew
		VerifyConnection:       p.verify(rule, grace),
	}
}

func (p Party) dial(rule Rule) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.Certificate() },
		// Peers are known by the identity in their certificate and not by the
		// host they are dialled at; VerifyConnection does the whole check.
		InsecureSkipVerify: true,
		VerifyConnection:   p.verify(rule, 0),
	}
}

func (p Party) verify(rule Rule, grace time.Duration) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		id, err := p.Identify(cs, grace)
		if err != nil {
			return err
		}
		return rule(id)
	}
}

// Identify says who is at the other end of an established connection, by what
// is known now; it is how a call learns its caller.
func (p Party) Identify(cs tls.ConnectionState, grace time.Duration) (Identity, error) {
	return Verify(cs.PeerCertificates, p.Roots(), p.Revoked(), p.Now(), grace)
}

// Pinned is for who has a token and no certificate: it takes a server that
// shows the pinned root in its chain and is what role says, by that root. For
// a spoke's port the cluster is checked too.
func Pinned(pin string, role Role, cluster string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyConnection does the check, by the pin
		VerifyConnection: func(cs tls.ConnectionState) error {
			root, err := pinnedRoot(cs.PeerCertificates, pin)
			if err != nil {
				return err
			}
			id, err := Verify(cs.PeerCertificates, []*x509.Certificate{root}, nil, now(), 0)
			if err != nil {
				return err
			}
			return admit(id, id.Role == role && (role != Spoke || id.Cluster == cluster))
		},
	}
}

// ErrWrongPin is the cause where a server does not belong to the fleet that
// the token is from.
var ErrWrongPin = errors.New("server does not show the root that the token pins")

func pinnedRoot(chain []*x509.Certificate, pin string) (*x509.Certificate, error) {
	for _, c := range chain {
		if c.IsCA && KeyHash(c) == pin {
			return c, nil
		}
	}
	return nil, ErrWrongPin
}

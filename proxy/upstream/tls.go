package upstream

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/navehq/nave/api/table"
)

// configs keeps the TLS configurations in use: connections are shared by their
// pointers. One is made anew when a secret that it is made of is another one.
type configs struct {
	mu sync.Mutex
	m  map[configKey]*tls.Config
}

// maxConfigs bounds what is kept; past it all are made anew as they are needed.
const maxConfigs = 2048

type configKey struct {
	name, sans, insecure, alpn, hostCA string
	h2                                 bool
	ca, certificate                    *table.Secret
}

func newConfigs() *configs { return &configs{m: map[configKey]*tls.Config{}} }

// get gives the configuration for a dial; nil without TLS. mapped may bring
// a CA of its own for a host that is somewhere else.
func (c *configs) get(d *table.Dial, mapped *table.Host, find func(table.ID) table.Resource) (*tls.Config, error) {
	if d.TLS == nil {
		return nil, nil
	}
	t := d.TLS
	key := configKey{
		name: cmp.Or(t.ServerName, d.Host), sans: strings.Join(t.SANs, "\n"), insecure: t.Insecure,
		alpn: strings.Join(t.ALPN, "\n"), h2: d.HTTP2,
	}
	if mapped != nil {
		key.hostCA = mapped.CA
	}
	var err error
	if key.ca, err = secret(find, t.CA); err != nil {
		return nil, err
	}
	if key.certificate, err = secret(find, t.Certificate); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept := c.m[key]; kept != nil {
		return kept, nil
	}
	made, err := key.config(t)
	if err != nil {
		return nil, fmt.Errorf("setting TLS up for %q: %w", key.name, err)
	}
	if len(c.m) >= maxConfigs {
		clear(c.m)
	}
	c.m[key] = made
	return made, nil
}

func secret(find func(table.ID) table.Resource, name string) (*table.Secret, error) {
	if name == "" {
		return nil, nil
	}
	s, _ := find(table.ID{Kind: table.KindSecret, Name: name}).(*table.Secret)
	if s == nil {
		return nil, fmt.Errorf("setting TLS up: secret %q is not in the table", name)
	}
	return s, nil
}

func (k *configKey) config(t *table.TLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: k.name, NextProtos: []string{"http/1.1"}}
	if k.h2 {
		c.NextProtos = []string{"h2"}
	}
	if err := k.roots(c); err != nil {
		return nil, err
	}
	if k.certificate != nil {
		pair, err := tls.X509KeyPair(k.certificate.Data["tls.crt"], k.certificate.Data["tls.key"])
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate of secret %q: %w", k.certificate.Name, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	switch {
	case t.Insecure == "All":
		c.InsecureSkipVerify = true
	case t.Insecure == "Hostname":
		verifySelf(c, nil)
	case t.Insecure != "":
		return nil, fmt.Errorf("insecure mode %q is unknown", t.Insecure)
	case len(t.SANs) > 0:
		verifySelf(c, slices.Clone(t.SANs))
	}
	return c, nil
}

func (k *configKey) roots(c *tls.Config) error {
	if k.ca == nil && k.hostCA == "" {
		return nil
	}
	c.RootCAs = x509.NewCertPool()
	if k.hostCA != "" && !c.RootCAs.AppendCertsFromPEM([]byte(k.hostCA)) {
		return errors.New("the host's CA holds no certificate")
	}
	if k.ca != nil && !c.RootCAs.AppendCertsFromPEM(k.ca.Data["ca.crt"]) {
		return fmt.Errorf("ca.crt of secret %q holds no certificate", k.ca.Name)
	}
	return nil
}

// verifySelf checks the chain, and instead of the host name any of sans; no
// names are checked where there are none.
func verifySelf(c *tls.Config, sans []string) {
	roots := c.RootCAs
	c.InsecureSkipVerify = true // VerifyConnection checks instead
	c.VerifyConnection = func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		leaf := s.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
			return fmt.Errorf("verifying the certificate: %w", err)
		}
		if len(sans) == 0 || slices.ContainsFunc(sans, func(n string) bool { return named(leaf, n) }) {
			return nil
		}
		return fmt.Errorf("verifying the certificate: none of the names %q is in it", sans)
	}
}

func named(leaf *x509.Certificate, name string) bool {
	for _, u := range leaf.URIs {
		if u.String() == name {
			return true
		}
	}
	return leaf.VerifyHostname(name) == nil
}

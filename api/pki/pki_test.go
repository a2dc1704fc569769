package pki_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/stream"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func proxyName(cluster, tenant string) pki.Name {
	return pki.Name{Role: pki.Proxy, Fleet: "prod", Cluster: cluster, Tenant: tenant, Namespace: "apps", Gateway: "ai", Proxy: "p-1"}
}

// fleet is a root with the intermediates of two clusters.
type fleet struct {
	root       pki.Issuer
	east, west pki.Issuer
}

func newFleet() fleet {
	root := must(pki.NewRoot("prod", rand.Reader, now))
	cluster := func(name string) pki.Issuer {
		key := must(pki.NewKey(rand.Reader))
		cert := must(root.Intermediate(pki.SpokeName("prod", name), "uid-"+name, key.Public(), rand.Reader, now, pki.IntermediateLife))
		return pki.Issuer{Certificate: cert, Key: key}
	}
	return fleet{root, cluster("east"), cluster("west")}
}

func leaf(by pki.Issuer, name pki.Name) *x509.Certificate {
	key := must(pki.NewKey(rand.Reader))
	return must(by.Leaf(name, key.Public(), rand.Reader, now, pki.LeafLife))
}

func TestNames(t *testing.T) {
	good := []pki.Name{pki.HubName("prod"), pki.SupervisorName("a.b"), pki.SpokeName("prod", "east-1"), proxyName("east", "team_a")}
	for _, n := range good {
		got, err := pki.ParseName(n.String())
		if err != nil || got != n {
			t.Errorf("%s: parsed as %+v, %v", n, got, err)
		}
	}
	bad := []string{
		"", "spiffe://nave/", "spiffe://nave/prod", "spiffe://other/prod/hub", "http://nave/prod/hub",
		"spiffe://nave/prod/cluster/", "spiffe://nave/prod/cluster/../hub", "spiffe://nave/prod/cluster/a%2Fb",
		"spiffe://nave/prod/hub/", "spiffe://nave/prod/hub?x", "spiffe://nave/prod/cluster/a/tenant/b",
		"spiffe://nave/prod/cluster/" + strings.Repeat("a", 300),
	}
	for _, s := range bad {
		if n, err := pki.ParseName(s); err == nil {
			t.Errorf("%q was parsed as %+v", s, n)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("spiffe://nave/prod/hub")
	f.Add(proxyName("a", "b").String())
	f.Fuzz(func(t *testing.T, s string) {
		n, err := pki.ParseName(s)
		if err == nil && n.String() != s {
			t.Fatalf("%q parses as a name that is written %q", s, n)
		}
	})
}

func TestVerify(t *testing.T) {
	f, other := newFleet(), newFleet()
	roots := []*x509.Certificate{f.root.Certificate}
	east := f.east.Certificate
	proxy := leaf(f.east, proxyName("east", "a"))
	day := 24 * time.Hour
	tests := []struct {
		reason  string
		chain   []*x509.Certificate
		revoked pki.Revoked
		at      time.Time
		grace   time.Duration
		want    error
		expired bool
	}{
		{reason: "the hub, signed by the root", chain: certs(leaf(f.root, pki.HubName("prod")))},
		{reason: "the root may come along", chain: certs(leaf(f.root, pki.HubName("prod")), f.root.Certificate)},
		{reason: "a spoke, signed by its cluster", chain: certs(leaf(f.east, pki.SpokeName("prod", "east")), east)},
		{reason: "a proxy, signed by its cluster", chain: certs(proxy, east)},
		{reason: "nothing", want: pki.ErrNoIdentity},
		{reason: "a cluster cannot make itself the hub", chain: certs(leaf(f.east, pki.HubName("prod")), east), want: pki.ErrWrongIssuer},
		{reason: "nor another cluster's spoke", chain: certs(leaf(f.east, pki.SpokeName("prod", "west")), east), want: pki.ErrWrongIssuer},
		{reason: "nor another cluster's proxy", chain: certs(leaf(f.east, proxyName("west", "a")), east), want: pki.ErrWrongIssuer},
		{reason: "the root signs no proxies", chain: certs(leaf(f.root, proxyName("east", "a"))), want: pki.ErrWrongIssuer},
		{reason: "an intermediate is no leaf", chain: certs(east), want: pki.ErrWrongIssuer},
		{reason: "another fleet's root", chain: certs(leaf(other.east, pki.SpokeName("prod", "east")), other.east.Certificate), want: x509.UnknownAuthorityError{}},
		{reason: "without its intermediate", chain: certs(proxy), want: x509.UnknownAuthorityError{}},
		{reason: "with the other cluster's intermediate", chain: certs(proxy, f.west.Certificate), want: x509.UnknownAuthorityError{}},
		{reason: "the cluster is revoked", chain: certs(proxy, east), revoked: pki.Revoked{"uid-east"}, want: pki.ErrRevoked},
		{reason: "the intermediate is revoked", chain: certs(proxy, east), revoked: pki.Revoked{pki.Serial(east)}, want: pki.ErrRevoked},
		{reason: "the leaf is revoked", chain: certs(proxy, east), revoked: pki.Revoked{pki.Serial(proxy)}, want: pki.ErrRevoked},
		{reason: "another cluster is revoked", chain: certs(proxy, east), revoked: pki.Revoked{"uid-west"}},
		{reason: "expired", chain: certs(proxy, east), at: now.Add(2 * day), want: pki.ErrExpired},
		{reason: "not yet valid", chain: certs(proxy, east), at: now.Add(-day), grace: day * 9, want: pki.ErrExpired},
		{reason: "expired within grace", chain: certs(proxy, east), at: now.Add(2 * day), grace: 2 * day, expired: true},
		{reason: "expired beyond grace", chain: certs(proxy, east), at: now.Add(4 * day), grace: 2 * day, want: pki.ErrExpired},
		{reason: "intermediate expired within grace", chain: certs(proxy, east), at: now.Add(31 * day), grace: 31 * day, expired: true},
		{reason: "revoked and expired within grace", chain: certs(proxy, east), at: now.Add(2 * day), grace: 2 * day, revoked: pki.Revoked{"uid-east"}, want: pki.ErrRevoked},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			at := tc.at
			if at.IsZero() {
				at = now.Add(time.Hour)
			}
			id, err := pki.Verify(tc.chain, roots, tc.revoked, at, tc.grace)
			if tc.want == nil {
				if err != nil || id.Expired != tc.expired {
					t.Fatalf("got %+v, %v", id, err)
				}
				if id.Role == pki.Spoke && id.UID != "uid-"+id.Cluster {
					t.Fatalf("uid %q", id.UID)
				}
				return
			}
			var unknown x509.UnknownAuthorityError
			if errors.As(tc.want, &unknown) {
				if !errors.As(err, &unknown) {
					t.Fatalf("got %v, want an unknown authority", err)
				}
			} else if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func certs(c ...*x509.Certificate) []*x509.Certificate { return c }

func TestLeafEndsWithItsIssuer(t *testing.T) {
	f := newFleet()
	key := must(pki.NewKey(rand.Reader))
	c := must(f.east.Leaf(proxyName("east", "a"), key.Public(), rand.Reader, now, 90*24*time.Hour))
	if !c.NotAfter.Equal(f.east.Certificate.NotAfter) {
		t.Fatalf("leaf ends at %s, its issuer at %s", c.NotAfter, f.east.Certificate.NotAfter)
	}
}

func TestDeclarations(t *testing.T) {
	f := newFleet()
	roots := []*x509.Certificate{f.root.Certificate}
	signed := must(pki.SignDeclaration(stream.Resource{Kind: "Declarations", Key: "apps", Origin: "east", Generation: 3, Payload: []byte("x")}, f.east.Key))
	if err := pki.VerifyDeclaration(signed, f.east.Certificate, roots, nil, now); err != nil {
		t.Fatal(err)
	}
	again := must(pki.SignDeclaration(stream.Resource{Kind: "Declarations", Key: "apps", Origin: "east", Generation: 3, Payload: []byte("x")}, f.east.Key))
	if again.Version() != signed.Version() {
		t.Fatal("signing the same declaration again made another version of it")
	}
	change := func(f func(*stream.Resource)) stream.Resource {
		r := signed
		f(&r)
		return r
	}
	tests := []struct {
		reason string
		r      stream.Resource
		by     *x509.Certificate
	}{
		{"another payload", change(func(r *stream.Resource) { r.Payload, r.Hash = []byte("y"), stream.HashOf([]byte("y")) }), f.east.Certificate},
		{"a payload that is not what was signed", change(func(r *stream.Resource) { r.Payload = []byte("y") }), f.east.Certificate},
		{"another key", change(func(r *stream.Resource) { r.Key = "other" }), f.east.Certificate},
		{"parts moved over the border between kind and key", change(func(r *stream.Resource) { r.Kind, r.Key = "Declaration", "sapps" }), f.east.Certificate},
		{"another generation", change(func(r *stream.Resource) { r.Generation++ }), f.east.Certificate},
		{"no signature", change(func(r *stream.Resource) { r.Signature = nil }), f.east.Certificate},
		{"another cluster's key", signed, f.west.Certificate},
		{"another origin by the key of the first", change(func(r *stream.Resource) { r.Origin = "west" }), f.east.Certificate},
		{"a proxy's key", signed, leaf(f.east, proxyName("east", "a"))},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			if err := pki.VerifyDeclaration(tc.r, tc.by, roots, nil, now); err == nil {
				t.Fatal("taken as the origin's word")
			}
		})
	}
	if err := pki.VerifyDeclaration(signed, f.east.Certificate, roots, pki.Revoked{"uid-east"}, now); !errors.Is(err, pki.ErrRevoked) {
		t.Fatalf("a revoked cluster's word: %v", err)
	}
}

func TestTokens(t *testing.T) {
	f := newFleet()
	tok := must(pki.NewToken(rand.Reader, pki.KeyHash(f.root.Certificate)))
	back, err := pki.ParseToken(tok.Format())
	if err != nil || back != tok {
		t.Fatalf("parsed as %v, %v", back, err)
	}
	if strings.Contains(tok.String(), tok.Secret()) {
		t.Fatal("printing a token shows its secret")
	}
	for _, s := range []string{"", "nave1", "nave1..", tok.Format() + "A", "nave2" + tok.Format()[5:], tok.Format()[:40]} {
		if _, err := pki.ParseToken(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
	var none pki.Grants
	open := none.Add(tok.Secret(), pki.Grant{Subject: "east", Expires: now.Add(time.Hour)}, now)
	for k := range open {
		if strings.Contains(k, tok.Secret()) {
			t.Fatal("the secret itself is kept")
		}
	}
	if _, left, err := open.Redeem(tok.Secret(), now.Add(time.Hour)); !errors.Is(err, pki.ErrTokenExpired) || len(left) != 0 {
		t.Fatalf("after its time: %v", err)
	}
	grant, left, err := open.Redeem(tok.Secret(), now)
	if err != nil || grant.Subject != "east" {
		t.Fatalf("redeemed as %+v, %v", grant, err)
	}
	if _, _, err := left.Redeem(tok.Secret(), now); !errors.Is(err, pki.ErrTokenUnknown) {
		t.Fatalf("a second time: %v", err)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("nave1.AAAA.BBBB")
	f.Fuzz(func(t *testing.T, s string) {
		if tok, err := pki.ParseToken(s); err == nil && tok.Format() != strings.TrimSpace(s) {
			t.Fatalf("%q is written %q", s, tok.Format())
		}
	})
}

func FuzzRequestedKey(f *testing.F) {
	f.Add(must(pki.Request(must(pki.NewKey(rand.Reader)), rand.Reader)))
	f.Fuzz(func(t *testing.T, der []byte) {
		if key, err := pki.RequestedKey(der); err == nil && len(key) != ed25519.PublicKeySize {
			t.Fatalf("a key of %d bytes", len(key))
		}
	})
}

func TestRequestProvesItsKey(t *testing.T) {
	key := must(pki.NewKey(rand.Reader))
	der := must(pki.Request(key, rand.Reader))
	if got := must(pki.RequestedKey(der)); !got.Equal(key.Public()) {
		t.Fatal("another key came out")
	}
	der[len(der)-1] ^= 1
	if _, err := pki.RequestedKey(der); err == nil {
		t.Fatal("a request with a broken signature was taken")
	}
}

func TestRenewAt(t *testing.T) {
	c := leaf(newFleet().east, proxyName("east", "a"))
	first, last := pki.RenewAt(c, 0), pki.RenewAt(c, ^uint64(0))
	life := c.NotAfter.Sub(c.NotBefore)
	if first != c.NotAfter.Add(-life/3) || !last.Before(c.NotAfter.Add(-life/7)) || !first.Before(last) {
		t.Fatalf("between %s and %s for a certificate until %s", first, last, c.NotAfter)
	}
}

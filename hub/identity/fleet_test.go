package identity_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/wire"
	hub "github.com/navehq/nave/hub/identity"
	proxy "github.com/navehq/nave/proxy/identity"
	spoke "github.com/navehq/nave/spoke/identity"
)

const day = 24 * time.Hour

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// clock is the time that everybody in a test goes by.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fleet is a hub on a loopback port, by real TLS.
type fleet struct {
	t         *testing.T
	dir       string
	clock     *clock
	authority *hub.Authority
	address   string
	server    *grpc.Server
	// callers are those whose streams got through.
	mu      sync.Mutex
	callers []pki.Identity
}

type hubService struct {
	wire.UnimplementedHubServer
	f *fleet
}

func (s hubService) Connect(str grpc.BidiStreamingServer[wire.Frame, wire.Frame]) error {
	id, _ := wire.Caller(str.Context())
	if err := s.f.authority.Known(id); err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	s.f.mu.Lock()
	s.f.callers = append(s.f.callers, id)
	s.f.mu.Unlock()
	return str.Send(&wire.Frame{})
}

func (s hubService) Supervise(str grpc.BidiStreamingServer[wire.Frame, wire.Frame]) error {
	return str.Send(&wire.Frame{})
}

func listen(t *testing.T, s *grpc.Server) string {
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { _ = s.Serve(lis) }()
	t.Cleanup(s.Stop)
	return lis.Addr().String()
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, dir: t.TempDir(), clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	f.open()
	return f
}

// open starts the hub, or starts it again.
func (f *fleet) open() {
	f.t.Helper()
	a, err := hub.Open(hub.Options{Keeper: keep.NewFile(filepath.Join(f.dir, "hub.json")), Fleet: "prod", Now: f.clock.Now})
	if err != nil {
		f.t.Fatal(err)
	}
	f.authority = a
	opts := append(wire.ServerOptions(a.TLS(), 0), wire.Authorize(a.Party(), a.Grace(), wire.HubAccess)...)
	f.server = grpc.NewServer(opts...)
	wire.RegisterHubIdentityServer(f.server, hub.NewServer(a))
	wire.RegisterHubServer(f.server, hubService{f: f})
	f.address = listen(f.t, f.server)
}

func (f *fleet) spokeOptions(cluster, token string) spoke.Options {
	return spoke.Options{
		Cluster: cluster, Keeper: keep.NewFile(filepath.Join(f.dir, cluster, "identity.json")),
		Hub: f.address, Token: token, Now: f.clock.Now,
	}
}

func (f *fleet) join(cluster string) *spoke.Identity {
	f.t.Helper()
	i, err := spoke.Open(f.t.Context(), f.spokeOptions(cluster, must(f.authority.CreateToken(cluster, 0))))
	if err != nil {
		f.t.Fatal(err)
	}
	return i
}

// connect opens a stream to the hub and waits for its first frame.
func connect(t *testing.T, d wire.Dialer, open func(wire.Dialer, context.Context) (wire.Stream, func(), error)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	str, done, err := open(d, ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = str.Recv()
	return err
}

func proxyName(cluster, id string) pki.Name {
	return pki.Name{Role: pki.Proxy, Fleet: "prod", Cluster: cluster, Tenant: "a", Namespace: "apps", Gateway: "ai", Proxy: id}
}

type spokeService struct{ wire.UnimplementedSpokeServer }

func (spokeService) Connect(str grpc.BidiStreamingServer[wire.Frame, wire.Frame]) error {
	return str.Send(&wire.Frame{})
}

// serve starts a spoke's port for its proxies.
func (f *fleet) serve(i *spoke.Identity, admit spoke.Admit) string {
	config := i.Party().SpokeServer(i.Name().Cluster, spoke.ProxyGrace)
	s := grpc.NewServer(append(wire.ServerOptions(config, 0), wire.Authorize(i.Party(), spoke.ProxyGrace, wire.SpokeAccess)...)...)
	wire.RegisterSpokeIdentityServer(s, spoke.NewServer(i, admit))
	wire.RegisterSpokeServer(s, spokeService{})
	return listen(f.t, s)
}

func (f *fleet) proxyOptions(cluster, address, ticket string) proxy.Options {
	return proxy.Options{
		Cluster: cluster, Keeper: keep.NewFile(filepath.Join(f.dir, cluster, "proxy.json")),
		Spoke: address, Proof: proxy.Ticket(ticket), Now: f.clock.Now,
	}
}

func TestJoinConnectEnrolLink(t *testing.T) {
	f := newFleet(t)
	east := f.join("east")
	if err := connect(t, east.Dialer(), wire.Dialer.OpenHub); err != nil {
		t.Fatal(err)
	}
	if id := f.callers[0]; id.Cluster != "east" || id.UID == "" || id.Expired {
		t.Fatalf("the hub was called by %+v", id)
	}
	tickets := spoke.NewTickets(east)
	address := f.serve(east, tickets.Admit)
	ticket := must(tickets.Issue(proxyName("east", "p-1"), 0))
	p, err := proxy.Open(t.Context(), f.proxyOptions("east", address, ticket))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != proxyName("east", "p-1") {
		t.Fatalf("the proxy is %q", p.Name())
	}
	if err := connect(t, p.Dialer(), wire.Dialer.OpenSpoke); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hub.json", "east/identity.json", "east/proxy.json"} {
		if info := must(os.Stat(filepath.Join(f.dir, name))); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
	west := f.join("west")
	q := f.proxyOf(west)
	linkTests(t, p.Party(), q.Party())
}

// proxyOf starts a spoke's port and enrols one proxy there.
func (f *fleet) proxyOf(i *spoke.Identity) *proxy.Identity {
	f.t.Helper()
	tickets := spoke.NewTickets(i)
	cluster := i.Name().Cluster
	ticket := must(tickets.Issue(proxyName(cluster, "p-1"), 0))
	p, err := proxy.Open(f.t.Context(), f.proxyOptions(cluster, f.serve(i, tickets.Admit), ticket))
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// linkTests: a proxy of the east dials one of the west.
func linkTests(t *testing.T, east, west pki.Party) {
	tests := []struct {
		reason         string
		client, server *tls.Config
		ok             bool
	}{
		{"the cluster and tenant that are meant", east.LinkClient("west", "a"), west.LinkServer("a"), true},
		{"another cluster was meant", east.LinkClient("north", "a"), west.LinkServer("a"), false},
		{"another tenant was meant", east.LinkClient("west", "b"), west.LinkServer("a"), false},
		{"the server is another tenant's", east.LinkClient("west", "a"), west.LinkServer("b"), false},
		{"a spoke's port of its own cluster", east.LinkClient("west", "a"), west.SpokeServer("west", 0), false},
		{"the proxy is no spoke", east.SpokeClient("west"), west.LinkServer("a"), false},
		{"the proxy is no hub", east.HubClient(), west.LinkServer("a"), false},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			if err := handshake(tc.client, tc.server); (err == nil) != tc.ok {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// handshake makes a TLS connection and sends a byte each way over it.
func handshake(client, server *tls.Config) error {
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	defer lis.Close()
	a := must(net.Dial("tcp", lis.Addr().String()))
	b := must(lis.Accept())
	deadline := time.Now().Add(5 * time.Second)
	_ = a.SetDeadline(deadline)
	_ = b.SetDeadline(deadline)
	served := make(chan error, 1)
	go func() {
		s := tls.Server(b, server)
		var buf [1]byte
		_, err := s.Read(buf[:])
		if err == nil {
			_, err = s.Write(buf[:])
		}
		b.Close()
		served <- err
	}()
	c := tls.Client(a, client)
	var buf [1]byte
	_, err := c.Write([]byte{1})
	if err == nil {
		_, err = c.Read(buf[:])
	}
	a.Close()
	err = errors.Join(err, <-served)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		panic("neither side decided")
	}
	return err
}

func TestTokens(t *testing.T) {
	f, other := newFleet(t), newFleet(t)
	token := func() string { return must(f.authority.CreateToken("east", 0)) }
	used := token()
	must(spoke.Open(t.Context(), f.spokeOptions("east", used)))
	old := token()
	tests := []struct {
		reason  string
		cluster string
		token   string
		after   time.Duration
		want    string
	}{
		{"used before", "east2", used, 0, "used before"},
		{"for another cluster", "north", token(), 0, "for another cluster"},
		{"of another fleet, whose root is pinned", "north", must(other.authority.CreateToken("north", 0)), 0, pki.ErrWrongPin.Error()},
		{"not a token", "north", "nave1.x.y", 0, "parsing a token"},
		{"expired", "north", old, 2 * time.Hour, "expired"},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			f.clock.add(tc.after)
			opts := f.spokeOptions(tc.cluster, tc.token)
			if _, err := spoke.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if _, _, err := opts.Keeper.Load(); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("something was kept: %v", err)
			}
		})
	}
	kept := string(must(os.ReadFile(filepath.Join(f.dir, "hub.json"))))
	if secret := must(pki.ParseToken(old)).Secret(); strings.Contains(kept, secret) {
		t.Fatal("the hub keeps a token's secret")
	}
}

// TestWhoMayCall holds the ports against those that prove to be somebody else.
func TestWhoMayCall(t *testing.T) {
	f := newFleet(t)
	east, west := f.join("east"), f.join("west")
	eastProxy := f.proxyOf(east)
	tickets := spoke.NewTickets(west)
	westPort := f.serve(west, tickets.Admit)

	t.Run("a proxy is no spoke", func(t *testing.T) {
		d := wire.Dialer{Address: f.address, TLS: eastProxy.Party().HubClient()}
		refused(t, connect(t, d, wire.Dialer.OpenHub))
	})
	t.Run("a spoke is no supervisor", func(t *testing.T) {
		refused(t, connect(t, east.Dialer(), wire.Dialer.OpenSupervise))
	})
	t.Run("the supervisor is", func(t *testing.T) {
		d := wire.Dialer{Address: f.address, TLS: f.authority.SupervisorParty().HubClient()}
		if err := connect(t, d, wire.Dialer.OpenSupervise); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("nobody gets no further than joining", func(t *testing.T) {
		d := wire.Dialer{Address: f.address, TLS: pki.Pinned(f.authority.Pin(), pki.Hub, "", f.clock.Now)}
		refused(t, connect(t, d, wire.Dialer.OpenHub))
	})
	t.Run("another cluster's proxy", func(t *testing.T) {
		d := wire.Dialer{Address: westPort, TLS: eastProxy.Party().SpokeClient("west")}
		refused(t, connect(t, d, wire.Dialer.OpenSpoke))
	})
	t.Run("a spoke that signs itself another cluster's name", func(t *testing.T) {
		forged := forge(east, f, pki.SpokeName("prod", "west"))
		refused(t, connect(t, wire.Dialer{Address: f.address, TLS: forged.HubClient()}, wire.Dialer.OpenHub))
	})
	t.Run("a spoke that signs itself the hub's name", func(t *testing.T) {
		if err := handshake(west.Party().HubClient(), forge(east, f, pki.HubName("prod")).HubServer(0)); err == nil {
			t.Fatal("another spoke took it for the hub")
		}
	})
	t.Run("a ticket for another proxy", func(t *testing.T) {
		opts := f.proxyOptions("west", westPort, must(tickets.Issue(proxyName("west", "p-1"), 0)))
		opts.Name = proxyName("west", "p-2")
		_, err := proxy.Open(t.Context(), opts)
		refused(t, err)
	})
	t.Run("a ticket twice", func(t *testing.T) {
		ticket := must(tickets.Issue(proxyName("west", "p-1"), 0))
		must(proxy.Open(t.Context(), f.proxyOptions("west", westPort, ticket)))
		opts := f.proxyOptions("west", westPort, ticket)
		opts.Keeper = keep.NewFile(filepath.Join(t.TempDir(), "p"))
		_, err := proxy.Open(t.Context(), opts)
		refused(t, err)
	})
	t.Run("a proof that stands for another cluster's proxy", func(t *testing.T) {
		lax := f.serve(west, func(context.Context, string, pki.Name) (pki.Name, error) { return proxyName("east", "p-9"), nil })
		opts := f.proxyOptions("west", lax, must(tickets.Issue(proxyName("west", "p-1"), 0)))
		opts.Keeper = keep.NewFile(filepath.Join(t.TempDir(), "p"))
		_, err := proxy.Open(t.Context(), opts)
		refused(t, err)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.callers) != 0 {
		t.Fatalf("some got through: %v", f.callers)
	}
}

// forge is a party that a spoke makes with its own intermediate, under a name
// that is not its own.
func forge(i *spoke.Identity, f *fleet, name pki.Name) pki.Party {
	creds := must(pki.ParseCredentials(must(os.ReadFile(filepath.Join(f.dir, i.Name().Cluster, "identity.json")))))
	key := must(pki.NewKey(rand.Reader))
	leaf := must(creds.Issuer().Leaf(name, key.Public(), rand.Reader, f.clock.Now(), day))
	p := i.Party()
	p.Certificate = func() (*tls.Certificate, error) {
		return pki.Credentials{Key: key, Chain: []*x509.Certificate{leaf, creds.Chain[0]}}.TLS(), nil
	}
	return p
}

func refused(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("was admitted")
	}
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded {
		t.Fatalf("was not refused but left waiting: %v", err)
	}
}

func TestRevoked(t *testing.T) {
	f := newFleet(t)
	east, west := f.join("east"), f.join("west")
	changed := f.authority.Changed()
	ids, err := f.authority.Revoke("east", "kim")
	if err != nil || len(ids) != 1 {
		t.Fatalf("revoked %v, %v", ids, err)
	}
	select {
	case <-changed:
	default:
		t.Fatal("nobody was told")
	}
	refused(t, connect(t, east.Dialer(), wire.Dialer.OpenHub))
	refused(t, east.Renew(t.Context()))
	if err := connect(t, west.Dialer(), wire.Dialer.OpenHub); err != nil {
		t.Fatalf("the other cluster: %v", err)
	}
	f.open() // revocations outlive the hub
	refused(t, connect(t, wire.Dialer{Address: f.address, TLS: east.Party().HubClient()}, wire.Dialer.OpenHub))
	p := f.proxyOf(west)
	p.Revoke(f.authority.Revoked())
	if err := handshake(forgeProxy(east, f).LinkClient("west", "a"), p.Party().LinkServer("a")); err == nil {
		t.Fatal("a proxy of the revoked cluster was admitted to the link")
	}
	if _, err := f.authority.Revoke("nowhere", "kim"); err == nil {
		t.Fatal("revoked what is not there")
	}
	if err := os.Remove(filepath.Join(f.dir, "east", "identity.json")); err != nil {
		t.Fatal(err)
	}
	again := f.join("east") // a new token makes a new identity
	if err := connect(t, again.Dialer(), wire.Dialer.OpenHub); err != nil {
		t.Fatal(err)
	}
}

func forgeProxy(i *spoke.Identity, f *fleet) pki.Party {
	return forge(i, f, proxyName(i.Name().Cluster, "p-1"))
}

func TestRejoinReplaces(t *testing.T) {
	f := newFleet(t)
	lost := f.join("east")
	if err := os.Remove(filepath.Join(f.dir, "east", "identity.json")); err != nil {
		t.Fatal(err)
	}
	f.join("east")
	refused(t, connect(t, lost.Dialer(), wire.Dialer.OpenHub))
	refused(t, lost.Renew(t.Context()))
}

func TestRestartsWithoutTheOther(t *testing.T) {
	f := newFleet(t)
	east := f.join("east")
	p := f.proxyOf(east)
	signed := must(east.Sign(stream.Resource{Kind: "Declarations", Key: "apps", Generation: 1, Payload: []byte("x")}))
	f.server.Stop()
	back, err := spoke.Open(t.Context(), f.spokeOptions("east", ""))
	if err != nil {
		t.Fatal(err)
	}
	again := must(back.Sign(stream.Resource{Kind: "Declarations", Key: "apps", Generation: 1, Payload: []byte("x")}))
	if again.Version() != signed.Version() {
		t.Fatal("after a restart the same declaration is another version")
	}
	if err := pki.VerifyDeclaration(again, back.Intermediate(), f.authority.Roots(), nil, f.clock.Now()); err != nil {
		t.Fatal(err)
	}
	f.clock.add(3 * day)
	alone, err := proxy.Open(t.Context(), f.proxyOptions("east", "127.0.0.1:1", ""))
	if err != nil || alone.Name() != p.Name() {
		t.Fatalf("the proxy alone: %v", err)
	}
	if _, err := spoke.Open(t.Context(), f.spokeOptions("north", "")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("neither identity nor token: %v", err)
	}
	opts := f.spokeOptions("north", "")
	opts.Keeper = f.spokeOptions("east", "").Keeper
	if _, err := spoke.Open(t.Context(), opts); !errors.Is(err, spoke.ErrOther) {
		t.Fatalf("another cluster's identity: %v", err)
	}
}

func TestRenewal(t *testing.T) {
	f := newFleet(t)
	east := f.join("east")
	first := east.Intermediate()
	if early, late := f.clock.Now().Add(19*day), first.NotAfter; east.Due().Before(early) || !east.Due().Before(late) {
		t.Fatalf("due at %s for a certificate until %s", east.Due(), late)
	}
	f.clock.add(25 * day)
	if err := east.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := east.Intermediate(); !got.NotAfter.After(first.NotAfter) || pki.KeyHash(got) != pki.KeyHash(first) {
		t.Fatalf("renewed until %s, or for another key", got.NotAfter)
	}
	f.clock.add(40 * day)
	refused(t, connect(t, east.Dialer(), wire.Dialer.OpenHub))
	back := must(spoke.Open(t.Context(), f.spokeOptions("east", ""))) // no leaf in memory
	if err := back.Renew(t.Context()); err != nil {
		t.Fatalf("an expired key within grace: %v", err)
	}
	if err := connect(t, back.Dialer(), wire.Dialer.OpenHub); err != nil {
		t.Fatal(err)
	}
	f.clock.add(100 * day)
	refused(t, back.Renew(t.Context()))
}

func TestProxyRenewal(t *testing.T) {
	f := newFleet(t)
	east := f.join("east")
	p := f.proxyOf(east)
	first := must(p.Certificate()).Leaf
	f.clock.add(20 * time.Hour)
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := must(p.Certificate()).Leaf
	if !second.NotAfter.After(first.NotAfter) || pki.KeyHash(first) == pki.KeyHash(second) {
		t.Fatal("not renewed, or for the same key")
	}
	f.clock.add(3 * day) // the machine slept
	refused(t, connect(t, p.Dialer(), wire.Dialer.OpenSpoke))
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := connect(t, p.Dialer(), wire.Dialer.OpenSpoke); err != nil {
		t.Fatal(err)
	}
	f.clock.add(9 * day)
	refused(t, p.Renew(t.Context()))
}

// A revocation on one replica reaches the other.
func TestReplicasRevoke(t *testing.T) {
	f := newFleet(t)
	f.join("east")
	path := filepath.Join(f.dir, "hub.json")
	synctest.Test(t, func(t *testing.T) {
		open := func() *hub.Authority {
			return must(hub.Open(hub.Options{Keeper: keep.NewFile(path), Fleet: "prod", Now: f.clock.Now}))
		}
		one, two := open(), open()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- two.Run(ctx) }()
		changed := two.Changed()
		ids := must(one.Revoke("east", "kim"))
		<-changed
		if !two.Revoked().Has(ids...) {
			t.Fatalf("revoked %v, the other replica knows %v", ids, two.Revoked())
		}
		cancel()
		<-ended
	})
}

// Two replicas of a hub share one authority.
func TestReplicas(t *testing.T) {
	f := newFleet(t)
	other := must(hub.Open(hub.Options{Keeper: keep.NewFile(filepath.Join(f.dir, "hub.json")), Fleet: "prod", Now: f.clock.Now}))
	token := must(other.CreateToken("east", 0))
	must(spoke.Open(t.Context(), f.spokeOptions("east", token)))
	if _, err := other.CreateToken("west", 0); err != nil { // over what the first has written
		t.Fatal(err)
	}
	if got := other.Clusters(); len(got) != 1 || got[0].Name != "east" {
		t.Fatalf("the other replica knows %v", got)
	}
	if _, err := hub.Open(hub.Options{Keeper: keep.NewFile(filepath.Join(f.dir, "hub.json")), Fleet: "test"}); err == nil {
		t.Fatal("opened under another fleet's name")
	}
}

func TestMetrics(t *testing.T) {
	f := newFleet(t)
	east := f.join("east")
	for who, register := range map[string]func(prometheus.Registerer) error{"hub": f.authority.Register, "spoke": east.Register, "proxy": f.proxyOf(east).Register} {
		r := prometheus.NewRegistry()
		if err := errors.Join(register(r), register(nil)); err != nil {
			t.Fatal(err)
		}
		got := must(r.Gather())
		if len(got) != 1 || got[0].GetName() != "nave_certificate_expiry_seconds" || got[0].GetMetric()[0].GetGauge().GetValue() <= 0 {
			t.Fatalf("%s: %v", who, got)
		}
	}
}

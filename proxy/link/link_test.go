package link_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/link"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

// fleet issues identities.
type fleet struct {
	t       testing.TB
	root    pki.Issuer
	mu      sync.Mutex
	revoked pki.Revoked
}

func newFleet(t testing.TB) *fleet {
	root, err := pki.NewRoot("f", rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &fleet{t: t, root: root}
}

func (f *fleet) party(cluster, tenant, proxy string) pki.Party {
	f.t.Helper()
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	middle, err := f.root.Intermediate(pki.SpokeName("f", cluster), "uid-"+cluster, key.Public(), rand.Reader, time.Now(), time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	own, err := pki.NewKey(rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	name := pki.Name{Role: pki.Proxy, Fleet: "f", Cluster: cluster, Tenant: tenant, Namespace: "ns", Gateway: "gw", Proxy: proxy}
	leaf, err := pki.Issuer{Certificate: middle, Key: key}.Leaf(name, own.Public(), rand.Reader, time.Now(), time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	cert := &tls.Certificate{Certificate: [][]byte{leaf.Raw, middle.Raw}, PrivateKey: own}
	return pki.Party{
		Certificate: func() (*tls.Certificate, error) { return cert, nil },
		Roots:       func() []*x509.Certificate { return []*x509.Certificate{f.root.Certificate} },
		Revoked: func() pki.Revoked {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.revoked
		},
		Now: time.Now,
	}
}

func (f *fleet) revoke(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked = append(f.revoked, id)
}

type serveFunc = func(message.Exchange, forward.Head, *observe.Record) error

// serve runs a link server and gives its address.
func (f *fleet) serve(cluster, tenant, proxy string, serve serveFunc) (*link.Server, string) {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	s := link.NewServer(link.ServerOptions{TLS: f.party(cluster, tenant, proxy).LinkServer(tenant), Proxy: proxy, Serve: serve})
	ctx, cancel := context.WithCancel(context.Background())
	go s.Serve(ctx, l)
	f.t.Cleanup(func() {
		cancel()
		end, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer stop()
		s.Shutdown(end)
	})
	return s, l.Addr().String()
}

// A connection that comes after Shutdown is not served, and is the last.
func TestNothingBeginsAfterShutdown(t *testing.T) {
	f := newFleet(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := link.NewServer(link.ServerOptions{TLS: f.party("west", "t", "w1").LinkServer("t"), Proxy: "w1", Serve: answer("west")})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(t.Context(), l) }()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server goes on accepting")
	}
}

func (f *fleet) client(o link.Options) *link.Client {
	o.Cluster, o.Tenant, o.Gateway = "east", "t", "ns/gw"
	party := f.party("east", "t", "e1")
	o.TLS = func(cluster string) *tls.Config { return party.LinkClient(cluster, "t") }
	c := link.NewClient(o)
	f.t.Cleanup(c.Close)
	return c
}

func peer(cluster string, proxies ...table.LinkProxy) []*table.Peer {
	return []*table.Peer{{Cluster: cluster, Region: cluster, Proxies: proxies}}
}

func at(id, address string) table.LinkProxy {
	return table.LinkProxy{ID: id, Tenant: "t", Gateway: "ns/gw", Address: address}
}

func wait(t testing.TB, what string, limit time.Duration, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

func reachable(c *link.Client, cluster string) func() bool {
	return func() bool { ok, _ := c.Reachable(cluster); return ok }
}

func answer(text string) serveFunc {
	return func(x message.Exchange, _ forward.Head, _ *observe.Record) error {
		var h message.Header
		if err := x.Start(200, &h, int64(len(text))); err != nil {
			return nil
		}
		x.Write([]byte(text))
		x.Finish(nil)
		return nil
	}
}

func request() *message.Request {
	r := &message.Request{Method: "POST", Scheme: "http", Authority: "a.com", Path: "/x", Body: strings.NewReader("body"), ContentLength: 4}
	r.Header.Add("X-Own", "1")
	return r
}

func TestHeadCrosses(t *testing.T) {
	f := newFleet(t)
	got := make(chan forward.Head, 1)
	var fields, body string
	_, addr := f.serve("west", "t", "w1", func(x message.Exchange, h forward.Head, r *observe.Record) error {
		for field := range x.Request().Header.All() {
			fields += strings.ToLower(field.Name) + " "
		}
		b, _ := io.ReadAll(x.Request().Body)
		body = string(b)
		var hint message.Header
		hint.Add("Link", "</a>")
		if err := x.Inform(103, &hint); err != nil {
			t.Error(err)
		}
		got <- h
		return answer("ok")(x, h, r)
	})
	c := f.client(link.Options{})
	c.SetPeers(peer("west", at("w1", addr)))
	wait(t, "a link", 5*time.Second, reachable(c, "west"))
	sent := forward.Head{
		Cluster: "west", Backend: "AgentgatewayBackend ns/b", Member: "p", Route: "ns/r", Gateway: "ns/gw", Listener: "http",
		Principal: "ns/keys/älice", Allowed: "eu-west,eu-north", Word: 77, Tenant: "forged", From: "forged", Deadline: time.Now().Add(10 * time.Second),
	}
	r := request()
	var informed string
	r.Inform = func(status int, h *message.Header) { informed += fmt.Sprint(status, h.Get("Link")) }
	resp, at, err := c.Send(context.Background(), sent, r)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	h := <-got
	if left := time.Until(h.Deadline); left < 8*time.Second || left > 10*time.Second {
		t.Errorf("deadline in %v", left)
	}
	h.Deadline, sent.Deadline = time.Time{}, time.Time{}
	sent.Cluster, sent.Tenant, sent.From = "", "t", "east"
	if h != sent {
		t.Errorf("got %+v, want %+v", h, sent)
	}
	if string(text) != "ok" || body != "body" || at != addr || strings.Contains(fields, "nave-") || !strings.Contains(fields, "x-own") {
		t.Errorf("%q %q %q %q", text, body, at, fields)
	}
	if informed != "103</a>" {
		t.Errorf("informed of %q before the answer", informed)
	}
	if r.Header.Len() != 1 {
		t.Error("the request keeps the link's fields")
	}
}

func TestRefusalMeansUnprocessed(t *testing.T) {
	f := newFleet(t)
	_, addr := f.serve("west", "t", "w1", func(message.Exchange, forward.Head, *observe.Record) error {
		return errors.New(`backend "b" is not in the table: 100 %`)
	})
	c := f.client(link.Options{})
	c.SetPeers(peer("west", at("w1", addr)))
	wait(t, "a link", 5*time.Second, reachable(c, "west"))
	for _, head := range []forward.Head{{Cluster: "west", Backend: "b"}, {Cluster: "nowhere", Backend: "b"}, {Cluster: "west", Replica: "w9", Backend: "b"}} {
		_, _, err := c.Send(context.Background(), head, request())
		var e *message.SendError
		if !errors.As(err, &e) || !e.Unprocessed {
			t.Errorf("%+v: %v", head, err)
		}
		if head.Replica == "" && head.Cluster == "west" && !strings.Contains(err.Error(), "not in the table: 100 %") {
			t.Error(err)
		}
	}
}

func TestOthersAreNotTalkedTo(t *testing.T) {
	f := newFleet(t)
	_, otherTenant := f.serve("west", "u", "w1", answer("no"))
	_, otherCluster := f.serve("south", "t", "s1", answer("no"))
	_, otherFleet := newFleet(t).serve("west", "t", "w1", answer("no"))
	for name, addr := range map[string]string{"another tenant": otherTenant, "another cluster": otherCluster, "another fleet": otherFleet} {
		c := f.client(link.Options{})
		c.SetPeers(peer("west", at("w1", addr)))
		wait(t, name, 5*time.Second, func() bool {
			ok, why := c.Reachable("west")
			if ok {
				t.Fatalf("%s: talked to", name)
			}
			return why != "" && !strings.Contains(why, "not connected yet")
		})
	}
}

// switchable is a path that can be made a black hole: writes vanish, reads wait.
type switchable struct {
	net.Conn
	hole *atomic.Bool
	done chan struct{}
	once sync.Once
}

func (s *switchable) Write(p []byte) (int, error) {
	if s.hole.Load() {
		return len(p), nil
	}
	return s.Conn.Write(p)
}

func (s *switchable) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.hole.Load() {
		<-s.done
		return 0, net.ErrClosed
	}
	return n, err
}

func (s *switchable) Close() error {
	s.once.Do(func() { close(s.done) })
	return s.Conn.Close()
}

func TestBlackHoleIsFoundWithinTwoSeconds(t *testing.T) {
	f := newFleet(t)
	_, addr := f.serve("west", "t", "w1", func(x message.Exchange, _ forward.Head, _ *observe.Record) error {
		<-x.Context().Done()
		return nil
	})
	var hole atomic.Bool
	reg := prometheus.NewRegistry()
	c := f.client(link.Options{Registerer: reg, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if hole.Load() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		n, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &switchable{Conn: n, hole: &hole, done: make(chan struct{})}, nil
	}})
	c.SetPeers(peer("west", at("w1", addr)))
	wait(t, "a link", 5*time.Second, reachable(c, "west"))
	failed := make(chan error, 1)
	go func() {
		_, _, err := c.Send(context.Background(), forward.Head{Cluster: "west", Backend: "b"}, request())
		failed <- err
	}()
	wait(t, "a round trip", 5*time.Second, func() bool { return c.RTT("west").Known })
	hole.Store(true)
	start := time.Now()
	if err := <-failed; err == nil {
		t.Error("an answer came out of a black hole")
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the request in flight failed after %v", took)
	}
	if ok, why := c.Reachable("west"); ok || !strings.Contains(why, "two pings") {
		t.Error(ok, why)
	}
	if n, err := testutil.GatherAndCount(reg, "nave_region_rtt_seconds", "nave_link_up"); n != 2 {
		t.Error(n, err)
	}
	hole.Store(false)
	wait(t, "the link again", 10*time.Second, reachable(c, "west"))
}

func TestPeersComeAndGo(t *testing.T) {
	f := newFleet(t)
	_, one := f.serve("west", "t", "w1", answer("one"))
	_, two := f.serve("west", "t", "w2", answer("two"))
	c := f.client(link.Options{})
	send := func(replica string) string {
		resp, _, err := c.Send(context.Background(), forward.Head{Cluster: "west", Backend: "b", Replica: replica}, request())
		if err != nil {
			return err.Error()
		}
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	c.SetPeers(peer("west", at("w1", one), at("w2", two)))
	wait(t, "w1", 5*time.Second, func() bool { return send("w1") == "one" })
	wait(t, "w2", 5*time.Second, func() bool { return send("w2") == "two" })
	c.SetPeers(peer("west", at("w2", two)))
	if got := send(""); got != "two" {
		t.Error(got)
	}
	c.SetPeers(peer("west", at("w2", one))) // it has moved, to another's address: its own replica refuses
	wait(t, "the new address", 5*time.Second, func() bool { return send("") == "one" })
	c.SetPeers(nil)
	if ok, _ := c.Reachable("west"); ok {
		t.Error("reachable without peers")
	}
}

func TestRevocationClosesLiveLinks(t *testing.T) {
	f := newFleet(t)
	s, addr := f.serve("west", "t", "w1", answer("ok"))
	c := f.client(link.Options{})
	c.SetPeers(peer("west", at("w1", addr)))
	wait(t, "a link", 5*time.Second, reachable(c, "west"))
	s.Recheck()
	c.Recheck()
	if !reachable(c, "west")() {
		t.Fatal("a check closed what is still good")
	}
	f.revoke("uid-east")
	s.Recheck()
	wait(t, "the end of the link", 2*time.Second, func() bool { return !reachable(c, "west")() })
}

// A proxy that is reached at another address from now on: nobody waits for the
// new way, and what is under way on the old one ends as it would have.
func TestAddressChangesUnderLoad(t *testing.T) {
	f := newFleet(t)
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	slow := func(x message.Exchange, h forward.Head, r *observe.Record) error {
		if x.Request().Path == "/hold" {
			held <- struct{}{}
			<-hold
		}
		return answer("old")(x, h, r)
	}
	_, old := f.serve("west", "t", "w1", slow)
	_, next := f.serve("west", "t", "w1", answer("new"))
	c := f.client(link.Options{})
	send := func(path string) string {
		r := request()
		r.Path = path
		resp, _, err := c.Send(context.Background(), forward.Head{Cluster: "west", Backend: "b"}, r)
		if err != nil {
			return err.Error()
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	c.SetPeers(peer("west", at("w1", old)))
	wait(t, "a link", 5*time.Second, reachable(c, "west"))
	last := make(chan string, 1)
	go func() { last <- send("/hold") }()
	<-held
	c.SetPeers(peer("west", at("w1", "127.0.0.1:1"))) // where nobody is
	for range 20 {
		if got := send("/"); got != "old" {
			t.Fatalf("while the new address does not answer: %q", got)
		}
	}
	c.SetPeers(peer("west", at("w1", next)))
	wait(t, "the new address", 5*time.Second, func() bool {
		got := send("/")
		if got != "old" && got != "new" {
			t.Fatalf("on the way to the new address: %q", got)
		}
		return got == "new"
	})
	close(hold)
	if got := <-last; got != "old" {
		t.Errorf("what was under way: %q", got)
	}
}

// A proxy that goes ends what it has under way; one that is revoked does not.
func TestGoneAndRevokedUnderLoad(t *testing.T) {
	for _, revoked := range []bool{false, true} {
		f := newFleet(t)
		hold, held := make(chan struct{}), make(chan struct{}, 1)
		_, addr := f.serve("west", "t", "w1", func(x message.Exchange, h forward.Head, r *observe.Record) error {
			held <- struct{}{}
			<-hold
			return answer("ok")(x, h, r)
		})
		c := f.client(link.Options{})
		c.SetPeers(peer("west", at("w1", addr)))
		wait(t, "a link", 5*time.Second, reachable(c, "west"))
		ended := make(chan error, 1)
		go func() {
			resp, _, err := c.Send(context.Background(), forward.Head{Cluster: "west", Backend: "b"}, request())
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			ended <- err
		}()
		<-held
		c.SetPeers(nil)
		if reachable(c, "west")() {
			t.Error("what is gone gets new requests")
		}
		if revoked {
			f.revoke("uid-west")
			c.Recheck()
			if err := <-ended; err == nil {
				t.Error("what is under way to a revoked proxy goes on")
			}
		}
		close(hold)
		if !revoked {
			if err := <-ended; err != nil {
				t.Errorf("what was under way: %v", err)
			}
		}
	}
}

package publish_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/spoke/publish"
)

// world is west's spoke with its publisher.
type world struct {
	t         *testing.T
	root      pki.Issuer
	cluster   pki.Issuer
	listening *bufconn.Listener
	publisher *publish.Publisher

	mu      sync.Mutex
	tables  map[string]table.Table
	refused map[string][]stream.Nack
	samples []string
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, listening: bufconn.Listen(1 << 20), tables: map[string]table.Table{}, refused: map[string][]stream.Nack{}}
	var err error
	w.root, err = pki.NewRoot("f", rand.Reader, time.Now())
	check(t, err)
	w.cluster = w.issuer("west")
	spoke := w.credentials(w.cluster, pki.SpokeName("f", "west"))
	party := w.party(spoke)
	w.publisher = publish.New(publish.Options{
		Name: pki.SpokeName("f", "west").String(), Heartbeat: time.Second, Log: slog.New(slog.DiscardHandler),
		Table: func(name string) (table.Table, string, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			x, ok := w.tables[name]
			return x, table.Hash(x), ok
		},
		Changed: func() {},
		Refused: func(name string, nacks []stream.Nack) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refused[name] = append(w.refused[name], nacks...)
		},
		Sample: func(proxy string, s *assignment.Sample) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.samples = append(w.samples, proxy+" "+s.To)
		},
	})
	server := grpc.NewServer(append(wire.ServerOptions(party.SpokeServer("west", 0), 0), wire.Authorize(party, 0, wire.SpokeAccess)...)...)
	wire.RegisterSpokeServer(server, w.publisher)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(w.listening) }()
	t.Cleanup(func() { w.publisher.Close(); server.Stop(); <-done })
	return w
}

// issuer is a cluster of the fleet.
func (w *world) issuer(cluster string) pki.Issuer {
	key, err := pki.NewKey(rand.Reader)
	check(w.t, err)
	cert, err := w.root.Intermediate(pki.SpokeName("f", cluster), "uid-"+cluster, key.Public(), rand.Reader, time.Now(), time.Hour)
	check(w.t, err)
	return pki.Issuer{Certificate: cert, Key: key}
}

func (w *world) credentials(by pki.Issuer, name pki.Name) pki.Credentials {
	key, err := pki.NewKey(rand.Reader)
	check(w.t, err)
	leaf, err := by.Leaf(name, key.Public(), rand.Reader, time.Now(), time.Hour)
	check(w.t, err)
	return pki.Credentials{Key: key, Chain: []*x509.Certificate{leaf, by.Certificate}}
}

func (w *world) party(c pki.Credentials) pki.Party {
	return pki.Party{
		Certificate: func() (*tls.Certificate, error) { return c.TLS(w.root.Certificate), nil }, Now: time.Now,
		Roots: func() []*x509.Certificate { return []*x509.Certificate{w.root.Certificate} }, Revoked: func() pki.Revoked { return nil },
	}
}

// put makes a table what it is, and publishes the change.
func (w *world) put(name string, resources ...table.Resource) string {
	next := table.New(resources...)
	w.mu.Lock()
	before, ok := w.tables[name]
	if !ok {
		before = table.New()
	}
	changes := table.Diff(before, next)
	w.tables[name] = next
	w.mu.Unlock()
	w.publisher.Publish(name, changes, table.Hash(next))
	return table.Hash(next)
}

// proxy is one that connects; what it has of its table and is told besides.
type proxy struct {
	w       *world
	session *wire.Session
	ended   chan error
	stop    func()

	mu    sync.Mutex
	has   map[string]string
	marks []string
	nacks map[string]string
	told  int
	hurt  string // a resource to refuse
}

func proxyName(gateway, id string) pki.Name {
	return pki.Name{Role: pki.Proxy, Fleet: "f", Cluster: "west", Tenant: "red", Namespace: "ns", Gateway: gateway, Proxy: id}
}

// connect connects a proxy by a certificate, which greets as says.
func (w *world) connect(c pki.Credentials, says string, hurt string) *proxy {
	p := &proxy{w: w, ended: make(chan error, 1), has: map[string]string{}, nacks: map[string]string{}, hurt: hurt}
	p.session = wire.New(wire.Options{Name: says, Heartbeat: time.Second, Handler: wire.Handler{
		OnChanges: p.take,
		OnAsk:     func(_ context.Context, path string, _ []byte) ([]byte, error) { return json.Marshal(path) },
		OnAcked: func(_ string, nacks []stream.Nack, _ string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.told++
			for _, n := range nacks {
				p.nacks[n.Key] = n.Error
			}
		},
	}})
	ctx, cancel := context.WithCancel(context.Background())
	dialer := wire.Dialer{Address: "spoke", TLS: w.party(c).SpokeClient("west"), Dial: func(ctx context.Context, _ string) (net.Conn, error) { return w.listening.DialContext(ctx) }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		str, closeStream, err := dialer.OpenSpoke(ctx)
		if err == nil {
			err = p.session.Run(ctx, str)
			closeStream()
		}
		p.ended <- err
	}()
	p.stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(p.stop)
	return p
}

func (p *proxy) take(r stream.Release) (nacks []stream.Nack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range r.Changes {
		id := c.Kind + " " + c.Key
		switch {
		case c.Deleted:
			delete(p.has, id)
		case id == p.hurt:
			nacks = append(nacks, stream.Nack{ID: c.ID(), Hash: c.Hash, Error: "no such filter"})
		default:
			p.has[id] = string(c.Payload)
		}
	}
	p.marks = append(p.marks, r.Mark)
	return nacks
}

func (p *proxy) tell(kind, key string, v any) {
	p.w.t.Helper()
	payload, err := json.Marshal(v)
	check(p.w.t, err)
	p.mu.Lock()
	p.told = 0
	p.mu.Unlock()
	p.session.Update(func(src *stream.Source) {
		check(p.w.t, src.Set(stream.Resource{Kind: kind, Key: key, Payload: payload}))
		src.Mark(stream.HashOf(payload), true)
	})
	p.w.await("an answer to "+kind, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.told > 0 })
}

func (p *proxy) mark() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.marks) == 0 {
		return ""
	}
	return p.marks[len(p.marks)-1]
}

func (p *proxy) holds(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.has[id] != ""
}

func (w *world) await(what string, f func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s does not come", what)
		}
	}
}

func (w *world) own(gateway, id string) *proxy {
	name := proxyName(gateway, id)
	return w.connect(w.credentials(w.cluster, name), name.String(), "")
}

func listener(name string, port uint16) *table.Listener {
	return &table.Listener{Name: name, Port: port, Protocol: table.ProtocolHTTP}
}

func TestAProxyGetsTheTableOfItsCertificate(t *testing.T) {
	w := newWorld(t)
	one, two := w.put("ns/one", listener("ns/one/a", 80)), w.put("ns/two", listener("ns/two/a", 80))
	a, b := w.own("one", "one-0"), w.own("two", "two-0")
	w.await("table one", func() bool { return a.mark() == one })
	w.await("table two", func() bool { return b.mark() == two })
	if a.holds("listener ns/two/a") || !a.holds("listener ns/one/a") || !b.holds("listener ns/two/a") {
		t.Errorf("they hold %v and %v", a.has, b.has)
	}
	// What changes in one is nothing to the other.
	one = w.put("ns/one", listener("ns/one/b", 81))
	w.await("the change", func() bool { return a.mark() == one && a.holds("listener ns/one/b") && !a.holds("listener ns/one/a") })
	if b.mark() != two {
		t.Error("the other table has a new revision")
	}
	later := w.own("one", "one-1")
	w.await("the table for one that comes later", func() bool { return later.mark() == one })
}

func TestWhoAProxyIsItsCertificateSays(t *testing.T) {
	w := newWorld(t)
	w.put("ns/one", listener("ns/one/a", 80))
	w.put("ns/two", listener("ns/two/a", 80))
	p := w.own("one", "one-0")
	p.tell("facts", "two-7", assignment.ProxyFacts{
		LinkProxy: table.LinkProxy{ID: "two-7", Tenant: "blue", Gateway: "ns/two", Address: "10.0.0.1:15443"}, Revision: "r", Ready: true,
	})
	list := w.publisher.Proxies()
	if len(list) != 1 {
		t.Fatalf("there are %+v", list)
	}
	if f := list[0].Facts; f.ID != "one-0" || f.Tenant != "red" || f.Gateway != "ns/one" || list[0].Table != "ns/one" || !f.Ready || f.Revision != "r" {
		t.Errorf("it is taken for %+v", list[0])
	}
	// A tenant's proxy without listeners says so.
	p.tell("facts", "one-0", assignment.ProxyFacts{LinkProxy: table.LinkProxy{ID: "one-0"}})
	if f := w.publisher.Proxies()[0].Facts; f.Gateway != "" {
		t.Errorf("it serves %q", f.Gateway)
	}
	p.tell("facts", "one-0", "no facts")
	if p.nacks["one-0"] == "" || len(w.publisher.Proxies()) != 1 {
		t.Error("what cannot be read is taken")
	}
	for _, c := range []struct{ why, says string }{
		{"another proxy's name", proxyName("two", "two-0").String()}, {"the spoke's name", pki.SpokeName("f", "west").String()}, {"no name", ""},
	} {
		liar := w.connect(w.credentials(w.cluster, proxyName("one", "one-1")), c.says, "")
		select {
		case err := <-liar.ended:
			if err == nil || len(liar.has) > 0 {
				t.Errorf("%s: it ends with %v and holds %v", c.why, err, liar.has)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: it is served", c.why)
		}
	}
}

func TestStrangersAreNotServed(t *testing.T) {
	w := newWorld(t)
	w.put("ns/one", listener("ns/one/a", 80))
	east := proxyName("one", "one-0")
	east.Cluster = "east"
	other := newWorld(t)
	for _, c := range []struct {
		why  string
		as   pki.Credentials
		name pki.Name
	}{
		{"another cluster's proxy", w.credentials(w.issuer("east"), east), east},
		{"another cluster's word for this one's proxy", w.credentials(w.issuer("east"), proxyName("one", "one-0")), proxyName("one", "one-0")},
		{"another fleet's", other.credentials(other.cluster, proxyName("one", "one-0")), proxyName("one", "one-0")},
		{"a spoke", w.credentials(w.cluster, pki.SpokeName("f", "west")), pki.SpokeName("f", "west")},
	} {
		p := w.connect(c.as, c.name.String(), "")
		select {
		case err := <-p.ended:
			if err == nil || len(p.has) > 0 {
				t.Errorf("%s: ends with %v and holds %v", c.why, err, p.has)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s is served", c.why)
		}
	}
}

func TestASampleIsItsOwnClusters(t *testing.T) {
	w := newWorld(t)
	w.put("ns/one", listener("ns/one/a", 80))
	p := w.own("one", "one-0")
	p.tell("sample", "link/west/east", assignment.Sample{From: "west", To: "east", Measure: "link", Count: 1})
	p.tell("sample", "link/east/west", assignment.Sample{From: "east", To: "west", Measure: "link", Count: 1})
	p.tell("sample", "link/west/north", assignment.Sample{From: "west", To: "south", Measure: "link", Count: 1})
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.samples) != 1 || w.samples[0] != "one-0 east" {
		t.Errorf("taken are %v", w.samples)
	}
	if !strings.Contains(p.nacks["link/east/west"], `of cluster "west"`) || p.nacks["link/west/north"] == "" || p.nacks["link/west/east"] != "" {
		t.Errorf("refused are %v", p.nacks)
	}
}

func TestAMeasurementMakesNoRevision(t *testing.T) {
	w := newWorld(t)
	revision := w.put("ns/one", listener("ns/one/a", 80))
	p := w.own("one", "one-0")
	w.await("the table", func() bool { return p.mark() == revision })
	p.tell("facts", "one-0", assignment.ProxyFacts{LinkProxy: table.LinkProxy{ID: "one-0"}, Revision: revision})
	w.publisher.Share(&assignment.Sample{From: "west", To: "east", Measure: "gossip", RTT: table.Duration(time.Millisecond)})
	w.await("the sample", func() bool { return p.holds("sample gossip/west/east") })
	for _, m := range p.marks {
		if m != revision {
			t.Errorf("the marks are %v, want %s only", p.marks, revision)
		}
	}
	// Who comes later gets it beside its table, of whose revision it is no part.
	later := w.own("one", "one-1")
	w.await("table and sample", func() bool { return later.mark() == revision && later.holds("sample gossip/west/east") })
	next := w.put("ns/one", listener("ns/one/b", 81))
	w.await("the next revision", func() bool { return p.mark() == next && p.holds("sample gossip/west/east") })
	if got := w.publisher.Proxies(); len(got) != 1 || got[0].Facts.Revision != revision {
		t.Errorf("proxies are %+v", got)
	}
}

func TestARefusedTableIsTold(t *testing.T) {
	w := newWorld(t)
	w.put("ns/one", listener("ns/one/a", 80), listener("ns/one/bad", 81))
	name := proxyName("one", "one-0")
	p := w.connect(w.credentials(w.cluster, name), name.String(), "listener ns/one/bad")
	w.await("the refusal", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.refused["ns/one"]) == 1 })
	w.mu.Lock()
	if n := w.refused["ns/one"][0]; n.Kind != "listener" || n.Key != "ns/one/bad" || n.Error != "no such filter" {
		t.Errorf("told is %+v", n)
	}
	w.mu.Unlock()
	if !p.holds("listener ns/one/a") {
		t.Error("what it can obey is missing")
	}
}

func TestProxiesComeAndGo(t *testing.T) {
	w := newWorld(t)
	w.put("ns/one", listener("ns/one/a", 80))
	p := w.own("one", "one-0")
	p.tell("facts", "one-0", assignment.ProxyFacts{Ready: true})
	if out, err := w.publisher.Ask(t.Context(), "ns/one", "explain", nil); err != nil || string(out) != `"explain"` {
		t.Errorf("a question is answered %q, %v", out, err)
	}
	if _, err := w.publisher.Ask(t.Context(), "ns/none", "explain", nil); err == nil {
		t.Error("a proxy answers for a table that it does not have")
	}
	p.stop()
	w.await("its loss", func() bool { return !w.publisher.Proxies()[0].Up })
	if got := w.publisher.Proxies(); len(got) != 1 || !got[0].Facts.Ready {
		t.Errorf("a lost stream changes what is known: %+v", got)
	}
	if _, err := w.publisher.Ask(t.Context(), "ns/one", "explain", nil); err == nil {
		t.Error("a proxy that is gone answers")
	}
	w.publisher.Forget(map[string]bool{"one-0": true})
	if len(w.publisher.Proxies()) != 1 {
		t.Error("a proxy that is wanted is forgotten")
	}
	w.publisher.Forget(nil)
	if len(w.publisher.Proxies()) != 0 {
		t.Error("a proxy that is not wanted is remembered")
	}
}

func TestARevokedProxyLosesItsStream(t *testing.T) {
	w := newWorld(t)
	w.put("ns/one", listener("ns/one/a", 80))
	name, other := proxyName("one", "one-0"), proxyName("one", "one-1")
	as := w.credentials(w.cluster, name)
	p, stays := w.connect(as, name.String(), ""), w.connect(w.credentials(w.cluster, other), other.String(), "")
	w.await("the tables", func() bool { return p.mark() != "" && stays.mark() != "" })
	w.publisher.Revoke(pki.Revoked{pki.Serial(as.Chain[0])})
	select {
	case err := <-p.ended:
		if err == nil {
			t.Error("its stream ends without a cause")
		}
	case <-time.After(10 * time.Second):
		t.Error("its stream goes on")
	}
	select {
	case err := <-stays.ended:
		t.Errorf("another one's stream ends with %v", err)
	default:
	}
}

// TestNoRevisionWithoutAPart: a policy that cannot be sent does not open its route;
// the proxy keeps what it has until the whole can be sent.
func TestNoRevisionWithoutAPart(t *testing.T) {
	w := newWorld(t)
	rule := &table.Rule{Name: "HTTPRoute ns/r/0"}
	policy := func(expressions int) *table.Policy {
		return &table.Policy{
			Name: "AgentgatewayPolicy ns/p", Targets: []table.Target{{Kind: "HTTPRoute", Namespace: "ns", Name: "r"}},
			Authorization: &table.Authorization{Action: table.Deny, Expressions: slices.Repeat([]string{strings.Repeat("x", 16000)}, expressions)},
		}
	}
	w.put("ns/g", policy(1))
	p := w.own("g", "p1")
	has := func(id string) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		_, ok := p.has[id]
		return ok
	}
	const thePolicy, theRule, other = "policy AgentgatewayPolicy ns/p", "rule HTTPRoute ns/r/0", "rule HTTPRoute ns/other/0"
	w.await("the policy", func() bool { return has(thePolicy) })
	w.put("ns/g", policy(300), rule)
	late := w.own("g", "p2") // one that comes now has nothing
	w.put("ns/g", policy(300), rule, &table.Rule{Name: "HTTPRoute ns/other/0"})
	// What is shared comes after what was published, if that was sent.
	w.publisher.Share(&assignment.Sample{From: "west", To: "east", Measure: "gossip"})
	w.await("what is shared", func() bool { return has("sample gossip/west/east") })
	late.mu.Lock()
	if len(late.has) > 0 || has(theRule) || has(other) {
		t.Errorf("a part of a table is obeyed: %v", late.has)
	}
	late.mu.Unlock()
	w.put("ns/g", policy(2), rule)
	w.await("the rule with its policy", func() bool { return has(theRule) && has(thePolicy) })
}

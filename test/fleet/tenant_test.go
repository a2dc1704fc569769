package fleet_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/spoke/identity"
	"github.com/navehq/nave/test/fleet"
	"github.com/navehq/nave/test/simulators/tools"
)

// tenants are red, in every cluster, and blue, in west only.
const tenants = `apiVersion: nave.dev/v1alpha1
kind: Tenant
metadata: {name: red}
spec: {namespaces: [{namespaces: [red, red-back]}]}
---
apiVersion: nave.dev/v1alpha1
kind: Tenant
metadata: {name: blue}
spec: {namespaces: [{namespaces: [blue], clusters: [west]}]}
`

func grant(in, fromNamespace, group, kind string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: to-%s, namespace: %s}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: %[1]s}], to: [{group: "%[3]s", kind: %[4]s}]}
---
`, fromNamespace, in, group, kind)
}

// static declares a backend by a host.
func static(namespace, name, host string, port int) string {
	return fmt.Sprintf("apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayBackend\nmetadata: {name: %s, namespace: %s}\nspec: {static: {host: %s, port: %d}}\n---\n", name, namespace, host, port)
}

func TestATenantsBackendsAreItsOwn(t *testing.T) {
	red, blue := newBackend(t, "red"), newBackend(t, "blue")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west"}, Tenants: tenants})
	_, port, err := net.SplitHostPort(blue.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	bluePort := 0
	fmt.Sscan(port, &bluePort)
	f.Write("clusters/west/blue.yaml", gateway("blue", "g", "Local")+fleetBackend("blue", "web", blue.Server)+route("blue", "own", "g", "/", "web")+
		grant("blue", "red", "", "Service")+grant("blue", "red-back", "agentgateway.dev", "AgentgatewayBackend"))
	f.Write("clusters/west/red.yaml", gateway("red", "g", "Local")+service("red", "web", red.Server)+serviceRoute("red", "own", "g", "/own", "red", "web")+
		service("red-back", "web", red.Server)+serviceRoute("red", "ungranted", "g", "/ungranted", "red-back", "web")+
		serviceRoute("red", "stolen", "g", "/stolen", "blue", "web")+
		static("red", "name", "web.blue.svc.cluster.local", 80)+route("red", "name", "g", "/name", "name")+
		static("red", "address", "127.0.0.1", bluePort)+route("red", "address", "g", "/address", "address"))
	// Another tenant's route at this Gateway.
	f.Write("clusters/west/intruder.yaml", strings.ReplaceAll(route("blue", "intruder", "g", "/intruder", "web"), "{name: g}", "{name: g, namespace: red}"))
	g, other := f.Gateway("west", "red/g")[0], f.Gateway("west", "blue/g")[0]
	f.Expect(g+"/own", 200, "red")
	f.Expect(other+"/", 200, "blue")
	before := blue.requests.Load()
	for path, code := range map[string]int{
		"/stolen": 500, "/name": 503, "/address": 503, "/intruder": 404,
		"/ungranted": 500, // its own tenant's, but another namespace that grants nothing
	} {
		f.Expect(g+path, code, "")
	}
	f.Write("clusters/west/grant.yaml", grant("red-back", "red", "", "Service"))
	f.Expect(g+"/ungranted", 200, "red")
	if n := blue.requests.Load() - before; n > 0 {
		t.Errorf("%d requests of another tenant reached a backend", n)
	}
}

func TestWhatAClientForgesReachesNobody(t *testing.T) {
	web := newBackend(t, "web")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}, Tenants: tenants})
	f.Write("clusters/west/red.yaml", gateway("red", "g", "Fleet")+fleetBackend("red", "web", web.Server)+route("red", "r", "g", "/", "web"))
	for _, cluster := range []string{"west", "east"} {
		url := f.Gateway(cluster, "red/g")[0]
		f.Expect(url+"/", 200, "web", "Nave-Link-Backend", "AgentgatewayBackend blue/web", "Nave-Link-Principal", "admin", "NAVE-LINK-REPLICA", "x")
		for name := range web.fields() {
			if strings.HasPrefix(strings.ToLower(name), "nave-") {
				t.Errorf("from %s the backend is sent the field %s", cluster, name)
			}
		}
	}
}

// credentials are those that a program of the fleet keeps.
func credentials(t *testing.T, f *fleet.Fleet, of string) pki.Credentials {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(f.State(of), "identity.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := pki.ParseCredentials(data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func party(c pki.Credentials) pki.Party {
	return pki.Party{
		Certificate: func() (*tls.Certificate, error) { return c.TLS(), nil },
		Roots:       func() []*x509.Certificate { return c.Roots }, Revoked: func() pki.Revoked { return nil }, Now: time.Now,
	}
}

// forged are credentials of a root that says it is the fleet's.
func forged(t *testing.T, roots []*x509.Certificate, name pki.Name) pki.Credentials {
	t.Helper()
	root, err := pki.NewRoot(name.Fleet, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := root.Intermediate(pki.SpokeName(name.Fleet, name.Cluster), "uid", key.Public(), rand.Reader, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := pki.Issuer{Certificate: cluster, Key: key}.Leaf(name, key.Public(), rand.Reader, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return pki.Credentials{Key: key, Chain: []*x509.Certificate{leaf, cluster}, Roots: roots}
}

// overLink sends one request as a proxy would, to a link at address, with the
// head's fields as given.
func overLink(f *fleet.Fleet, config *tls.Config, address string, head map[string]string) (*http.Response, error) {
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	transport := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		raw, err := f.Dial(address)
		if err != nil {
			return nil, err
		}
		c := tls.Client(raw, config)
		return c, c.HandshakeContext(ctx)
	}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodGet, "https://web/", nil)
	if err != nil {
		return nil, err
	}
	for name, value := range head {
		r.Header.Set(name, value)
	}
	resp, err := transport.RoundTrip(r)
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

func TestALinkServesItsTenantsProxiesOnly(t *testing.T) {
	web, blue := newBackend(t, "web"), newBackend(t, "blue")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}, Tenants: tenants})
	f.Write("clusters/west/red.yaml", gateway("red", "g", "Fleet")+fleetBackend("red", "web", web.Server)+route("red", "r", "g", "/", "web")+
		service("red", "own", web.Server)+serviceRoute("red", "own", "g", "/own", "red", "own")+
		gateway("red", "local", "Local")+serviceRoute("red", "local", "local", "/", "red", "own"))
	f.Write("clusters/west/blue.yaml", gateway("blue", "g", "Local")+fleetBackend("blue", "web", blue.Server)+route("blue", "r", "g", "/", "web"))
	f.Expect(f.Gateway("east", "red/g")[0]+"/", 200, "web")
	f.Expect(f.Gateway("west", "blue/g")[0]+"/", 200, "blue")
	link := func(cluster, gateway string) string {
		host, _, err := net.SplitHostPort(strings.TrimPrefix(f.Gateway(cluster, gateway)[0], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		return net.JoinHostPort(host, "15443")
	}
	red := credentials(t, f, "east/red.g-0")
	name, err := pki.ParseName(red.Chain[0].URIs[0].String())
	if err != nil {
		t.Fatal(err)
	}
	before := blue.requests.Load()
	for _, c := range []struct {
		why, address string
		config       *tls.Config
		backend      string
		code         int // 0: the handshake is refused
	}{
		{"the fleet's own way", link("west", "red/g"), party(red).LinkClient("west", "red"), "AgentgatewayBackend red/web", 200},
		{"what only a Gateway that runs in no other cluster serves", link("west", "red/local"), party(red).LinkClient("west", "red"), "Service red/own:80", 503},
		{"another tenant's proxy", link("west", "blue/g"), party(red).LinkClient("west", "blue"), "AgentgatewayBackend blue/web", 0},
		{"another tenant's backend", link("west", "red/g"), party(red).LinkClient("west", "red"), "AgentgatewayBackend blue/web", 503},
		{"a backend that is not there", link("west", "red/g"), party(red).LinkClient("west", "red"), "AgentgatewayBackend red/none", 503},
		{"no backend", link("west", "red/g"), party(red).LinkClient("west", "red"), "", 503},
		{"a forged root", link("west", "red/g"), party(forged(t, red.Roots, name)).LinkClient("west", "red"), "AgentgatewayBackend red/web", 0},
	} {
		head := map[string]string{"nave-link-backend": strings.ReplaceAll(c.backend, " ", "%20"), "nave-link-member": "static", "nave-link-gateway": "red/g"}
		resp, err := overLink(f, c.config, c.address, head)
		switch {
		case c.code == 0 && err == nil:
			t.Errorf("%s: is answered %s", c.why, resp.Status)
		case c.code != 0 && err != nil:
			t.Errorf("%s: %v", c.why, err)
		case c.code != 0 && resp.StatusCode != c.code:
			t.Errorf("%s: is answered %s %v, want %d", c.why, resp.Status, resp.Header, c.code)
		}
	}
	if n := blue.requests.Load() - before; n > 0 {
		t.Errorf("%d requests of another tenant reached a backend", n)
	}

	// A proxy gets tables of its own cluster's spoke only, and its own one.
	session := wire.New(wire.Options{Name: name.String()})
	str, over, err := (wire.Dialer{Address: "10.1.0.1:9978", TLS: party(red).SpokeClient("west"), Dial: func(_ context.Context, a string) (net.Conn, error) { return f.Dial(a) }}).OpenSpoke(t.Context())
	if err == nil {
		defer over()
		err = session.Run(t.Context(), str)
	}
	if err == nil || len(session.Held()) > 0 {
		t.Errorf("another cluster's proxy is given %d resources, %v", len(session.Held()), err)
	}
}

// rogue is a spoke whose identity somebody has stolen: it says to the hub what
// it likes.
type rogue struct {
	*identity.Identity
	session *wire.Session
	mu      sync.Mutex
	nacks   map[string]string
	mark    string
}

func newRogue(t *testing.T, f *fleet.Fleet, cluster string) *rogue {
	t.Helper()
	id, err := identity.Open(t.Context(), identity.Options{
		Cluster: cluster, Keeper: keep.NewFile(filepath.Join(f.State(cluster), "identity.json")), Hub: "10.0.0.1:9443",
		Dial: func(_ context.Context, a string) (net.Conn, error) { return f.Dial(a) },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rogue{Identity: id, nacks: map[string]string{}}
	r.session = wire.New(wire.Options{Name: id.Name().String(), Heartbeat: time.Second, Handler: wire.Handler{
		OnAcked: func(mark string, nacks []stream.Nack, _ string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.mark = mark
			for _, n := range nacks {
				r.nacks[n.Key] = n.Error
			}
		},
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = wire.Loop{Session: r.session, Backoff: wire.LocalBackoff, Open: func(ctx context.Context) (wire.Stream, func(), error) { return id.Dialer().OpenHub(ctx) }}.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// push sends resources and waits until the hub has answered.
func (r *rogue) push(t *testing.T, mark string, list ...stream.Resource) {
	t.Helper()
	r.session.Update(func(src *stream.Source) {
		for _, x := range list {
			if err := src.Set(x); err != nil {
				t.Errorf("push %s: %v", x.ID(), err)
			}
		}
		src.Mark(mark, true)
	})
	if err := fleet.Await(func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.mark != mark {
			return fmt.Errorf("the hub has answered %q", r.mark)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (r *rogue) refused(key string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nacks[key]
}

func declare(t *testing.T, r *rogue, cluster string, key objects.Key, object string) stream.Resource {
	t.Helper()
	d := &assignment.Declaration{Cluster: cluster, Key: key, Generation: 9, Created: time.Now(), Object: json.RawMessage(object)}
	payload, err := assignment.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	kind, name := d.ID()
	out, err := r.Sign(stream.Resource{Kind: string(kind), Key: name, Generation: 9, Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAForgedOriginIsRefused(t *testing.T) {
	web := newBackend(t, "web")
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}, Tenants: tenants})
	f.Write("clusters/west/red.yaml", gateway("red", "g", "Fleet")+fleetBackend("red", "web", web.Server)+route("red", "r", "g", "/", "web"))
	f.Write("clusters/west/blue.yaml", gateway("blue", "g", "Local")+fleetBackend("blue", "web", web.Server)+route("blue", "r", "g", "/", "web"))
	west, east := f.Gateway("west", "red/g")[0], f.Gateway("east", "red/g")[0]
	f.Expect(east+"/", 200, "web")
	f.Expect(west+"/", 200, "web")

	f.StopSpoke("east")
	r := newRogue(t, f, "east")
	hijack := objects.Key{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute", Namespace: "red", Name: "r"}
	object := `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"r","namespace":"red","generation":9},"spec":{"parentRefs":[{"name":"g"}]}}`
	foreign := declare(t, r, "west", hijack, object)
	lying := declare(t, r, "west", hijack, object)
	lying.Origin = "west"
	for i, x := range []stream.Resource{foreign, lying} {
		r.push(t, fmt.Sprintf("declare-%d", i), x)
		if why := r.refused(x.Key); !strings.Contains(why, "another cluster") {
			t.Errorf("a declaration of west that east made up is refused so: %q", why)
		}
		delete(r.nacks, x.Key)
	}
	sealed, err := assignment.Encode(&assignment.Sealed{From: "west", To: "east", Purpose: "red/g", Ciphertext: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := assignment.Encode(&assignment.Facts{Cluster: "west", Proxies: []assignment.ProxyFacts{{Ready: true}}})
	if err != nil {
		t.Fatal(err)
	}
	id := stream.ID{Kind: foreign.Kind, Key: foreign.Key}
	tombstone, err := r.Sign(stream.Tombstone(id, "west", 9))
	if err != nil {
		t.Fatal(err)
	}
	r.push(t, "others",
		stream.Resource{Kind: string(assignment.KindSealed), Key: "west/east/red/g", Payload: sealed},
		stream.Resource{Kind: string(assignment.KindFacts), Key: "west", Payload: facts}, tombstone)
	for _, key := range []string{"west/east/red/g", "west", tombstone.Key} {
		if r.refused(key) == "" {
			t.Errorf("east's word on %q is taken", key)
		}
	}
	// A namespace that a tenant owns elsewhere only: the hub goes by its own
	// Tenants, whatever a cluster declares.
	place := objects.Key{Group: "gateway.networking.k8s.io", Kind: "Gateway", Namespace: "blue", Name: "trap"}
	r.push(t, "place", declare(t, r, "east", place, `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"name":"trap","namespace":"blue","generation":9,"annotations":{"nave.dev/placement":"Fleet"}},"spec":{"gatewayClassName":"nave","listeners":[{"name":"http","port":8080,"protocol":"HTTP"}]}}`))
	// What west declares next arrives after all of this.
	f.Write("clusters/west/more.yaml", route("red", "more", "g", "/more", "web"))
	f.Expect(west+"/more", 200, "web")
	f.Expect(west+"/", 200, "web")
	f.Expect(f.Gateway("west", "blue/g")[0]+"/", 200, "web")
	s, err := f.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range s.Gateways {
		if g.Name == "trap" {
			t.Errorf("a Gateway of a namespace that is another tenant's runs in %s", g.Cluster)
		}
	}
}

// toolServer declares an MCP backend and the Service behind it.
func toolServer(namespace, name string, at *httptest.Server) string {
	return fmt.Sprintf(`apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: %s, namespace: %s, annotations: {nave.dev/scope: Fleet}}
spec: {mcp: {targets: [{name: kit, static: {host: %[1]s.%[2]s.svc.cluster.local, port: 80, path: /mcp}}]}}
---
`, name, namespace) + service(namespace, name, at)
}

// tool sends one message of MCP.
func tool(f *fleet.Fleet, url, session, message string, fields ...string) (fleet.Answer, error) {
	fields = append(fields, "Content-Type", "application/json", "Accept", "application/json, text/event-stream", "Mcp-Protocol-Version", "2025-06-18")
	if session != "" {
		fields = append(fields, "Mcp-Session-Id", session)
	}
	return f.Do(http.MethodPost, url+"/mcp", message, fields...)
}

const (
	initialize  = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	count       = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"count","arguments":{}}}`
)

// open opens a session and counts to one in it.
func open(t *testing.T, f *fleet.Fleet, url string, fields ...string) string {
	t.Helper()
	var id string
	f.Until("a session opens at "+url, func() error {
		a, err := tool(f, url, "", initialize, fields...)
		if id = a.Header.Get("Mcp-Session-Id"); err == nil && id == "" {
			err = fmt.Errorf("it is answered %d %q", a.Code, a.Body)
		}
		return err
	})
	if a, err := tool(f, url, id, initialized, fields...); err != nil || a.Code/100 != 2 {
		t.Fatalf("initialized at %s: %d %q %v", url, a.Code, a.Body, err)
	}
	if a, err := tool(f, url, id, count, fields...); err != nil || !strings.Contains(a.Body, `"text":"1"`) {
		t.Fatalf("count at %s: %d %q %v", url, a.Code, a.Body, err)
	}
	return id
}

func TestASessionIsItsTenantsItsGatewaysAndItsClients(t *testing.T) {
	kits := map[string]*tools.Server{}
	files := map[string]string{}
	for _, namespace := range []string{"red", "blue"} {
		kits[namespace] = tools.New(tools.Options{Name: namespace})
		server := httptest.NewServer(kits[namespace])
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		files[namespace] = toolServer(namespace, "kit", server)
	}
	f := fleet.New(t, fleet.Options{Clusters: []string{"west", "east"}, Tenants: tenants})
	for _, kit := range kits {
		f.OnEnd(kit.Forget)
	}
	f.Write("clusters/west/blue.yaml", files["blue"]+gateway("blue", "g", "Local")+route("blue", "r", "g", "/", "kit"))
	f.Write("clusters/west/red.yaml", files["red"]+gateway("red", "g", "Fleet")+route("red", "r", "g", "/", "kit")+
		gateway("red", "second", "Local")+route("red", "second", "second", "/", "kit")+
		gateway("red", "keyed", "Local")+route("red", "keyed", "keyed", "/", "kit")+`apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: red}
stringData: {alice: key-of-alice, bob: key-of-bob}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: keys, namespace: red}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: keyed}]
  traffic: {apiKeyAuthentication: {secretRef: {name: keys}, location: {header: {name: x-api-key}}}}
`)
	url := f.Gateway("west", "red/g")[0]
	id := open(t, f, url)
	east := f.Gateway("east", "red/g")[0]
	f.Until("another cluster's proxy serves the session", func() error {
		a, err := tool(f, east, id, count)
		if err == nil && (a.Code != 200 || !strings.Contains(a.Body, `"text"`)) {
			err = fmt.Errorf("it is answered %d %q", a.Code, a.Body)
		}
		return err
	})
	keyed := f.Gateway("west", "red/keyed")[0]
	alices := open(t, f, keyed, "x-api-key", "key-of-alice")
	calls := map[string]int{"red": kits["red"].Stats().Tools["count"], "blue": kits["blue"].Stats().Tools["count"]}
	open(t, f, f.Gateway("west", "blue/g")[0]) // it serves its own
	calls["blue"]++
	for _, c := range []struct {
		why, url, id string
		fields       []string
	}{
		{"another tenant's gateway", f.Gateway("west", "blue/g")[0], id, nil},
		{"another gateway of the tenant", f.Gateway("west", "red/second")[0], id, nil},
		{"a changed id", url, id[:len(id)-2] + strings.Map(func(r rune) rune { return 'A' + (r+1)%26 }, id[len(id)-2:]), nil},
		{"no id of this fleet", url, "abc", nil},
		{"another client of the gateway", keyed, alices, []string{"x-api-key", "key-of-bob"}},
		{"no key", keyed, alices, nil},
	} {
		a, err := tool(f, c.url, c.id, count, c.fields...)
		if err != nil || a.Code/100 != 4 || strings.Contains(a.Body, `"text"`) {
			t.Errorf("%s: is answered %d %q, %v", c.why, a.Code, a.Body, err)
		}
	}
	for tenant, n := range calls {
		if is := kits[tenant].Stats().Tools["count"]; is != n {
			t.Errorf("%s's server was called %d times, want %d", tenant, is, n)
		}
	}
}

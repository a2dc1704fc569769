package link_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http2"
	"github.com/navehq/nave/proxy/link"
	"github.com/navehq/nave/proxy/match"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/pick"
	"github.com/navehq/nave/proxy/plain"
	"github.com/navehq/nave/proxy/upstream"
)

// site is one cluster: a proxy with a link, and a server of its own.
type site struct {
	name     string
	f        *forward.Forwarder
	client   *link.Client
	addr     string // of its link
	stop     func() // cuts its link server
	backend  *httptest.Server
	policies []table.Resource
}

const backendName = "AgentgatewayBackend ns/b"

func newSite(t *testing.T, f *fleet, name string) *site {
	s := &site{name: name}
	s.backend = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s served %s %s %s for %s", name, r.Method, r.URL.Path, b, r.Header.Get("X-Forwarded-For"))
	}))
	c1, c2 := http1.NewClient(http1.ClientOptions{}), http2.NewClient(http2.ClientOptions{})
	party := f.party(name, "t", name+"1")
	s.client = link.NewClient(link.Options{
		Cluster: name, Tenant: "t", Gateway: "ns/gw", Proxy: name + "1",
		TLS: func(c string) *tls.Config { return party.LinkClient(c, "t") },
	})
	observer := observe.New(observe.Options{})
	s.f = forward.New(forward.Options{
		Upstream: upstream.New(upstream.Options{HTTP1: c1, HTTP2: c2}), Observer: observer, Link: s.client,
		Health: upstream.NewHealth(time.Now, func() uint64 { return 1 << 63 }, nil),
	})
	s.f.Protocol(table.BackendHTTP, plain.New(s.f))
	server := link.NewServer(link.ServerOptions{TLS: party.LinkServer("t"), Proxy: name + "1", Serve: s.f.ServeLink})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	go server.Serve(ctx, l)
	done := false
	s.stop = func() {
		if done {
			return
		}
		done = true
		cancel()
		now, end := context.WithCancel(context.Background())
		end()
		server.Shutdown(now)
	}
	t.Cleanup(func() {
		s.stop()
		s.client.Close()
		s.f.Close()
		s.backend.Close()
		c1.Close()
		c2.Close()
		observer.Close()
	})
	return s
}

// set gives a site its table: every site's instance of one backend, its own
// with an address.
func (s *site) set(t *testing.T, sites []*site, serving []string, change func(*table.Backend)) {
	t.Helper()
	m := table.Member{Name: "p"}
	for _, c := range serving {
		in := table.Instance{Cluster: c}
		if c == s.name {
			in.Dial = &table.Dial{Host: "b", Port: 80, Endpoints: "e"}
		}
		m.Instances = append(m.Instances, in)
	}
	b := &table.Backend{Name: backendName, Kind: table.BackendHTTP, Tenant: "t", Fleet: true, Groups: [][]table.Member{{m}}}
	b.Failover.Order, b.Failover.Regions, b.Failover.Attempts = table.ByRegion, serving, 5
	if change != nil {
		change(b)
	}
	host, port, _ := net.SplitHostPort(s.backend.Listener.Addr().String())
	var n uint16
	fmt.Sscan(port, &n)
	resources := []table.Resource{
		&table.Self{Cluster: s.name, Region: s.name, Tenant: "t", Gateway: "ns/gw", Standalone: true}, b,
		&table.Endpoints{Name: "e", Addresses: []table.Address{{Host: host, Port: n}}},
		&table.Listener{Name: "ns/gw/http", Gateway: "ns/gw", Section: "http", Port: 80},
		&table.Rule{
			Name: "HTTPRoute ns/r/0", Route: table.Route{Kind: "HTTPRoute", Namespace: "ns", Name: "r"},
			Binds:    []table.Bind{{Listener: "ns/gw/http", Hostnames: []string{""}}},
			Backends: []table.BackendRef{{Backend: b.Name, Weight: 1}},
		},
	}
	var peers []*table.Peer
	for _, o := range sites {
		p := &table.Peer{Cluster: o.name, Region: o.name, State: table.PeerReady, Proxies: []table.LinkProxy{at(o.name+"1", o.addr)}}
		peers = append(peers, p)
		resources = append(resources, p)
	}
	x, err := match.Build(table.New(append(resources, s.policies...)...))
	if err != nil {
		t.Fatal(err)
	}
	s.f.SetIndex(x)
	s.client.SetPeers(peers)
}

// client is an HTTP server in front of the site's proxy.
func (s *site) url(t *testing.T) string {
	server := http1.NewServer(s.f.Handler(80, false), http1.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go server.Serve(ctx, l)
	t.Cleanup(func() {
		cancel()
		now, end := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer end()
		server.Shutdown(now)
	})
	return "http://" + l.Addr().String()
}

func get(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text(t, resp)
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRequestCrossesAndFailsOver(t *testing.T) {
	f := newFleet(t)
	east, west, south := newSite(t, f, "east"), newSite(t, f, "west"), newSite(t, f, "south")
	sites, serving := []*site{east, west, south}, []string{"west", "south"}
	for _, s := range sites {
		s.set(t, sites, serving, nil)
	}
	url := east.url(t) + "/x"
	for _, c := range serving {
		wait(t, "a link to "+c, 5*time.Second, reachable(east.client, c))
	}
	if status, body := get(t, "POST", url, "one"); status != 200 || body != "west served POST /x one for 127.0.0.1" {
		t.Fatal(status, body)
	}
	text, err := east.f.Explain(backendName)
	if err != nil || !strings.Contains(text, "1. west/"+backendName+"/p: group 1; west is number 1 of the declared regions; round trip") {
		t.Error(text, err)
	}
	west.stop()
	for i := range 20 {
		if status, body := get(t, "PUT", url, fmt.Sprint(i)); status != 200 || !strings.HasPrefix(body, "south served") {
			t.Fatal(i, status, body)
		}
	}
	if text, _ := east.f.Explain(backendName); !strings.HasPrefix(text, "1. south/") || !strings.Contains(text, "no link to west") {
		t.Error(text)
	}
}

func TestServingSideRestricts(t *testing.T) {
	f := newFleet(t)
	east, west := newSite(t, f, "east"), newSite(t, f, "west")
	sites := []*site{east, west}
	west.policies = []table.Resource{&table.Policy{
		Name: "p", Targets: []table.Target{{Kind: "AgentgatewayBackend", Namespace: "ns", Name: "b"}},
		Authorization: &table.Authorization{Action: table.Deny, Expressions: []string{`request.method == "PUT"`}},
	}}
	for _, s := range sites {
		s.set(t, sites, []string{"west"}, nil)
	}
	url := east.url(t)
	wait(t, "a link", 5*time.Second, reachable(east.client, "west"))
	if status, body := get(t, "POST", url, ""); status != 200 {
		t.Fatal(status, body)
	}
	if status, body := get(t, "PUT", url, ""); status != 503 {
		t.Error("what the serving cluster's policy denies was served:", status, body)
	}
}

func TestLinkIsOneHop(t *testing.T) {
	f := newFleet(t)
	east, west, south := newSite(t, f, "east"), newSite(t, f, "west"), newSite(t, f, "south")
	sites := []*site{east, west, south}
	for _, s := range sites {
		s.set(t, sites, []string{"south"}, nil)
	}
	wait(t, "a link", 5*time.Second, reachable(east.client, "west"))
	wait(t, "a link", 5*time.Second, reachable(west.client, "south"))
	// West is asked for what only south has: it must not pass it on.
	head := forward.Head{Cluster: "west", Backend: backendName, Member: "p"}
	_, _, err := east.client.Send(context.Background(), head, &message.Request{Method: "GET", Scheme: "http", Authority: "a", Path: "/"})
	if err == nil || !strings.Contains(err.Error(), `"p" is not declared in cluster "west"`) {
		t.Error(err)
	}
	// What is its own cluster's only is not served to others.
	west.set(t, sites, []string{"west"}, func(b *table.Backend) { b.Fleet = false })
	_, _, err = east.client.Send(context.Background(), head, &message.Request{Method: "GET", Scheme: "http", Authority: "a", Path: "/"})
	if err == nil || !strings.Contains(err.Error(), "its own cluster's only") {
		t.Error(err)
	}
	// What the table's own declaration does not have, but this cluster serves.
	west.set(t, sites, []string{"west"}, func(b *table.Backend) { b.Serves, b.Groups = b.Groups[0], nil })
	resp, at, err := east.client.Send(context.Background(), head, &message.Request{Method: "GET", Scheme: "http", Authority: "a", Path: "/"})
	if err != nil || resp.Status != 200 || at != west.addr {
		t.Error(resp, at, err)
	}
}

// model is a protocol that answers by itself at the serving cluster, and at the
// entry reads the answer to its end.
type model struct {
	f   *forward.Forwarder
	got chan observe.LLM
}

func (m *model) Serve(ctx context.Context, c *forward.Call) {
	var h message.Header
	if c.Only != nil {
		c.Record.LLM = &observe.LLM{Provider: "azure.openai", InputTokens: 34, OutputTokens: 5}
		c.Record.Endpoint = "there:443"
		if c.Start(200, &h, 2) == nil {
			c.Exchange.Write([]byte("hi"))
			c.Exchange.Finish(nil)
		}
		return
	}
	c.Record.LLM = &observe.LLM{RequestModel: "m"}
	d := m.f.Decide(c, pick.Needs{})
	resp, err := m.f.Send(ctx, c, d.Order[0].Candidate, c.Request)
	if err != nil {
		c.Refuse(500, "Internal", "not sent", err)
		return
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	for f := range resp.Header.All() {
		if strings.HasPrefix(strings.ToLower(f.Name), "nave-") {
			text = []byte(f.Name)
		}
	}
	m.got <- *c.Record.LLM
	c.Refuse(200, "Upstream", string(text)+" "+c.Record.Endpoint+fmt.Sprint(resp.Trailer.Len()), nil)
}

func TestUsageComesBackOverTheLink(t *testing.T) {
	f := newFleet(t)
	east, west := newSite(t, f, "east"), newSite(t, f, "west")
	sites := []*site{east, west}
	got := make(chan observe.LLM, 1)
	for _, s := range sites {
		s.f.Protocol(table.BackendAI, &model{s.f, got})
		s.set(t, sites, []string{"west"}, func(b *table.Backend) { b.Kind = table.BackendAI })
	}
	url := east.url(t)
	wait(t, "a link", 5*time.Second, reachable(east.client, "west"))
	if status, body := get(t, "POST", url, "x"); status != 200 || body != "hi there:4430" {
		t.Error(status, body)
	}
	want := observe.LLM{RequestModel: "m", Provider: "azure.openai", InputTokens: 34, OutputTokens: 5}
	if l := <-got; l != want {
		t.Errorf("got %+v, want %+v", l, want)
	}
}

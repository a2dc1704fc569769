package mcp_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http2"
	"github.com/navehq/nave/proxy/match"
	"github.com/navehq/nave/proxy/mcp"
	"github.com/navehq/nave/proxy/mcp/mcptest"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/pick"
	"github.com/navehq/nave/proxy/upstream"
)

// whole is a proxy with its real forwarder and engines; only the link is a
// function call.
type whole struct {
	cluster string
	url     string
	f       *forward.Forwarder
	link    *wire
	metrics *prometheus.Registry
	tools   *mcp.Protocol
	life    context.Context
	kill    context.CancelFunc
}

// wire is the link of one proxy to the others.
type wire struct {
	from   string
	mu     sync.Mutex
	others map[string]*whole
	orders []string // what was sent
	heard  []string // and answered
}

// ordered tells whether an order of that kind was sent.
func (w *wire) ordered(op string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.orders, op)
}

// count is how many orders of that kind were answered.
func (w *wire) count(op string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.heard {
		if o == op {
			n++
		}
	}
	return n
}

func (w *wire) RTT(string) pick.Estimate { return pick.Estimate{Known: true} }

func (w *wire) Reachable(cluster string) (bool, string) { return true, "" }

func (w *wire) Send(ctx context.Context, h forward.Head, r *message.Request) (*message.Response, string, error) {
	w.mu.Lock()
	to := w.others[h.Cluster]
	w.orders = append(w.orders, r.Header.Get("nave-mcp-op"))
	w.mu.Unlock()
	if to == nil || to.life.Err() != nil {
		return nil, "", &message.SendError{Stage: message.StageConnect, Address: h.Cluster, Unprocessed: true, Err: fmt.Errorf("refused")}
	}
	h.From = w.from
	x := mcptest.Pipe(ctx, r, to.life)
	failed := make(chan error, 1)
	go func() {
		defer x.End()
		if err := to.f.ServeLink(x, h, &observe.Record{}); err != nil {
			failed <- &message.SendError{Stage: message.StageAwait, Address: h.Cluster, Unprocessed: true, Err: err}
		}
	}()
	resp, err := x.Head()
	select {
	case refused := <-failed:
		return nil, "", refused
	default:
		w.mu.Lock()
		w.heard = append(w.heard, r.Header.Get("nave-mcp-op"))
		w.mu.Unlock()
		return resp, h.Cluster, err
	}
}

func startWhole(t *testing.T, cluster string, resources []table.Resource) *whole {
	reg := prometheus.NewRegistry()
	w := &whole{cluster: cluster, metrics: reg, link: &wire{from: cluster, others: map[string]*whole{}}}
	w.life, w.kill = context.WithCancel(context.Background())
	observer := observe.New(observe.Options{Registerer: reg, Log: t.Output()})
	c1 := http1.NewClient(http1.ClientOptions{Dial: upstream.Dialer((&net.Dialer{}).DialContext)})
	c2 := http2.NewClient(http2.ClientOptions{})
	w.f = forward.New(forward.Options{
		Upstream: upstream.New(upstream.Options{HTTP1: c1, HTTP2: c2}), Observer: observer, Registerer: reg, Link: w.link,
		Health: upstream.NewHealth(time.Now, func() uint64 { return 1 << 63 }, reg),
	})
	protocol := mcp.New(mcp.Options{
		Sender: w.f, Proxy: cluster + "-0", Version: "test", Metrics: reg,
		Find:   func(id table.ID) table.Resource { return w.f.Index().Find(id) },
		Limits: mcp.Limits{Linger: 100 * time.Millisecond},
	})
	w.f.Protocol(table.BackendMCP, protocol)
	w.tools = protocol
	x, err := match.Build(table.New(resources...))
	if err != nil {
		t.Fatal(err)
	}
	w.f.SetIndex(x)
	s := http1.NewServer(w.f.Handler(80, false), http1.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go s.Serve(ctx, l)
	w.url = "http://" + l.Addr().String()
	t.Cleanup(func() {
		cancel()
		w.kill()
		drain, end := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer end()
		s.Shutdown(drain)
		protocol.Close()
		w.f.Close()
		c1.Close()
		c2.Close()
		observer.Close()
	})
	return w
}

// twoWholes are two clusters, each with its own instance of the servers of those
// names and what else a table holds.
func twoWholes(t *testing.T, names []string, more ...table.Resource) (east, west *whole, servers map[string]*httptest.Server, fakes map[string]*fake) {
	return twoUnlike(t, names, map[string][]table.Resource{"east": more, "west": more})
}

// twoUnlike are two clusters whose tables hold more, each its own.
func twoUnlike(t *testing.T, names []string, more map[string][]table.Resource) (east, west *whole, servers map[string]*httptest.Server, fakes map[string]*fake) {
	f := table.Failover{Order: table.ByRegion, Regions: []string{"west", "east"}}
	all, servers, fakes := wholes(t, []string{"west", "east"}, names, f, more)
	return all["east"], all["west"], servers, fakes
}

// wholes are clusters whose tables hold more, each its own.
func wholes(t *testing.T, clusters, names []string, failover table.Failover, more map[string][]table.Resource) (all map[string]*whole, servers map[string]*httptest.Server, fakes map[string]*fake) {
	all, servers, fakes = map[string]*whole{}, map[string]*httptest.Server{}, map[string]*fake{}
	for _, c := range clusters {
		fakes[c] = newFake(c)
		servers[c] = httptest.NewServer(fakes[c])
		t.Cleanup(func() { servers[c].CloseClientConnections(); servers[c].Close() })
	}
	make1 := func(cluster string) *whole {
		b := &table.Backend{
			Name: "AgentgatewayBackend ns/tools", Kind: table.BackendMCP, Tenant: "acme", Fleet: true, MCP: &table.MCP{},
			Failover: failover,
		}
		behind := &table.Endpoints{Name: "Service ns/math:80", Addresses: []table.Address{{Host: "127.0.0.1"}}}
		var instances []table.Instance
		for _, c := range clusters {
			i := table.Instance{Cluster: c, Region: c}
			if c == cluster {
				u, _ := url.Parse(servers[c].URL)
				i.Dial = &table.Dial{Host: "math.ns.svc.cluster.local", Port: 80, Endpoints: behind.Name}
				fmt.Sscan(u.Port(), &behind.Addresses[0].Port)
			}
			instances = append(instances, i)
		}
		b.Groups = [][]table.Member{nil}
		for _, name := range names {
			b.Groups[0] = append(b.Groups[0], table.Member{Name: name, Server: &table.Server{Path: "/mcp"}, Instances: instances})
		}
		resources := append([]table.Resource{
			&table.Self{Cluster: cluster, Region: cluster, Tenant: "acme", Gateway: "ns/gw", Standalone: true, SessionKeys: "keys"},
			&table.Listener{Name: "ns/gw/http", Gateway: "ns/gw", Section: "http", Port: 80, Protocol: table.ProtocolHTTP},
			&table.Secret{Name: "keys", Data: map[string][]byte{"use": []byte("k"), "k": make([]byte, 32)}},
			&table.Rule{
				Name: "HTTPRoute ns/r/0", Route: table.Route{Kind: "HTTPRoute", Namespace: "ns", Name: "r", Cluster: cluster},
				Binds:    []table.Bind{{Listener: "ns/gw/http", Hostnames: []string{""}}},
				Matches:  []table.Match{{Path: table.ValueMatch{Type: table.Prefix, Value: "/"}}},
				Backends: []table.BackendRef{{Backend: b.Name, Weight: 1}},
			}, b, behind,
		}, more[cluster]...)
		for _, c := range clusters {
			resources = append(resources, &table.Peer{Cluster: c, Region: c, State: table.PeerReady, Proxies: []table.LinkProxy{
				{ID: c + "-0", Tenant: "acme", Gateway: "ns/gw", Address: c},
			}})
		}
		return startWhole(t, cluster, resources)
	}
	for _, c := range clusters {
		all[c] = make1(c)
	}
	for _, w := range all {
		maps.Copy(w.link.others, all)
	}
	return all, servers, fakes
}

// through is a client of a whole proxy.
func (w *whole) through(t *testing.T) *mcptest.Client {
	u, _ := url.Parse(w.url)
	p := httputil.NewSingleHostReverseProxy(u)
	p.FlushInterval = -1
	return &mcptest.Client{T: t, Handler: p}
}

func TestWholeProxiesLoseARegion(t *testing.T) {
	east, west, servers, fakes := twoWholes(t, []string{"math"})
	c := east.through(t)
	if a := c.Initialize("2025-06-18"); a.Status != 200 || c.Session == "" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if got := call(c, "count") + " " + call(c, "count"); got != "west 1 west 2" {
		t.Error(got)
	}
	w := c.Open("GET", "")
	eventually(t, "the stream reached the server", func() bool { return fakes["west"].saw("GET") == 1 })
	fakes["west"].push(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"hear"}}`)
	eventually(t, "the server was heard", func() bool { return w.Find("hear") != "" })
	west.kill()
	servers["west"].CloseClientConnections()
	servers["west"].Close()
	if got := call(c, "add"); got != "east" {
		t.Error(got)
	}
	if got := call(c, "count"); got != "east 1" {
		t.Error(got)
	}
	eventually(t, "the stream follows", func() bool { return fakes["east"].saw("GET") == 1 })
	if fakes["east"].started() != 1 {
		t.Errorf("initialised %d times", fakes["east"].started())
	}
}

// The same rule holds for lists and for calls, on what its server calls the
// tool and on its arguments.
func TestWholeProxyAuthorizes(t *testing.T) {
	allow := func(name string, action table.Action, expressions ...string) *table.Policy {
		return &table.Policy{
			Name: "AgentgatewayPolicy ns/" + name, Targets: []table.Target{{Kind: "Gateway", Namespace: "ns", Name: "gw"}},
			Authorization: &table.Authorization{Action: action, Expressions: expressions},
		}
	}
	_, west, _, fakes := twoWholes(t, []string{"math"},
		allow("only", table.Require, `!has(mcp.tool) || mcp.tool.name in ["add", "count"]`),
		allow("never", table.Deny, `mcp.tool.name == "count" && mcp.tool.arguments.secret == true`, `mcp.methodName == "logging/setLevel"`),
	)
	c := west.through(t)
	if a := c.Initialize("2025-06-18"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	list := fmt.Sprint(c.Call("1", "tools/list", "")["result"])
	if !strings.Contains(list, "add") || !strings.Contains(list, "count") || strings.Contains(list, "ask") {
		t.Errorf("the list shows %s", list)
	}
	tests := []struct{ method, params, want string }{
		{"tools/call", `{"name":"add"}`, ""},
		{"tools/call", `{"name":"count","arguments":{"secret":false}}`, ""},
		{"tools/call", `{"name":"count","arguments":{"secret":true}}`, "-32602"},
		{"tools/call", `{"name":"ask"}`, "-32602"},
		{"logging/setLevel", `{"level":"debug"}`, "-32600"},
		{"ping", `{}`, ""},
	}
	for _, tt := range tests {
		m := c.Call("1", tt.method, tt.params)
		got := ""
		if e, ok := m["error"].(map[string]any); ok {
			got = fmt.Sprint(e["code"])
		}
		if got != tt.want {
			t.Errorf("%s %s: %v", tt.method, tt.params, m)
		}
	}
	if fakes["west"].saw(`"ask"`)+fakes["west"].saw("setLevel")+fakes["west"].saw(`"secret":true`) != 0 {
		t.Error("what is not allowed reached the server")
	}
}

func TestWholeProxyStreams(t *testing.T) {
	east, _, _, fakes := twoWholes(t, []string{"math"})
	c := east.through(t)
	c.Initialize("2025-06-18")
	w := c.Open("POST", `{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{"name":"ask"}}`)
	eventually(t, "the question came", func() bool { return w.Find("sampling/createMessage") != "" })
	w.Close()
	if a := c.Do("DELETE", ""); a.Status != 204 {
		t.Errorf("%d", a.Status)
	}
	eventually(t, "the server's session was ended", func() bool { return fakes["west"].ended() == 1 })
}

func TestWholeProxyFansOut(t *testing.T) {
	east, west, servers, _ := twoWholes(t, []string{"a", "b", "c"})
	c := east.through(t)
	c.Initialize("2025-06-18")
	for range 20 {
		if n := len(c.Call("1", "tools/list", "")["result"].(map[string]any)["tools"].([]any)); n != 15 {
			t.Errorf("%d tools", n)
		}
	}
	west.kill()
	servers["west"].CloseClientConnections()
	servers["west"].Close()
	if m := c.Call("1", "tools/list", ""); m["result"] == nil {
		t.Errorf("%v", m)
	}
	if got := call(c, "c_add"); got != "east" {
		t.Error(got)
	}
}

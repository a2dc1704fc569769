// Package mcptest runs a small fleet of proxies that carry MCP inside one
// process, for tests: real Protocols, a link that is a function call and can be
// broken, and servers on loopback. Nothing of it is part of a proxy.
package mcptest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

// Server is one declared server and what answers for it in each cluster.
type Server struct {
	Name     string
	SSE      bool
	Path     string
	Handlers map[string]http.Handler // by cluster
	Auth     *table.Auth
}

// Options say what the fleet is like.
type Options struct {
	// Clusters in the order in which every proxy prefers them.
	Clusters []string
	// Replicas is the number of proxies in each cluster; 0 is 1.
	Replicas int
	Servers  []Server
	MCP      table.MCP
	Limits   mcp.Limits
	// NoKeys leaves the session keys out of the table.
	NoKeys bool
	// Principal is who every client is, unless the header x-principal says otherwise.
	Principal string
	Failover  table.Failover
	Secrets   []*table.Secret
	Now       func() time.Time
	// OnCopy, if there is one, is called before a session's copy goes to a proxy.
	OnCopy func(text string)
}

// Fleet is what New made.
type Fleet struct {
	Options
	t     testing.TB
	nodes []*Node
	table map[table.ID]table.Resource

	mu       sync.Mutex
	running  map[string]*httptest.Server // cluster/server
	cut      map[string]bool             // from>to
	hole     map[string]bool             // cluster whose links swallow everything
	rejected map[string]bool             // cluster/server
	moves    int
	copies   []string

	swallowed int
}

// Node is one proxy.
type Node struct {
	ID, Cluster string
	Protocol    *mcp.Protocol
	Registry    *prometheus.Registry
	fleet       *Fleet
	life        context.Context
	kill        context.CancelFunc
	mu          sync.Mutex
	records     []*observe.Record
}

// New starts a fleet; it ends with the test.
func New(t testing.TB, o Options) *Fleet {
	f := &Fleet{
		Options: o, t: t, running: map[string]*httptest.Server{}, cut: map[string]bool{},
		hole: map[string]bool{}, rejected: map[string]bool{}, table: map[table.ID]table.Resource{},
	}
	if f.Replicas == 0 {
		f.Replicas = 1
	}
	for _, s := range o.Servers {
		for cluster, h := range s.Handlers {
			f.running[cluster+"/"+s.Name] = httptest.NewServer(h)
		}
	}
	if !o.NoKeys {
		f.put(&table.Secret{Name: "keys", Data: map[string][]byte{"use": []byte("k1"), "k1": make([]byte, 32)}})
	}
	for _, s := range o.Secrets {
		f.put(s)
	}
	for _, c := range o.Clusters {
		peer := &table.Peer{Cluster: c, Region: c, State: table.PeerReady}
		for i := range f.Replicas {
			peer.Proxies = append(peer.Proxies, table.LinkProxy{ID: fmt.Sprintf("%s-%d", c, i), Tenant: "acme", Gateway: "ns/gw"})
		}
		f.put(peer)
		for _, p := range peer.Proxies {
			f.start(p.ID, c)
		}
	}
	t.Cleanup(f.close)
	return f
}

func (f *Fleet) put(r table.Resource) { f.table[r.ID()] = r }

func (f *Fleet) start(id, cluster string) *Node {
	n := &Node{ID: id, Cluster: cluster, fleet: f, Registry: prometheus.NewRegistry()}
	n.life, n.kill = context.WithCancel(context.Background())
	n.Protocol = mcp.New(mcp.Options{
		Sender: sender{n}, Proxy: id, Version: "test", Metrics: n.Registry, Limits: f.Limits, Now: f.Now,
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = append(slices.DeleteFunc(f.nodes, func(x *Node) bool { return x.ID == id }), n)
	return n
}

func (f *Fleet) close() {
	for _, s := range f.running {
		s.CloseClientConnections()
	}
	for _, n := range f.nodes {
		n.kill()
		n.Protocol.Close()
	}
	for _, s := range f.running {
		s.Close()
	}
}

// Node is the proxy of that id.
func (f *Fleet) Node(id string) *Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		if n.ID == id {
			return n
		}
	}
	f.t.Fatalf("there is no proxy %q", id)
	return nil
}

// KillProxy ends a proxy with all it remembers and all that is under way in it.
func (f *Fleet) KillProxy(id string) {
	n := f.Node(id)
	n.kill()
	n.Protocol.Close()
}

// StartProxy starts a killed proxy anew, under its name and remembering nothing.
func (f *Fleet) StartProxy(id string) *Node { return f.start(id, f.Node(id).Cluster) }

// KillServer ends a server in one cluster with all its connections.
func (f *Fleet) KillServer(cluster, server string) {
	f.mu.Lock()
	s := f.running[cluster+"/"+server]
	delete(f.running, cluster+"/"+server)
	f.mu.Unlock()
	if s != nil {
		s.CloseClientConnections()
		s.Config.Close()
		s.Listener.Close()
	}
}

// KillCluster ends a cluster's proxies and servers.
func (f *Fleet) KillCluster(cluster string) {
	for _, s := range f.Servers {
		f.KillServer(cluster, s.Name)
	}
	for i := range f.Replicas {
		f.KillProxy(fmt.Sprintf("%s-%d", cluster, i))
	}
}

// Hole makes the links to and from a cluster swallow what is sent, or no longer.
func (f *Fleet) Hole(cluster string, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hole[cluster] = on
}

// Reject takes a server in a cluster out of the candidates, or back in.
func (f *Fleet) Reject(cluster, server string, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rejected[cluster+"/"+server] = on
}

// Moves counts the attempts that went on to another candidate.
func (f *Fleet) Moves() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moves
}

// Swallowed counts the clients' messages that went into a hole.
func (f *Fleet) Swallowed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.swallowed
}

// Count is the value of a counter or gauge, over all proxies.
func (f *Fleet) Count(name string, labels map[string]string) (sum float64) {
	f.mu.Lock()
	nodes := slices.Clone(f.nodes)
	f.mu.Unlock()
	for _, n := range nodes {
		families, err := n.Registry.Gather()
		if err != nil {
			f.t.Error(err)
		}
		for _, family := range families {
			if family.GetName() != name {
				continue
			}
			for _, m := range family.GetMetric() {
				fits := true
				for _, l := range m.GetLabel() {
					fits = fits && (labels[l.GetName()] == "" || labels[l.GetName()] == l.GetValue())
				}
				if fits {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

// Records are what a proxy's records of clients' requests said.
func (n *Node) Records() []*observe.Record {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.records)
}

// backend is the backend as a cluster's table has it.
func (f *Fleet) backend(cluster string) *table.Backend {
	declared := f.MCP
	b := &table.Backend{
		Name: "AgentgatewayBackend ns/tools", Kind: table.BackendMCP, Tenant: "acme", Fleet: true,
		Groups: [][]table.Member{nil}, MCP: &declared, Failover: f.Failover,
	}
	for _, s := range f.Servers {
		path := s.Path
		if path == "" && !s.SSE {
			path = "/mcp"
		}
		m := table.Member{Name: s.Name, Server: &table.Server{SSE: s.SSE, Path: path}}
		for _, c := range f.Clusters {
			if s.Handlers[c] == nil {
				continue
			}
			i := table.Instance{Cluster: c, Region: c, Auth: s.Auth}
			if c == cluster {
				i.Dial = &table.Dial{Host: s.Name, Port: 80}
			}
			m.Instances = append(m.Instances, i)
		}
		b.Groups[0] = append(b.Groups[0], m)
	}
	return b
}

// call is a call at a proxy.
func (n *Node) call(x message.Exchange, principal string) *forward.Call {
	f := n.fleet
	r := x.Request()
	return &forward.Call{
		Exchange: x, Request: r, Backend: f.backend(n.Cluster), Principal: principal,
		Self:   &table.Self{Cluster: n.Cluster, Region: n.Cluster, Tenant: "acme", Gateway: "ns/gw", SessionKeys: "keys"},
		Find:   func(id table.ID) table.Resource { return f.table[id] },
		Record: &observe.Record{Method: r.Method, Path: r.Path},
	}
}

// Gauge is one gauge or counter of one proxy.
func (n *Node) Gauge(name string) (sum float64) {
	families, err := n.Registry.Gather()
	if err != nil {
		n.fleet.t.Error(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// Copied counts the copies of sessions that proxies took from others and that
// say that.
func (f *Fleet) Copied(what string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.copies {
		if strings.Contains(c, what) {
			n++
		}
	}
	return n
}

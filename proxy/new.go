package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/proxy/azure"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http2"
	"github.com/navehq/nave/proxy/identity"
	"github.com/navehq/nave/proxy/link"
	"github.com/navehq/nave/proxy/listen"
	"github.com/navehq/nave/proxy/llm"
	"github.com/navehq/nave/proxy/mcp"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/plain"
	"github.com/navehq/nave/proxy/subscribe"
	"github.com/navehq/nave/proxy/upstream"
)

// Proxy is a proxy that is ready to run.
type Proxy struct {
	opts Options
	deps Deps

	identity     *identity.Identity
	observer     *observe.Observer
	forwarder    *forward.Forwarder
	models       *llm.LLM
	tools        *mcp.Protocol
	http1        *http1.Client
	http2        *http2.Client
	link         *link.Client
	paths        *paths
	linkServer   *link.Server
	sockets      *listen.Sockets
	subscription *subscribe.Subscription
	ports        map[string]net.Listener

	allowed atomic.Pointer[admitted]
	// runtime is what the table said last of how the proxy logs and ends.
	runtime atomic.Pointer[table.Runtime]
	// certificates are the TLS configurations by listener.
	certificates atomic.Pointer[certificates]
	// ready: there is a table; draining: nothing new is taken.
	ready, draining atomic.Bool
	// quit ends Run.
	quit context.CancelCauseFunc
	// told is what the spoke was told last of what is served for other clusters.
	told atomic.Pointer[assignment.Serving]
	// changed has room for one: the spoke is to be told how the proxy is.
	changed chan struct{}

	mu sync.Mutex
	// failures are the listeners that could not be opened.
	failures []listen.Failure
	bound    map[string][]string
}

// New proves the proxy to its spoke (or loads who it is), opens its ports, and
// obeys the last good table, if there is one.
func New(ctx context.Context, opts Options, deps Deps) (*Proxy, error) {
	opts.fill()
	deps.fill()
	p := &Proxy{opts: opts, deps: deps, ports: map[string]net.Listener{}, bound: map[string][]string{}, changed: make(chan struct{}, 1)}
	for _, step := range []func(context.Context) error{p.openIdentity, p.openPorts} {
		if err := step(ctx); err != nil {
			p.closePorts()
			return nil, fmt.Errorf("start the proxy: %w", err)
		}
	}
	p.openTraffic()
	p.subscribe()
	return p, nil
}

func (p *Proxy) openIdentity(ctx context.Context) (err error) {
	o := identity.Options{
		Cluster: p.opts.Cluster, Keeper: keep.NewFile(filepath.Join(p.opts.State, "identity.json")),
		Spoke: p.opts.Spoke, Proof: identity.Ticket(p.opts.Ticket), Now: p.deps.Now, Log: p.deps.Log,
		Dial: func(ctx context.Context, address string) (net.Conn, error) { return p.deps.Dial(ctx, "tcp", address) },
	}
	if p.identity, err = identity.Open(ctx, o); err != nil {
		return err
	}
	return p.identity.Register(p.deps.Registry)
}

// listen opens a port, or, where that is allowed, another one.
func (p *Proxy) listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := p.deps.Listen(ctx, network, address)
	if err == nil || !p.opts.AnyPort {
		return l, err
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return nil, err
	}
	for _, h := range []string{host, "127.0.0.1"} {
		if l, again := p.deps.Listen(ctx, network, net.JoinHostPort(h, "0")); again == nil {
			p.deps.Log.Warn("use a free port", "wanted", address, "is", l.Addr().String(), "cause", err)
			return l, nil
		}
	}
	return nil, err
}

func (p *Proxy) openPorts(ctx context.Context) error {
	for name, port := range map[string]int{"link": LinkPort, "admin": AdminPort, "metrics": MetricsPort, "health": HealthPort} {
		host := p.opts.Address
		if name == "admin" && host == "" {
			host = "127.0.0.1"
		}
		l, err := p.listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("listen for %s: %w", name, err)
		}
		p.ports[name] = l
	}
	return nil
}

func (p *Proxy) closePorts() {
	for _, l := range p.ports {
		_ = l.Close()
	}
}

// openTraffic makes what carries requests, from the observer to the listeners.
func (p *Proxy) openTraffic() {
	p.observer = observe.New(observe.Options{Registerer: p.deps.Registry, Log: p.deps.AccessLog, Format: p.deps.Format, Version: version.Version})
	dial := upstream.Dialer(p.deps.Dial)
	p.http1 = http1.NewClient(http1.ClientOptions{Dial: dial, Connected: p.observer.Connected})
	p.http2 = http2.NewClient(http2.ClientOptions{Dial: dial, Connected: p.observer.Connected})
	party := p.identity.Party()
	p.link = link.NewClient(link.Options{
		Cluster: p.opts.Cluster, Tenant: p.opts.Tenant, Gateway: p.opts.Gateway, Proxy: p.opts.ID,
		TLS:  func(cluster string) *tls.Config { return party.LinkClient(cluster, p.opts.Tenant) },
		Dial: p.deps.Dial, Now: p.deps.Now, Registerer: p.deps.Registry, Log: p.deps.Log,
	})
	p.paths = &paths{Client: p.link, now: p.deps.Now}
	up := upstream.New(upstream.Options{HTTP1: p.http1, HTTP2: p.http2, Allow: p.allow, Now: p.deps.Now})
	p.forwarder = forward.New(forward.Options{
		Upstream: up, Health: upstream.NewHealth(p.deps.Now, randomWord, p.deps.Registry), Observer: p.observer,
		Link: p.paths, Now: p.deps.Now, Registerer: p.deps.Registry,
	})
	p.models = llm.New(llm.Options{
		Sender: p.forwarder, Azure: azure.New(p.tokenClient()), Log: p.deps.Log, Now: p.deps.Now,
		Reachable: func(cluster string) bool { ok, _ := p.paths.Reachable(cluster); return ok },
	})
	p.tools = mcp.New(mcp.Options{Sender: p.forwarder, Proxy: p.opts.ID, Version: version.Version, Log: p.deps.Log, Metrics: p.deps.Registry, Now: p.deps.Now, Find: p.find})
	p.forwarder.Protocol(table.BackendHTTP, plain.New(p.forwarder))
	p.forwarder.Protocol(table.BackendAI, p.models)
	p.forwarder.Protocol(table.BackendMCP, p.tools)
	p.linkServer = link.NewServer(link.ServerOptions{
		TLS: party.LinkServer(p.opts.Tenant), Cluster: p.opts.Cluster, Proxy: p.opts.ID, Serve: p.forwarder.ServeLink, Registerer: p.deps.Registry, Log: p.deps.Log,
	})
	p.sockets = listen.New(listen.Options{Listen: p.listen, Log: p.deps.Log})
}

func (p *Proxy) subscribe() {
	p.subscription = subscribe.New(subscribe.Options{
		Name: p.identity.Name().String(), Peer: pki.SpokeName(p.identity.Name().Fleet, p.opts.Cluster).String(),
		Heartbeat: p.opts.Heartbeat, Cache: filepath.Join(p.opts.State, "table.json"),
		Obey: p.obey, Check: p.check, Ask: p.answer, Sample: p.paths.learn, Log: p.deps.Log,
	})
	p.deps.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "agentgateway_config_synchronized", Help: "1 while the table that is obeyed is the one that the spoke wants.",
	}, func() float64 {
		if p.subscription.Synced() {
			return 1
		}
		return 0
	}))
	p.report()
}

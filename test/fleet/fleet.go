// Package fleet runs a whole fleet in one process, for tests: a hub, spokes and
// the proxies that they ask for, each as its own program would run it, over a
// network that needs no addresses of the machine. It decides nothing that the
// fleet itself decides; what only processes can show is test/e2e's.
package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/hub"
	"github.com/navehq/nave/proxy"
	"github.com/navehq/nave/spoke"
	"github.com/navehq/nave/spoke/provision/process"
)

const (
	heartbeat = time.Second
	patience  = 20 * time.Second
	hubStream = "10.0.0.1:9443"
	HubAPI    = "10.0.0.1:8080"
)

// Options of a Fleet.
type Options struct {
	// Clusters by name; each is a region of that name.
	Clusters []string
	// Tenants is YAML for the hub beside the clusters [none].
	Tenants string
}

// Fleet is a fleet that runs.
type Fleet struct {
	t       testing.TB
	dir     string
	names   []string
	network *network
	client  *http.Client
	log     *logs
	access  *logs
	server  *http.Server // the supervisor's socket
	last    []func()
	running sync.WaitGroup

	mu       sync.Mutex
	hub      *part
	clusters map[string]*cluster
	closing  bool
}

type cluster struct {
	number  int
	spoke   *part
	proxies map[string]*part
	// addresses are kept by a proxy's name, as a supervisor keeps them.
	addresses map[string]string
}

// part is one program that runs.
type part struct {
	cancel context.CancelFunc
	done   chan struct{}
	hub    *hub.Hub
}

func (p *part) stop() { p.cancel(); <-p.done }

// New runs a fleet until the test ends. What it started has ended then, down to
// the last goroutine, or the test fails.
func New(t testing.TB, opts Options) *Fleet {
	t.Helper()
	before := runtime.NumGoroutine()
	dir, err := os.MkdirTemp("", "fleet") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	f := &Fleet{t: t, dir: dir, names: opts.Clusters, network: newNetwork(), log: &logs{}, access: &logs{}, clusters: map[string]*cluster{}}
	f.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: f.network.dial, MaxIdleConnsPerHost: 16},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() { f.end(before) })
	f.serveSocket()
	f.Write("hub/tenants.yaml", opts.Tenants)
	for i, name := range opts.Clusters {
		f.clusters[name] = &cluster{number: i + 1, proxies: map[string]*part{}, addresses: map[string]string{}}
		f.Write("hub/"+name+".yaml", fmt.Sprintf("apiVersion: nave.dev/v1alpha1\nkind: Cluster\nmetadata: {name: %s}\nspec: {region: %[1]s, provider: standalone}\n", name))
		f.must(os.MkdirAll(f.path("clusters", name), 0o755))
	}
	f.StartHub()
	for _, name := range opts.Clusters {
		f.StartSpoke(name)
	}
	return f
}

func (f *Fleet) path(parts ...string) string {
	return filepath.Join(append([]string{f.dir}, parts...)...)
}

// State is where a program keeps its state: "hub", a cluster's name, or
// cluster/proxy.
func (f *Fleet) State(of string) string { return f.path("state", of) }

func (f *Fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// Write saves a file of the fleet's folder, as a whole.
func (f *Fleet) Write(file, text string) {
	f.t.Helper()
	path := f.path(file)
	f.must(os.MkdirAll(filepath.Dir(path), 0o755))
	f.must(os.WriteFile(path+".new", []byte(text), 0o600))
	f.must(os.Rename(path+".new", path))
}

// Remove removes a file of the fleet's folder.
func (f *Fleet) Remove(file string) {
	f.t.Helper()
	f.must(os.Remove(f.path(file)))
}

// Forget removes a part of a program's state, which must not run.
func (f *Fleet) Forget(part string) {
	f.t.Helper()
	f.must(os.RemoveAll(f.State(part)))
}

// run runs a program until its context ends, and says how it ended.
func (f *Fleet) run(ctx context.Context, p *part, name string, run func(context.Context) error) {
	defer close(p.done)
	if err := run(ctx); err != nil && ctx.Err() == nil {
		f.log.logger(name).Error("ended", "err", err)
		f.t.Errorf("%s ended by itself: %v", name, err)
	}
}

// StartHub starts the hub, anew where it was stopped, on what it has kept.
func (f *Fleet) StartHub() {
	f.t.Helper()
	f.must(os.MkdirAll(f.State("hub"), 0o700))
	h, err := hub.New(hub.Options{
		Fleet: "test", Dir: f.path("hub"), State: f.State("hub"), Streams: hubStream, API: HubAPI,
		Metrics: "10.0.0.1:9092", Health: "10.0.0.1:9093", Heartbeat: heartbeat,
	}, hub.Deps{Log: f.log.logger("hub"), Listen: func(network, address string) (net.Listener, error) {
		return f.network.listen(context.Background(), network, address)
	}})
	f.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{cancel: cancel, done: make(chan struct{}), hub: h}
	f.mu.Lock()
	f.hub = p
	f.mu.Unlock()
	go f.run(ctx, p, "hub", h.Run)
}

// StopHub stops the hub and waits for its end.
func (f *Fleet) StopHub() { f.hub.stop() }

// Hub is the hub that runs.
func (f *Fleet) Hub() *hub.Hub { return f.hub.hub }

// StartSpoke starts the spoke of a cluster, anew where it was stopped.
func (f *Fleet) StartSpoke(name string) {
	f.t.Helper()
	c := f.clusters[name]
	token, err := f.Hub().Authority().CreateToken(name, time.Hour)
	f.must(err)
	at := func(port int) string { return fmt.Sprintf("10.%d.0.1:%d", c.number, port) }
	s, err := spoke.New(context.Background(), spoke.Options{
		Cluster: name, Region: name, Hub: hubStream, Token: token, Dir: f.path("clusters", name), State: f.State(name),
		Statuses: filepath.Join(f.State(name), "statuses"), Config: at(9978), Metrics: at(9092), Health: at(9093),
		API: at(8080), APIToken: filepath.Join(f.State("hub"), "token"), Supervisor: f.path("s"), Heartbeat: heartbeat,
	}, spoke.Deps{Log: f.log.logger("spoke " + name), Listen: f.network.listen, Dial: f.network.dial})
	f.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	c.spoke = &part{cancel: cancel, done: make(chan struct{})}
	go f.run(ctx, c.spoke, "spoke of "+name, s.Run)
}

// StopSpoke stops the spoke of a cluster and waits for its end. Its proxies go on.
func (f *Fleet) StopSpoke(name string) { f.clusters[name].spoke.stop() }

// Lose stops the spoke and the proxies of a cluster, until its spoke is started.
func (f *Fleet) Lose(name string) {
	f.StopSpoke(name)
	f.provide(name, process.Wanted{})
}

// serveSocket answers spokes as `nave up` does.
func (f *Fleet) serveSocket() {
	l, err := net.Listen("unix", f.path("s"))
	f.must(err)
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/clusters/{cluster}/proxies", func(w http.ResponseWriter, r *http.Request) {
		var wanted process.Wanted
		if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f.provide(r.PathValue("cluster"), wanted)
	})
	f.server = &http.Server{Handler: mux}
	f.running.Go(func() { _ = f.server.Serve(l) })
}

// provide has exactly these proxies run.
func (f *Fleet) provide(name string, wanted process.Wanted) {
	f.mu.Lock()
	c := f.clusters[name]
	var gone []*part
	for id, p := range c.proxies {
		if !slices.ContainsFunc(wanted.Proxies, func(w process.Proxy) bool { return w.Name == id }) {
			gone = append(gone, p)
			delete(c.proxies, id)
		}
	}
	for _, w := range wanted.Proxies {
		if c.proxies[w.Name] == nil && !f.closing {
			c.proxies[w.Name] = f.startProxy(c, name, w)
		}
	}
	f.mu.Unlock()
	for _, p := range gone {
		p.stop()
	}
}

func (f *Fleet) startProxy(c *cluster, name string, w process.Proxy) *part {
	if c.addresses[w.Name] == "" {
		c.addresses[w.Name] = fmt.Sprintf("10.%d.0.%d", c.number, len(c.addresses)+2)
	}
	var opts proxy.Options
	f.must(json.Unmarshal(w.Options, &opts))
	opts.Address, opts.State = c.addresses[w.Name], f.State(name+"/"+w.Name)
	f.must(os.MkdirAll(opts.State, 0o700))
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{cancel: cancel, done: make(chan struct{})}
	go f.run(ctx, p, "proxy "+w.Name+" of "+name, func(ctx context.Context) error {
		x, err := proxy.New(ctx, opts, proxy.Deps{Log: f.log.logger("proxy " + name + "/" + w.Name), AccessLog: f.access, Listen: f.network.listen, Dial: f.network.dial})
		if err != nil {
			return err
		}
		return x.Run(ctx)
	})
	return p
}

// end stops everything, spokes before proxies so that none is asked for again.
func (f *Fleet) end(before int) {
	f.mu.Lock()
	f.closing = true
	f.mu.Unlock()
	f.client.CloseIdleConnections()
	for _, c := range f.clusters {
		if c.spoke != nil {
			c.spoke.stop()
		}
	}
	var all sync.WaitGroup
	for _, c := range f.clusters {
		for _, p := range c.proxies {
			all.Go(p.stop)
		}
	}
	all.Wait()
	if f.hub != nil {
		f.hub.stop()
	}
	if f.server != nil {
		_ = f.server.Close()
	}
	f.running.Wait()
	if f.t.Failed() {
		f.t.Logf("what the programs logged last:\n%s", f.log.tail(80))
	}
	_ = os.RemoveAll(f.dir)
	for _, end := range f.last {
		end()
	}
	Settle(f.t, before)
}

// OnEnd calls what ends something that the fleet made outside itself, after the
// fleet has ended and before goroutines are counted.
func (f *Fleet) OnEnd(end func()) { f.last = append(f.last, end) }

// Settle waits until there are no more goroutines than before.
func Settle(t testing.TB, before int) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Errorf("%d goroutines more than before are left:\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
			return
		}
	}
}

// Await waits until nothing is missing any more, and gives what still is when
// its patience ends.
func Await(missing func() error) (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = missing(); err == nil {
			return nil
		}
	}
	return err
}

// Until ends the test where something is still missing after Await.
func (f *Fleet) Until(why string, missing func() error) {
	f.t.Helper()
	if err := Await(missing); err != nil {
		f.t.Fatalf("wait until %s: %v", why, err)
	}
}

// Status is the fleet as the hub shows it.
func (f *Fleet) Status() (s report.Status, err error) {
	r, err := f.client.Get("http://" + HubAPI + "/api/v1/status")
	if err != nil {
		return s, err
	}
	defer r.Body.Close()
	return s, json.NewDecoder(r.Body).Decode(&s)
}

// Gateway waits until a Gateway, namespace/name, serves in a cluster, and gives
// the URLs of its listeners' proxies.
func (f *Fleet) Gateway(cluster, name string) (urls []string) {
	f.t.Helper()
	f.Until(fmt.Sprintf("gateway %s serves in %s", name, cluster), func() error {
		s, err := f.Status()
		if err != nil {
			return err
		}
		for _, g := range s.Gateways {
			if g.Cluster != cluster || g.Namespace+"/"+g.Name != name {
				continue
			}
			urls = nil
			for _, l := range g.Listeners {
				urls = append(urls, l.URLs...)
			}
			if len(urls) > 0 {
				return nil
			}
		}
		return fmt.Errorf("there are %+v with problems %+v", s.Gateways, s.Problems)
	})
	return urls
}

// Answer is what a request got.
type Answer struct {
	Code   int
	Body   string
	Header http.Header
}

// Do sends a request through the fleet's network; names and values of fields
// take turns.
func (f *Fleet) Do(method, url, body string, fields ...string) (Answer, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	resp, err := f.client.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return Answer{resp.StatusCode, string(data), resp.Header}, err
}

// Expect waits until a GET is answered so; body "" is any.
func (f *Fleet) Expect(url string, code int, body string, fields ...string) {
	f.t.Helper()
	f.Until(fmt.Sprintf("GET %s %v is answered %d %q", url, fields, code, body), func() error {
		return f.answers(url, code, body, fields...)
	})
}

func (f *Fleet) answers(url string, code int, body string, fields ...string) error {
	a, err := f.Do(http.MethodGet, url, "", fields...)
	if err == nil && (a.Code != code || body != "" && a.Body != body) {
		err = fmt.Errorf("it is answered %d %q", a.Code, a.Body)
	}
	return err
}

// AwaitAnswer is Expect for goroutines of a test: it gives what it missed.
func (f *Fleet) AwaitAnswer(url string, code int) error {
	return Await(func() error { return f.answers(url, code, "") })
}

// Proxies are the addresses of a cluster's proxies.
func (f *Fleet) Proxies(cluster string) (addresses []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.clusters[cluster]
	for name := range c.proxies {
		addresses = append(addresses, c.addresses[name])
	}
	return addresses
}

// AccessLog is what all proxies have written of requests.
func (f *Fleet) AccessLog() string { return f.access.tail(1 << 20) }

// Dial opens a connection within the fleet's network.
func (f *Fleet) Dial(address string) (net.Conn, error) {
	return f.network.dial(context.Background(), "tcp", address)
}

// logs keeps what all programs log.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) logger(program string) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, nil)).With("program", program)
}

func (l *logs) tail(lines int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Collect(strings.Lines(l.text.String()))
	return strings.Join(all[max(0, len(all)-lines):], "")
}

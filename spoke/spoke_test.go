package spoke_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy"
	"github.com/navehq/nave/spoke"
	"github.com/navehq/nave/spoke/provision/process"
)

const (
	token = "0123456789abcdef0123456789abcdef"
	free  = "127.0.0.1:0"
	shop  = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: shop}
spec: {gatewayClassName: nave, listeners: [{name: http, port: 8080, protocol: HTTP}]}
`
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// place is where a spoke lives: its folder, its state, and its supervisor.
type place struct {
	t   *testing.T
	dir string

	mu     sync.Mutex
	wanted [][]process.Proxy
	fail   bool
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "spoke") // a socket's path has to be short
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &place{t: t, dir: dir}
	for _, d := range []string{"own", "state"} {
		check(t, os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	check(t, os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600))
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	check(t, err)
	server := &http.Server{Handler: http.HandlerFunc(p.supervise)}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return p
}

// supervise notes which proxies are wanted; it runs none.
func (p *place) supervise(w http.ResponseWriter, r *http.Request) {
	var wanted process.Wanted
	err := json.NewDecoder(r.Body).Decode(&wanted)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || r.Method != http.MethodPut || r.URL.Path != "/v1/clusters/west/proxies" || p.fail {
		p.fail = false
		http.Error(w, "not now", http.StatusInternalServerError)
		return
	}
	p.wanted = append(p.wanted, wanted.Proxies)
}

func (p *place) last() []process.Proxy {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.wanted) == 0 {
		return nil
	}
	return p.wanted[len(p.wanted)-1]
}

// joined puts an identity into the state, as a join leaves it.
func (p *place) joined(cluster string) {
	p.t.Helper()
	root, err := pki.NewRoot("f", rand.Reader, time.Now())
	check(p.t, err)
	key, err := pki.NewKey(rand.Reader)
	check(p.t, err)
	cert, err := root.Intermediate(pki.SpokeName("f", cluster), "uid", key.Public(), rand.Reader, time.Now(), 24*time.Hour)
	check(p.t, err)
	blob, err := pki.Credentials{Key: key, Chain: []*x509.Certificate{cert}, Roots: []*x509.Certificate{root.Certificate}}.Encode()
	check(p.t, err)
	_, err = keep.NewFile(filepath.Join(p.dir, "state", "identity.json")).Save(blob, "")
	check(p.t, err)
}

// assigned puts the last good assignment into the state: one tenant, which owns
// all.
func (p *place) assigned() {
	p.t.Helper()
	var list []stream.Resource
	for _, r := range []assignment.Resource{&assignment.Fleet{}, &assignment.Tenant{Name: "default", All: true}, &assignment.Peer{Cluster: "west", Region: "west", State: table.PeerReady}} {
		payload, err := assignment.Encode(r)
		check(p.t, err)
		kind, key := r.ID()
		list = append(list, stream.Resource{Kind: string(kind), Key: key, Payload: payload, Hash: stream.HashOf(payload)})
	}
	data, err := json.Marshal(map[string]any{"epoch": stream.Epoch{Number: 1}, "resources": list})
	check(p.t, err)
	check(p.t, os.WriteFile(filepath.Join(p.dir, "state", "assignment.json"), data, 0o600))
}

func (p *place) options() spoke.Options {
	return spoke.Options{
		Cluster: "west", Region: "west", Hub: "hub:9443", Dir: filepath.Join(p.dir, "own"), State: filepath.Join(p.dir, "state"),
		Statuses: filepath.Join(p.dir, "state", "statuses"), Config: free, Metrics: free, Health: free, API: "127.0.0.1:8080",
		APIToken: filepath.Join(p.dir, "token"), Supervisor: filepath.Join(p.dir, "s"), Heartbeat: time.Second, AnyPort: true,
	}
}

// apart is a network on which nobody is reached; it notes what is opened.
type apart struct {
	mu     sync.Mutex
	opened []net.Listener
	fail   string
}

func (a *apart) listen(ctx context.Context, network, address string) (net.Listener, error) {
	if address == a.fail {
		return nil, errors.New("address is taken")
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, network, free)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.opened = append(a.opened, l)
	}
	return l, err
}

func (a *apart) deps() spoke.Deps {
	return spoke.Deps{Listen: a.listen, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody is there") }}
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not come", what)
		}
	}
}

func run(t *testing.T, p *place, a *apart) (stop func()) {
	t.Helper()
	s, err := spoke.New(t.Context(), p.options(), a.deps())
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the spoke ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestASpokeAloneServesItsCluster(t *testing.T) {
	p, a := newPlace(t), &apart{}
	p.joined("west")
	p.assigned()
	p.fail = true // it asks again
	file := filepath.Join(p.dir, "own", "shop.yaml")
	check(t, os.WriteFile(file, []byte(shop), 0o600))
	stop := run(t, p, a)
	await(t, "the wish for a proxy", func() bool { return len(p.last()) == 1 })
	var opts proxy.Options
	check(t, json.Unmarshal(p.last()[0].Options, &opts))
	if opts.ID != "shop.g-0" || opts.Gateway != "shop/g" || opts.Tenant != "default" || opts.Cluster != "west" || opts.Ticket == "" || !opts.Standalone {
		t.Errorf("it asks for %+v", opts)
	}
	status := filepath.Join(p.dir, "state", "statuses", "Gateway", "shop", "g.yaml")
	await(t, "the Gateway's status", func() bool { _, err := os.Stat(status); return err == nil })

	// A local change needs no hub.
	check(t, os.WriteFile(filepath.Join(p.dir, "own", "more.yaml"), []byte(strings.ReplaceAll(shop, "name: g", "name: h")), 0o600))
	await(t, "the wish for two", func() bool { return len(p.last()) == 2 })
	check(t, os.Remove(file))
	await(t, "the wish for the second only", func() bool { return len(p.last()) == 1 && p.last()[0].Name == "shop.h-0" })
	await(t, "the end of the status", func() bool { _, err := os.Stat(status); return os.IsNotExist(err) })

	// After a restart it asks for what is declared then, and for nothing before.
	stop()
	p.mu.Lock()
	p.wanted = nil
	p.mu.Unlock()
	check(t, os.WriteFile(file, []byte(shop), 0o600))
	run(t, p, a)
	await(t, "the wish after a restart", func() bool { return len(p.last()) == 2 })
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.wanted[0]) != 2 {
		t.Errorf("before it had read the folder it asked for %d proxies", len(p.wanted[0]))
	}
}

func TestASpokeThatWasNeverAssignedServesNothing(t *testing.T) {
	p, a := newPlace(t), &apart{}
	p.joined("west")
	check(t, os.WriteFile(filepath.Join(p.dir, "own", "shop.yaml"), []byte(shop), 0o600))
	run(t, p, a)
	var status []byte
	await(t, "the Gateway's status", func() (ok bool) {
		var err error
		status, err = os.ReadFile(filepath.Join(p.dir, "state", "statuses", "Gateway", "shop", "g.yaml"))
		return err == nil
	})
	if !strings.Contains(string(status), "AwaitingHub") || len(p.last()) > 0 {
		t.Errorf("it wants %d proxies, and says:\n%s", len(p.last()), status)
	}
}

func TestASpokeAloneAnswers(t *testing.T) {
	p, a := newPlace(t), &apart{}
	p.joined("west")
	p.assigned()
	check(t, os.WriteFile(filepath.Join(p.dir, "own", "shop.yaml"), []byte(shop+"---\nkind: Nonsense\n"), 0o600))
	run(t, p, a)
	ask := func(l net.Listener, path, secret string) (int, string) {
		r, err := http.NewRequest(http.MethodGet, "http://"+l.Addr().String()+path, nil)
		check(t, err)
		r.Header.Set("Authorization", "Bearer "+secret)
		resp, err := (&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	api := a.opened[3] // after config, metrics and health
	await(t, "the status", func() bool {
		code, body := ask(api, "/api/v1/status", token)
		var s report.Status
		return code == 200 && json.Unmarshal([]byte(body), &s) == nil && len(s.Gateways) == 1 && len(s.Problems) > 0
	})
	var s report.Status
	code, body := ask(api, "/api/v1/status", token)
	if json.Unmarshal([]byte(body), &s) != nil || s.By != "west" || !s.HubSilent || !s.HubHeard.IsZero() || strings.Contains(body, "null") {
		t.Errorf("the status, without a hub: %d %s", code, body)
	}
	if code, _ := ask(api, "/api/v1/status", "wrong"); code != 401 {
		t.Errorf("without the token: %d", code)
	}
	if code, body := ask(api, "/api/v1/explain?backend=none", token); code != 404 {
		t.Errorf("a backend that there is not: %d %s", code, body)
	}
	if code, body := ask(a.opened[1], "/metrics", ""); code != 200 || !strings.Contains(body, "nave_") {
		t.Errorf("metrics: %d", code)
	}
}

func TestWhatKeepsASpokeFromStartingIsNamed(t *testing.T) {
	for _, c := range []struct {
		why, says string
		change    func(*place, *spoke.Options, *apart)
	}{
		{"no identity and no token", "identity", func(*place, *spoke.Options, *apart) {}},
		{"a token that is none", "token", func(_ *place, o *spoke.Options, _ *apart) { o.Token = "a-secret-that-is-none" }},
		{"another cluster's identity", "another cluster", func(p *place, _ *spoke.Options, _ *apart) { p.joined("east") }},
		{"a port that is taken", "listen for the API", func(p *place, o *spoke.Options, a *apart) {
			p.joined("west")
			o.AnyPort, a.fail = false, o.API
		}},
		{"a damaged identity", "identity", func(p *place, _ *spoke.Options, _ *apart) {
			check(p.t, os.WriteFile(filepath.Join(p.dir, "state", "identity.json"), []byte("{"), 0o600))
		}},
	} {
		p, a := newPlace(t), &apart{}
		o := p.options()
		c.change(p, &o, a)
		_, err := spoke.New(t.Context(), o, a.deps())
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), `"west"`) || strings.Contains(err.Error(), "a-secret") {
			t.Errorf("%s: %v", c.why, err)
		}
		for _, l := range a.opened {
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: a port stays open", c.why)
			}
		}
	}
}

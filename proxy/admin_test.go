package proxy_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy"
)

// rig is a proxy that runs without its spoke, from what is on its disk, on
// free ports of the loopback.
type rig struct {
	t     *testing.T
	level *slog.LevelVar
	done  chan error
	stop  context.CancelFunc

	mu sync.Mutex
	at map[string]string // by the port that was asked for
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// identify writes the identity that a spoke would have given.
func identify(t *testing.T, path string) {
	now := time.Now()
	root := must(pki.NewRoot("test", rand.Reader, now))(t)
	key := must(pki.NewKey(rand.Reader))(t)
	spoke := pki.Issuer{Key: key, Certificate: must(root.Intermediate(pki.SpokeName("test", "east"), "uid", key.Public(), rand.Reader, now, pki.IntermediateLife))(t)}
	own := must(pki.NewKey(rand.Reader))(t)
	name := pki.Name{Role: pki.Proxy, Fleet: "test", Cluster: "east", Tenant: "shop", Namespace: "shop", Gateway: "g", Proxy: "p"}
	leaf := must(spoke.Leaf(name, own.Public(), rand.Reader, now, pki.LeafLife))(t)
	creds := must(pki.NewCredentials(own, [][]byte{leaf.Raw, spoke.Certificate.Raw}, [][]byte{root.Certificate.Raw}))(t)
	must(keep.NewFile(path).Save(must(creds.Encode())(t), ""))(t)
}

// start runs a proxy; it has obeyed a table with these resources, if there are any.
func start(t *testing.T, resources ...table.Resource) *rig {
	r := &rig{t: t, level: &slog.LevelVar{}, done: make(chan error, 1), at: map[string]string{}}
	state := t.TempDir()
	identify(t, filepath.Join(state, "identity.json"))
	if len(resources) > 0 {
		kept := struct {
			Revision  string            `json:"revision"`
			Resources []stream.Resource `json:"resources"`
		}{Revision: "r7"}
		for _, x := range resources {
			payload := must(json.Marshal(x))(t)
			kept.Resources = append(kept.Resources, stream.Resource{Kind: string(x.ID().Kind), Key: x.ID().Name, Payload: payload})
		}
		if err := os.WriteFile(filepath.Join(state, "table.json"), must(json.Marshal(kept))(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := must(proxy.New(t.Context(), proxy.Options{
		Fleet: "test", Cluster: "east", Tenant: "shop", Gateway: "shop/g", ID: "p", Spoke: "127.0.0.1:1", State: state, Address: "127.0.0.1", Standalone: true,
	}, proxy.Deps{Level: r.level, Listen: r.listen, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("nobody is there")
	}}))(t)
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		r.ended()
	})
	return r
}

// ended waits for the end of Run.
func (r *rig) ended() {
	r.t.Helper()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("Run ended with %v", err)
		}
		r.done <- nil // for the next who asks
	case <-time.After(20 * time.Second):
		r.t.Fatal("the proxy did not end")
	}
}

func (r *rig) listen(ctx context.Context, network, address string) (net.Listener, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, network, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[port] = l.Addr().String()
	return l, nil
}

// ask sends a request; fields are names and values of its header in turn, Host
// among them.
func (r *rig) ask(method string, port int, path string, fields ...string) (int, string) {
	r.t.Helper()
	r.mu.Lock()
	address := r.at[fmt.Sprint(port)]
	r.mu.Unlock()
	q := must(http.NewRequest(method, "http://"+address+path, nil))(r.t)
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == "Host" {
			q.Host = fields[i+1]
			continue
		}
		q.Header.Set(fields[i], fields[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp := must(client.Do(q))(r.t)
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body))(r.t))
}

// expect holds an answer against a status and a part of its body.
func (r *rig) expect(method string, port int, path string, status int, part string, fields ...string) {
	r.t.Helper()
	if code, body := r.ask(method, port, path, fields...); code != status || !strings.Contains(body, part) {
		r.t.Errorf("%s :%d%s %q: %d %.300q, want %d with %q", method, port, path, fields, code, body, status, part)
	}
}

func TestReadiness(t *testing.T) {
	r := start(t)
	r.expect("GET", proxy.HealthPort, "/healthz/ready", 500, "pending: table")
	r.expect("GET", proxy.HealthPort, "/healthz", 404, "")
	r = start(t, &table.Self{Cluster: "east"})
	r.expect("GET", proxy.HealthPort, "/healthz/ready", 200, "ready")
}

func TestAdminPages(t *testing.T) {
	r := start(t, &table.Self{Cluster: "east", Gateway: "shop/g"})
	r.expect("GET", proxy.AdminPort, "/", 200, "/config_dump")
	r.expect("GET", proxy.AdminPort, "/nothing", 404, "")
	r.expect("GET", proxy.AdminPort, "/config_dump", 200, "# revision r7\n")
	r.expect("GET", proxy.AdminPort, "/explain?backend=shop/none", 404, "shop/none")
	r.expect("GET", proxy.AdminPort, "/memory", 200, `"heapInUse":`)
	r.expect("GET", proxy.AdminPort, "/debug/tasks", 200, "goroutine ")
	r.expect("GET", proxy.AdminPort, "/debug/pprof/heap?debug=1", 200, "heap profile")
	for _, path := range []string{"/metrics", "/stats/prometheus"} {
		r.expect("GET", proxy.MetricsPort, path, 200, "agentgateway_build_info{")
	}
	const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	r.expect("GET", proxy.MetricsPort, "/stats/prometheus", 200, "\x0a\x17agentgateway_build_info", "Accept", protobuf)
}

func TestLogging(t *testing.T) {
	r := start(t)
	r.expect("GET", proxy.AdminPort, "/logging", 200, "INFO")
	r.expect("GET", proxy.AdminPort, "/logging?level=debug", 405, "POST")
	r.expect("POST", proxy.AdminPort, "/logging?level=loud", 400, `level "loud" is none of debug, info, warn, error`)
	r.expect("DELETE", proxy.AdminPort, "/logging", 405, "")
	r.expect("GET", proxy.AdminPort, "/logging", 200, "INFO")
	r.expect("POST", proxy.AdminPort, "/logging?level=debug", 200, "DEBUG")
	if r.level.Level() != slog.LevelDebug {
		t.Errorf("the level is %v", r.level.Level())
	}
}

func TestAdminIsForThisHost(t *testing.T) {
	r := start(t, &table.Self{Cluster: "east"})
	for _, fields := range [][]string{
		{"Origin", "https://example.com"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"},
		{"Host", "rebound.example.com:15000"}, {"Host", "localhost.example.com"},
	} {
		r.expect("GET", proxy.AdminPort, "/config_dump", 403, "not for browsers", fields...)
		r.expect("POST", proxy.AdminPort, "/quitquitquit", 403, "not for browsers", fields...)
	}
	for _, host := range []string{"localhost:15000", "LOCALHOST", "127.0.0.1", "[::1]:15000"} {
		r.expect("GET", proxy.AdminPort, "/config_dump", 200, "revision", "Host", host)
	}
}

func TestQuit(t *testing.T) {
	r := start(t, &table.Self{Cluster: "east"})
	r.expect("GET", proxy.AdminPort, "/quitquitquit", 405, "")
	r.expect("GET", proxy.HealthPort, "/healthz/ready", 200, "")
	r.expect("POST", proxy.AdminPort, "/quitquitquit", 200, "draining")
	r.ended()
}

package forward_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http2"
	"github.com/navehq/nave/proxy/match"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/plain"
	"github.com/navehq/nave/proxy/upstream"
)

// proxy is a whole one in this process, but for the link.
type proxy struct {
	t   testing.TB
	f   *forward.Forwarder
	url string
	log *lines
	reg *prometheus.Registry
}

// lines is an access log that can be waited for.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// has waits until the log holds a text.
func (l *lines) has(t testing.TB, text string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !strings.Contains(l.String(), text); {
		if time.Now().After(end) {
			t.Fatalf("%q is not in the log:\n%s", text, l)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func start(t testing.TB, out io.Writer, resources ...table.Resource) *proxy {
	t.Helper()
	reg := prometheus.NewRegistry()
	p := &proxy{t: t, reg: reg}
	if out == nil {
		p.log = &lines{}
		out = p.log
	}
	observer := observe.New(observe.Options{Registerer: reg, Log: out})
	c1 := http1.NewClient(http1.ClientOptions{Dial: upstream.Dialer((&net.Dialer{}).DialContext)})
	c2 := http2.NewClient(http2.ClientOptions{})
	p.f = forward.New(forward.Options{
		Upstream: upstream.New(upstream.Options{HTTP1: c1, HTTP2: c2}), Observer: observer, Registerer: reg,
		Health: upstream.NewHealth(time.Now, func() uint64 { return 1 << 63 }, reg),
	})
	p.f.Protocol(table.BackendHTTP, plain.New(p.f))
	p.set(resources...)
	s := http1.NewServer(p.f.Handler(80, false), http1.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go s.Serve(ctx, l)
	p.url = "http://" + l.Addr().String()
	t.Cleanup(func() {
		cancel()
		drain, end := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer end()
		s.Shutdown(drain)
		p.f.Close()
		c1.Close()
		c2.Close()
		observer.Close()
	})
	return p
}

func (p *proxy) set(resources ...table.Resource) {
	p.t.Helper()
	base := []table.Resource{
		&table.Self{Cluster: "east", Region: "eastus", Tenant: "default", Gateway: "ns/gw", Standalone: true, ServedBy: true},
		&table.Listener{Name: "ns/gw/http", Gateway: "ns/gw", Section: "http", Port: 80, Protocol: table.ProtocolHTTP},
		&table.Peer{Cluster: "east", Region: "eastus", State: table.PeerReady},
	}
	x, err := match.Build(table.New(append(base, resources...)...))
	if err != nil {
		p.t.Fatal(err)
	}
	p.f.SetIndex(x)
}

func rule(change func(*table.Rule)) *table.Rule {
	r := &table.Rule{
		Name: "HTTPRoute ns/r/0", Route: table.Route{Kind: "HTTPRoute", Namespace: "ns", Name: "r", Cluster: "east"},
		Binds:    []table.Bind{{Listener: "ns/gw/http", Hostnames: []string{""}}},
		Matches:  []table.Match{{Path: table.ValueMatch{Type: table.Prefix, Value: "/"}}},
		Backends: []table.BackendRef{{Backend: "Service ns/s:80", Weight: 1}},
	}
	if change != nil {
		change(r)
	}
	return r
}

// service is a backend of several members, each one address.
func service(addresses ...string) []table.Resource {
	b := &table.Backend{Name: "Service ns/s:80", Kind: table.BackendHTTP, Groups: [][]table.Member{{}}}
	b.Failover.Order = table.Static
	out := []table.Resource{b}
	for i, a := range addresses {
		host, port, _ := net.SplitHostPort(a)
		var n uint16
		fmt.Sscan(port, &n)
		e := &table.Endpoints{Name: fmt.Sprint("e", i), Addresses: []table.Address{{Host: host, Port: n}}}
		b.Groups[0] = append(b.Groups[0], table.Member{
			Name:      fmt.Sprint("m", i),
			Instances: []table.Instance{{Cluster: "east", Dial: &table.Dial{Host: "s.ns.svc", Port: 80, Endpoints: e.Name}}},
		})
		out = append(out, e)
	}
	return out
}

func serve(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// dead is an address where nobody is; the port is not one that the next server or
// another program is given.
const dead = "127.0.0.1:1"

func (p *proxy) do(method, path, body string, headers ...string) (*http.Response, string) {
	p.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, p.url+path, r)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, string(b)
}

func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Path", r.URL.RequestURI())
	w.Header().Set("X-Host", r.Host)
	for _, n := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Retry-Attempt", "Authorization", "Nave-Link-Backend", "X-Added"} {
		if v := r.Header.Get(n); v != "" {
			w.Header().Set("Got-"+n, v)
		}
	}
	w.Write(b)
}

func TestPlainExchange(t *testing.T) {
	p := start(t, nil, append(service(serve(t, echo)), rule(nil))...)
	resp, body := p.do("POST", "/a/b?q=1", "hello", "Nave-Link-Backend", "x", "nave-link-principal", "root", "X-Forwarded-For", "9.9.9.9")
	if resp.StatusCode != 200 || body != "hello" {
		t.Fatal(resp.Status, body)
	}
	for name, want := range map[string]string{
		"X-Path": "/a/b?q=1", "X-Host": strings.TrimPrefix(p.url, "http://"), "Got-X-Forwarded-For": "9.9.9.9, 127.0.0.1",
		"Got-X-Forwarded-Proto": "http", "Got-Nave-Link-Backend": "", "Got-X-Retry-Attempt": "",
		"X-Nave-Served-By": "east/Service ns/s:80/m0",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	p.log.has(t, "gateway=ns/gw listener=http route=ns/r")
	p.log.has(t, "http.path=/a/b http.version=HTTP/1.1 http.status=200 protocol=http nave.cluster=east")
}

func TestAnswersWithoutABackend(t *testing.T) {
	for name, c := range map[string]struct {
		resources []table.Resource
		path      string
		status    int
		reason    string
	}{
		"no route":               {nil, "/", 404, "NotFound"},
		"a closed rule":          {[]table.Resource{rule(func(r *table.Rule) { r.Closed = "why" })}, "/", 500, "PolicyInvalid"},
		"a backend that is gone": {[]table.Resource{rule(nil)}, "/", 500, "NoHealthyBackend"},
		"a closed share":         {[]table.Resource{rule(func(r *table.Rule) { r.Backends[0].Closed = "no grant" })}, "/", 500, "NoHealthyBackend"},
		"no weight":              {[]table.Resource{rule(func(r *table.Rule) { r.Backends[0].Weight = 0 })}, "/", 500, "NoHealthyBackend"},
		"nobody is ready":        {append(service(), &table.Endpoints{Name: "e0"}, rule(nil)), "/", 503, "NoHealthyBackend"},
		"a dead address":         {append(service(dead), rule(nil)), "/", 503, "UpstreamFailure"},
		"dot segments":           {[]table.Resource{rule(nil)}, "/a/%2e%2E/b", 400, "InvalidRequest"},
		"a closed policy": {append(service(dead), rule(nil), &table.Policy{
			Name: "p", Closed: "invalid", Targets: []table.Target{{Kind: "HTTPRoute", Namespace: "ns", Name: "r"}},
		}), "/", 500, "PolicyInvalid"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, nil, c.resources...)
			if resp, _ := p.do("GET", c.path, ""); resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
			p.log.has(t, "reason="+c.reason)
		})
	}
}

func TestFilters(t *testing.T) {
	to := "/new"
	p := start(t, nil, append(service(serve(t, echo)), rule(func(r *table.Rule) {
		r.Matches[0].Path.Value = "/old"
		r.Filters = []table.Filter{
			{RequestHeaders: &table.HeaderEdit{Set: []table.HeaderValue{{Name: "X-Added", Value: "1"}}}},
			{ResponseHeaders: &table.HeaderEdit{Remove: []string{"X-Path"}, Add: []table.HeaderValue{{Name: "X-Out", Value: "2"}}}},
			{Rewrite: &table.Rewrite{Hostname: "other.com", Path: &table.PathEdit{Prefix: &to}}},
		}
		r.Backends[0].Filters = []table.Filter{{ResponseHeaders: &table.HeaderEdit{Set: []table.HeaderValue{{Name: "X-Ref", Value: "3"}}}}}
	}), &table.Rule{
		Name: "HTTPRoute ns/d/0", Route: table.Route{Kind: "HTTPRoute", Namespace: "ns", Name: "d"},
		Binds:   []table.Bind{{Listener: "ns/gw/http", Hostnames: []string{""}}},
		Matches: []table.Match{{Path: table.ValueMatch{Type: table.Exact, Value: "/away"}}},
		Filters: []table.Filter{{Redirect: &table.Redirect{Scheme: "https", Hostname: "b.com", Status: 301}}},
	})...)
	resp, _ := p.do("GET", "/old/x", "")
	if h := resp.Header; h.Get("X-Host") != "other.com" || h.Get("Got-X-Added") != "1" || h.Get("X-Path") != "" || h.Get("X-Out") != "2" || h.Get("X-Ref") != "3" {
		t.Error(h)
	}
	p.log.has(t, "http.path=/old/x ")
	if resp, _ := p.do("GET", "/away?x=1", ""); resp.StatusCode != 301 || resp.Header.Get("Location") != "https://b.com/away?x=1" {
		t.Error(resp.StatusCode, resp.Header)
	}
}

func TestRestrictions(t *testing.T) {
	target := []table.Target{{Kind: "Gateway", Namespace: "ns", Name: "gw"}}
	p := start(t, nil, append(service(serve(t, echo)), rule(func(r *table.Rule) {
		r.Filters = []table.Filter{{CORS: &table.CORS{AllowOrigins: []string{"https://a"}, AllowMethods: []string{"PUT"}}}}
	}),
		&table.Secret{Name: "ns/keys", Data: map[string][]byte{"alice": []byte(`{"key":"k1","metadata":{"team":"x"}}`), "bob": []byte("k2")}},
		&table.Policy{Name: "keys", Targets: target, APIKey: &table.APIKey{Mode: table.Strict, Secrets: []string{"ns/keys"}}},
		&table.Policy{Name: "auth", Targets: target, Authorization: &table.Authorization{
			Action: table.Allow, Expressions: []string{`apiKey.team == "x" && request.path.startsWith("/ok")`},
		}})...)
	for _, c := range []struct {
		key, path string
		status    int
	}{{"", "/ok", 401}, {"k3", "/ok", 401}, {"k2", "/ok", 403}, {"k1", "/no", 403}, {"k1", "/ok", 200}} {
		var h []string
		if c.key != "" {
			h = []string{"Authorization", "Bearer " + c.key, "Origin", "https://a"}
		}
		resp, _ := p.do("GET", c.path, "", h...)
		if resp.StatusCode != c.status || resp.Header.Get("Got-Authorization") != "" {
			t.Errorf("%+v: got %d, %v", c, resp.StatusCode, resp.Header)
		}
		if c.status == 200 && resp.Header.Get("Access-Control-Allow-Origin") != "https://a" {
			t.Error(resp.Header)
		}
	}
	p.log.has(t, "reason=APIKeyAuth")
	p.log.has(t, "reason=Authorization")
	if log := p.log.String(); strings.Contains(log, "k1") || strings.Contains(log, "k3") {
		t.Error("a key is in the log")
	}
	resp, _ := p.do("OPTIONS", "/ok", "", "Origin", "https://a", "Access-Control-Request-Method", "PUT")
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Methods") != "PUT" {
		t.Error(resp.StatusCode, resp.Header)
	}
}

func TestFailover(t *testing.T) {
	good := serve(t, echo)
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	big := strings.Repeat("x", 300_000)
	for _, c := range []struct {
		why, method, body, first string
		want                     int
	}{
		{"a dead one is passed over by any method", "POST", "b", dead, 200},
		{"with a large body too", "POST", big, dead, 200},
		{"what may be repeated goes elsewhere on 503", "PUT", big, broken, 200},
		{"what may not does not", "POST", "b", broken, 503},
	} {
		p := start(t, nil, append(service(c.first, good), rule(nil))...)
		resp, body := p.do(c.method, "/", c.body)
		if resp.StatusCode != c.want || c.want == 200 && body != c.body {
			t.Errorf("%s: %d, %d bytes", c.why, resp.StatusCode, len(body))
		}
		if c.want == 200 {
			if got := resp.Header.Get("Got-X-Retry-Attempt"); got != "1" {
				t.Errorf("%s: x-retry-attempt %q", c.why, got)
			}
			p.log.has(t, "nave.attempts=2 nave.failover.reason=")
			for _, name := range []string{"Service ns/s:80", "ns/s:80", "s:80"} {
				if text, err := p.f.Explain(name); err != nil || !strings.Contains(text, "1. east/Service ns/s:80/m") {
					t.Error(name, text, err)
				}
			}
		}
	}
}

func TestWhatMovesNothingSetsNobodyAside(t *testing.T) {
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	list := service(broken, serve(t, echo))
	for _, r := range list {
		if b, ok := r.(*table.Backend); ok {
			b.Failover.Triggers = []table.Trigger{table.OnConnect}
		}
	}
	p := start(t, nil, append(list, rule(nil))...)
	for range 20 {
		if resp, _ := p.do("PUT", "/", "b"); resp.StatusCode != 503 {
			t.Fatalf("it moved: %d", resp.StatusCode)
		}
	}
}

func TestDeadCandidateIsNotAskedAgain(t *testing.T) {
	p := start(t, nil, append(service(dead, serve(t, echo)), rule(nil))...)
	for range 5 {
		p.do("GET", "/", "")
	}
	p.log.has(t, "nave.attempts=1 duration")
	if n := strings.Count(p.log.String(), "nave.attempts=2"); n > 1 {
		t.Errorf("%d requests tried the dead one, want one", n)
	}
}

// A route's attempts are repeats, as many as it says however many members there
// are (Gateway API: retry.attempts).
func TestDeclaredRetry(t *testing.T) {
	for _, members := range []int{1, 2, 3} {
		var n atomic.Int32
		flaky := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) < 6 {
				w.WriteHeader(500)
				return
			}
			echo(w, r)
		})
		for attempts, status := range map[int]int{4: 500, 5: 200} {
			n.Store(0)
			p := start(t, nil, append(service(slices.Repeat([]string{flaky}, members)...), rule(func(r *table.Rule) {
				r.Retry = &table.Retry{Codes: []int{500}, Attempts: attempts, Backoff: table.Duration(time.Millisecond)}
			}))...)
			if resp, _ := p.do("POST", "/", "b"); resp.StatusCode != status || int(n.Load()) != attempts+1 {
				t.Errorf("%d members, %d repeats: asked %d times, answers %s", members, attempts, n.Load(), resp.Status)
			}
		}
	}
}

func TestTimeouts(t *testing.T) {
	stuck := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, set := range map[string]func(*table.Rule){
		"of the request": func(r *table.Rule) { r.RequestTimeout = table.Duration(50 * time.Millisecond) },
		"of the backend": func(r *table.Rule) { r.BackendTimeout = table.Duration(50 * time.Millisecond) },
	} {
		p := start(t, nil, append(service(stuck), rule(set))...)
		if resp, _ := p.do("GET", "/", ""); resp.StatusCode != 504 {
			t.Errorf("%s: %s", name, resp.Status)
		}
		p.log.has(t, "reason=Timeout")
	}
	list := service(stuck, serve(t, echo))
	list[0].(*table.Backend).Failover.PerAttemptTimeout = table.Duration(50 * time.Millisecond)
	if resp, _ := start(t, nil, append(list, rule(nil))...).do("GET", "/", ""); resp.StatusCode != 200 {
		t.Errorf("an attempt whose time is over: %s, want the other candidate's answer", resp.Status)
	}
}

func TestStreamingAndTrailers(t *testing.T) {
	step := make(chan struct{})
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "one")
		w.(http.Flusher).Flush()
		<-step
		fmt.Fprint(w, "two")
		w.Header().Set("X-Sum", "6")
	})
	p := start(t, nil, append(service(addr), rule(nil))...)
	resp, err := http.Get(p.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 3)
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "one" {
		t.Fatal(string(b), err)
	}
	close(step)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(rest) != "two" || resp.Trailer.Get("X-Sum") != "6" {
		t.Error(string(rest), err, resp.Trailer)
	}
}

func TestClientGoneCancelsUpstream(t *testing.T) {
	gone := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	addr := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done(); close(gone) })
	p := start(t, nil, append(service(addr), rule(nil))...)
	req, _ := http.NewRequestWithContext(ctx, "GET", p.url, nil)
	if _, err := http.DefaultClient.Do(req); err == nil {
		t.Fatal("an answer came")
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the backend was not let go")
	}
}

func TestUpgrade(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := rw.ReadString('\n')
		fmt.Fprint(c, "you said "+line)
	})
	for _, limit := range []time.Duration{0, time.Minute} {
		resources := service(addr)
		resources[0].(*table.Backend).Groups[0][0].Instances[0].Dial.RequestTimeout = table.Duration(limit)
		p := start(t, nil, append(resources, rule(nil))...)
		c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 101 {
			t.Fatal(resp, err)
		}
		fmt.Fprint(c, "hi\n")
		if line, err := r.ReadString('\n'); line != "you said hi\n" {
			t.Errorf("with a limit of %v: %q, %v", limit, line, err)
		}
		c.Close()
	}
}

// TestBackendsDoNotSpeakAsProxies: what only proxies say to each other is taken
// off a backend's answer.
func TestBackendsDoNotSpeakAsProxies(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Nave-Link-Refused", "no")
		w.Header().Set("nave-link-endpoint", "elsewhere")
		w.Header().Set("X-Own", "1")
	})
	p := start(t, nil, append(service(addr), rule(nil))...)
	resp, _ := p.do("GET", "/", "")
	if resp.StatusCode != 200 || resp.Header.Get("Nave-Link-Refused")+resp.Header.Get("Nave-Link-Endpoint") != "" || resp.Header.Get("X-Own") != "1" {
		t.Error(resp.Status, resp.Header)
	}
}

func TestDottedPathsAreRefused(t *testing.T) {
	p := start(t, nil, append(service(serve(t, echo)), rule(nil))...)
	for path, code := range map[string]int{
		"/a/../b": 400, "/a/%2e%2E/b": 400, "/a/..%2fb": 400, "/a/%2e%2e%2Fb": 400, "/a/..%5cb": 400, "/a/x%2f..%2fb": 400, "/..;x/b": 400,
		"/a/..b": 200, "/a/x%2fb": 200, "/a..%2fb": 200, "/a/...": 200,
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != code {
			t.Errorf("%s: %v, %v, want %d", path, resp, err, code)
		}
		c.Close()
	}
}

// TestAMirroredUploadMayBeAnsweredEarly: the client hears it at once, though it has
// more to send.
func TestAMirroredUploadMayBeAnsweredEarly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		t.Cleanup(func() { c.Close() })
		_, _ = io.ReadFull(c, make([]byte, 1000))
		fmt.Fprint(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}()
	p := start(t, nil, append(service(l.Addr().String(), l.Addr().String()), rule(func(r *table.Rule) {
		r.Filters = []table.Filter{{Mirror: &table.Mirror{Backend: "nobody", Numerator: 1, Denominator: 1}}}
	}))...)
	c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	big := strings.Repeat("x", 64<<10)
	for range 20 {
		fmt.Fprintf(c, "%x\r\n%s\r\n", len(big), big)
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 413 {
		t.Error(resp, err)
	}
}

func TestMirror(t *testing.T) {
	copies := make(chan string, 1)
	addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		copies <- r.Method + " " + r.URL.Path + " " + string(b)
	})
	other := service(addr)
	b := *other[0].(*table.Backend)
	b.Name = "Service ns/copy:80"
	b.Groups[0][0].Instances[0].Dial.Endpoints = "copy"
	e := *other[1].(*table.Endpoints)
	e.Name = "copy"
	p := start(t, nil, append(service(serve(t, echo)), &b, &e, rule(func(r *table.Rule) {
		r.Filters = []table.Filter{{Mirror: &table.Mirror{Backend: b.Name, Numerator: 1, Denominator: 1}}}
	}))...)
	if _, body := p.do("POST", "/m", "body"); body != "body" {
		t.Error(body)
	}
	select {
	case got := <-copies:
		if got != "POST /m body" {
			t.Error(got)
		}
	case <-time.After(3 * time.Second):
		t.Error("no copy came")
	}
}

func TestCredentialOfTheBackend(t *testing.T) {
	resources := service(serve(t, echo))
	b := resources[0].(*table.Backend)
	b.Groups[0][0].Instances[0].Auth = &table.Auth{Kind: table.AuthKey, Secret: "s", Key: "k"}
	secret := &table.Secret{Name: "s", Data: map[string][]byte{"k": []byte("v\n")}}
	p := start(t, nil, append(resources, rule(nil), secret)...)
	if resp, _ := p.do("GET", "/", ""); resp.Header.Get("Got-Authorization") != "Bearer v" {
		t.Error(resp.Header)
	}
	p = start(t, nil, append(resources, rule(nil))...)
	if resp, _ := p.do("GET", "/", ""); resp.StatusCode != 500 {
		t.Error("without its secret: ", resp.Status)
	}
}

// A policy of the route is in force for its requests alone: for the attempts, the
// limit of regions, copies of requests, and what is learned of candidates.
func TestSteering(t *testing.T) {
	list := service(dead, serve(t, echo))
	steered := rule(func(r *table.Rule) {
		r.Matches[0].Path.Value = "/steered"
		r.Name, r.Index = "HTTPRoute ns/r/1", 1
		r.Steering = []table.Steering{
			{Backend: "Service ns/s:80", By: "FailoverPolicy ns/all", Failover: table.Failover{Order: table.Static, Attempts: 4}},
			{Backend: "Service ns/s:80", Listener: "ns/gw/http", By: "FailoverPolicy ns/one", Failover: table.Failover{Order: table.Static, Attempts: 1}},
		}
	})
	limited := rule(func(r *table.Rule) {
		r.Matches[0].Path.Value = "/limited"
		r.Name, r.Index = "HTTPRoute ns/r/2", 2
		r.Steering = []table.Steering{{Backend: "Service ns/s:80", By: "FailoverPolicy ns/eu", Failover: table.Failover{AllowedRegions: []string{"westus2"}}}}
	})
	closed := rule(func(r *table.Rule) {
		r.Matches[0].Path.Value = "/closed"
		r.Name, r.Index = "HTTPRoute ns/r/3", 3
		r.Steering = []table.Steering{{Backend: "Service ns/s:80", By: "FailoverPolicy ns/x", Closed: "PolicyInvalid: x"}}
	})
	p := start(t, nil, append(list, rule(nil), steered, limited, closed)...)
	for _, x := range []struct {
		path, why string
		code      int
	}{
		{"/", "the backend's own policy moves on", 200},
		{"/steered", "one attempt; what the other route learned is not known to this one", 503},
		{"/limited", "nobody is in the allowed region", 503},
		{"/closed", "the policy of the route cannot be read", 500},
		{"/", "and others are not closed by it", 200},
	} {
		if resp, body := p.do("GET", x.path, ""); resp.StatusCode != x.code {
			t.Errorf("%s: %s: %d %q, want %d", x.path, x.why, resp.StatusCode, body, x.code)
		}
	}
	p.log.has(t, "residency: cluster east is in eastus; allowed are westus2")
	for _, name := range []string{"Service ns/s:80", "ns/s:80", "s:80"} {
		text, err := p.f.Explain(name)
		for _, want := range []string{"1. east/Service ns/s:80/m", "steered by FailoverPolicy ns/eu, as for HTTPRoute ns/r/2:\n", "closed: PolicyInvalid: x"} {
			if err != nil || !strings.Contains(text, want) {
				t.Errorf("%s explained is %s %v, without %q", name, text, err, want)
			}
		}
	}
	p.log.has(t, "PolicyInvalid: x")
}

// A copy goes nowhere that the route's policy does not allow.
func TestSteeredCopies(t *testing.T) {
	copies := make(chan string, 10)
	main := serve(t, echo)
	aside := serve(t, func(_ http.ResponseWriter, r *http.Request) { copies <- r.URL.Path })
	list, shadow := service(main), service(aside)
	b := shadow[0].(*table.Backend)
	b.Name = "Service ns/shadow:80"
	e := shadow[1].(*table.Endpoints)
	e.Name, b.Groups[0][0].Instances[0].Dial.Endpoints = "shadow", "shadow"
	mirrored := func(i int, path string, s []table.Steering) *table.Rule {
		return rule(func(r *table.Rule) {
			r.Matches[0].Path.Value, r.Name, r.Index = path, fmt.Sprint("HTTPRoute ns/r/", i), i
			r.Filters = []table.Filter{{Mirror: &table.Mirror{Backend: b.Name}}}
			r.Steering = s
		})
	}
	p := start(t, nil, slices.Concat(list, shadow, []table.Resource{
		mirrored(0, "/kept", []table.Steering{{Backend: b.Name, By: "FailoverPolicy ns/eu", Failover: table.Failover{AllowedRegions: []string{"westus2"}}}}),
		mirrored(1, "/copied", nil),
	})...)
	for _, path := range []string{"/kept", "/copied"} {
		if resp, _ := p.do("GET", path, ""); resp.StatusCode != 200 {
			t.Fatal(path, resp.Status)
		}
	}
	if path := <-copies; path != "/copied" {
		t.Errorf("%s was copied, which the route's policy does not allow", path)
	}
	p.f.Close()
	close(copies)
	for path := range copies {
		t.Errorf("%s was copied, which the route's policy does not allow", path)
	}
}

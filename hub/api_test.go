package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/hub"
)

const platform = `apiVersion: nave.dev/v1alpha1
kind: Cluster
metadata: {name: west}
spec: {region: west, zone: "2", provider: standalone}
---
apiVersion: nave.dev/v1alpha1
kind: Drill
metadata: {name: lose-west}
spec: {target: {kind: Cluster, name: west}, mode: Cordon, duration: 1s}
`

// console is a hub that runs, and what asks its API.
type console struct {
	t     testing.TB
	url   string
	token string
	state string
	log   *safe
	stop  func()
}

type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.b.Write(p) }
func (s *safe) String() string              { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func start(t testing.TB, dir string) *console {
	t.Helper()
	c := &console{t: t, state: filepath.Join(dir, "state"), log: &safe{}}
	for _, d := range []string{"hub", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "hub", "fleet.yaml"), []byte(platform), 0o600); err != nil {
		t.Fatal(err)
	}
	const free = "127.0.0.1:0"
	h, err := hub.New(hub.Options{Fleet: "test", Dir: filepath.Join(dir, "hub"), State: c.state, Streams: free, API: free, Metrics: free, Health: free},
		hub.Deps{Log: slog.New(slog.NewTextHandler(c.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(c.state, "token"))
	if err != nil {
		t.Fatal(err)
	}
	c.token, c.url = strings.TrimSpace(string(token)), "http://"+h.API().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	c.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the hub ended with %v", err)
		}
	})
	t.Cleanup(c.stop)
	// The API answers as soon as the folder is read.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if code, body := c.ask("GET", "/api/v1/status", ""); code == 200 && strings.Contains(body, `"west"`) {
			return c
		}
		if time.Now().After(end) {
			t.Fatal("the hub does not serve")
		}
	}
}

// ask sends a request; fields are names and values in turns, "Host" among them.
func (c *console) ask(method, path, body string, fields ...string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
		if fields[i] == "Host" {
			r.Host = fields[i+1]
		}
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestReadingIsFreeAndWritingNeedsTheToken(t *testing.T) {
	c := start(t, t.TempDir())
	right := []string{"Authorization", "Bearer " + c.token}
	for _, x := range []struct {
		why, method, path, body string
		fields                  []string
		code                    int
	}{
		{"the page", "GET", "/", "", nil, 200},
		{"status", "GET", "/api/v1/status", "", nil, 200},
		{"latency", "GET", "/api/v1/latency", "", nil, 200},
		{"drills", "GET", "/api/v1/drills", "", nil, 200},
		{"a drill's preview", "GET", "/api/v1/drills/lose-west/preview", "", nil, 200},
		{"a drill that there is not", "GET", "/api/v1/drills/none/report", "", nil, 404},
		{"a cluster that there is not", "GET", "/api/v1/explain?backend=b&from=none", "", nil, 404},
		{"no backend", "GET", "/api/v1/explain", "", nil, 400},
		{"a cluster that is not connected", "GET", "/api/v1/explain?backend=b", "", nil, 409},
		{"what there is not", "GET", "/api/v1/none", "", nil, 404},
		{"another method", "DELETE", "/api/v1/status", "", right, 405},

		{"an order without a token", "POST", "/api/v1/orders", `{"verb":"freeze","who":"a"}`, nil, 401},
		{"an order with another token", "POST", "/api/v1/orders", `{"verb":"freeze","who":"a"}`, []string{"Authorization", "Bearer " + strings.Repeat("0", 64)}, 401},
		{"an order with a part of the token", "POST", "/api/v1/orders", `{"verb":"freeze","who":"a"}`, []string{"Authorization", "Bearer " + c.token[:32]}, 401},
		{"an order with an empty token", "POST", "/api/v1/orders", `{"verb":"freeze","who":"a"}`, []string{"Authorization", "Bearer "}, 401},
		{"a join token without a token", "POST", "/api/v1/tokens", `{"cluster":"west"}`, nil, 401},
		{"a drill without a token", "POST", "/api/v1/drills/lose-west/start", "", nil, 401},
		{"an end without a token", "POST", "/api/v1/drills/lose-west/abort", "", nil, 401},

		{"an order", "POST", "/api/v1/orders", `{"verb":"cordon","cluster":"west","who":"a","why":"test","seconds":60}`, right, 200},
		{"its end", "POST", "/api/v1/orders", `{"verb":"uncordon","cluster":"west","who":"a"}`, right, 200},
		{"an order for a cluster that there is not", "POST", "/api/v1/orders", `{"verb":"cordon","cluster":"none"}`, right, 404},
		{"the end of an order for a cluster that there is not", "POST", "/api/v1/orders", `{"verb":"uncordon","cluster":"none"}`, right, 404},
		{"a confirmation for a cluster that there is not", "POST", "/api/v1/orders", `{"verb":"confirm","cluster":"none"}`, right, 404},
		{"an end of a drill that there is not", "POST", "/api/v1/drills/none/abort", "", right, 404},
		{"a drill that nobody can survive", "POST", "/api/v1/drills/lose-west/start", "", right, 409},
		{"a confirmation of nothing", "POST", "/api/v1/orders", `{"verb":"confirm","cluster":"west"}`, right, 409},
		{"a join token", "POST", "/api/v1/tokens", `{"cluster":"west"}`, right, 200},
		{"a join token for no name", "POST", "/api/v1/tokens", `{"cluster":"../.."}`, right, 409},
		{"a drill that there is not", "POST", "/api/v1/drills/none/start", "", right, 404},

		{"another site's page", "POST", "/api/v1/orders", `{"verb":"freeze"}`, append([]string{"Origin", "http://evil.example"}, right...), 403},
		{"another site's page that reads", "GET", "/api/v1/status", "", []string{"Origin", "http://evil.example"}, 403},
		{"a sandboxed page", "GET", "/api/v1/status", "", []string{"Origin", "null"}, 403},
		{"the console's own page", "GET", "/api/v1/status", "", []string{"Origin", c.url}, 200},
		{"a name that was made to resolve here", "GET", "/api/v1/status", "", []string{"Host", "evil.example"}, 403},
		{"the same with a port", "POST", "/api/v1/orders", `{"verb":"freeze"}`, append([]string{"Host", "evil.example:8080"}, right...), 403},
		{"a name that begins as an address", "GET", "/api/v1/status", "", []string{"Host", "127.0.0.1.evil.example"}, 403},
		{"localhost", "GET", "/api/v1/status", "", []string{"Host", "localhost:8080"}, 200},
		{"an address of version 6", "GET", "/api/v1/status", "", []string{"Host", "[::1]:8080"}, 200},
	} {
		code, body := c.ask(x.method, x.path, x.body, x.fields...)
		if code != x.code {
			t.Errorf("%s: %s %s is answered %d %q, want %d", x.why, x.method, x.path, code, body, x.code)
		}
		if strings.Contains(body, c.token) || strings.Contains(body, "%!") {
			t.Errorf("%s: is answered %q", x.why, body)
		}
	}
	if strings.Contains(c.log.String(), c.token) {
		t.Error("the token is in the log")
	}
	var s report.Status
	if _, body := c.ask("GET", "/api/v1/status", ""); json.Unmarshal([]byte(body), &s) != nil || len(s.Orders) != 0 {
		t.Errorf("after all this orders are in force: %+v", s.Orders)
	}
}

// TestExplainSaysWhoIsAway: in words of the fleet, not of its streams.
func TestExplainSaysWhoIsAway(t *testing.T) {
	c := start(t, t.TempDir())
	_, got := c.ask("GET", "/api/v1/explain?backend=b&from=west", "")
	if want := `explain backend "b": nobody can: west: its spoke is not connected to the hub`; strings.TrimSpace(got) != want {
		t.Errorf("it answers %q, want %q", got, want)
	}
}

func TestGarbageIsRefusedAndChangesNothing(t *testing.T) {
	c := start(t, t.TempDir())
	for _, path := range []string{"/api/v1/orders", "/api/v1/tokens"} {
		for _, body := range []string{
			"", "{", "[]", `"x"`, `{"verb":7,"cluster":7}`, "\x00\xff", strings.Repeat("[", 10000),
			`{"verb":"` + strings.Repeat("a", 70<<10) + `"}`, `{"verb":"cordon","cluster":"` + strings.Repeat("w", 70<<10) + `"}`,
		} {
			if code, answer := c.ask("POST", path, body, "Authorization", "Bearer "+c.token); code != 400 {
				t.Errorf("POST %s of %.20q is answered %d %.200q", path, body, code, answer)
			}
		}
	}
	for _, body := range []string{
		`{"verb":"melt","cluster":"west"}`, `{"verb":"CORDON","cluster":"west"}`,
		`{"verb":"cordon"}`, `{"verb":"cordon","cluster":""}`, `{"verb":"uncordon"}`, `{"verb":"confirm"}`, `{"verb":"freeze","cluster":"west"}`,
		`{"verb":"uncordon","cluster":"west","seconds":5}`, `{"verb":"cordon","cluster":"west","seconds":0}`, `{"verb":"cordon","cluster":"west","seconds":0.5}`,
		`{"verb":"cordon","cluster":"west","seconds":-1}`, `{"verb":"cordon","cluster":"west","seconds":9223372036}`, `{"verb":"cordon","cluster":"west","seconds":1e300}`,
	} {
		if code, answer := c.ask("POST", "/api/v1/orders", body, "Authorization", "Bearer "+c.token); code != 400 {
			t.Errorf("the order %s is answered %d %q", body, code, answer)
		}
	}
	var s report.Status
	if _, body := c.ask("GET", "/api/v1/status", ""); json.Unmarshal([]byte(body), &s) != nil || len(s.Orders) != 0 || s.Clusters[0].State != "Ready" {
		t.Errorf("after garbage the fleet is %+v", s)
	}
}

// TestWhatAnOrderCameTo: the answer tells what is so, and what was so before.
func TestWhatAnOrderCameTo(t *testing.T) {
	c := start(t, t.TempDir())
	for _, x := range []struct {
		order, state string
		ended        []string
	}{
		{`{"verb":"uncordon","cluster":"west"}`, "Ready", nil},
		{`{"verb":"cordon","cluster":"west","who":"ann","why":"patching","seconds":60}`, "Cordoned", nil},
		{`{"verb":"cordon","cluster":"west","who":"ben"}`, "Cordoned", []string{"Cordon of ann"}},
		{`{"verb":"drain","cluster":"west","who":"cid"}`, "Draining", nil},
		{`{"verb":"undrain","cluster":"west"}`, "Cordoned", []string{"Drain of cid"}},
		{`{"verb":"uncordon","cluster":"west"}`, "Ready", []string{"Cordon of ben"}},
		{`{"verb":"freeze","who":"ann"}`, "Frozen", nil},
		{`{"verb":"unfreeze"}`, "Enabled", []string{"Freeze of ann"}},
	} {
		code, body := c.ask("POST", "/api/v1/orders", x.order, "Authorization", "Bearer "+c.token)
		var done report.Done
		if err := json.Unmarshal([]byte(body), &done); err != nil || code != 200 {
			t.Fatalf("%s: %d %s", x.order, code, body)
		}
		var ended []string
		for _, o := range done.Ended {
			ended = append(ended, o.Kind+" of "+o.Who)
		}
		if done.State != x.state || !slices.Equal(ended, x.ended) || !strings.Contains(x.order, `"`+done.Done+`"`) {
			t.Errorf("%s came to %s", x.order, body)
		}
		if left := time.Until(done.Until); strings.Contains(x.order, "seconds") != (left > 50*time.Second && left <= time.Minute && done.Why == "patching") {
			t.Errorf("%s holds until %s (%s)", x.order, done.Until, done.Why)
		}
	}
	if code, body := c.ask("POST", "/api/v1/orders", `{"verb":"uncordon","cluster":"mars"}`, "Authorization", "Bearer "+c.token); code != 404 || !strings.Contains(body, "no such cluster; there are: west") {
		t.Errorf("a cluster that there is not: %d %s", code, body)
	}
}

func TestOrdersAndTheTokenOutliveAHub(t *testing.T) {
	dir := t.TempDir()
	c := start(t, dir)
	if code, body := c.ask("POST", "/api/v1/orders", `{"verb":"cordon","cluster":"west","who":"ann","why":"patching"}`, "Authorization", "Bearer "+c.token); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	info, err := os.Stat(filepath.Join(c.state, "token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v", info.Mode(), err)
	}
	c.stop()
	again := start(t, dir)
	if again.token != c.token {
		t.Error("the token has changed over a restart")
	}
	var s report.Status
	if _, body := again.ask("GET", "/api/v1/status", ""); json.Unmarshal([]byte(body), &s) != nil || len(s.Orders) != 1 || s.Orders[0].Who != "ann" || s.Orders[0].Why != "patching" {
		t.Errorf("orders after a restart: %+v", s.Orders)
	}
	if s.Clusters[0].State == "Ready" || s.Clusters[0].Lease != "Lost" {
		t.Errorf("the cluster after a restart: %+v", s.Clusters[0])
	}
}

func TestAPortThatIsTakenIsNamedAndTheOthersAreGivenBack(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var opened []net.Listener
	const free = "127.0.0.1:0"
	_, err = hub.New(hub.Options{Dir: dir, State: dir, Streams: free, API: free, Metrics: taken.Addr().String(), Health: free}, hub.Deps{
		Listen: func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			if err == nil {
				opened = append(opened, l)
			}
			return l, err
		},
	})
	if err == nil || !strings.Contains(err.Error(), "listen for metrics") {
		t.Errorf("it is said so: %v", err)
	}
	for _, l := range opened {
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error("a port stays open")
		}
	}
}

// TestStatusTellsWhatAClusterIs as it is declared.
func TestStatusTellsWhatAClusterIs(t *testing.T) {
	_, body := start(t, t.TempDir()).ask("GET", "/api/v1/status", "")
	var s report.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Clusters) != 1 || s.Clusters[0].Place() != "west, zone 2" || s.Clusters[0].Provider != "standalone" {
		t.Errorf("it is %+v", s.Clusters)
	}
}

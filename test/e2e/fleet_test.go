// Package e2e_test runs fleets of real processes, by `nave up`, and does to them
// what happens to fleets: links go silent, programs are killed, files are saved,
// people make mistakes. Clients are the official SDKs.
package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/test/load"
	"github.com/navehq/nave/test/standalone"
)

const (
	root    = "../.."
	example = root + "/docs/examples/three-regions"
	// home declares the example's gateways, entry is where clients are.
	home  = "westus2"
	entry = "eastus"
)

var expected = standalone.Expected{Clusters: 3, Gateways: 2, Replicas: 2}

// TestMain builds the programs, so that no test runs older ones.
func TestMain(m *testing.M) {
	if out, err := exec.Command("make", "-s", "-C", root, "build-test").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// fleet is the example of three regions.
type fleet struct {
	*standalone.Fleet
	t      *testing.T
	status report.Status
	// model is the home region's model simulator, host:port.
	model string
}

// start runs the example and waits until it serves; change prepares its folder.
func start(t *testing.T, change func(dir string)) *fleet {
	t.Helper()
	// A socket's path has to be short.
	dir, err := os.MkdirTemp("", "nave-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	folder, bin := filepath.Join(dir, "f"), filepath.Join(dir, "bin")
	free, err := standalone.Copy(example, folder, []string{"9201", "9202", "9301", "9302"})
	if err != nil {
		t.Fatal(err)
	}
	link(t, bin)
	if change != nil {
		change(folder)
	}
	f := &fleet{t: t, model: "127.0.0.1:" + free["9201"]}
	if f.Fleet, err = standalone.Start(standalone.Options{Bin: bin, Dir: folder}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.End(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			f.tell()
		}
	})
	f.settle()
	return f
}

// link gives a fleet programs of its own, which a test may take away.
func link(t *testing.T, bin string) {
	t.Helper()
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(filepath.Join(root, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		data, err := os.ReadFile(filepath.Join(root, "bin", x.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(bin, x.Name()), data, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// tell shows the ends of the logs.
func (f *fleet) tell() {
	logs, _ := filepath.Glob(filepath.Join(f.Dir(), ".nave", "logs", "*.log"))
	for _, path := range append([]string{f.Log()}, logs...) {
		var kept []string
		for line := range strings.Lines(standalone.Tail(path, 2000)) {
			if path == f.Log() || strings.Contains(line, "level=WARN") && !strings.Contains(line, "stream is down") || strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic") {
				kept = append(kept, line)
			}
		}
		if len(kept) > 0 {
			f.t.Logf("%s:\n%s", filepath.Base(path), strings.Join(kept[max(0, len(kept)-8):], ""))
		}
	}
}

// settle waits until every gateway serves in every cluster, and the servers
// behind the tools, which start beside them, at the entry.
func (f *fleet) settle() {
	f.t.Helper()
	s, err := f.Wait(f.t.Context(), expected)
	if err != nil {
		f.t.Fatal(err)
	}
	f.status = s
	if err := load.Reach(f.t.Context(), f.tools(entry)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) models(cluster string) []string {
	return standalone.Gateway(f.status, cluster, "agentgateway-route-foundry")
}

func (f *fleet) tools(cluster string) []string {
	return standalone.Gateway(f.status, cluster, "agentgateway-mcp")
}

// load begins traffic at the entry.
func (f *fleet) load(rate int) *load.Traffic {
	f.t.Helper()
	t, err := load.Start(f.t.Context(), load.Options{Rate: rate, Models: f.models(entry), Tools: f.tools(entry), Home: home})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(t.Stop)
	return t
}

// write saves a file of the folder at once, as editors do.
func (f *fleet) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.Dir(), filepath.FromSlash(name))
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) remove(name string) {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.Dir(), filepath.FromSlash(name))); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) kill(chosen func(name string) bool) []string {
	f.t.Helper()
	names, err := f.Kill(chosen)
	if err != nil || len(names) == 0 {
		f.t.Fatalf("killed %v: %v", names, err)
	}
	return names
}

func (f *fleet) withhold(programs ...string) {
	f.t.Helper()
	for _, p := range programs {
		if err := f.Withhold(p); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fleet) giveBack(program string) {
	f.t.Helper()
	if err := f.Return(program); err != nil {
		f.t.Fatal(err)
	}
}

// eventually waits for what is to come within a time.
func eventually(t *testing.T, within time.Duration, what string, check func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > within {
			t.Fatalf("%s, not within %s: %v", what, within, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// stay lets traffic flow.
func stay(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
		t.Fatal("the test ends")
	case <-time.After(d):
	}
}

// none asserts that no request was lost, and gives what there was: only what met
// one of the losses may have been cut, or not been repeated.
func none(t *testing.T, results []load.Result, losses ...load.Loss) map[load.Fate]int {
	t.Helper()
	results = load.Held(results, losses...)
	fates := map[load.Fate]int{}
	for _, r := range results {
		fates[r.Fate]++
	}
	if fates[load.Lost] > 0 {
		t.Errorf("of %d requests %d were lost:%s", len(results), fates[load.Lost], load.Failed(results, 8))
	}
	return fates
}

// versioned is a route whose answer tells which version of its file is obeyed.
func versioned(version string) string {
	return fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: version, namespace: agentgateway-system}
spec:
  parentRefs: [{name: agentgateway-route-foundry}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /version}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {hostname: %s.example.com, statusCode: 302}
`, version)
}

var plain = &http.Client{
	Timeout:       5 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// get asks for the versioned route.
func get(ctx context.Context, host string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/version", nil)
	if err != nil {
		return nil, err
	}
	resp, err := plain.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, err
}

// knock tells whether something answers at all.
func knock(ctx context.Context, host string) error {
	_, err := get(ctx, host)
	return err
}

// obeys tells whether a proxy obeys a version of that route.
func obeys(ctx context.Context, host, version string) error {
	resp, err := get(ctx, host)
	if err != nil {
		return err
	}
	if at := resp.Header.Get("Location"); !strings.Contains(at, version+".example.com") {
		return fmt.Errorf("%s answers %s, to %q", host, resp.Status, at)
	}
	return nil
}

// Package llm_test drives the programs that carry model traffic with OpenAI's
// official Go kit: `nave up` runs a fleet of two regions, the tests declare
// backends in its folder while it runs, and simulators of model providers and of
// Entra's token endpoint stand behind them.
package llm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/test/standalone"
)

var programs = flag.String("programs", "", "the `folder` of nave's programs; built anew where none is named")

// The regions: clients enter at the first, the other one is behind the link.
const (
	here  = "east"
	there = "west"
)

// running is the fleet that all tests share.
var running *fleet

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "nave-llm-")
	if err != nil {
		return 1, err
	}
	f := &fleet{dir: dir, hosts: map[string]host{}, rounds: map[string]int{}}
	defer func() {
		if f.Fleet != nil {
			err = errors.Join(err, f.End())
		}
		if code == 0 && err == nil {
			err = os.RemoveAll(dir)
			return
		}
		fmt.Fprintln(os.Stderr, "the fleet's folder stays:", dir)
	}()
	entra, err := newEntra(filepath.Join(dir, "identity-token"))
	if err != nil {
		return 1, err
	}
	defer entra.server.Close()
	identity = entra
	if err := f.start(entra); err != nil {
		return 1, err
	}
	running = f
	code = m.Run()
	// Whatever the tests did, no secret of theirs was written down.
	return code, f.leaks()
}

// host is where a provider's name leads.
type host struct {
	Host      string `json:"host"`
	Port      int    `json:"port"`
	Address   string `json:"address"`
	CAFile    string `json:"caFile,omitempty"`
	Plaintext bool   `json:"plaintext,omitempty"`
}

// fleet is `nave up` on a folder of its own.
type fleet struct {
	*standalone.Fleet
	dir string
	// entry is the address of the proxy that clients enter at, far that of the
	// other region's.
	entry, far string

	mu      sync.Mutex
	hosts   map[string]host
	secrets []string
	// rounds counts how often a backend was declared: each time it gets a name of
	// its own, since proxies remember how the last one did.
	rounds map[string]int
}

const clusters = `
apiVersion: nave.dev/v1alpha1
kind: Cluster
metadata: {name: east}
spec: {region: eastus, provider: standalone}
---
apiVersion: nave.dev/v1alpha1
kind: Cluster
metadata: {name: west}
spec: {region: westus2, provider: standalone}
---
apiVersion: nave.dev/v1alpha1
kind: Tenant
metadata: {name: agents}
spec: {namespaces: [{namespaces: [llm]}]}
`

const gateway = `
apiVersion: v1
kind: Namespace
metadata: {name: llm}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: models, namespace: llm}
spec:
  gatewayClassName: agentgateway
  listeners: [{name: http, port: 8080, protocol: HTTP}]
`

func (f *fleet) start(e *entraDouble) error {
	bin, err := f.build()
	if err != nil {
		return err
	}
	f.hosts[e.host] = host{Host: e.host, Port: 443, Address: e.server.Listener.Addr().String(), CAFile: filepath.Join(f.dir, "ca.pem")}
	for path, text := range map[string]string{
		"ca.pem": string(certificates.PEM()), "hub/clusters.yaml": clusters,
		"clusters/east/gateway.yaml": gateway, "clusters/west/gateway.yaml": gateway,
	} {
		if err := f.write(path, []byte(text)); err != nil {
			return err
		}
	}
	if err := f.writeHosts(); err != nil {
		return err
	}
	if f.Fleet, err = standalone.Start(standalone.Options{Bin: bin, Dir: f.dir, Env: e.environment()}); err != nil {
		return err
	}
	status, err := f.Wait(context.Background(), standalone.Expected{Clusters: 2, Gateways: 1, Replicas: 1})
	if err != nil {
		return err
	}
	for cluster, proxy := range map[string]*string{here: &f.entry, there: &f.far} {
		*proxy = "http://" + standalone.Gateway(status, cluster, "models")[0]
		if !strings.HasSuffix(*proxy, ":8080") || ask(port(*proxy, admin)+"/config_dump") == "" {
			return fmt.Errorf("start the fleet: ports at %s are taken", *proxy)
		}
	}
	return nil
}

// build makes the programs, so that no test runs older ones.
func (f *fleet) build() (string, error) {
	if *programs != "" {
		return *programs, nil
	}
	bin := filepath.Join(f.dir, "bin")
	c := exec.Command("go", "build", "-o", bin+"/", "./hub/cmd/...", "./spoke/cmd/...", "./proxy/cmd/...")
	c.Dir = "../.."
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build nave's programs: %w\n%s", err, out)
	}
	return bin, nil
}

// write puts a file into the folder at once, never half of it.
func (f *fleet) write(path string, data []byte) error {
	path = filepath.Join(f.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func (f *fleet) writeHosts() error {
	var file struct {
		Hosts []host `json:"hosts"`
	}
	for _, h := range f.hosts {
		file.Hosts = append(file.Hosts, h)
	}
	data, err := json.Marshal(file) // JSON is YAML
	if err != nil {
		return err
	}
	return f.write("hub/hosts.yaml", data)
}

// port is another port of a proxy.
func port(proxy string, n int) string {
	return strings.TrimSuffix(proxy, ":8080") + fmt.Sprintf(":%d", n)
}

// The proxies' own ports.
const (
	admin   = 15000
	metrics = 15020
)

// ask reads a page of a proxy; "" where it does not answer.
func ask(url string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// keep remembers what must not be written down anywhere.
func (f *fleet) keep(secret string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets = append(f.secrets, secret)
	return secret
}

// name is what a backend was declared as last.
func (f *fleet) name(backend string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("%s-r%d", backend, f.rounds[backend])
}

// leaks looks for secrets in what every process of the fleet has written and
// what the proxies tell.
func (f *fleet) leaks() error {
	texts := map[string][]byte{}
	logs, err := filepath.Glob(filepath.Join(f.dir, ".nave", "logs", "*.log"))
	if err != nil || len(logs) == 0 {
		return fmt.Errorf("look for secrets: there are no logs: %w", err)
	}
	for _, path := range append(logs, f.Log()) {
		if texts[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return fmt.Errorf("look for secrets: %w", err)
		}
	}
	for _, proxy := range []string{f.entry, f.far} {
		for _, url := range []string{port(proxy, admin) + "/config_dump", port(proxy, admin) + "/debug/pprof/cmdline", port(proxy, metrics) + "/metrics"} {
			if texts[url] = []byte(ask(url)); len(texts[url]) == 0 {
				return fmt.Errorf("look for secrets: %s does not answer", url)
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []error
	for _, secret := range f.secrets {
		for where, text := range texts {
			if bytes.Contains(text, []byte(secret)) {
				found = append(found, fmt.Errorf("a secret that begins with %.12q is in %s", secret, where))
			}
		}
	}
	return errors.Join(found...)
}

// eventually waits for a condition, and tells whether it came to pass.
func eventually(within time.Duration, f func() bool) bool {
	end, tick := time.After(within), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-end:
			return f()
		case <-tick.C:
		}
	}
	return true
}

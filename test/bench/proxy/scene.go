package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/navehq/nave/test/standalone"
)

// subject is one way to the upstream.
type subject struct {
	name    string
	address string
	pids    []int  // of the processes whose time is counted; none for no proxy
	log     string // the file of its access log
	// metrics and admin are pages of a proxy's, "" for the others.
	metrics, admin string
}

// scene is everything that runs.
type scene struct {
	self     string
	dir      string
	upstream int // its process
	ends     []func()
	subjects []subject
}

func (s *scene) end() {
	for _, f := range s.ends {
		f()
	}
}

// setUp starts the upstream, nginx and the fleet.
func setUp(ctx context.Context, set settings, dir string) (*scene, error) {
	s := &scene{dir: dir}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	s.self = self
	ports, err := standalone.FreePorts(2)
	if err != nil {
		return s, err
	}
	upstream := "127.0.0.1:" + ports[0]
	c, err := s.start(ctx, upstream, self, "upstream", upstream)
	if err != nil {
		return s, err
	}
	s.upstream = c.Process.Pid
	s.subjects = append(s.subjects, subject{name: "no proxy", address: upstream})
	if !set.withoutNginx {
		if err := s.startNginx(ctx, set.workers, upstream, "127.0.0.1:"+ports[1]); err != nil {
			return s, err
		}
	}
	return s, s.startFleet(ctx, set, ports[0])
}

// start runs a program until the end, and waits until it listens.
func (s *scene) start(ctx context.Context, address, program string, args ...string) (*exec.Cmd, error) {
	c := exec.Command(program, args...)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	s.ends = append(s.ends, func() {
		_ = c.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = c.Wait()                          // how, does not matter
	})
	for end := time.Now().Add(10 * time.Second); ; {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return c, conn.Close()
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, fmt.Errorf("wait for %s: nothing listens at %s", filepath.Base(program), address)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// nginxFile is nginx at its best: an access log in its usual format whose lines
// wait for company, as the proxy's do, and kept connections to the upstream,
// which no limit of requests ends.
const nginxFile = `daemon off;
worker_processes %[4]d;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
  access_log %[1]s/access.log combined buffer=64k flush=1s;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  keepalive_requests 1000000;
  upstream models { server %[2]s; keepalive 64; keepalive_requests 1000000; }
  server {
    listen %[3]s;
    location / { proxy_pass http://models; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`

var errNoNginx = errors.New("nginx is not there: install it (apt-get install nginx-light), or say -without-nginx")

func (s *scene) startNginx(ctx context.Context, workers int, upstream, address string) error {
	path, err := exec.LookPath("nginx")
	if err != nil {
		return errNoNginx
	}
	file := filepath.Join(s.dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxFile, s.dir, upstream, address, workers), 0o600); err != nil {
		return err
	}
	c, err := s.start(ctx, address, path, "-c", file, "-p", s.dir)
	if err != nil {
		return err
	}
	pids, err := children(ctx, c.Process.Pid, workers)
	if err != nil {
		return fmt.Errorf("find nginx's workers: %w", err)
	}
	s.subjects = append(s.subjects, subject{name: "nginx", address: address, pids: pids, log: filepath.Join(s.dir, "access.log")})
	return nil
}

// children waits until a process has n of them.
func children(ctx context.Context, pid, n int) ([]int, error) {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return nil, err
		}
		var out []int
		for _, word := range strings.Fields(string(list)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return nil, err
			}
			out = append(out, child)
		}
		if len(out) == n {
			return out, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, fmt.Errorf("there are %d, not %d", len(out), n)
		}
	}
}

// hosts has the provider be the upstream; %s is its port.
const hosts = "hosts:\n- {host: api.openai.com, port: 443, address: 127.0.0.1:%s, plaintext: true}\n"

// manifests are one Gateway, one route and one model.
const manifests = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: bench, namespace: default}
spec:
  gatewayClassName: agentgateway
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: models, namespace: default}
spec:
  parentRefs: [{name: bench}]
  rules:
  - backendRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: model}]
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: model, namespace: default}
spec:
  ai:
    provider: {openai: {}}
  policies: {auth: {secretRef: {name: key}}}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: default}
stringData: {Authorization: key-of-the-provider}
`

// The ports at which a proxy shows its metrics, and lets itself be looked into.
const (
	metricsPort = "15020"
	adminPort   = "15000"
)

func (s *scene) startFleet(ctx context.Context, set settings, port string) error {
	dir := filepath.Join(s.dir, "f")
	for name, text := range map[string]string{"hub/hosts.yaml": fmt.Sprintf(hosts, port), "clusters/here/bench.yaml": manifests} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	f, err := standalone.Start(standalone.Options{Bin: set.bin, Dir: dir, Env: []string{"GOMAXPROCS=" + strconv.Itoa(set.workers)}})
	if err != nil {
		return err
	}
	s.ends = append(s.ends, func() { _ = f.End() }) // what was measured stands
	status, err := f.Wait(ctx, standalone.Expected{Clusters: 1, Gateways: 1, Replicas: 1})
	if err != nil {
		return fmt.Errorf("%w: %s", err, standalone.Tail(f.Log(), 5))
	}
	all, err := f.Processes()
	if err != nil {
		return err
	}
	address := standalone.Gateway(status, "here", "bench")[0]
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	for _, p := range all {
		if strings.HasPrefix(p.Name, "proxy-") {
			s.subjects = append(s.subjects, subject{
				name: "nave", address: address, pids: []int{p.Pid}, log: filepath.Join(dir, ".nave", "logs", p.Name+".log"),
				metrics: "http://" + net.JoinHostPort(host, metricsPort) + "/metrics",
				admin:   "http://" + net.JoinHostPort(host, adminPort),
			})
			return nil
		}
	}
	return errors.New("start the fleet: it has no proxy")
}

// load has a process of its own carry out an order.
func (s *scene) load(ctx context.Context, o order) (found, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return found{}, err
	}
	c := exec.CommandContext(ctx, s.self, "load", string(text))
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return found{}, fmt.Errorf("load %s: %w", o.Address, err)
	}
	var f found
	return f, json.Unmarshal(out, &f)
}

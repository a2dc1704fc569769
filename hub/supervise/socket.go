package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/navehq/nave/proxy"
	"github.com/navehq/nave/spoke/provision/process"
)

// maxWanted bounds a spoke's list of proxies, bytes.
const maxWanted = 4 << 20

func (s *Supervisor) socket() string { return s.state("run", "s.sock") }

// listen opens the socket at which spokes ask for their proxies.
func (s *Supervisor) listen() (net.Listener, error) {
	if err := os.Remove(s.socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open the supervisor's socket: %w", err)
	}
	l, err := net.Listen("unix", s.socket())
	if err != nil {
		return nil, fmt.Errorf("open the supervisor's socket: %w", err)
	}
	return l, os.Chmod(s.socket(), 0o600)
}

func (s *Supervisor) serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/clusters/{cluster}/proxies", func(w http.ResponseWriter, r *http.Request) {
		var wanted process.Wanted
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxWanted)).Decode(&wanted); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := s.run(r.PathValue("cluster"), wanted); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	<-ctx.Done()
	err := server.Close()
	<-done
	return err
}

// run has exactly these proxies run in a cluster.
func (s *Supervisor) run(cluster string, wanted process.Wanted) error {
	s.mu.Lock()
	r := s.regions[cluster]
	if r == nil || r.gone || s.stopping {
		s.mu.Unlock()
		return fmt.Errorf("run proxies of cluster %q: there is no such cluster", cluster)
	}
	names := map[string]bool{}
	var failed error
	var stale []*program
	for _, w := range wanted.Proxies {
		names[w.Name] = true
		// One that runs already finds its new options, and the ticket among them,
		// when it has to be started again.
		p, err := s.proxy(cluster, w)
		if err != nil {
			failed = err
			continue
		}
		if old := r.proxies[w.Name]; old != nil {
			if old.equip(w.Env, time.Duration(w.Drain)*time.Second) {
				stale = append(stale, old)
			}
			continue
		}
		p.equip(w.Env, time.Duration(w.Drain)*time.Second)
		r.proxies[w.Name] = p
		p.held = r.killed
		p.start()
	}
	var gone []*program
	for name, p := range r.proxies {
		if !names[name] {
			gone = append(gone, p)
			delete(r.proxies, name)
		}
	}
	s.mu.Unlock()
	go r.roll(stale)
	for _, p := range gone {
		p.stop()
		s.problems.set("process " + p.name)
		if err := s.addresses.forget(cluster, strings.TrimPrefix(p.name, "proxy-"+cluster+"-")); err != nil {
			s.opts.Log.Warn("forget a proxy", "proxy", p.name, "err", err)
		}
		if err := os.Remove(s.state("run", p.name+".json")); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.opts.Log.Warn("forget a proxy", "proxy", p.name, "err", err)
		}
	}
	return failed
}

// roll starts proxies again, one when the one before serves again, so that the
// others of a Gateway serve meanwhile.
func (r *region) roll(list []*program) {
	r.rolling.Lock()
	defer r.rolling.Unlock()
	for _, p := range list {
		runs := p.runs.Load()
		p.restart()
		until := time.Now().Add(p.patience() + steady)
		for !p.over() && !p.onHold() && time.Now().Before(until) {
			if p.runs.Load() > runs && p.ready != nil && p.ready() {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// answersReady tells whether a proxy at an address is ready.
func answersReady(ip string) bool {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get("http://" + at(ip, proxy.HealthPort) + "/healthz/ready")
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // it is not read
	return resp.StatusCode == http.StatusOK
}

func (s *Supervisor) proxy(cluster string, w process.Proxy) (*program, error) {
	var opts proxy.Options
	if err := json.Unmarshal(w.Options, &opts); err != nil {
		return nil, fmt.Errorf("run proxy %q: %w", w.Name, err)
	}
	ip, err := s.addresses.of(cluster, w.Name)
	if err != nil {
		return nil, err
	}
	opts.Address, opts.State = ip, s.state("clusters", cluster, "proxies", w.Name)
	if err := os.MkdirAll(opts.State, 0o700); err != nil {
		return nil, err
	}
	path, err := s.options("proxy-"+cluster+"-"+w.Name, opts)
	if err != nil {
		return nil, err
	}
	p := s.program("proxy-"+cluster+"-"+w.Name, "nave-proxy", path)
	p.ready = func() bool { return answersReady(ip) }
	return p, nil
}

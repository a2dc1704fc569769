package spoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/spoke/provision/process"
	"github.com/navehq/nave/spoke/translate"
)

const (
	// again is when the supervisor is asked anew if it did not answer.
	again = time.Second
	// ticketLife is how long a proxy may take to come and enrol.
	ticketLife = 10 * time.Minute
	// gather is how long a spoke that comes back waits for its proxies before it
	// tells the hub which there are.
	gather = 10 * time.Second
)

// Run serves until ctx ends, and returns when all it started has ended.
func (s *Spoke) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.identity.Run(ctx) })
	g.Go(func() error { return s.connect(ctx) })
	g.Go(func() error { return s.source.Watch(ctx, s.desk.scanned) })
	g.Go(func() error { return s.server.Serve(s.listeners.config) })
	g.Go(func() error { return s.provision(ctx) })
	g.Go(func() error { return s.report(ctx) })
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(s.deps.Registry, promhttp.HandlerOpts{}))
	s.serve(ctx, g, s.listeners.metrics, mux)
	s.serve(ctx, g, s.listeners.health, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	g.Go(func() error {
		<-ctx.Done()
		s.prober.Stop()
		s.publisher.Close()
		s.server.Stop()
		return nil
	})
	s.deps.Log.Info("spoke serves", "cluster", s.opts.Cluster, "config", s.listeners.config.Addr().String())
	err := g.Wait()
	if errors.Is(err, context.Canceled) || errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// connect joins the hub once the cluster knows itself: what it declares is
// read, and the proxies that ran before a restart have come back, or had time
// to. Until then the hub goes on from what it was last told.
func (s *Spoke) connect(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.scanned:
	}
	deadline := time.After(gather)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.resumed && !s.gathered() {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			continue
		case <-deadline:
		}
		break
	}
	s.tell()
	return s.uplink.Run(ctx)
}

// gathered tells whether every proxy that is wanted has reported.
func (s *Spoke) gathered() bool {
	t := *s.desk.current.Load()
	n := 0
	for _, name := range t.Tables() {
		_, info, _ := t.Table(name)
		n += max(info.Replicas, 1)
	}
	return len(s.publisher.Proxies()) >= n
}

func (s *Spoke) serve(ctx context.Context, g *errgroup.Group, l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 32 << 10}
	g.Go(func() error { return server.Serve(l) })
	g.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
}

// provision keeps the supervisor told of the proxies that are wanted.
func (s *Spoke) provision(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wanted:
		}
		wanted, names, err := s.want()
		if err == nil {
			err = s.supervisor.Run(ctx, s.opts.Cluster, wanted)
		}
		if err != nil {
			s.deps.Log.Warn("provision proxies", "err", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(again):
				s.wanted.signal()
			}
			continue
		}
		s.publisher.Forget(names)
	}
}

// want lists the proxies of every table.
func (s *Spoke) want() (process.Wanted, map[string]bool, error) {
	t := *s.desk.current.Load()
	w, names := process.Wanted{Proxies: []process.Proxy{}}, map[string]bool{}
	for _, name := range t.Tables() {
		_, info, _ := t.Table(name)
		for i := range max(info.Replicas, 1) {
			p, err := s.proxy(name, info, i)
			if err != nil {
				return w, nil, err
			}
			w.Proxies = append(w.Proxies, p)
			names[p.Name] = true
		}
	}
	return w, names, nil
}

func (s *Spoke) proxy(name string, info translate.TableInfo, i int) (process.Proxy, error) {
	id := fmt.Sprintf("%s-%d", strings.ReplaceAll(name, "/", "-"), i)
	namespace, gateway, _ := strings.Cut(name, "/")
	ticket, err := s.tickets.Issue(pki.Name{
		Role: pki.Proxy, Fleet: s.identity.Name().Fleet, Cluster: s.opts.Cluster, Tenant: info.Tenant,
		Namespace: namespace, Gateway: gateway, Proxy: id,
	}, ticketLife)
	if err != nil {
		return process.Proxy{}, fmt.Errorf("make a ticket for proxy %q: %w", id, err)
	}
	of := ""
	if info.Gateway.Name != "" {
		of = name
	}
	options, err := json.Marshal(map[string]any{
		"fleet": s.identity.Name().Fleet, "cluster": s.opts.Cluster, "tenant": info.Tenant, "gateway": of, "id": id,
		"spoke": s.listeners.config.Addr().String(), "ticket": ticket, "heartbeat": s.opts.Heartbeat, "standalone": true, "anyPort": s.opts.AnyPort,
	})
	return process.Proxy{Name: id, Options: options}, err
}

// report tells the translator and the hub what the proxies report.
func (s *Spoke) report(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.reported:
		}
		t := *s.desk.current.Load()
		facts := map[string]translate.Facts{}
		for _, name := range t.Tables() {
			facts[name] = translate.Facts{}
		}
		for _, p := range s.publisher.Proxies() {
			f, ok := facts[p.Table]
			if !ok {
				continue
			}
			if p.Facts.Ready {
				f.Proxies++
			}
			if p.Facts.Ready && p.Facts.Revision == t.Revision(p.Table) {
				f.Programmed++
			}
			f.Addresses = append(f.Addresses, hosts(p.Facts.Listeners)...)
			if p.Facts.Error != "" {
				f.Error = p.Facts.Error
			}
			facts[p.Table] = f
		}
		s.desk.observed(facts)
		s.tell()
	}
}

func hosts(listeners map[string][]string) []string {
	for _, urls := range listeners {
		for _, u := range urls {
			if parsed, err := url.Parse(u); err == nil {
				return []string{parsed.Hostname()}
			}
		}
	}
	return nil
}

// tell tells the hub about the cluster.
func (s *Spoke) tell() {
	f := &assignment.Facts{
		Cluster: s.opts.Cluster, Version: version.Version, PublicKey: s.keys.PublicKey(),
		Intermediate: s.identity.Intermediate().Raw, Certificate: s.identity.Intermediate().NotAfter,
	}
	for _, p := range s.publisher.Proxies() {
		f.Proxies = append(f.Proxies, p.Facts)
	}
	s.uplink.Tell(f)
}

// answer answers the hub's questions.
func (s *Spoke) answer(ctx context.Context, path string, body []byte) ([]byte, error) {
	if asksProber(path) {
		return s.probe(path, body)
	}
	if path != "explain" {
		return nil, &wire.Refusal{Status: http.StatusNotFound, Message: fmt.Sprintf("a spoke does not answer %q", path)}
	}
	var ask struct {
		Backend string `json:"backend"`
	}
	if err := json.Unmarshal(body, &ask); err != nil {
		return nil, &wire.Refusal{Status: http.StatusBadRequest, Message: fmt.Sprintf("read the question: %v", err)}
	}
	for tableName, backend := range s.desk.backends(ask.Backend) {
		question, err := json.Marshal(map[string]string{"backend": backend})
		if err != nil {
			return nil, err
		}
		if out, err := s.publisher.Ask(ctx, tableName, "explain", question); err == nil {
			return out, nil
		}
	}
	return nil, &wire.Refusal{Status: http.StatusNotFound, Message: fmt.Sprintf("no proxy of cluster %q has a backend %q", s.opts.Cluster, ask.Backend)}
}

package spoke

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/spoke/translate"
)

const (
	// gather is how long a spoke that comes back waits for its proxies before it
	// tells the hub which there are.
	gather = 10 * time.Second
)

// Run serves until ctx ends, and returns when all it started has ended.
func (s *Spoke) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.identity.Run(ctx) })
	g.Go(func() error { return s.source.Watch(ctx, s.desk.scanned) })
	g.Go(func() error { return s.desk.renew(ctx) })
	for _, f := range []func(context.Context) error{s.connect, s.serveProxies, s.provision, s.report} {
		g.Go(func() error {
			select {
			case <-ctx.Done():
				return nil
			case <-s.scanned:
				return f(ctx)
			}
		})
	}
	if s.gossip != nil {
		g.Go(func() error { return s.gossip.Run(ctx) })
	}
	g.Go(func() error {
		<-ctx.Done()
		s.prober.Stop()
		s.publisher.Close()
		s.server.Stop()
		return nil
	})
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(s.deps.Registry, promhttp.HandlerOpts{}))
	s.serve(ctx, g, s.ports.metrics, mux)
	s.serve(ctx, g, s.ports.health, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	if s.ports.api != nil {
		s.serve(ctx, g, s.ports.api, s.answers.Handler())
	}
	s.deps.Log.Info("spoke serves", "cluster", s.opts.Cluster, "config", s.ports.config.Addr().String())
	err := g.Wait()
	s.ports.close()
	if errors.Is(err, context.Canceled) || errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// serveProxies serves the tables until ctx ends.
func (s *Spoke) serveProxies(ctx context.Context) error {
	err := s.server.Serve(s.ports.config)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// connect joins the hub once the cluster knows itself: what it declares is
// read, and the proxies that ran before a restart have come back, or had time
// to. Until then the hub goes on from what it was last told.
func (s *Spoke) connect(ctx context.Context) error {
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

// report tells the translator and the hub what the proxies report.
func (s *Spoke) report(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.reported:
		}
		t := *s.desk.current.Load()
		facts, tables := map[string]translate.Facts{}, map[string]table.Table{}
		for _, name := range t.Tables() {
			facts[name] = translate.Facts{}
			tables[name], _, _ = t.Table(name)
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
			f.Elsewhere = elsewhere(f.Elsewhere, tables[p.Table], p.Facts.Listeners)
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

// elsewhere adds the listeners that are not at the port that the table gives.
func elsewhere(known map[string]string, t table.Table, listeners map[string][]string) map[string]string {
	for l := range table.Each[*table.Listener](t) {
		for _, u := range listeners[l.Section] {
			parsed, err := url.Parse(u)
			if err != nil || parsed.Port() == strconv.Itoa(int(l.Port)) {
				continue
			}
			if known == nil {
				known = map[string]string{}
			}
			known[l.Section] = u
		}
	}
	return known
}

// tell tells the hub about the cluster.
func (s *Spoke) tell() { s.uplink.Tell(s.facts()) }

// facts are what the cluster says about itself.
func (s *Spoke) facts() *assignment.Facts {
	f := &assignment.Facts{
		Cluster: s.opts.Cluster, Version: version.Version, PublicKey: s.keys.PublicKey(),
		Intermediate: s.identity.Intermediate().Raw, Certificate: s.identity.Intermediate().NotAfter,
	}
	if s.ports.gossip != nil {
		f.Gossip = s.reached(s.ports.gossip)
	}
	for _, p := range s.publisher.Proxies() {
		f.Proxies = append(f.Proxies, p.Facts)
	}
	return f
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// drain is how long what was begun may take at the end.
const drain = 10 * time.Second

// Run serves until ctx ends; then it takes nothing new, finishes what it has
// begun, and returns when all it started has ended.
func (p *Proxy) Run(ctx context.Context) error {
	ctx, p.quit = context.WithCancelCause(ctx)
	defer p.quit(nil)
	g, inner := errgroup.WithContext(ctx)
	// What carries requests outlives ctx by the drain.
	traffic, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g.Go(func() error { return p.identity.Run(inner) })
	g.Go(func() error { return p.subscription.Run(inner, p.identity.Dialer()) })
	g.Go(func() error { return p.tell(inner) })
	g.Go(func() error { return p.linkServer.Serve(traffic, p.ports["link"]) })
	p.serve(inner, g, p.ports["admin"], p.admin())
	p.serve(inner, g, p.ports["metrics"], metricsHandler(promhttp.HandlerFor(p.deps.Registry, promhttp.HandlerOpts{})))
	p.serve(inner, g, p.ports["health"], http.HandlerFunc(p.health))
	g.Go(func() error {
		<-inner.Done()
		p.draining.Store(true)
		err := p.end(context.WithoutCancel(ctx))
		stop()
		p.close()
		return err
	})
	p.deps.Log.Info("proxy serves", "id", p.opts.ID, "gateway", p.opts.Gateway, "link", p.linkAddress())
	err := g.Wait()
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) close() {
	p.tools.Close()
	p.forwarder.Close()
	p.link.Close()
	_ = p.http1.Close() // what is left has been drained
	_ = p.http2.Close()
	p.observer.Close()
}

func metricsHandler(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", h)
	mux.Handle("/stats/prometheus", h)
	return mux
}

// serve answers HTTP on one of the proxy's own ports until ctx ends.
func (p *Proxy) serve(ctx context.Context, g *errgroup.Group, l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10}
	g.Go(func() error { return server.Serve(l) })
	g.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(last) != nil {
			return server.Close()
		}
		return nil
	})
}

// health is ready once there is a table, and until the drain; else it says what
// it waits for.
func (p *Proxy) health(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/healthz/ready" {
		http.NotFound(w, r)
		return
	}
	if pending := p.pending(); pending != "" {
		http.Error(w, "not ready, pending: "+pending, http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "ready")
}

// pending is what has to come before clients may.
func (p *Proxy) pending() string {
	switch {
	case p.draining.Load():
		return "end of the drain"
	case !p.ready.Load():
		return "table"
	}
	return ""
}

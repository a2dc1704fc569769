package hub

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// drain is how long answers may still take at the end.
const drain = 2 * time.Second

// Run serves until ctx ends, and returns when all it started has ended.
func (h *Hub) Run(ctx context.Context) error {
	if err := h.platform.Start(h.orders, h.opts.State); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.platform.Run(ctx) })
	g.Go(func() error { return h.streams.Serve(h.listeners.streams) })
	g.Go(func() error { return h.open(ctx) })
	h.serve(ctx, g, h.listeners.api, h.api(ctx))
	h.serve(ctx, g, h.listeners.metrics, promhttp.HandlerFor(h.deps.Registry, promhttp.HandlerOpts{}))
	h.serve(ctx, g, h.listeners.health, http.HandlerFunc(h.health))
	g.Go(func() error {
		<-ctx.Done()
		h.drills.Wait()
		h.board.Close()
		h.streams.Stop()
		h.store.Close()
		return nil
	})
	h.deps.Log.Info("hub serves", "streams", h.Streams().String(), "console", h.API().String())
	err := g.Wait()
	if errors.Is(err, context.Canceled) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// open begins to publish in time, even where a spoke is never heard.
func (h *Hub) open(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			h.board.Open()
		}
	}
}

func (h *Hub) health(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

// serve answers HTTP on one port until ctx ends.
func (h *Hub) serve(ctx context.Context, g *errgroup.Group, l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10}
	g.Go(func() error { return server.Serve(l) })
	g.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := server.Shutdown(last); err != nil {
			return server.Close()
		}
		return nil
	})
}

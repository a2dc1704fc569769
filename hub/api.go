package hub

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/audit"
	"github.com/navehq/nave/hub/board"
	"github.com/navehq/nave/hub/console"
	"github.com/navehq/nave/hub/rehearse"
)

// maxBody bounds the bytes of a body that the API takes.
const maxBody = 64 << 10

// errRequest is the cause where a request says nothing that can be done.
var errRequest = errors.New("cannot be read as a request")

// openToken keeps the secret of the CLI, made at the first start.
func (h *Hub) openToken() error {
	if h.opts.Token == "" {
		h.opts.Token = filepath.Join(h.opts.State, "token")
	}
	data, err := os.ReadFile(h.opts.Token)
	if err == nil && len(strings.TrimSpace(string(data))) >= 32 {
		h.token = strings.TrimSpace(string(data))
		return nil
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return fmt.Errorf("make the CLI's token: %w", err)
	}
	h.token = hex.EncodeToString(secret)
	if err := atomicfile.Replace(h.opts.Token, []byte(h.token+"\n")); err != nil {
		return fmt.Errorf("keep the CLI's token: %w", err)
	}
	return nil
}

// api answers the console's and the CLI's requests. Reading is free to this
// machine; whatever changes something needs the token.
func (h *Hub) api(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", console.Page())
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.status(), nil) })
	mux.HandleFunc("GET /api/v1/latency", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.latency(), nil) })
	mux.HandleFunc("GET /api/v1/explain", func(w http.ResponseWriter, r *http.Request) {
		out, err := h.explain(r.Context(), r.URL.Query().Get("backend"), r.URL.Query().Get("from"))
		answer(w, out, err)
	})
	mux.HandleFunc("GET /api/v1/drills", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.drills.Reports(), nil) })
	mux.HandleFunc("GET /api/v1/drills/{name}/report", func(w http.ResponseWriter, r *http.Request) {
		s, err := h.drills.Report(r.PathValue("name"))
		answer(w, s, err)
	})
	mux.HandleFunc("GET /api/v1/drills/{name}/preview", func(w http.ResponseWriter, r *http.Request) {
		s, err := h.drills.Preview(r.PathValue("name"))
		answer(w, s, err)
	})
	mux.HandleFunc("POST /api/v1/drills/{name}/start", h.guarded(func(r *http.Request, d *audit.Entry) (any, error) {
		if err := readDrill(r, d, "drill start"); err != nil {
			return nil, err
		}
		return h.drills.Start(ctx, d.On)
	}))
	mux.HandleFunc("POST /api/v1/drills/{name}/abort", h.guarded(func(r *http.Request, d *audit.Entry) (any, error) {
		if err := readDrill(r, d, "drill abort"); err != nil {
			return nil, err
		}
		if err := h.drills.Abort(d.On, "a person said so"); err != nil {
			return nil, err
		}
		return h.drills.Report(d.On)
	}))
	mux.HandleFunc("POST /api/v1/orders", h.guarded(h.takeOrder))
	mux.HandleFunc("POST /api/v1/tokens", h.guarded(h.makeToken))
	mux.HandleFunc("POST /api/v1/clusters/{name}/revoke", h.guarded(h.revoke))
	return sameSite(mux)
}

// guarded lets through who shows the token, and writes down what f says was
// ordered.
func (h *Hub) guarded(f func(*http.Request, *audit.Entry) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		shown := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(shown), []byte(h.token)) != 1 {
			http.Error(w, "this changes something: show the fleet's token, which stands in .nave/token", http.StatusUnauthorized)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		d := audit.Entry{What: r.Method + " " + r.URL.Path}
		v, err := f(r, &d)
		h.record(d, err)
		answer(w, v, err)
	}
}

// sameSite refuses what a page of another site, or a name that was made to
// resolve to this machine, leads a browser to send.
func sameSite(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); ip == nil && host != "localhost" {
			http.Error(w, "ask by address, not by name", http.StatusForbidden)
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
			http.Error(w, "another site may not ask", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		code := http.StatusConflict
		switch {
		case errors.Is(err, rehearse.ErrUnknown), errors.Is(err, errNoSpoke), errors.Is(err, errNoCluster), errors.Is(err, errNoBackend):
			code = http.StatusNotFound
		case errors.Is(err, errRequest):
			code = http.StatusBadRequest
		}
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the asker is gone
	}
}

// readDrill reads who orders something of a drill; nobody has to say so.
func readDrill(r *http.Request, d *audit.Entry, what string) error {
	d.What, d.On = what, r.PathValue("name")
	var by struct {
		Who string `json:"who"`
	}
	if err := json.NewDecoder(r.Body).Decode(&by); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read who orders it: %w: %w", errRequest, err)
	}
	d.Who = by.Who
	return nil
}

// revoke ends a cluster's identities.
func (h *Hub) revoke(r *http.Request, d *audit.Entry) (any, error) {
	d.What, d.On = "cluster revoke", r.PathValue("name")
	var by struct {
		Who string `json:"who"`
	}
	if err := json.NewDecoder(r.Body).Decode(&by); err != nil {
		return nil, fmt.Errorf("read who revokes: %w: %w", errRequest, err)
	}
	d.Who = by.Who
	ids, err := h.authority.Revoke(d.On, by.Who)
	if err != nil {
		return nil, err
	}
	return map[string]any{"cluster": d.On, "revoked": ids}, nil
}

func (h *Hub) makeToken(r *http.Request, d *audit.Entry) (any, error) {
	d.What = "token create"
	var ask struct {
		Cluster string `json:"cluster"`
		Who     string `json:"who"`
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		return nil, fmt.Errorf("read the request: %w: %w", errRequest, err)
	}
	d.Who, d.On = ask.Who, ask.Cluster
	token, err := h.authority.CreateToken(ask.Cluster, time.Hour)
	return map[string]string{"token": token}, err
}

func (h *Hub) latency() []report.Path {
	out := []report.Path{}
	now := h.deps.Now()
	for _, m := range h.board.Members() {
		for _, s := range m.Samples {
			out = append(out, report.PathOf(s, now))
		}
	}
	return out
}

// status is what is known of the fleet.
func (h *Hub) status() report.Status {
	s := report.Status{Clusters: []report.Cluster{}, Gateways: []report.Gateway{}, Routes: []report.Object{}, Backends: []report.Object{}, Problems: append([]objects.Problem{}, h.platform.Problems()...)}
	if troubles := h.troubles.Load(); troubles != nil {
		s.Problems = append(s.Problems, *troubles...)
	}
	for _, m := range h.board.Members() {
		s.Clusters = append(s.Clusters, h.cluster(m))
		var proxies []assignment.ProxyFacts
		if m.Facts != nil {
			proxies = m.Facts.Proxies
		}
		s.Gateways = append(s.Gateways, report.Gateways(m.Cluster.Name, proxies, m.Statuses)...)
		s.Problems = append(s.Problems, m.Problems...)
		routes, backends := report.Objects(m.Cluster.Name, m.Statuses)
		s.Routes, s.Backends = append(s.Routes, routes...), append(s.Backends, backends...)
	}
	h.dates.fill(s.Gateways, h.deps.Now())
	for _, o := range h.platform.Orders() {
		x := shownOrder(o)
		for _, c := range s.Clusters {
			if o.Spec.Kind == v1alpha1.OperationDrain && c.Name == x.Cluster && c.Drain != nil {
				x.Conditions = report.Completion(*c.Drain)
			}
		}
		s.Orders = append(s.Orders, x)
	}
	s.History = h.history()
	return s
}

func (h *Hub) cluster(m board.Member) report.Cluster {
	c := report.Cluster{Name: m.Cluster.Name, Region: m.Cluster.Region, Zone: m.Cluster.Zone, Provider: m.Cluster.Provider,
		Lease: string(m.Lease), State: string(m.Cluster.State), Heard: m.Heard, Hold: m.Hold}
	if !m.Behind.IsZero() {
		c.Lag = h.deps.Now().Sub(m.Behind).Seconds()
	}
	if m.Facts == nil {
		c.Drain = report.Draining(c.State, nil, false)
		return c
	}
	c.Drain = report.Draining(c.State, m.Facts.Proxies, m.Lease == assignment.Connected)
	c.Version, c.Certificate = m.Facts.Version, m.Facts.Certificate
	c.Proxies = report.Proxies(m.Facts.Proxies, m.Lease != assignment.Lost)
	return c
}

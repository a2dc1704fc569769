package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"runtime"
	runtimepprof "runtime/pprof"
	"strings"

	"github.com/navehq/nave/api/table"
)

// page is one path of the admin port.
type page struct {
	// pattern is as http.ServeMux has it, the method before the path.
	pattern string
	says    string
	serve   http.HandlerFunc
}

// pages are what the admin port answers: what the proxy obeys, why it would
// choose what, how loud it is, what it needs, and its end.
func (p *Proxy) pages() []page {
	return []page{
		{"GET /config_dump", "the table that is obeyed", p.dump},
		{"GET /explain", "?backend=NAMESPACE/NAME: its candidates in order, and why", p.explain},
		{"GET /logging", "the level of the log", p.logging},
		{"POST /logging", "?level=debug|info|warn|error: set it", p.logging},
		{"GET /memory", "what memory is used for, in bytes", memory},
		{"GET /debug/tasks", "what every goroutine is doing", tasks},
		{"/debug/pprof/", "profiles: profile, heap, allocs, goroutine, ...", pprof.Index},
		{"/debug/pprof/cmdline", "", pprof.Cmdline},
		{"/debug/pprof/profile", "", pprof.Profile},
		{"/debug/pprof/symbol", "", pprof.Symbol},
		{"/debug/pprof/trace", "", pprof.Trace},
		{"POST /quitquitquit", "drain and end", p.quitquitquit},
	}
}

// admin answers on the port that only this host reaches.
func (p *Proxy) admin() http.Handler {
	mux := http.NewServeMux()
	var index strings.Builder
	for _, g := range p.pages() {
		mux.HandleFunc(g.pattern, g.serve)
		if g.says != "" {
			fmt.Fprintf(&index, "%-20s %s\n", g.pattern, g.says)
		}
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, index.String())
	})
	return localOnly(mux)
}

func (p *Proxy) dump(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "# revision %s\n", p.subscription.Revision())
	if err := table.Print(w, p.subscription.Table()); err != nil {
		return // the asker is gone
	}
}

func (p *Proxy) explain(w http.ResponseWriter, r *http.Request) {
	text, err := p.forwarder.Explain(r.URL.Query().Get("backend"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	fmt.Fprint(w, text)
}

// logging shows, and by POST sets, the level of the log.
func (p *Proxy) logging(w http.ResponseWriter, r *http.Request) {
	if level := r.URL.Query().Get("level"); level != "" {
		if r.Method != http.MethodPost {
			http.Error(w, "set the level by POST", http.StatusMethodNotAllowed)
			return
		}
		if err := p.deps.Level.UnmarshalText([]byte(level)); err != nil {
			http.Error(w, fmt.Sprintf("level %q is none of debug, info, warn, error", level), http.StatusBadRequest)
			return
		}
	}
	fmt.Fprintln(w, p.deps.Level.Level())
}

// memory shows what the process has of memory and what for.
func memory(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]uint64{ // an error means that the asker is gone
		"heapAlloc": m.HeapAlloc, "heapInUse": m.HeapInuse, "heapIdle": m.HeapIdle, "heapReleased": m.HeapReleased,
		"stacks": m.StackInuse, "collector": m.GCSys, "fromSystem": m.Sys, "nextCollection": m.NextGC,
	})
}

func tasks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_ = runtimepprof.Lookup("goroutine").WriteTo(w, 2) // an error means that the asker is gone
}

var errQuit = errors.New("asked to end by /quitquitquit")

// quitquitquit ends the proxy as a signal would: it drains first.
func (p *Proxy) quitquitquit(w http.ResponseWriter, _ *http.Request) {
	p.deps.Log.Info("end", "cause", errQuit)
	fmt.Fprintln(w, "draining")
	p.quit(errQuit)
}

// localOnly refuses whoever is not on this host, and what a browser was led to
// send here: by a page of another site, or by a name that was made to resolve to
// this host.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !fromHere(r):
			http.Error(w, "only for this host", http.StatusForbidden)
		case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") == "cross-site" || !ownName(r.Host):
			http.Error(w, "not for browsers", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// fromHere tells whether a request came over the loopback, or from the very
// address that it was sent to.
func fromHere(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	if from.Addr().Unmap().IsLoopback() {
		return true
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return local != nil && local.AddrPort().Addr().Unmap() == from.Addr().Unmap()
}

// ownName tells whether a Host names an address, or this host: any other name
// is somebody's who has it resolve to here.
func ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

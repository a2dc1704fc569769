package proxy

import (
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/navehq/nave/api/table"
)

// admin answers on the port that only this host reaches: what the proxy obeys,
// why it would choose what, how loud it is, and its profiles.
func (p *Proxy) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /config_dump", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "# revision %s\n", p.subscription.Revision())
		if err := table.Print(w, p.subscription.Table()); err != nil {
			return // the asker is gone
		}
	})
	mux.HandleFunc("GET /explain", func(w http.ResponseWriter, r *http.Request) {
		text, err := p.forwarder.Explain(r.URL.Query().Get("backend"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		fmt.Fprint(w, text)
	})
	mux.HandleFunc("/logging", p.logging)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return localOnly(mux)
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

// localOnly refuses what a browser was led to send here: a page of another
// site, or a name that was made to resolve to this host.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			http.Error(w, "not for browsers", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

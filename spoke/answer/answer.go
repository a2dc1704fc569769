// Package answer tells people what one spoke knows: the JSON API of `--via`,
// which works with the hub gone, and the same answers to the hub's questions.
// It only shows; it orders nothing and knows no more than its cluster does.
package answer

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/table"
)

// The causes for which there is no answer.
var (
	// ErrUnknown: nobody here answers that.
	ErrUnknown = errors.New("a spoke does not answer this")
	// ErrNobody: no proxy of the cluster can tell.
	ErrNobody = errors.New("no proxy here has such a backend; `nave status -o json` lists those that there are")
	// errQuestion: what was asked cannot be read.
	errQuestion = errors.New("cannot read the question")
)

// minToken is the least that counts as a secret, bytes.
const minToken = 32

// Fleet is what a spoke knows of the fleet.
type Fleet interface {
	Status() report.Status
	Latency() []report.Path
	// Explain asks a proxy of each table that has the backend; an error that is
	// ErrNobody where none has.
	Explain(ctx context.Context, backend string) ([]report.Explanation, error)
}

// Options of Answers. Fleet and Log are required.
type Options struct {
	Fleet Fleet
	// TokenFile holds the secret that callers show. Without it nobody is answered
	// over HTTP.
	TokenFile string
	Log       *slog.Logger
}

// Answers answers people and the hub. It is safe for concurrent use.
type Answers struct{ opts Options }

// New answers for a spoke.
func New(opts Options) *Answers { return &Answers{opts} }

// Ask answers the hub: "status", "latency", or "explain" with the JSON
// {"backend": …}, to which it gives the first report.Explanation.
func (a *Answers) Ask(ctx context.Context, path string, body []byte) ([]byte, error) {
	switch path {
	case "status":
		return json.Marshal(a.opts.Fleet.Status())
	case "latency":
		return json.Marshal(a.opts.Fleet.Latency())
	case "explain":
		var ask struct {
			Backend string `json:"backend"`
		}
		if err := json.Unmarshal(body, &ask); err != nil {
			return nil, fmt.Errorf("%w: %w", errQuestion, err)
		}
		list, err := a.explain(ctx, ask.Backend)
		if err != nil {
			return nil, err
		}
		return json.Marshal(list[0])
	}
	return nil, fmt.Errorf("answer %q: %w", path, ErrUnknown)
}

func (a *Answers) explain(ctx context.Context, backend string) ([]report.Explanation, error) {
	list, err := a.opts.Fleet.Explain(ctx, backend)
	if err == nil && len(list) == 0 {
		err = ErrNobody
	}
	if err != nil {
		return nil, fmt.Errorf("explain backend %q: %w", backend, err)
	}
	return list, nil
}

// Code is the HTTP status of an error.
func Code(err error) int {
	switch {
	case errors.Is(err, errQuestion), errors.Is(err, table.ErrManyBackends):
		return http.StatusBadRequest
	case errors.Is(err, ErrUnknown), errors.Is(err, ErrNobody):
		return http.StatusNotFound
	}
	return http.StatusServiceUnavailable
}

// Handler serves the API, of the same paths and shapes as the hub's.
func (a *Answers) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) { a.write(w, a.opts.Fleet.Status(), nil) })
	mux.HandleFunc("GET /api/v1/latency", func(w http.ResponseWriter, _ *http.Request) { a.write(w, a.opts.Fleet.Latency(), nil) })
	mux.HandleFunc("GET /api/v1/explain", func(w http.ResponseWriter, r *http.Request) {
		list, err := a.explain(r.Context(), r.URL.Query().Get("backend"))
		a.write(w, list, err)
	})
	return a.guard(mux)
}

func (a *Answers) write(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), Code(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		a.opts.Log.Debug("answer", "err", err)
	}
}

// guard lets through who shows the token. A browser has none to show, whichever
// page sends it here; one that was led here by a name is told so.
func (a *Answers) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if net.ParseIP(strings.Trim(host, "[]")) == nil && host != "localhost" {
			http.Error(w, "ask by address, not by name", http.StatusForbidden)
			return
		}
		shown := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		want, err := a.token()
		if err != nil {
			a.opts.Log.Warn("answer over the API", "err", err)
		}
		if want == "" || subtle.ConstantTimeCompare([]byte(shown), []byte(want)) != 1 {
			http.Error(w, "show the fleet's token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// token reads the secret, which the hub makes, perhaps after this spoke began.
func (a *Answers) token() (string, error) {
	if a.opts.TokenFile == "" {
		return "", nil
	}
	data, err := os.ReadFile(a.opts.TokenFile)
	if err != nil {
		return "", fmt.Errorf("read the fleet's token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if len(token) < minToken {
		return "", fmt.Errorf("read the fleet's token: it has %d bytes, at least %d count", len(token), minToken)
	}
	return token, nil
}

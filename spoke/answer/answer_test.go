package answer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/spoke/answer"
)

const secret = "0123456789abcdef0123456789abcdef"

type known struct {
	list []report.Explanation
	err  error
}

func (known) Status() report.Status {
	return report.Status{Clusters: []report.Cluster{{Name: "west"}}}
}
func (known) Latency() []report.Path { return []report.Path{} }
func (k known) Explain(_ context.Context, backend string) ([]report.Explanation, error) {
	return k.list, k.err
}

func token(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOnlyWhoShowsTheTokenIsAnswered(t *testing.T) {
	later := filepath.Join(t.TempDir(), "token")
	for _, c := range []struct {
		why, file, host, shown string
		code                   int
	}{
		{"the token", token(t, secret+"\n"), "127.0.0.1:8080", "Bearer " + secret, 200},
		{"localhost", token(t, secret), "localhost", "Bearer " + secret, 200},
		{"version 6", token(t, secret), "[::1]:8080", "Bearer " + secret, 200},
		{"none is shown", token(t, secret), "127.0.0.1:8080", "", 401},
		{"another one", token(t, secret), "127.0.0.1:8080", "Bearer " + strings.Repeat("0", 32), 401},
		{"a part", token(t, secret), "127.0.0.1:8080", "Bearer " + secret[:16], 401},
		{"a name, whatever is shown", token(t, secret), "evil.example", "Bearer " + secret, 403},
		{"a name that looks like an address", token(t, secret), "127.0.0.1.evil.example:8080", "Bearer " + secret, 403},
		{"no file", "", "127.0.0.1", "Bearer ", 401},
		{"a file that is not there yet", later, "127.0.0.1", "Bearer ", 401},
		{"an empty file", token(t, "\n"), "127.0.0.1", "Bearer ", 401},
		{"a secret that is too short to be one", token(t, "short"), "127.0.0.1", "Bearer short", 401},
	} {
		a := answer.New(answer.Options{Fleet: known{}, TokenFile: c.file, Log: slog.New(slog.DiscardHandler)})
		r := httptest.NewRequest(http.MethodGet, "/api/v1/status", nil)
		r.Host = c.host
		if c.shown != "" {
			r.Header.Set("Authorization", c.shown)
		}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		if w.Code != c.code {
			t.Errorf("%s: is answered %d %q, want %d", c.why, w.Code, w.Body, c.code)
		}
		if strings.Contains(w.Body.String(), secret) || c.code != 200 && strings.Contains(w.Body.String(), "west") {
			t.Errorf("%s: the answer tells too much: %q", c.why, w.Body)
		}
	}
	// The hub makes the token, perhaps after the spoke began.
	a := answer.New(answer.Options{Fleet: known{}, TokenFile: later, Log: slog.New(slog.DiscardHandler)})
	if err := os.WriteFile(later, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, body := get(a, "/api/v1/status"); code != 200 {
		t.Errorf("a token that came later: %d %q", code, body)
	}
}

func get(a *answer.Answers, path string) (int, string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "127.0.0.1"
	r.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestAnswersAndErrors(t *testing.T) {
	one := []report.Explanation{{Cluster: "west"}}
	for _, c := range []struct {
		why  string
		is   known
		path string
		code int
	}{
		{"status", known{}, "/api/v1/status", 200},
		{"latency", known{}, "/api/v1/latency", 200},
		{"explain", known{list: one}, "/api/v1/explain?backend=b", 200},
		{"nobody has it", known{}, "/api/v1/explain?backend=b", 404},
		{"nobody has it, and that is said", known{err: fmt.Errorf("ask: %w", answer.ErrNobody)}, "/api/v1/explain?backend=b", 404},
		{"no proxy answers", known{err: errors.New("none is connected")}, "/api/v1/explain?backend=b", 503},
		{"what there is not", known{}, "/api/v1/orders", 404},
	} {
		a := answer.New(answer.Options{Fleet: c.is, TokenFile: token(t, secret), Log: slog.New(slog.DiscardHandler)})
		if code, body := get(a, c.path); code != c.code || code == 200 && !json.Valid([]byte(body)) {
			t.Errorf("%s: is answered %d %q, want %d", c.why, code, body, c.code)
		}
	}
	a := answer.New(answer.Options{Fleet: known{}, TokenFile: token(t, secret), Log: slog.New(slog.DiscardHandler)})
	r := httptest.NewRequest(http.MethodPost, "/api/v1/status", nil)
	r.Host = "127.0.0.1"
	r.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	if a.Handler().ServeHTTP(w, r); w.Code != 405 {
		t.Errorf("a POST is answered %d: a spoke orders nothing", w.Code)
	}
}

func TestTheHubIsAnsweredTheSame(t *testing.T) {
	for _, c := range []struct {
		why, path, body string
		is              known
		code            int // of the error, 0 none
		cause           error
	}{
		{"status", "status", "", known{}, 0, nil},
		{"latency", "latency", "", known{}, 0, nil},
		{"explain", "explain", `{"backend":"b"}`, known{list: []report.Explanation{{Cluster: "west"}, {Cluster: "east"}}}, 0, nil},
		{"nobody", "explain", `{"backend":"b"}`, known{}, 404, answer.ErrNobody},
		{"garbage", "explain", "{", known{}, 400, nil},
		{"nothing", "explain", "", known{}, 400, nil},
		{"another type", "explain", `{"backend":7}`, known{}, 400, nil},
		{"an order", "orders", "{}", known{}, 404, answer.ErrUnknown},
	} {
		out, err := answer.New(answer.Options{Fleet: c.is, Log: slog.New(slog.DiscardHandler)}).Ask(t.Context(), c.path, []byte(c.body))
		switch {
		case c.code == 0 && (err != nil || !json.Valid(out)):
			t.Errorf("%s: %q, %v", c.why, out, err)
		case c.code != 0 && (err == nil || answer.Code(err) != c.code || c.cause != nil && !errors.Is(err, c.cause)):
			t.Errorf("%s: %v is code %d, want %d", c.why, err, answer.Code(err), c.code)
		}
	}
}

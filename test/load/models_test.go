package load

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestWarm: traffic begins where the right cluster serves; that another one does
// is told apart from that none does.
func TestWarm(t *testing.T) {
	const answer = `{"choices":[{"message":{"role":"assistant","content":"yes"}}]}`
	for _, c := range []struct {
		name, by, body  string
		good, elsewhere bool
	}{
		{"the right one", "home/b/m", answer, true, false},
		{"another one", "other/b/m", answer, false, true},
		{"nobody", "home/b/m", `{}`, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("x-nave-served-by", c.by)
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(c.body))
			}))
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			err := newModels([]string{strings.TrimPrefix(s.URL, "http://")}, "/").warm(ctx, "home")
			if (err == nil) != c.good || errors.Is(err, ErrElsewhere) != c.elsewhere {
				t.Errorf("it says %v", err)
			}
		})
	}
}

// TestStream: only a stream that had begun, and whose end the gateway tells of, was
// cut.
func TestStream(t *testing.T) {
	const begin, end = `data: {"choices":[{"delta":{"content":"yes"}}]}` + "\n\n", `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
	const told = `data: {"error":{"message":"m","type":"server_error","code":"stream_truncated"}}` + "\n\n"
	for _, c := range []struct {
		name, body string
		broken     bool
		want       Fate
	}{
		{"whole", begin + end, false, Served},
		{"cut, and told", begin + told, false, Cut},
		{"cut before it began", told, false, Lost},
		{"another error", begin + strings.Replace(told, "stream_truncated", "internal", 1), false, Lost},
		{"broken", begin, true, Lost},
		{"ended early", begin, false, Lost},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = w.Write([]byte(c.body))
				if c.broken {
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
			}))
			defer s.Close()
			if got, err := newModels([]string{strings.TrimPrefix(s.URL, "http://")}, "/").stream(t.Context()); got != c.want {
				t.Errorf("%v, want %v: %v", got, c.want, err)
			}
		})
	}
}

package probe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	contract "github.com/navehq/nave/api/probe"
	"github.com/navehq/nave/spoke/probe"
)

// front stands for a cluster's proxies: it answers by function, in the time of
// the test's bubble.
type front struct {
	mu       sync.Mutex
	answer   func(n int, r *http.Request, body string) (*http.Response, error)
	requests []string
}

func (f *front) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(data)
	}
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.String())
	n := len(f.requests) - 1
	f.mu.Unlock()
	return f.answer(n, r, body)
}

func (f *front) sent() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.requests...)
}

func reply(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

const completion = `{"choices": [{"message": {"content": "pong"}}]}`

func model(urls ...string) probe.Target {
	return probe.Target{Name: "HTTPRoute ns/r/0", Kind: probe.AI, URLs: urls, Body: []byte(`{}`)}
}

func prober(t *testing.T, f *front, targets ...probe.Target) *probe.Prober {
	t.Helper()
	p := probe.New(probe.Options{Cluster: "east", Key: "k", Transport: f, Targets: func() []probe.Target { return targets }})
	t.Cleanup(p.Stop)
	return p
}

func start(t *testing.T, p *probe.Prober, rate int, life time.Duration) {
	t.Helper()
	body, err := json.Marshal(contract.Plan{Rate: rate, Until: time.Now().Add(life)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Answer(contract.AskStart, body); err != nil {
		t.Fatal(err)
	}
}

func report(t *testing.T, p *probe.Prober, since time.Time) contract.Report {
	t.Helper()
	body, err := json.Marshal(contract.Since{At: since})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.Answer(contract.AskReport, body)
	if err != nil {
		t.Fatal(err)
	}
	var r contract.Report
	if err := json.Unmarshal(answer, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func total(r contract.Report) contract.Bucket {
	var sum contract.Bucket
	for _, b := range r.Buckets {
		sum = sum.Add(b)
	}
	return sum
}

// TestRate: requests go at their times whether or not earlier ones have ended,
// over all proxies, and are measured from the time they were scheduled for.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &front{answer: func(n int, r *http.Request, _ string) (*http.Response, error) {
			if r.Header.Get(contract.Key) != "k" {
				t.Error("a request does not show the key")
			}
			if n > 0 { // the first one only tries the target
				time.Sleep(450 * time.Millisecond)
			}
			return reply(200, completion, contract.ServedBy, "west/AgentgatewayBackend ns/b/p", contract.Attempts, "2"), nil
		}}
		p := prober(t, f, model("http://one/x", "http://two/x"))
		began := time.Now()
		start(t, p, 10, time.Minute)
		time.Sleep(980 * time.Millisecond)
		synctest.Wait()
		got := total(report(t, p, time.Time{}))
		want := contract.Bucket{Open: 4, OpenAt: map[string]int64{"west": 4}, Served: map[string]int64{"west": 6}, Retried: 6, Slowest: 450 * time.Millisecond}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after a second (-want +got):\n%s", diff)
		}
		if r := report(t, p, began.Add(510*time.Millisecond)); len(r.Buckets) != 4 || r.Buckets[0].At.Before(began.Add(500*time.Millisecond)) {
			t.Errorf("since half a second: %v", r.Buckets)
		}
		want1, want2 := 0, 0
		for _, r := range f.sent()[1:] {
			if r == "POST http://one/x" {
				want1++
			} else if r == "POST http://two/x" {
				want2++
			}
		}
		if want1 != 5 || want2 != 5 {
			t.Errorf("%d and %d requests to the proxies, want 5 each", want1, want2)
		}
		if diff := cmp.Diff([]string{"http://one/x", "http://two/x"}, report(t, p, began).Targets); diff != "" {
			t.Errorf("targets (-want +got):\n%s", diff)
		}
	})
}

func TestOutcomes(t *testing.T) {
	served := []string{contract.ServedBy, "west/b/p", contract.Attempts, "1"}
	for name, test := range map[string]struct {
		answer func() (*http.Response, error)
		want   contract.Bucket
	}{
		"good":                     {func() (*http.Response, error) { return reply(200, completion, served...), nil }, contract.Bucket{Served: map[string]int64{"west": 1}}},
		"a proxy that tells less":  {func() (*http.Response, error) { return reply(200, completion), nil }, contract.Bucket{Served: map[string]int64{"east": 1}}},
		"an error":                 {func() (*http.Response, error) { return reply(503, "", served...), nil }, contract.Bucket{Failed: 1}},
		"an error in good clothes": {func() (*http.Response, error) { return reply(200, `{"error": {}}`, served...), nil }, contract.Bucket{Failed: 1}},
		"an answer that breaks off": {func() (*http.Response, error) {
			r := reply(200, "")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(completion[:9]), broken{}))
			return r, nil
		}, contract.Bucket{Lost: 1}},
		"no answer": {func() (*http.Response, error) { return nil, errors.New("refused") }, contract.Bucket{Lost: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &front{answer: func(n int, _ *http.Request, _ string) (*http.Response, error) {
					if n == 0 {
						return reply(200, completion), nil
					}
					return test.answer()
				}}
				p := prober(t, f, model("http://one/x"))
				start(t, p, 1, time.Minute)
				time.Sleep(500 * time.Millisecond)
				synctest.Wait()
				if diff := cmp.Diff(test.want, total(report(t, p, time.Time{}))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestNoAnswerIsLostInTime: a request that is never answered does not stay open.
func TestNoAnswerIsLostInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &front{answer: func(n int, r *http.Request, _ string) (*http.Response, error) {
			if n == 0 {
				return reply(200, completion), nil
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
		p := prober(t, f, model("http://one/x"))
		start(t, p, 1, time.Minute)
		time.Sleep(10500 * time.Millisecond)
		synctest.Wait()
		got := total(report(t, p, time.Time{}))
		if got.Lost != 1 || got.Open != 10 || got.Slowest != 10*time.Second {
			t.Errorf("got %+v", got)
		}
		p.Stop() // what is still open is abandoned, not lost
		if got := total(report(t, p, time.Time{})); got.Lost != 1 || got.Open != 0 {
			t.Errorf("after the end: %+v", got)
		}
	})
}

// TestBounds: a run ends by itself, bad plans are refused, and a target that
// refuses its client is left out.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &front{answer: func(_ int, r *http.Request, _ string) (*http.Response, error) {
			if r.URL.Host == "closed" {
				return reply(401, ""), nil
			}
			return reply(200, completion), nil
		}}
		p := prober(t, f, model("http://closed/x"), model("http://open/x"))
		start(t, p, 10, 2*time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := total(report(t, p, time.Time{})); got.OK() < 19 || got.OK() > 21 || got.Failed+got.Lost > 0 {
			t.Errorf("two seconds at 10/s: %+v", got)
		}
		if got := report(t, p, time.Time{}).Targets; len(got) != 1 || got[0] != "http://open/x" {
			t.Errorf("targets: %v", got)
		}
		for _, body := range []string{`{"rate": 0}`, `{"rate": 100000}`, `{`, ``} {
			if _, err := p.Answer(contract.AskStart, []byte(body)); err == nil {
				t.Errorf("plan %q was taken", body)
			}
		}
		if _, err := p.Answer("probe/other", nil); !errors.Is(err, probe.ErrUnknown) {
			t.Errorf("another question: %v", err)
		}
		if err := prober(t, f).Start(contract.Plan{Rate: 1, Until: time.Now().Add(time.Second)}); err == nil {
			t.Error("a start without targets was taken")
		}
		if _, err := p.Answer(contract.AskStop, nil); err != nil {
			t.Error(err)
		}
	})
}

// tools is a small MCP server behind the front.
type tools struct {
	mu    sync.Mutex
	known map[string]bool
	begun int
}

func (s *tools) answer(_ int, r *http.Request, body string) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.Header.Get("Mcp-Session-Id")
	var m struct {
		ID     *int64 `json:"id"`
		Method string `json:"method"`
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return reply(400, ""), nil
	}
	if m.Method == "initialize" {
		s.begun++
		id = fmt.Sprint("s", s.begun)
		s.known[id] = true
		return reply(200, fmt.Sprintf("event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"protocolVersion\":\"2025-06-18\"}}\n\n", *m.ID), "Mcp-Session-Id", id), nil
	}
	switch {
	case !s.known[id] || r.Header.Get("Mcp-Protocol-Version") != "2025-06-18":
		return reply(404, ""), nil
	case m.ID == nil:
		return reply(202, ""), nil
	case r.URL.Path == "/moves":
		return reply(200, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, *m.ID), contract.ServedBy, "west/b/t", contract.SessionMoved, contract.Reinitialised), nil
	}
	return reply(200, fmt.Sprintf("data: {\"jsonrpc\":\"2.0\",\ndata: \"id\":%d,\"result\":{\"tools\":[]}}\n\n", *m.ID), contract.ServedBy, "west/b/t"), nil
}

func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tools{known: map[string]bool{}}
		p := prober(t, &front{answer: s.answer}, probe.Target{Name: "r", Kind: probe.MCP, URLs: []string{"http://one/mcp", "http://two/mcp"}})
		start(t, p, 10, time.Minute)
		time.Sleep(1950 * time.Millisecond)
		synctest.Wait()
		if got := total(report(t, p, time.Time{})); got.Served["west"] != 20 || got.Failed+got.Lost+got.Reinitialised > 0 {
			t.Errorf("before: %+v", got)
		}
		s.mu.Lock()
		begun := s.begun
		clear(s.known)
		s.mu.Unlock()
		if begun != 4 {
			t.Errorf("%d sessions, want 4", begun)
		}
		lost := time.Now()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := total(report(t, p, lost)); got.Failed != 4 || got.Reinitialised != 4 {
			t.Errorf("after the server forgot every session: %+v", got)
		}
	})
}

// TestMoved counts what a proxy did on the client's behalf.
func TestMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tools{known: map[string]bool{}}
		p := prober(t, &front{answer: s.answer}, probe.Target{Name: "r", Kind: probe.MCP, URLs: []string{"http://one/moves"}})
		start(t, p, 1, time.Minute)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if got := total(report(t, p, time.Time{})); got.Served["west"] != 1 || got.Reinitialised != 1 {
			t.Errorf("got %+v", got)
		}
	})
}

// TestStopWaits: nothing runs on after Stop.
func TestStopWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &front{answer: func(_ int, r *http.Request, _ string) (*http.Response, error) {
			select {
			case <-r.Context().Done():
				return nil, context.Cause(r.Context())
			case <-time.After(time.Second):
				return reply(200, completion), nil
			}
		}}
		p := prober(t, f, model("http://one/x"))
		start(t, p, 100, time.Minute)
		time.Sleep(3 * time.Second)
		p.Stop()
		n := len(f.sent())
		time.Sleep(time.Minute)
		if len(f.sent()) != n {
			t.Error("requests were sent after Stop")
		}
	})
}

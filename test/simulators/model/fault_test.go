package model_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/navehq/nave/test/simulators/model"
)

const (
	streamed = `{"model":"m","stream":true,"messages":[{"role":"user","content":"one two three"}]}`
	whole    = `{"model":"m","messages":[{"role":"user","content":"one two three"}]}`
)

// post asks and reads whatever comes.
func post(t *testing.T, url, body string) (*http.Response, string, error) {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return response, string(read), err
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		reason string
		fault  model.Fault
		path   string
		body   string
		status int
		want   string // in the body
		not    string // in the body
		err    error
	}{
		{"a status in the provider's words", model.Fault{Kind: model.Status, Status: 503}, "/v1/chat/completions", whole, 503, `"server_error"`, "choices", nil},
		{"a rate limit", model.Fault{Kind: model.Status, Status: 429, RetryAfter: "7"}, "/v1/chat/completions", whole, 429, "rate_limit_exceeded", "", nil},
		{"azure's rate limit", model.Fault{Kind: model.Status, Status: 429, RetryAfter: "7"}, "/openai/deployments/d/chat/completions?api-version=2024-10-21", whole, 429, "RateLimitReached", "", nil},
		{"a body of one's own", model.Fault{Kind: model.Status, Status: 502, Body: "<html>"}, "/v1/chat/completions", whole, 502, "<html>", "", nil},
		{"an error before any content", model.Fault{Kind: model.StreamError, Status: 500}, "/v1/chat/completions", streamed, 200, `"error"`, "heard", nil},
		{"an error after some content", model.Fault{Kind: model.StreamError, After: 4}, "/v1/chat/completions", streamed, 200, `heard`, "[DONE]", nil},
		{"azure's prelude, then an error", model.Fault{Kind: model.StreamError}, "/openai/deployments/d/chat/completions?api-version=2024-10-21", streamed, 200, `prompt_filter_results`, `"sim"`, nil},
		{"an error in a response's stream", model.Fault{Kind: model.StreamError, After: 1}, "/v1/responses", `{"model":"m","stream":true,"input":"x y"}`, 200, "event: error\n", "response.completed", nil},
		{"an error that wants no stream", model.Fault{Kind: model.StreamError, Status: 500}, "/v1/chat/completions", whole, 500, `"error"`, "choices", nil},
		{"cut without a last event", model.Fault{Kind: model.Cut, After: 2, How: "end"}, "/v1/chat/completions", streamed, 200, `" in"`, "[DONE]", nil},
		{"cut after the last word", model.Fault{Kind: model.Cut, After: 1000, How: "end"}, "/v1/chat/completions", streamed, 200, `" three"`, "[DONE]", nil},
		{"cut by closing", model.Fault{Kind: model.Cut, After: 2}, "/v1/chat/completions", streamed, 200, `" in"`, "[DONE]", io.ErrUnexpectedEOF},
		{"cut by a reset", model.Fault{Kind: model.Cut, After: 2, How: "rst"}, "/v1/chat/completions", streamed, 200, "", "[DONE]", syscall.ECONNRESET},
		{"half an answer", model.Fault{Kind: model.Cut}, "/v1/chat/completions", whole, 200, `"choices"`, "system_fingerprint", io.ErrUnexpectedEOF},
		{"another content type", model.Fault{Kind: model.ContentType}, "/v1/chat/completions", streamed, 200, "[DONE]", "", nil},
		{"garbage", model.Fault{Kind: model.Garbage}, "/v1/chat/completions", whole, 200, "\x00\xff", "", nil},
		{"a stall that ends", model.Fault{Kind: model.Stall, After: 2, For: model.Duration(time.Millisecond)}, "/v1/chat/completions", streamed, 200, "[DONE]", "", nil},
		{"a stall before headers that ends", model.Fault{Kind: model.StallHeaders, For: model.Duration(time.Millisecond)}, "/v1/chat/completions", whole, 200, "heard", "", nil},
	} {
		t.Run(test.reason, func(t *testing.T) {
			test.fault.Count = 1
			_, server := start(t, model.Options{Faults: []model.Fault{test.fault}})
			response, body, err := post(t, server.URL+test.path, test.body)
			if !errors.Is(err, test.err) {
				t.Fatalf("got %v, want %v", err, test.err)
			}
			if response.StatusCode != test.status || !strings.Contains(body, test.want) || test.not != "" && strings.Contains(body, test.not) {
				t.Errorf("%d %s: want %d with %q and without %q", response.StatusCode, body, test.status, test.want, test.not)
			}
			if test.fault.RetryAfter != "" && response.Header.Get("retry-after") != "7" {
				t.Error("no retry-after")
			}
			if test.fault.Kind == model.ContentType && !strings.HasPrefix(response.Header.Get("content-type"), "text/html") {
				t.Errorf("content type %q", response.Header.Get("content-type"))
			}
			response, body, err = post(t, server.URL+test.path, test.body)
			if err != nil || response.StatusCode != 200 || !strings.Contains(body, `"object"`) {
				t.Errorf("the fault's count is used up, yet: %v %s", err, body)
			}
		})
	}
}

func TestStallsAreAborted(t *testing.T) {
	for _, fault := range []model.Fault{{Kind: model.StallHeaders}, {Kind: model.Stall, After: 3}} {
		sim, server := start(t, model.Options{Faults: []model.Fault{fault}})
		ctx, leave := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/chat/completions", strings.NewReader(streamed))
		check(t, err)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if response, err := http.DefaultClient.Do(request); err == nil {
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		}()
		until(t, "the request is in flight", func() bool { return sim.Stats().InFlight == 1 })
		leave()
		<-gone
		until(t, "the client's leaving is noticed", func() bool { return sim.Stats().Aborted == 1 && sim.Stats().InFlight == 0 })
	}
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !met(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

func TestPaceIsKeptAndChunksAreFlushed(t *testing.T) {
	_, server := start(t, model.Options{FirstToken: 60 * time.Millisecond, Gap: 15 * time.Millisecond})
	began := time.Now()
	response, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(streamed))
	check(t, err)
	defer response.Body.Close()
	var at []time.Duration
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"content":"`) && !strings.Contains(lines.Text(), `"content":""`) {
			at = append(at, time.Since(began))
		}
	}
	if len(at) != 7 || at[0] < 60*time.Millisecond {
		t.Fatalf("tokens came at %v, want seven, none before 60 ms", at)
	}
	if spread := at[6] - at[0]; spread < 80*time.Millisecond {
		t.Errorf("tokens came within %v, want six gaps of 15 ms: they are not flushed one by one", spread)
	}
}

func TestChancesAreRepeatable(t *testing.T) {
	outcome := func(seed uint64) string {
		sim, server := start(t, model.Options{Seed: seed, Faults: []model.Fault{{Kind: model.Status, Status: 500, Probability: 0.4}}})
		var all strings.Builder
		for range 40 {
			response, _, err := post(t, server.URL+"/v1/chat/completions", whole)
			check(t, err)
			all.WriteString(response.Status[:1])
		}
		if struck := sim.Stats().Faults["status"]; struck < 6 || struck > 26 {
			t.Errorf("struck %d of 40 at 40 %%", struck)
		}
		return all.String()
	}
	if first, second := outcome(7), outcome(7); first != second {
		t.Errorf("the same seed gave %s and %s", first, second)
	}
}

func TestAdministration(t *testing.T) {
	sim, server := start(t, model.Options{})
	do := func(method, path, body string) (int, string) {
		request, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
		check(t, err)
		response, err := http.DefaultClient.Do(request)
		check(t, err)
		defer response.Body.Close()
		read, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(read)
	}
	if status, _ := do("POST", "/_sim/faults", `{"kind":"status","status":503,"model":"other"}`); status != 204 {
		t.Errorf("a fault was answered with %d", status)
	}
	if status, body := do("POST", "/_sim/faults", `{"kind":"gremlin"}`); status != 400 || !strings.Contains(body, "gremlin") {
		t.Errorf("a fault of no kind was answered with %d %s", status, body)
	}
	if status, _ := do("POST", "/v1/chat/completions", whole); status != 200 {
		t.Errorf("another model's fault struck: %d", status)
	}
	if status, _ := do("POST", "/v1/chat/completions", `{"model":"other","messages":[{"role":"user","content":"x"}]}`); status != 503 {
		t.Errorf("a model's fault did not strike: %d", status)
	}
	if _, body := do("GET", "/_sim/faults", ""); !strings.Contains(body, `"other"`) {
		t.Errorf("faults: %s", body)
	}
	do("DELETE", "/_sim/faults", "")
	if status, _ := do("PUT", "/_sim/access", `{"keys":["k"]}`); status != 204 {
		t.Errorf("access was answered with %d", status)
	}
	if status, _ := do("POST", "/v1/chat/completions", whole); status != 401 {
		t.Errorf("without the key that is wanted: %d", status)
	}
	stats := sim.Stats()
	if stats.Requests != 3 || stats.Models["m"].InputTokens != 3 || stats.Statuses["503"] != 1 || stats.Statuses["401"] != 1 {
		t.Errorf("stats %+v", stats)
	}
	if _, body := do("GET", "/_sim/requests", ""); !strings.Contains(body, "one two three") || !strings.Contains(body, `"credential":"none"`) {
		t.Errorf("requests: %s", body)
	}
	do("DELETE", "/_sim/stats", "")
	if stats := sim.Stats(); stats.Requests != 0 || len(sim.Requests()) != 0 {
		t.Errorf("after forgetting: %+v", stats)
	}
}

func TestCredentialsAreNotKept(t *testing.T) {
	sim, server := start(t, model.Options{Keys: []string{"sekrit"}})
	request, _ := http.NewRequest("GET", server.URL+"/v1/models", nil)
	request.Header.Set("authorization", "Bearer sekrit")
	response, err := http.DefaultClient.Do(request)
	check(t, err)
	response.Body.Close()
	record := sim.Requests()[0]
	for name, value := range record.Header {
		if strings.Contains(value, "sekrit") {
			t.Errorf("%s keeps a credential", name)
		}
	}
	if record.Credential != "bearer" {
		t.Errorf("credential %q", record.Credential)
	}
}

func FuzzParseFault(f *testing.F) {
	f.Add([]byte(`{"kind":"cut","how":"rst","after":3,"count":2,"for":"1s"}`))
	f.Add([]byte(`{"kind":"status","status":429,"retryAfter":"1","probability":0.5}`))
	f.Fuzz(func(t *testing.T, text []byte) { model.ParseFault(text) })
}

// FuzzRequests holds that no body makes the simulator panic.
func FuzzRequests(f *testing.F) {
	paths := []string{"/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/messages/count_tokens"}
	for i := range paths {
		f.Add(uint8(i), []byte(streamed))
		f.Add(uint8(i), []byte(`{"model":"m","max_tokens":5,"input":[{"type":"function_call_output","output":"x"},3],"messages":[null,{"role":"tool","content":[{"text":"add 1"}]}],"tools":[{"function":{"name":"add","parameters":{"$ref":"#"}}},{"name":"add","input_schema":{"anyOf":[{"$ref":"#/anyOf/0"}]}}],"tool_choice":{"type":"any"}}`))
	}
	sim := model.New(model.Options{})
	f.Fuzz(func(t *testing.T, path uint8, body []byte) {
		request := httptest.NewRequest("POST", paths[int(path)%len(paths)], bytes.NewReader(body))
		request.Header.Set("anthropic-version", "2023-06-01")
		sim.ServeHTTP(httptest.NewRecorder(), request)
	})
}

package observe_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/navehq/nave/proxy/observe"
)

var end = time.Date(2026, 3, 28, 17, 28, 10, 940640000, time.UTC)

func record() *observe.Record {
	return &observe.Record{
		Start: end.Add(-1704 * time.Millisecond), Cluster: "westus2", Tenant: "default",
		Gateway: "agentgateway-system/foundry", Listener: "http", Bind: "10.0.0.1/8080",
		Route: "agentgateway-system/azureopenai", Backend: "agentgateway-system/azure",
		Endpoint: "x.services.ai.azure.com:443", Source: netip.MustParseAddrPort("10.224.0.4:14204"),
		Method: "POST", Host: "gw", Path: "/azureopenai", Version: "HTTP/1.1", Status: 200,
		Protocol: "llm", Reason: "Upstream", ServedBy: "westus2/b/p", Attempts: 2, FailoverReason: "Timeout",
		ResponseBytes: 100, Processing: time.Millisecond, Upstream: time.Second,
		LLM: &observe.LLM{
			Operation: "chat", Provider: "azure.openai", RequestModel: "gpt-5.4-mini",
			ResponseModel: "gpt-5.4-mini-2026-03-17", InputTokens: 34, OutputTokens: 173,
		},
	}
}

func TestLogLine(t *testing.T) {
	var out bytes.Buffer
	v := observe.New(observe.Options{Log: &out})
	v.End(record(), end)
	v.Close()
	want := "2026-03-28T17:28:10.940640Z info request gateway=agentgateway-system/foundry listener=http " +
		"route=agentgateway-system/azureopenai endpoint=x.services.ai.azure.com:443 src.addr=10.224.0.4:14204 " +
		"http.method=POST http.host=gw http.path=/azureopenai http.version=HTTP/1.1 http.status=200 protocol=llm " +
		"gen_ai.operation.name=chat gen_ai.provider.name=azure.openai gen_ai.request.model=gpt-5.4-mini " +
		"gen_ai.response.model=gpt-5.4-mini-2026-03-17 gen_ai.usage.input_tokens=34 gen_ai.usage.output_tokens=173 " +
		"nave.cluster=westus2 nave.served_by=westus2/b/p nave.attempts=2 nave.failover.reason=Timeout " +
		"retry.attempt=1 duration=1704ms\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestLogLineCannotBeForged(t *testing.T) {
	r := record()
	r.LLM, r.Reason = nil, "NotFound"
	r.Path = "/a\nb status=200 \"x\"\xff"
	for _, form := range []bool{false, true} {
		var out bytes.Buffer
		format := &observe.Format{}
		format.SetJSON(form)
		v := observe.New(observe.Options{Log: &out, Format: format})
		v.End(r, end)
		v.Close()
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("json=%v: %d lines, want 1", form, n)
		}
		if form {
			var m map[string]any
			if err := json.Unmarshal(out.Bytes(), &m); err != nil {
				t.Fatalf("%v in %s", err, &out)
			}
			if m["reason"] != "NotFound" || m["http.status"] != 200.0 || m["src.addr"] != "10.224.0.4:14204" {
				t.Errorf("got %v", m)
			}
		}
	}
}

func TestMCPKeys(t *testing.T) {
	r := record()
	r.LLM, r.Protocol = nil, "mcp"
	r.MCP = &observe.MCP{
		Method: "resources/read", Server: "files", ResourceType: "resource",
		Name: "file:///a?token=secret", Session: "1f", Moved: "re-initialised",
	}
	var out bytes.Buffer
	reg := prometheus.NewRegistry()
	v := observe.New(observe.Options{Log: &out, Registerer: reg})
	v.End(r, end)
	v.Close()
	if s := out.String(); !strings.Contains(s, "mcp.resource.uri=file:///a ") || strings.Contains(s, "secret") {
		t.Error(s)
	}
	if n, _ := testutil.GatherAndCount(reg, "agentgateway_mcp_requests_total"); n != 1 {
		t.Errorf("requests: %d series, want 1", n)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	v := observe.New(observe.Options{Registerer: reg, Version: "v1"})
	defer v.Close()
	r := record()
	v.End(r, end)
	v.End(r, end)
	r.Method = "BREW"
	v.End(r, end)
	v.Failover("a/b/c", "d/b/c", "Timeout")
	want := `
# HELP agentgateway_requests_total HTTP requests answered.
# TYPE agentgateway_requests_total counter
agentgateway_requests_total{backend="agentgateway-system/azure",bind="10.0.0.1/8080",gateway="agentgateway-system/foundry",listener="http",method="POST",protocol="llm",reason="Upstream",route="agentgateway-system/azureopenai",route_rule="unknown",status="200"} 2
agentgateway_requests_total{backend="agentgateway-system/azure",bind="10.0.0.1/8080",gateway="agentgateway-system/foundry",listener="http",method="unknown",protocol="llm",reason="Upstream",route="agentgateway-system/azureopenai",route_rule="unknown",status="200"} 1
# HELP nave_failover_attempts_total Moves of a request from one candidate to the next.
# TYPE nave_failover_attempts_total counter
nave_failover_attempts_total{from="a/b/c",reason="Timeout",to="d/b/c"} 1
# HELP nave_llm_tokens_total Tokens of model calls, by what they are charged to.
# TYPE nave_llm_tokens_total counter
nave_llm_tokens_total{model="gpt-5.4-mini-2026-03-17",provider="azure.openai",region="unknown",route="agentgateway-system/azureopenai",tenant="default",type="input"} 102
nave_llm_tokens_total{model="gpt-5.4-mini-2026-03-17",provider="azure.openai",region="unknown",route="agentgateway-system/azureopenai",tenant="default",type="input_cache_read"} 0
nave_llm_tokens_total{model="gpt-5.4-mini-2026-03-17",provider="azure.openai",region="unknown",route="agentgateway-system/azureopenai",tenant="default",type="input_cache_write"} 0
nave_llm_tokens_total{model="gpt-5.4-mini-2026-03-17",provider="azure.openai",region="unknown",route="agentgateway-system/azureopenai",tenant="default",type="output"} 519
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"agentgateway_requests_total", "nave_failover_attempts_total", "nave_llm_tokens_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil {
		t.Error(problems, err)
	}
}

// stuck is a writer that does not return until it is let go.
type stuck struct{ let chan struct{} }

func (s stuck) Write(p []byte) (int, error) { <-s.let; return len(p), nil }

func TestSlowLogLosesLinesNotRequests(t *testing.T) {
	reg := prometheus.NewRegistry()
	w := stuck{make(chan struct{})}
	v := observe.New(observe.Options{Log: w, Registerer: reg})
	r := record()
	r.Path = "/" + strings.Repeat("x", 4000)
	for range 4000 {
		v.End(r, end)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var dropped float64
	for _, f := range families {
		if f.GetName() == "nave_access_log_dropped_total" {
			dropped = f.Metric[0].GetCounter().GetValue()
		}
	}
	if dropped == 0 {
		t.Error("a log that stands still dropped nothing: its queue has no bound")
	}
	close(w.let)
	v.Close()
}

// seen counts lines.
type seen struct {
	mu sync.Mutex
	n  int
}

func (s *seen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

func TestEveryLineIsWritten(t *testing.T) {
	var w seen
	v := observe.New(observe.Options{Log: &w})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				v.End(record(), end)
			}
		})
	}
	wg.Wait()
	v.Close()
	if w.n != 2000 {
		t.Errorf("%d lines, want 2000", w.n)
	}
}

func BenchmarkEnd(b *testing.B) {
	r := record()
	r.LLM = nil
	b.Run("metrics", func(b *testing.B) {
		v := observe.New(observe.Options{Registerer: prometheus.NewRegistry()})
		defer v.Close()
		b.ReportAllocs()
		for b.Loop() {
			v.End(r, end)
		}
	})
	b.Run("both", func(b *testing.B) {
		v := observe.New(observe.Options{Registerer: prometheus.NewRegistry(), Log: io.Discard})
		defer v.Close()
		b.ReportAllocs()
		for b.Loop() {
			v.End(r, end)
		}
	})
}

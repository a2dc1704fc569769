package observe

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Buckets as agentgateway has them, seconds and tokens.
var (
	requestBuckets    = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 80}
	processingBuckets = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .25}
	tokenBuckets      = prometheus.ExponentialBuckets(1, 4, 14)
	modelBuckets      = prometheus.ExponentialBuckets(.01, 2, 14)
	firstBuckets      = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	perTokenBuckets   = []float64{.001, .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
)

var (
	routeLabels   = []string{"bind", "gateway", "listener", "route", "route_rule"}
	minimalLabels = append([]string{"backend"}, routeLabels...)
	httpLabels    = append([]string{"backend", "protocol", "method", "status", "reason"}, routeLabels...)
	modelLabels   = append([]string{"gen_ai_operation_name", "gen_ai_system", "gen_ai_request_model", "gen_ai_response_model"}, routeLabels...)
	toolLabels    = append([]string{"method", "resource_type", "server", "resource"}, routeLabels...)
	tokenLabels   = append([]string{"gen_ai_token_type"}, modelLabels...)
	spentLabels   = []string{"tenant", "route", "model", "provider", "region", "type"}
)

// metrics holds the vectors and, per set of labels, their children: a request
// looks one struct key up instead of building label maps.
type metrics struct {
	build                        prometheus.Gauge
	requests, retries, bytes     *prometheus.CounterVec
	duration, processing, answer *prometheus.HistogramVec
	tokens, model, first, perOut *prometheus.HistogramVec
	tools, failover, spent       *prometheus.CounterVec
	calls                        *prometheus.HistogramVec

	http    cache[httpKey, *httpSeries]
	llm     cache[modelKey, *modelSeries]
	callBy  cache[[2]string, prometheus.Observer]
	models  bounded
	objects bounded
}

func newMetrics(version string) *metrics {
	m := &metrics{
		build: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "agentgateway_build_info", Help: "Build of this proxy.",
			ConstLabels: prometheus.Labels{"tag": or(version)},
		}),
		requests:   counter("agentgateway_requests_total", "HTTP requests answered.", httpLabels),
		retries:    counter("agentgateway_retries_total", "Attempts after the first.", httpLabels),
		bytes:      counter("agentgateway_response_bytes_total", "Bytes of answers' bodies sent to clients.", httpLabels),
		duration:   histogram("agentgateway_request_duration_seconds", "From a request's head to its answer's end.", httpLabels, requestBuckets),
		processing: histogram("agentgateway_request_processing_seconds", "From a request's head to its first attempt.", minimalLabels, processingBuckets),
		answer:     histogram("agentgateway_response_processing_seconds", "From the final answer's head to the end of the request, the body's streaming included.", minimalLabels, processingBuckets),
		tokens:     histogram("agentgateway_gen_ai_client_token_usage", "Tokens of a model call.", tokenLabels, tokenBuckets),
		model:      histogram("agentgateway_gen_ai_server_request_duration", "Seconds of a model call.", modelLabels, modelBuckets),
		first:      histogram("agentgateway_gen_ai_server_time_to_first_token", "Seconds until a streamed answer's first token.", modelLabels, firstBuckets),
		perOut:     histogram("agentgateway_gen_ai_server_time_per_output_token", "Seconds per token of a streamed answer after the first.", modelLabels, perTokenBuckets),
		tools:      counter("agentgateway_mcp_requests_total", "MCP requests.", toolLabels),
		calls:      histogram("agentgateway_upstream_call_duration_seconds", "From sending an attempt to its answer's head or its failure.", []string{"kind", "subtype"}, requestBuckets),
		failover:   counter("nave_failover_attempts_total", "Moves of a request from one candidate to the next.", []string{"from", "to", "reason"}),
		spent:      counter("nave_llm_tokens_total", "Tokens of model calls, by what they are charged to.", spentLabels),
		models:     bounded{limit: 500}, objects: bounded{limit: 2000},
	}
	m.build.Set(1)
	return m
}

func counter(name, help string, labels []string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, labels []string, buckets []float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.build, m.requests, m.retries, m.bytes, m.duration, m.processing, m.answer,
		m.tokens, m.model, m.first, m.perOut, m.tools, m.calls, m.failover, m.spent,
	}
}

// routeKey is the label set RouteIdentifier.
type routeKey struct{ bind, gateway, listener, route, rule string }

func routeOf(r *Record) routeKey { return routeKey{r.Bind, r.Gateway, r.Listener, r.Route, r.RuleName} }

func (k routeKey) labels(before ...string) []string {
	all := append(before, k.bind, k.gateway, k.listener, k.route, k.rule)
	for i, v := range all {
		all[i] = or(strings.Clone(v))
	}
	return all
}

type httpKey struct {
	route                             routeKey
	backend, protocol, method, reason string
	status                            int
}

type httpSeries struct {
	requests, retries, bytes     prometheus.Counter
	duration, processing, answer prometheus.Observer
}

func (m *metrics) end(r *Record, now time.Time) {
	key := httpKey{routeOf(r), r.Backend, r.Protocol, method(r.Method), r.Reason, r.Status}
	s, ok := m.http.get(key)
	if !ok {
		s = m.http.put(key.clone(), m.httpSeries(key))
	}
	took := now.Sub(r.Start)
	s.requests.Inc()
	s.duration.Observe(took.Seconds())
	s.bytes.Add(float64(r.ResponseBytes))
	if r.Attempts > 0 {
		s.processing.Observe(r.Processing.Seconds())
		s.answer.Observe(max(0, took-r.Processing-r.Upstream).Seconds())
	}
	if r.Attempts > 1 {
		s.retries.Add(float64(r.Attempts - 1))
	}
	if r.LLM != nil {
		m.endLLM(r, key.route, took)
	}
	if r.MCP != nil {
		m.endMCP(r, key.route)
	}
}

func (m *metrics) httpSeries(k httpKey) *httpSeries {
	all := k.route.labels(k.backend, k.protocol, k.method, strconv.Itoa(k.status), k.reason)
	few := k.route.labels(k.backend)
	return &httpSeries{
		requests: m.requests.WithLabelValues(all...), retries: m.retries.WithLabelValues(all...),
		bytes: m.bytes.WithLabelValues(all...), duration: m.duration.WithLabelValues(all...),
		processing: m.processing.WithLabelValues(few...), answer: m.answer.WithLabelValues(few...),
	}
}

func (k httpKey) clone() httpKey {
	k.route = k.route.clone()
	k.backend, k.protocol = strings.Clone(k.backend), strings.Clone(k.protocol)
	k.method, k.reason = strings.Clone(k.method), strings.Clone(k.reason)
	return k
}

func (k routeKey) clone() routeKey {
	return routeKey{
		strings.Clone(k.bind), strings.Clone(k.gateway), strings.Clone(k.listener),
		strings.Clone(k.route), strings.Clone(k.rule),
	}
}

func (m *metrics) call(kind, subtype string) prometheus.Observer {
	key := [2]string{kind, subtype}
	o, ok := m.callBy.get(key)
	if !ok {
		o = m.callBy.put(key, m.calls.WithLabelValues(kind, subtype))
	}
	return o
}

// method keeps the label bounded: a client may send any token as its method.
func method(m string) string {
	switch m {
	case "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT":
		return m
	}
	return "unknown"
}

func or(v string) string {
	if v == "" {
		return "unknown"
	}
	return v
}

// cache maps label sets to series. It is emptied when it has grown past
// cacheLimit: what it holds can be made again.
type cache[K comparable, V any] struct {
	mu sync.RWMutex
	m  map[K]V
}

const cacheLimit = 100_000

func (c *cache[K, V]) get(k K) (V, bool) {
	c.mu.RLock()
	v, ok := c.m[k]
	c.mu.RUnlock()
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) V {
	c.mu.Lock()
	if c.m == nil || len(c.m) >= cacheLimit {
		c.m = map[K]V{}
	}
	c.m[k] = v
	c.mu.Unlock()
	return v
}

// bounded lets the first limit distinct values through and calls the rest
// other, for labels whose values clients choose.
type bounded struct {
	limit int
	mu    sync.Mutex
	seen  map[string]string
}

func (b *bounded) label(v string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.seen[v]; ok {
		return known
	}
	if len(b.seen) >= b.limit {
		return "other"
	}
	if b.seen == nil {
		b.seen = map[string]string{}
	}
	v = strings.Clone(v)
	b.seen[v] = v
	return v
}

package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type modelKey struct {
	route                                                  routeKey
	operation, provider, request, response, tenant, region string
}

type modelSeries struct {
	duration, first, perOut                            prometheus.Observer
	input, output, cacheRead, cacheWrite               prometheus.Observer
	spentInput, spentOutput, spentCached, spentWritten prometheus.Counter
}

func (m *metrics) endLLM(r *Record, route routeKey, took time.Duration) {
	l := r.LLM
	key := modelKey{
		route, l.Operation, l.Provider, m.models.label(l.RequestModel), m.models.label(l.ResponseModel),
		r.Tenant, r.Region,
	}
	s, ok := m.llm.get(key)
	if !ok {
		key.route = key.route.clone()
		s = m.llm.put(key, m.modelSeries(key))
	}
	s.duration.Observe(took.Seconds())
	if l.Streaming && l.FirstToken > 0 {
		s.first.Observe(l.FirstToken.Seconds())
	}
	if l.Streaming && l.PerToken > 0 {
		s.perOut.Observe(l.PerToken.Seconds())
	}
	spend(l.InputTokens, s.input, s.spentInput)
	spend(l.OutputTokens, s.output, s.spentOutput)
	spend(l.CachedTokens, s.cacheRead, s.spentCached)
	spend(l.CacheWrite, s.cacheWrite, s.spentWritten)
}

func spend(n int64, usage prometheus.Observer, total prometheus.Counter) {
	if n > 0 {
		usage.Observe(float64(n))
		total.Add(float64(n))
	}
}

func (m *metrics) modelSeries(k modelKey) *modelSeries {
	labels := k.route.labels(k.operation, k.provider, k.request, k.response)
	usage := func(kind string) prometheus.Observer {
		return m.tokens.WithLabelValues(append([]string{kind}, labels...)...)
	}
	spent := func(kind string) prometheus.Counter {
		model := k.response
		if model == "" {
			model = k.request
		}
		return m.spent.WithLabelValues(or(k.tenant), or(k.route.route), or(model), or(k.provider), or(k.region), kind)
	}
	return &modelSeries{
		duration: m.model.WithLabelValues(labels...), first: m.first.WithLabelValues(labels...),
		perOut: m.perOut.WithLabelValues(labels...),
		input:  usage("input"), output: usage("output"),
		cacheRead: usage("input_cache_read"), cacheWrite: usage("input_cache_write"),
		spentInput: spent("input"), spentOutput: spent("output"),
		spentCached: spent("input_cache_read"), spentWritten: spent("input_cache_write"),
	}
}

func (m *metrics) endMCP(r *Record, route routeKey) {
	t := r.MCP
	labels := route.labels(m.objects.label(t.Method), t.ResourceType, t.Server, m.objects.label(t.Name))
	m.tools.WithLabelValues(labels...).Inc()
}

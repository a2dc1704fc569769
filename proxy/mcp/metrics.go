package mcp

import "github.com/prometheus/client_golang/prometheus"

// metrics are what owners and entry proxies count.
type metrics struct {
	sessions prometheus.Gauge
	moves    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nave_mcp_sessions",
			Help: "Sessions at MCP servers that this proxy owns and that are live.",
		}),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nave_mcp_session_moves_total",
			Help: "Sessions at MCP servers that went on after a loss or a drain: reinitialised (what the server held is gone), restored (another proxy took the very session over), failed.",
		}, []string{"result"}),
	}
	for _, result := range []string{"reinitialised", "restored", "failed"} {
		m.moves.WithLabelValues(result)
	}
	if r != nil {
		r.MustRegister(m.sessions, m.moves)
	}
	return m
}

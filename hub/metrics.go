package hub

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/wire"
)

var (
	configLag = prometheus.NewDesc("nave_config_lag_seconds",
		"Since when a cluster lacks the assignment that it should have; 0 when it lacks nothing.", []string{"cluster"}, nil)
	heartbeatAge = prometheus.NewDesc("nave_spoke_heartbeat_age_seconds",
		"Since when nothing was heard of a cluster's spoke.", []string{"cluster"}, nil)
)

// fleetGauges read the board when they are asked.
type fleetGauges struct{ h *Hub }

// Describe implements prometheus.Collector.
func (fleetGauges) Describe(out chan<- *prometheus.Desc) {
	out <- configLag
	out <- heartbeatAge
}

// Collect implements prometheus.Collector.
func (c fleetGauges) Collect(out chan<- prometheus.Metric) {
	now := c.h.deps.Now()
	for _, m := range c.h.board.Members() {
		lag := 0.0
		if !m.Behind.IsZero() {
			lag = max(0, now.Sub(m.Behind).Seconds())
		}
		out <- prometheus.MustNewConstMetric(configLag, prometheus.GaugeValue, lag, m.Cluster.Name)
		if !m.Heard.IsZero() { // one that was never heard has no age
			out <- prometheus.MustNewConstMetric(heartbeatAge, prometheus.GaugeValue, max(0, now.Sub(m.Heard).Seconds()), m.Cluster.Name)
		}
	}
}

// countResyncs has a session's greetings counted, by why the spoke connects.
func (h *Hub) countResyncs(handler wire.Handler) wire.Handler {
	hello := handler.OnHello
	handler.OnHello = func(g wire.Greeting) error {
		h.resyncs.WithLabelValues(g.Why()).Inc()
		return hello(g)
	}
	return handler
}

func newResyncs() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "nave_resyncs_total", Help: "Streams of spokes that began with a comparison of what each side holds.",
	}, []string{"reason"})
}

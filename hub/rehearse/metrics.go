package rehearse

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/v1alpha1"
)

// metrics are what monitoring sees of drills.
type metrics struct {
	runs     *prometheus.CounterVec
	requests *prometheus.GaugeVec
	seconds  *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		runs:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nave_drill_runs_total", Help: "Drills that ended, by verdict."}, []string{"drill", "verdict"}),
		requests: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "nave_drill_requests", Help: "Requests that probers sent in the latest run from the loss on, by outcome."}, []string{"drill", "outcome"}),
		seconds:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "nave_drill_seconds", Help: "Seconds that the latest run took to detect, shift and fail back."}, []string{"drill", "step"}),
	}
	if r != nil {
		r.MustRegister(m.runs, m.requests, m.seconds)
	}
	return m
}

func (m metrics) ended(name string, s v1alpha1.DrillStatus) {
	m.runs.WithLabelValues(name, string(s.Verdict)).Inc()
	if s.Report == nil {
		return
	}
	for outcome, n := range map[string]int64{"ok": s.Report.Requests.OK, "failed": s.Report.Requests.Failed, "retried": s.Report.Requests.Retried, "lost": s.Report.Requests.Lost} {
		m.requests.WithLabelValues(name, outcome).Set(float64(n))
	}
	if d := s.Report.TimeToDetect; d != nil {
		m.seconds.WithLabelValues(name, "detect").Set(d.Seconds())
	}
	if d := s.Report.TimeToShift; d != nil {
		m.seconds.WithLabelValues(name, "shift").Set(d.Seconds())
	}
	if d := s.Report.TimeToFailback; d != nil {
		m.seconds.WithLabelValues(name, "failback").Set(d.Seconds())
	}
}

package upstream

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// standing is how far a candidate is from service, as metrics tell it.
type standing int

// The standings, in the order of their numbers.
const (
	inService standing = iota
	slowStart
	halfOpen
	ejected
)

var standings = [...]string{"in_service", "slow_start", "half_open", "ejected"}

// enter counts a change; h.mu is held.
func (h *Health) enter(key string, to standing) {
	h.moved.WithLabelValues(candidate(key), standings[to]).Inc()
}

// standing is where a candidate is now; h.mu is held.
func (h *Health) standing(s *state, now time.Time) standing {
	switch {
	case now.Before(s.limited), s.absent, s.out && now.Before(s.until):
		return ejected
	case s.out:
		return halfOpen
	case s.share(now) < 1:
		return slowStart
	}
	return inService
}

// states reads the candidates' states when it is asked.
type states struct{ h *Health }

var failoverState = prometheus.NewDesc("nave_failover_state",
	"Where a candidate is: 0 in service, 1 in slow start, 2 half open, 3 ejected.", []string{"candidate"}, nil)

// Describe implements prometheus.Collector.
func (states) Describe(out chan<- *prometheus.Desc) { out <- failoverState }

// Collect implements prometheus.Collector.
func (c states) Collect(out chan<- prometheus.Metric) {
	now := c.h.now()
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	worst := map[string]standing{} // what is steered stands by itself
	for key, s := range c.h.states {
		name := candidate(key)
		worst[name] = max(worst[name], c.h.standing(s, now))
	}
	for name, at := range worst {
		out <- prometheus.MustNewConstMetric(failoverState, prometheus.GaugeValue, float64(at), name)
	}
}

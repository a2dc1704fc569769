package publish

import (
	"encoding/json"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/stream"
)

type metrics struct {
	nacks   prometheus.Counter
	acked   prometheus.Histogram
	resyncs *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		nacks: prometheus.NewCounter(prometheus.CounterOpts{Name: "nave_nacks_total", Help: "Resources that proxies refused."}),
		acked: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nave_config_ack_seconds", Help: "From the publication of a revision to its acknowledgement by a proxy.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		resyncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nave_resyncs_total", Help: "Streams of proxies that began with a comparison of what each side holds.",
		}, []string{"reason"}),
	}
	if r != nil {
		r.MustRegister(m.nacks, m.acked, m.resyncs)
	}
	return m
}

// take takes what a proxy reports.
func (p *Publisher) take(x *proxy, changes []stream.Change) []stream.Nack {
	var nacks []stream.Nack
	for _, c := range changes {
		if c.Deleted {
			continue
		}
		if err := p.one(x, c); err != nil {
			nacks = append(nacks, stream.Nack{ID: c.ID(), Hash: c.Hash, Error: err.Error()})
		}
	}
	return nacks
}

func (p *Publisher) one(x *proxy, c stream.Change) error {
	switch assignment.Kind(c.Kind) {
	case assignment.KindFacts:
		var f assignment.ProxyFacts
		if err := json.Unmarshal(c.Payload, &f); err != nil {
			return fmt.Errorf("read a proxy's facts: %w", err)
		}
		// Who it is, its certificate says.
		f.ID, f.Tenant = x.name.Proxy, x.name.Tenant
		if f.Gateway != "" {
			f.Gateway = x.table
		}
		p.mu.Lock()
		x.facts = &f
		p.mu.Unlock()
		p.opts.Changed()
	case assignment.KindSample:
		r, err := assignment.Decode(assignment.KindSample, c.Key, c.Payload)
		if err != nil {
			return err
		}
		s := r.(*assignment.Sample)
		if s.From != x.name.Cluster {
			return fmt.Errorf("take a sample from %q: the proxy is of cluster %q", s.From, x.name.Cluster)
		}
		p.opts.Sample(x.name.Proxy, s)
	}
	return nil
}

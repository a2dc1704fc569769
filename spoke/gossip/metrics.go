package gossip

import "github.com/prometheus/client_golang/prometheus"

var (
	rtt = prometheus.NewDesc("nave_region_rtt_seconds", "Round trip between clusters.", []string{"from", "to", "kind"}, nil)
	age = prometheus.NewDesc("nave_region_rtt_sample_age_seconds", "Age of the last sample of a round trip.", []string{"from", "to", "kind"}, nil)
	up  = prometheus.NewDesc("nave_gossip_members", "Other clusters that gossip finds.", nil, nil)
)

// gauges read what is known when they are asked.
type gauges struct{ g *Gossip }

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- rtt
	ch <- age
	ch <- up
}

// Collect implements prometheus.Collector.
func (c gauges) Collect(ch chan<- prometheus.Metric) {
	members := c.g.Members()
	ch <- prometheus.MustNewConstMetric(up, prometheus.GaugeValue, float64(len(members)))
	for _, to := range members {
		if e := c.g.RTT(to); e.Known {
			ch <- prometheus.MustNewConstMetric(rtt, prometheus.GaugeValue, e.Value.Seconds(), c.g.opts.Cluster, to, "gossip")
			ch <- prometheus.MustNewConstMetric(age, prometheus.GaugeValue, e.Age.Seconds(), c.g.opts.Cluster, to, "gossip")
		}
	}
}

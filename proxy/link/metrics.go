package link

import "github.com/prometheus/client_golang/prometheus"

// gauges are the client's metrics; what is measured is read when it is asked for.
type gauges struct {
	client       *Client
	rtt, age     *prometheus.Desc
	up           *prometheus.Desc
	sent, missed *prometheus.CounterVec
}

func newGauges(c *Client) *gauges {
	return &gauges{
		client: c,
		rtt: prometheus.NewDesc("nave_region_rtt_seconds", "Round trip between clusters.",
			[]string{"from", "to", "kind"}, nil),
		age: prometheus.NewDesc("nave_region_rtt_sample_age_seconds", "Age of the last sample of a round trip.",
			[]string{"from", "to", "kind"}, nil),
		up: prometheus.NewDesc("nave_link_up", "Whether any link to the cluster works.", []string{"to"}, nil),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nave_link_sent_total", Help: "Requests sent over the link, by result: answered, refused, failed.",
		}, []string{"to", "result"}),
		missed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nave_link_pings_missed_total", Help: "Pings of links that got no answer in time.",
		}, []string{"to"}),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.rtt
	ch <- g.age
	ch <- g.up
	g.sent.Describe(ch)
	g.missed.Describe(ch)
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	c := g.client
	for _, to := range c.clusters() {
		up := 0.0
		if ok, _ := c.Reachable(to); ok {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(g.up, prometheus.GaugeValue, up, to)
		e := c.RTT(to)
		if !e.Known {
			continue
		}
		ch <- prometheus.MustNewConstMetric(g.rtt, prometheus.GaugeValue, e.Value.Seconds(), c.opt.Cluster, to, "link")
		ch <- prometheus.MustNewConstMetric(g.age, prometheus.GaugeValue, e.Age.Seconds(), c.opt.Cluster, to, "link")
	}
	g.sent.Collect(ch)
	g.missed.Collect(ch)
}

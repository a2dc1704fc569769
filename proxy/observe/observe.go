package observe

import (
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options of an Observer.
type Options struct {
	// Registerer gets the metrics; nil is silent.
	Registerer prometheus.Registerer
	// Log gets the access log, many lines in one Write; nil writes none.
	Log io.Writer
	// Format says how lines are written; nil is text.
	Format *Format
	// Version is the tag of build_info.
	Version string
}

// Observer writes a line and counts for each record. It is safe for use by
// many goroutines.
type Observer struct {
	format  *Format
	lines   *lines
	scratch sync.Pool
	metrics *metrics
	sockets *sockets
}

// New makes an Observer. Close must be called to end its writer.
func New(o Options) *Observer {
	v := &Observer{format: o.Format, metrics: newMetrics(o.Version), sockets: newSockets()}
	if v.format == nil {
		v.format = &Format{}
	}
	v.scratch.New = func() any { b := make([]byte, 0, 1024); return &b }
	if o.Log != nil {
		v.lines = newLines(o.Log)
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(append(v.metrics.all(), v.sockets.all()...)...)
		o.Registerer.MustRegister(memory{process: "/proc/self/smaps_rollup", group: "/sys/fs/cgroup"})
		if v.lines != nil {
			o.Registerer.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "nave_access_log_dropped_total",
				Help: "Access-log lines lost because their writer was too slow or failed.",
			}, v.lines.lost))
		}
	}
	return v
}

// End writes and counts a finished request. The record's strings are not kept.
func (v *Observer) End(r *Record, now time.Time) {
	if v.lines != nil {
		b := v.scratch.Get().(*[]byte)
		*b = appendLine((*b)[:0], r, now, v.format.json.Load())
		v.lines.add(*b)
		v.scratch.Put(b)
	}
	v.metrics.end(r, now)
}

// Failover counts a request's move from one candidate to the next; from and to
// are candidate keys, reason a trigger.
func (v *Observer) Failover(from, to, reason string) {
	v.metrics.failover.WithLabelValues(from, to, reason).Inc()
}

// Call counts the time of one attempt, until its answer's head or its failure.
// kind is Primary or Mirror, subtype Http, Llm or Mcp.
func (v *Observer) Call(kind, subtype string, d time.Duration) {
	v.metrics.call(kind, subtype).Observe(d.Seconds())
}

// Close writes what waits.
func (v *Observer) Close() {
	if v.lines != nil {
		v.lines.close()
	}
}

// Package probe holds what the hub and the probers in the spokes say to each
// other: what to probe, and what the probers, who are real clients, saw. It
// decides nothing and sends nothing.
package probe

import (
	"maps"
	"time"
)

// Width is the time that one Bucket spans.
const Width = 100 * time.Millisecond

// The paths by which the hub asks a spoke.
const (
	AskStart  = "probe/start"  // body Plan
	AskReport = "probe/report" // body Since, answer Report
	AskStop   = "probe/stop"
)

// Plan says what a prober sends.
type Plan struct {
	// Rate is requests a second, over all Gateways of the cluster.
	Rate int `json:"rate"`
	// Until bounds the probing, whatever else is said.
	Until time.Time `json:"until"`
}

// Since asks for the buckets that begin at or after a time.
type Since struct {
	At time.Time `json:"at"`
}

// Report is what a prober saw.
type Report struct {
	// Clock is the prober's when it answers.
	Clock   time.Time `json:"clock"`
	Buckets []Bucket  `json:"buckets"`
	// Targets are what is probed: Gateways' URLs with the route's path.
	Targets []string `json:"targets,omitempty"`
}

// Bucket counts the requests that were scheduled within one Width, each with
// its outcome; it is final once every one of them has ended.
type Bucket struct {
	At time.Time `json:"at"`
	// Open requests have not ended.
	Open int64 `json:"open,omitempty"`
	// OpenAt splits them by the cluster that similar requests are served by.
	OpenAt map[string]int64 `json:"openAt,omitempty"`
	// Served counts good answers by the cluster that served.
	Served map[string]int64 `json:"served,omitempty"`
	// Bound counts those of Served that belong to MCP sessions: a session stays
	// where it is until that place fails, so they do not show a return.
	Bound map[string]int64 `json:"bound,omitempty"`
	// Retried of them took more than one attempt.
	Retried int64 `json:"retried,omitempty"`
	// Failed had an error for an answer, Lost none.
	Failed int64 `json:"failed,omitempty"`
	Lost   int64 `json:"lost,omitempty"`
	// Reinitialised counts MCP sessions that were initialised anew.
	Reinitialised int64 `json:"reinitialised,omitempty"`
	// Slowest of those that ended, from its scheduled time.
	Slowest time.Duration `json:"slowest,omitempty"`
}

// OK is the number of good answers.
func (b Bucket) OK() int64 {
	n := int64(0)
	for _, c := range b.Served {
		n += c
	}
	return n
}

// Free is how many good answers were bound to no session, in all and by one
// cluster.
func (b Bucket) Free(cluster string) (all, its int64) {
	all, its = b.OK(), b.Served[cluster]-b.Bound[cluster]
	for _, c := range b.Bound {
		all -= c
	}
	return all, its
}

// Add is both together, of one span of time.
func (b Bucket) Add(o Bucket) Bucket {
	b.Open += o.Open
	b.OpenAt = sum(b.OpenAt, o.OpenAt)
	b.Served = sum(b.Served, o.Served)
	b.Bound = sum(b.Bound, o.Bound)
	b.Retried += o.Retried
	b.Failed += o.Failed
	b.Lost += o.Lost
	b.Reinitialised += o.Reinitialised
	b.Slowest = max(b.Slowest, o.Slowest)
	return b
}

func sum(a, b map[string]int64) map[string]int64 {
	if len(a)+len(b) == 0 {
		return nil
	}
	out := maps.Clone(a)
	if out == nil {
		out = map[string]int64{}
	}
	for k, v := range b {
		out[k] += v
	}
	return out
}

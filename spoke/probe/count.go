package probe

import (
	"maps"
	"sync"
	"time"

	"github.com/navehq/nave/api/probe"
)

// counts are the buckets of one run, in order of time.
type counts struct {
	mu      sync.Mutex
	start   time.Time
	buckets []probe.Bucket
}

// begin counts a request as open from its scheduled time on; at is the cluster
// that served the last one like it, "" unknown. It is false beyond the bounds.
func (c *counts) begin(scheduled time.Time, at string) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := int(scheduled.Sub(c.start) / probe.Width)
	if i < 0 || i >= maxBuckets {
		return 0, false
	}
	for len(c.buckets) <= i {
		c.buckets = append(c.buckets, probe.Bucket{At: c.start.Add(time.Duration(len(c.buckets)) * probe.Width)})
	}
	b := &c.buckets[i]
	b.Open++
	if at != "" {
		if b.OpenAt == nil {
			b.OpenAt = map[string]int64{}
		}
		b.OpenAt[at]++
	}
	return i, true
}

// end counts what came of a request that began in a bucket; a nil outcome was
// abandoned and counts as nothing.
func (c *counts) end(i int, at string, o *outcome, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &c.buckets[i]
	b.Open--
	if at != "" {
		if b.OpenAt[at]--; b.OpenAt[at] == 0 {
			delete(b.OpenAt, at)
		}
	}
	if o == nil {
		return
	}
	b.Slowest = max(b.Slowest, took)
	if o.reinitialised {
		b.Reinitialised++
	}
	switch {
	case o.lost:
		b.Lost++
	case o.failed:
		b.Failed++
	default:
		if b.Served == nil {
			b.Served = map[string]int64{}
		}
		b.Served[o.cluster]++
		if o.bound {
			if b.Bound == nil {
				b.Bound = map[string]int64{}
			}
			b.Bound[o.cluster]++
		}
		if o.attempts > 1 {
			b.Retried++
		}
	}
}

// since copies the buckets that begin at or after a time and hold anything.
func (c *counts) since(at time.Time) []probe.Bucket {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []probe.Bucket
	for i := max(0, int((at.Sub(c.start)+probe.Width-1)/probe.Width)); i < len(c.buckets) && len(out) < perReport; i++ {
		b := c.buckets[i]
		if b.Open+b.OK()+b.Failed+b.Lost == 0 {
			continue
		}
		b.OpenAt, b.Served, b.Bound = maps.Clone(b.OpenAt), maps.Clone(b.Served), maps.Clone(b.Bound)
		out = append(out, b)
	}
	return out
}

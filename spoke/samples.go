package spoke

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/latency"
)

// fresh is how old a sample may be to count.
const fresh = 30 * time.Second

// samples merges what the cluster's proxies measure: of one path there are as
// many beliefs as proxies, and one is told.
type samples struct {
	now func() time.Time

	mu     sync.Mutex
	digest latency.Digest
	// words are what each writer last said, by path and writer.
	words  map[string]map[string]word
	merged map[string]*assignment.Sample
}

// word is whether a path gives no answer, and when that was said.
type word struct {
	lost bool
	at   time.Time
}

func newSamples(now func() time.Time) *samples {
	return &samples{now: now, digest: latency.NewDigest(), words: map[string]map[string]word{}, merged: map[string]*assignment.Sample{}}
}

// take takes one writer's sample, and returns what is believed of the path now:
// the median of what is fresh, lost where nobody finds it.
func (b *samples) take(writer string, s *assignment.Sample) *assignment.Sample {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	_, path := s.ID()
	if !s.Lost {
		b.digest = b.digest.Put(latency.Entry{Path: path, Writer: writer, Value: s.RTT.Std(), Least: s.RTT.Std(), Count: s.Count, At: s.At})
	}
	if b.words[path] == nil {
		b.words[path] = map[string]word{}
	}
	b.words[path][writer] = word{s.Lost, now}
	out := *s
	out.Count, out.Lost = 0, true
	for _, w := range b.words[path] {
		if now.Sub(w.at) <= fresh {
			out.Count++
			out.Lost = out.Lost && w.lost
		}
	}
	if e := b.digest.Estimate(path, now, fresh); e.Known {
		out.RTT, out.At = table.Duration(e.Value), now.Add(-e.Age)
	}
	b.merged[path] = &out
	return &out
}

// list is what is believed of every path, by name.
func (b *samples) list() []*assignment.Sample {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]*assignment.Sample, 0, len(b.merged))
	for _, path := range slices.Sorted(maps.Keys(b.merged)) {
		out = append(out, b.merged[path])
	}
	return out
}

// sample takes what a proxy measured.
func (s *Spoke) sample(proxy string, x *assignment.Sample) { s.uplink.Tell(s.samples.take(proxy, x)) }

// heard takes what gossip measured, which the proxies get to know as well.
func (s *Spoke) heard(x *assignment.Sample) {
	x = s.samples.take("", x)
	s.uplink.Tell(x)
	s.publisher.Share(x)
}

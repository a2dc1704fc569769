// Package latency turns samples of durations into estimates that can be
// believed, and keeps a preference from flapping between two that are nearly
// equal. It holds what is measured; it never measures and never decides where
// a request goes.
package latency

import (
	"slices"
	"time"

	"github.com/benbjohnson/immutable"
)

// Estimate is what is believed of a duration. Known is false where nothing was
// measured lately enough; unknown is neither preferred nor punished.
type Estimate struct {
	Value time.Duration
	Age   time.Duration
	Known bool
}

// An estimate is the moving average of medians: the median of the last window
// samples takes out what stands alone, the average takes the steps out of the
// median. weight is that of the newest median. floor is the period over which
// the least sample is remembered, once in full and once in part.
const (
	window = 5
	weight = 0.3
	floor  = 30 * time.Second
)

// series is what a book holds of one path.
type series struct {
	last  [window]time.Duration
	count int
	value float64
	at    time.Time
	least [2]time.Duration // of the period before and of this one
	since time.Time        // when this period began
}

// Book holds the samples of many paths. It is immutable; the zero value is not
// usable: begin with New.
type Book struct {
	stale time.Duration
	paths *immutable.Map[string, series]
}

// New makes a book whose estimates are unknown once their last sample is older
// than stale.
func New(stale time.Duration) Book {
	return Book{stale, immutable.NewMap[string, series](nil)}
}

// Add returns the book with one more sample. One that is older than the path's
// last, negative or nothing is left out.
func (b Book) Add(path string, at time.Time, sample time.Duration) Book {
	s, _ := b.paths.Get(path)
	if sample <= 0 || s.count > 0 && at.Before(s.at) {
		return b
	}
	if s.count > 0 && at.Sub(s.at) > b.stale {
		s = series{}
	}
	s.last[s.count%window] = sample
	s.count++
	middle := float64(median(s.last[:min(s.count, window)]))
	if s.count <= window {
		s.value = middle
	} else {
		s.value += weight * (middle - s.value)
	}
	s.keepLeast(at, sample)
	s.at = at
	return Book{b.stale, b.paths.Set(path, s)}
}

func (s *series) keepLeast(at time.Time, sample time.Duration) {
	switch {
	case s.count == 1 || at.Sub(s.since) >= 2*floor:
		s.least, s.since = [2]time.Duration{sample, sample}, at
	case at.Sub(s.since) >= floor:
		s.least, s.since = [2]time.Duration{s.least[1], sample}, at
	default:
		s.least[1] = min(s.least[1], sample)
	}
}

func median(samples []time.Duration) time.Duration {
	var sorted [window]time.Duration
	n := copy(sorted[:], samples)
	slices.Sort(sorted[:n])
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// Forget returns the book without a path.
func (b Book) Forget(path string) Book { return Book{b.stale, b.paths.Delete(path)} }

// Estimate is what is believed of a path at that time.
func (b Book) Estimate(path string, now time.Time) Estimate {
	s, ok := b.paths.Get(path)
	if !ok {
		return Estimate{}
	}
	age := max(0, now.Sub(s.at))
	return Estimate{time.Duration(s.value), age, age <= b.stale}
}

// Least is the smallest sample of the last half minute to minute: the path
// without what waits in its queues.
func (b Book) Least(path string, now time.Time) Estimate {
	e := b.Estimate(path, now)
	s, _ := b.paths.Get(path)
	e.Value = min(s.least[0], s.least[1])
	return e
}

// Digest is the book as it is told to others, under the writer's name.
func (b Book) Digest(writer string) Digest {
	d := NewDigest()
	for it := b.paths.Iterator(); !it.Done(); {
		path, s, _ := it.Next()
		d = d.Put(Entry{path, writer, time.Duration(s.value), min(s.least[0], s.least[1]), s.count, s.at})
	}
	return d
}

package latency

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/benbjohnson/immutable"
)

// Entry is what one writer believes of one path.
type Entry struct {
	Path, Writer string
	Value, Least time.Duration
	Count        int
	// At is when the last sample was taken, by the writer's clock.
	At time.Time
}

func (e Entry) compare(o Entry) int {
	return cmp.Or(
		e.At.Compare(o.At), cmp.Compare(e.Count, o.Count),
		cmp.Compare(e.Value, o.Value), cmp.Compare(e.Least, o.Least),
	)
}

type author struct{ path, writer string }

type byAuthor struct{}

func (byAuthor) Compare(a, b author) int {
	return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(a.writer, b.writer))
}

// Digest gathers what many writers believe. Merge makes it a semilattice: the
// order, grouping and repetition of what arrives do not matter.
type Digest struct {
	entries *immutable.SortedMap[author, Entry]
}

// NewDigest is empty.
func NewDigest() Digest {
	return Digest{immutable.NewSortedMap[author, Entry](byAuthor{})}
}

// Put keeps the newer of what is there and e; ties go to the greater.
func (d Digest) Put(e Entry) Digest {
	key := author{e.Path, e.Writer}
	if was, ok := d.entries.Get(key); ok && was.compare(e) >= 0 {
		return d
	}
	return Digest{d.entries.Set(key, e)}
}

// Merge keeps of each writer and path the newer entry of both.
func (d Digest) Merge(o Digest) Digest {
	for it := o.entries.Iterator(); !it.Done(); {
		_, e, _ := it.Next()
		d = d.Put(e)
	}
	return d
}

// Entries lists all, by path and writer.
func (d Digest) Entries() []Entry {
	var out []Entry
	for it := d.entries.Iterator(); !it.Done(); {
		_, e, _ := it.Next()
		out = append(out, e)
	}
	return out
}

// Estimate is the lower median of what the writers believe whose last sample is
// no older than stale; its age is that of the youngest.
func (d Digest) Estimate(path string, now time.Time, stale time.Duration) Estimate {
	var values []time.Duration
	best := Estimate{Age: stale}
	it := d.entries.Iterator()
	for it.Seek(author{path: path}); !it.Done(); {
		key, e, _ := it.Next()
		if key.path != path {
			break
		}
		if age := max(0, now.Sub(e.At)); age <= stale {
			values = append(values, e.Value)
			best.Age = min(best.Age, age)
		}
	}
	if len(values) == 0 {
		return Estimate{}
	}
	slices.Sort(values)
	return Estimate{values[(len(values)-1)/2], best.Age, true}
}

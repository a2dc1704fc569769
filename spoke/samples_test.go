package spoke

import (
	"testing"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/table"
)

func sample(rtt time.Duration, lost bool, at time.Time) *assignment.Sample {
	return &assignment.Sample{From: "west", To: "east", Measure: "link", RTT: table.Duration(rtt), Count: 1, At: at, Lost: lost}
}

func TestOneIsBelievedOfWhatManyMeasure(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := newSamples(func() time.Time { return now })
	if got := b.take("a", sample(10*time.Millisecond, false, now)); got.RTT.Std() != 10*time.Millisecond || got.Lost || got.Count != 1 {
		t.Errorf("of one proxy: %+v", got)
	}
	b.take("b", sample(30*time.Millisecond, false, now))
	if got := b.take("c", sample(20*time.Millisecond, false, now)); got.RTT.Std() != 20*time.Millisecond || got.Count != 3 {
		t.Errorf("of three the median: %+v", got)
	}
	if got := b.take("a", sample(0, true, now)); got.Lost {
		t.Errorf("one of three finds nothing: %+v", got)
	}
	b.take("b", sample(0, true, now))
	if got := b.take("c", sample(0, true, now)); !got.Lost || got.RTT.Std() == 0 {
		t.Errorf("none finds it, and what it was is not forgotten: %+v", got)
	}
	// Who has said nothing for long does not count, whatever was said.
	now = now.Add(fresh + 1)
	if got := b.take("a", sample(40*time.Millisecond, false, now)); got.Lost || got.Count != 1 || got.RTT.Std() != 40*time.Millisecond {
		t.Errorf("after a silence: %+v", got)
	}
	if list := b.list(); len(list) != 1 || list[0].To != "east" {
		t.Errorf("believed are %+v", list)
	}
}

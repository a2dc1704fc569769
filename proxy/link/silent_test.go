package link

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestAStallIsNoSilence: pings that this process gave up late are asked again, but
// not for ever.
func TestAStallIsNoSilence(t *testing.T) {
	const limit, late = time.Second, 3 * time.Second
	for _, c := range []struct {
		why string
		// took is how long each ping took until it was given up; after the last one
		// they are answered.
		took   []time.Duration
		silent bool
		asked  int
	}{
		{"answered", nil, false, 1},
		{"one missed", []time.Duration{limit}, false, 2},
		{"two missed", []time.Duration{limit, limit}, true, 2},
		{"stood still", []time.Duration{late, late}, false, 3},
		{"stood still, then missed", []time.Duration{late, limit, late, limit}, true, 4},
		{"stands still all the time", slices.Repeat([]time.Duration{late}, 9), true, lateMost + 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			got := silent(limit, func() error {
				if asked++; asked > len(c.took) {
					return nil
				}
				time.Sleep(c.took[asked-1])
				return errors.New("no answer")
			})
			if got != c.silent || asked != c.asked {
				t.Errorf("%s: silent is %t after %d pings", c.why, got, asked)
			}
		})
	}
}

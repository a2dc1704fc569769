package load

import "testing"

func TestMix(t *testing.T) {
	for _, c := range []struct {
		name string
		real bool
		want map[Kind]int
	}{
		{"simulators", false, map[Kind]int{Chat: 400, Stream: 200, Tool: 350, Count: 50}},
		{"a provider that costs money", true, map[Kind]int{Chat: 25, Tool: 825, Count: 150}},
	} {
		mix, got := &Traffic{opts: Options{Dear: c.real}}, map[Kind]int{}
		for n := range 1000 {
			got[mix.next(n)]++
		}
		for _, k := range Kinds {
			if got[k] != c.want[k] {
				t.Errorf("%s: %d of %q, want %d", c.name, got[k], k, c.want[k])
			}
		}
	}
}

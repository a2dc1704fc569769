package preview

import (
	"slices"
	"strings"
	"testing"
)

func TestDiffer(t *testing.T) {
	for _, c := range []struct{ was, will, want string }{
		{"a\nb\nc\n", "a\nb\nc\n", ""},
		{"", "a\nb\n", "+ a|+ b"},
		{"a\nb\n", "", "- a|- b"},
		{"a\nb\nc\n", "a\nx\nc\n", "- b|+ x"},
		{"a\nb\nc\n", "b\nc\nd\n", "- a|+ d"},
	} {
		if got := strings.Join(differ(c.was, c.will), "|"); got != c.want {
			t.Errorf("%q to %q: %q, want %q", c.was, c.will, got, c.want)
		}
	}
}

func FuzzDiffer(f *testing.F) {
	f.Add("a\nb\n", "b\na\n")
	f.Add("a\na\na\n", "a\n")
	f.Fuzz(func(t *testing.T, was, will string) {
		a, b := lines(was), lines(will)
		if len(a) > 200 || len(b) > 200 {
			return
		}
		// Taking out what goes, and what comes, leaves the same of both.
		for _, line := range differ(was, will) {
			from := &a
			if line[0] == '+' {
				from = &b
			}
			i := slices.Index(*from, line[2:])
			if i < 0 {
				t.Fatalf("%q is not there", line)
			}
			*from = slices.Delete(slices.Clone(*from), i, i+1)
		}
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Errorf("%q and %q are left of %q to %q", a, b, was, will)
		}
	})
}

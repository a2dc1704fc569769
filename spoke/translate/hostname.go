package translate

import (
	"slices"
	"strings"
)

// intersect is what two host names have in common: the more specific one, or
// false. "" is any name; "*.example.com" is every name that ends in
// .example.com, with any number of labels before it.
func intersect(a, b string) (string, bool) {
	switch {
	case a == "" || a == b:
		return b, true
	case b == "":
		return a, true
	case covers(a, b):
		return b, true
	case covers(b, a):
		return a, true
	}
	return "", false
}

// covers tells whether a wildcard covers a name or a narrower wildcard.
func covers(wildcard, name string) bool {
	suffix, ok := strings.CutPrefix(wildcard, "*")
	if !ok {
		return false
	}
	name = strings.TrimPrefix(name, "*")
	return len(name) > len(suffix) && strings.HasSuffix(name, suffix)
}

// common are the intersections of two lists, sorted; an empty list is any name.
func common(a, b []string) []string {
	if len(a) == 0 {
		a = []string{""}
	}
	if len(b) == 0 {
		b = []string{""}
	}
	var out []string
	for _, x := range a {
		for _, y := range b {
			if h, ok := intersect(x, y); ok && !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}
	slices.Sort(out)
	return out
}

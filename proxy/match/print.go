package match

import (
	"fmt"
	"slices"
	"strings"
)

// Print writes all that the index would answer by, a line for each: equal
// indexes print alike, however they came about.
func (x *Index) Print() string {
	var lines []string
	for it := x.ports.Iterator(); !it.Done(); {
		n, p, _ := it.Next()
		for hosts := p.hosts.Iterator(); !hosts.Done(); {
			host, list, _ := hosts.Next()
			lines = append(lines, fmt.Sprintf("port %d host %q: %s", n, host, list[0].Name))
		}
	}
	for it := x.trees.Iterator(); !it.Done(); {
		listener, t, _ := it.Next()
		for hosts := t.hosts.Iterator(); !hosts.Done(); {
			host, p, _ := hosts.Next()
			lines = append(lines, p.print(fmt.Sprintf("listener %s host %q", listener, host))...)
		}
	}
	lines = append(lines, x.printGuards()...)
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (p *paths) print(at string) []string {
	lines := []string{fmt.Sprintf("%s depths %v", at, p.depths)}
	show := func(kind, value string, list []*entry) {
		for i, e := range list {
			lines = append(lines, fmt.Sprintf("%s %s %q %d: %s match %d", at, kind, value, i, e.rule.Name, e.index))
		}
	}
	for it := p.exact.Iterator(); !it.Done(); {
		value, list, _ := it.Next()
		show("exact", value, list)
	}
	for it := p.prefix.Iterator(); !it.Done(); {
		value, list, _ := it.Next()
		show("prefix", value, list)
	}
	show("regex", "", p.regex)
	return lines
}

func (g *guarding) printGuards() []string {
	var lines []string
	show := func(at string, g *Guard) {
		lines = append(lines, fmt.Sprintf("guard of %s: %v closed %q", at, g.Policies, g.Closed))
	}
	for it := g.base.Iterator(); !it.Done(); {
		name, guard, _ := it.Next()
		show("listener "+name, guard)
	}
	for it := g.own.Iterator(); !it.Done(); {
		p, guard, _ := it.Next()
		show("rule "+p.rule+" under "+p.listener, guard)
	}
	for it := g.served.Iterator(); !it.Done(); {
		t, guard, _ := it.Next()
		show(fmt.Sprintf("backend %+v", t), guard)
	}
	return lines
}

package match

import (
	"github.com/navehq/nave/api/table"
)

// Rule is a table's rule with what a request would otherwise work out anew.
type Rule struct {
	*table.Rule
	// RouteName is namespace/name, as it stands in logs and labels.
	RouteName string
	// Total is the sum of the backends' weights.
	Total uint64
	// Mirrors tells that a filter of the rule or of a backend sends copies.
	Mirrors bool
	// Answers tells that the rule answers by itself (a redirect).
	Answers bool

	entries []*entry
}

func compileRule(r *table.Rule) (*Rule, error) {
	c := &Rule{Rule: r, RouteName: r.Route.Namespace + "/" + r.Route.Name}
	c.note(r.Filters)
	for i := range r.Backends {
		c.Total += uint64(max(0, r.Backends[i].Weight))
		c.note(r.Backends[i].Filters)
	}
	var err error
	c.entries, err = compile(c)
	return c, err
}

func (c *Rule) note(filters []table.Filter) {
	for i := range filters {
		c.Mirrors = c.Mirrors || filters[i].Mirror != nil
		c.Answers = c.Answers || filters[i].Redirect != nil
	}
}

// Draw picks a backend by weight with a random word; nil where no backend has
// any weight.
func (c *Rule) Draw(word uint64) *table.BackendRef {
	if c.Total == 0 {
		return nil
	}
	word %= c.Total
	for i := range c.Backends {
		w := uint64(max(0, c.Backends[i].Weight))
		if word < w {
			return &c.Backends[i]
		}
		word -= w
	}
	return nil
}

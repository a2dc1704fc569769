package table_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/table"
)

func TestEffective(t *testing.T) {
	auth := func(e string) *table.Authorization {
		return &table.Authorization{Action: table.Allow, Expressions: []string{e}}
	}
	key := func(secret string) *table.APIKey {
		return &table.APIKey{Mode: table.Strict, Secrets: []string{secret}}
	}
	for _, c := range []struct {
		reason string
		levels table.Levels
		want   table.EffectivePolicy
	}{
		{reason: "no policy restricts nothing"},
		{
			reason: "the route's key wins over the gateway's, authorization accumulates",
			levels: table.Levels{
				Gateway: []*table.Policy{{Name: "g", APIKey: key("g"), Authorization: auth("g")}},
				Route:   []*table.Policy{{Name: "r", APIKey: key("r"), Authorization: auth("r")}},
			},
			want: table.EffectivePolicy{
				APIKey: key("r"), Authorization: []*table.Authorization{auth("g"), auth("r")}, Sources: []string{"g", "r"},
			},
		},
		{
			reason: "a more specific policy without the field leaves it",
			levels: table.Levels{
				Gateway: []*table.Policy{{Name: "g", APIKey: key("g")}},
				Rule:    []*table.Policy{{Name: "r", Authorization: auth("r")}},
			},
			want: table.EffectivePolicy{
				APIKey: key("g"), Authorization: []*table.Authorization{auth("r")}, Sources: []string{"g", "r"},
			},
		},
		{
			reason: "at one level the older wins, then the name",
			levels: table.Levels{Route: []*table.Policy{
				{Name: "c", Created: 2, APIKey: key("c")}, {Name: "b", Created: 1, APIKey: key("b")}, {Name: "a", Created: 1, APIKey: key("a")},
			}},
			want: table.EffectivePolicy{APIKey: key("a"), Sources: []string{"a", "b", "c"}},
		},
		{
			reason: "one closed policy closes, however specific the others",
			levels: table.Levels{
				Gateway: []*table.Policy{{Name: "g", Closed: "broken"}},
				Rule:    []*table.Policy{{Name: "r", APIKey: key("r")}},
			},
			want: table.EffectivePolicy{APIKey: key("r"), Closed: "broken", Sources: []string{"g", "r"}},
		},
	} {
		t.Run(c.reason, func(t *testing.T) {
			if diff := cmp.Diff(c.want, table.Effective(c.levels)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAttachmentsFindPoliciesByListenerRouteAndRule(t *testing.T) {
	policy := func(name string, target table.Target) *table.Policy {
		return &table.Policy{Name: name, Targets: []table.Target{target, target}}
	}
	a := table.Attach(table.New(
		policy("gateway", table.Target{Kind: "Gateway", Namespace: "n", Name: "g"}),
		policy("listener", table.Target{Kind: "Gateway", Namespace: "n", Name: "g", Section: "http"}),
		policy("other listener", table.Target{Kind: "Gateway", Namespace: "n", Name: "g", Section: "https"}),
		policy("route", table.Target{Kind: "HTTPRoute", Namespace: "n", Name: "r"}),
		policy("rule", table.Target{Kind: "HTTPRoute", Namespace: "n", Name: "r", Section: "s"}),
		policy("other rule", table.Target{Kind: "HTTPRoute", Namespace: "n", Name: "r", Section: "t"}),
	))
	l := &table.Listener{Gateway: "n/g", Section: "http"}
	route := table.Route{Kind: "HTTPRoute", Namespace: "n", Name: "r"}
	for want, rule := range map[string]*table.Rule{
		"gateway listener":            nil,
		"gateway listener route":      {Route: route},
		"gateway listener route rule": {Route: route, Section: "s"},
	} {
		got := ""
		for i, s := range a.For(l, rule).Sources {
			if i > 0 {
				got += " "
			}
			got += s
		}
		if got != want {
			t.Errorf("policies in force are %q, want %q", got, want)
		}
	}
}

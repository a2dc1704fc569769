package report_test

import (
	"strings"
	"testing"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/report"
)

func TestDraining(t *testing.T) {
	serves := func(sessions, requests int) assignment.ProxyFacts {
		return assignment.ProxyFacts{Serving: &assignment.Serving{Sessions: sessions, Requests: requests}}
	}
	for _, c := range []struct {
		why     string
		proxies []assignment.ProxyFacts
		unheard bool
		says    string
		done    bool
	}{
		{"what is left is added up", []assignment.ProxyFacts{serves(2, 0), serves(1, 1)}, false, "3 MCP sessions and 1 request left", false},
		{"nothing is left", []assignment.ProxyFacts{serves(0, 0), serves(0, 0)}, false, "nothing is served for other clusters", true},
		{"a proxy has not heard of it", []assignment.ProxyFacts{serves(0, 0), {}}, false, "1 of 2 proxies obey", false},
		{"nobody knows", []assignment.ProxyFacts{serves(0, 0)}, true, "the cluster is not heard", false},
		{"nobody is there", nil, false, "nothing is served for other clusters", true},
	} {
		d := report.Draining("Draining", c.proxies, !c.unheard)
		if d == nil || d.Message != c.says || d.Complete != c.done {
			t.Errorf("%s: %+v", c.why, d)
			continue
		}
		want := `"type":"Complete","status":"False","reason":"InProgress"`
		if c.done {
			want = `"type":"Complete","status":"True","reason":"Done"`
		}
		if text := string(report.Completion(*d)); !strings.Contains(text, want) {
			t.Errorf("%s: %s", c.why, text)
		}
	}
	if d := report.Draining("Cordoned", []assignment.ProxyFacts{serves(1, 1)}, true); d != nil {
		t.Errorf("a cordoned cluster is not drained: %+v", d)
	}
}

package authorization_test

import (
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/authorization"
)

type facts map[string]any

func (f facts) Fact(name string) (any, bool) { v, ok := f[name]; return v, ok }

func set(a table.Action, e ...string) *table.Authorization {
	return &table.Authorization{Action: a, Expressions: e}
}

const (
	yes    = `request.method == "GET"`
	no     = `request.method == "PUT"`
	broken = `apiKey.team == "x"` // there is no apiKey
	model  = `llm.requestModel == "small"`
	other  = `llm.requestModel == "large"`
)

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		sets            []*table.Authorization
		denied, pending bool
		final           bool // denied once the body is known
	}{
		"no rules allow":                                {},
		"a deny that holds wins over allow":             {sets: []*table.Authorization{set(table.Allow, yes), set(table.Deny, no, yes)}, denied: true},
		"a deny that does not hold denies nobody":       {sets: []*table.Authorization{set(table.Deny, no)}},
		"a deny that cannot be evaluated denies nobody": {sets: []*table.Authorization{set(table.Deny, broken)}},
		"all of require must hold":                      {sets: []*table.Authorization{set(table.Require, yes, no)}, denied: true},
		"require is met":                                {sets: []*table.Authorization{set(table.Require, yes)}},
		"a require that cannot be evaluated fails":      {sets: []*table.Authorization{set(table.Require, broken)}, denied: true},
		"one allow is enough":                           {sets: []*table.Authorization{set(table.Allow, no), set(table.Allow, yes)}},
		"no allow holds":                                {sets: []*table.Authorization{set(table.Allow, no, broken)}, denied: true},
		"an allow of nothing allows nobody":             {sets: []*table.Authorization{set(table.Allow)}, denied: true},
		"require failing although allowed":              {sets: []*table.Authorization{set(table.Allow, yes), set(table.Require, no)}, denied: true},
		"deny waits for the body":                       {sets: []*table.Authorization{set(table.Deny, model)}, pending: true, final: true},
		"allow waits for the body":                      {sets: []*table.Authorization{set(table.Allow, no, model)}, pending: true},
		"allow waits in vain":                           {sets: []*table.Authorization{set(table.Allow, other)}, pending: true, final: true},
		"require waits for the body":                    {sets: []*table.Authorization{set(table.Require, yes, model)}, pending: true},
		"what fails already does not wait":              {sets: []*table.Authorization{set(table.Require, no, model)}, denied: true},
	} {
		r, err := authorization.Compile(c.sets)
		if err != nil {
			t.Fatal(err)
		}
		f := facts{"request.method": "GET"}
		v := r.Judge(f, authorization.NeedsBody)
		if v.Denied != c.denied || v.Pending != c.pending {
			t.Errorf("%s: got %+v", name, v)
		}
		if c.pending {
			f["llm.requestModel"] = "small"
			if v := r.Judge(f, nil); v.Denied != c.final {
				t.Errorf("%s, with the body: got %+v", name, v)
			}
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, s := range []*table.Authorization{set(table.Allow, "1 +"), set(table.Deny, `jwt.sub == "a"`), set("Maybe", yes)} {
		if _, err := authorization.Compile([]*table.Authorization{s}); err == nil {
			t.Errorf("%v compiled", s)
		}
	}
}

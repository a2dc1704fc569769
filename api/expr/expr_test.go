package expr_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/navehq/nave/api/expr"
)

type facts map[string]any

func (f facts) Fact(name string) (any, bool) {
	v, ok := f[name]
	return v, ok
}

var request = facts{
	"request.method":          "POST",
	"request.path":            "/v1/chat/completions",
	"request.host":            "llm.example.com",
	"request.headers":         map[string]string{"x-team": "blue", "content-type": "application/json"},
	"source.address":          "10.1.2.3",
	"source.port":             int64(4711),
	"apiKey":                  map[string]any{"group": "ops", "limit": 3.0},
	"llm.requestModel":        "gpt-5.4-mini",
	"llm.streaming":           true,
	"mcp.methodName":          "tools/call",
	"mcp.tool.name":           "add",
	"mcp.tool.target":         "math",
	"mcp.tool.arguments":      map[string]any{"a": 1.0, "deep": map[string]any{"b": []any{"x"}}},
	"proxy.gateway.namespace": "agents",
	"proxy.gateway.name":      "llm",
}

func TestHolds(t *testing.T) {
	for source, want := range map[string]string{
		`request.method == "POST" && request.path.startsWith("/v1/")`:        "true",
		`request.headers["X-Team"] == "blue"`:                                "true",
		`request.headers.exists(k, k == "x-team")`:                           "true",
		`"X-Team" in request.headers && !("x-other" in request.headers)`:     "true",
		`size(request.headers) == 2`:                                         "true",
		`has(request.headers.authorization)`:                                 "false",
		`request.headers["authorization"] == "x"`:                            "error",
		`cidr("10.0.0.0/8").containsIP(ip(source.address))`:                  "true",
		`source.port > 1024`:                                                 "true",
		`apiKey.group == "ops" && apiKey.limit >= 3.0`:                       "true",
		`apiKey.group in ["dev"]`:                                            "false",
		`apiKey.nothing == "x"`:                                              "error",
		`llm.requestModel.matches("^gpt-.*mini$")`:                           "true",
		`llm.streaming`:                                                      "true",
		`mcp.tool.name == "add" && mcp.tool.arguments.a == 1.0`:              "true",
		`mcp.tool.arguments.deep.b.exists(x, x == "x")`:                      "true",
		`has(mcp.prompt)`:                                                    "false",
		`has(mcp.prompt) && mcp.prompt.name == "x"`:                          "false",
		`mcp.prompt.name == "x"`:                                             "error",
		`has(mcp.tool)`:                                                      "true",
		`proxy.gateway.namespace + "/" + proxy.gateway.name == "agents/llm"`: "true",
		`request.uri == "x"`:                                                 "error",
		`dyn(request).method == "POST"`:                                      "true",
		`request.path.split("/").size() == 4`:                                "true",
		`base64.encode(b"x") == "eA=="`:                                      "true",
		`[1,2,3].map(jwt, jwt * 2) == [2,4,6]`:                               "true",
	} {
		p, err := expr.Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		holds, err := p.Holds(request)
		got := "false"
		switch {
		case err != nil:
			got = "error"
		case holds:
			got = "true"
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", source, got, err, want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for source, want := range map[string]string{
		``: "between 1 and",
		strings.Repeat("true && ", 3000) + "true": "between 1 and",
		`request.`:                    "line 1",
		`request.method`:              "true or false is wanted",
		`request.metod == "x"`:        "undefined field 'metod'",
		`reqest.method == "x"`:        "undeclared reference to 'reqest'",
		`request["method"] == "x"`:    "line 1",
		`request.body.size() > 3`:     "variable request.body: not built",
		`jwt.sub == "x"`:              "variable jwt: not built",
		`has(jwt.sub)`:                "variable jwt: not built",
		`apiKey["key"] == "x"`:        "variable apiKey.key: not built",
		`dyn(request)["body"] == "x"`: "",
		`json("{}") == 1`:             "function json: not built",
		`mcp.tool.result == "x"`:      "variable mcp.tool.result: not built",
		`sha256.encode("x") == "y"`:   "function sha256.encode: not built",
		`uuid() == "x"`:               "function uuid: not built",
		strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200): "recursion",
	} {
		_, err := expr.Compile(source)
		if want == "" {
			continue
		}
		if err == nil {
			t.Errorf("%.60s compiles, want an error with %q", source, want)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %q, want %q in it", source, err, want)
		}
		if strings.Contains(want, "not built") && !errors.Is(err, expr.ErrNotBuilt) {
			t.Errorf("%.60s: %v is not ErrNotBuilt", source, err)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60s: error spans lines: %q", source, err)
		}
	}
}

func TestCostIsBounded(t *testing.T) {
	p, err := expr.Compile(`request.headers.all(a, request.headers.all(b, request.headers.all(c, request.headers.all(d, a + b + c + d != ""))))`)
	if err != nil {
		t.Fatal(err)
	}
	many := map[string]string{}
	for i := range 100 {
		many["h"+strings.Repeat("x", i)] = "v"
	}
	if _, err := p.Holds(facts{"request.headers": many}); err == nil || !strings.Contains(err.Error(), "cost") {
		t.Errorf("a hundred million steps are taken: %v", err)
	}
}

func TestUses(t *testing.T) {
	p, err := expr.Compile(`llm.streaming || request.method == "GET"`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"llm": true, "request": true, "mcp": false, "method": false} {
		if got := p.Uses(name); got != want {
			t.Errorf("uses %s: %v, want %v", name, got, want)
		}
	}
}

func TestEveryVariableCompilesAndHasItsType(t *testing.T) {
	for _, v := range expr.Variables() {
		source := v.Name + " == " + v.Name
		if _, err := expr.Compile(source); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`request.method == "POST"`, `has(mcp.tool) && mcp.tool.name in ["a"]`, `jwt.sub`, `[1,2].map(x, x)`, "\x00", `"\u00ff" == request.path`,
		`request.headers["a"].matches("(a+)+$")`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := expr.Compile(source)
		if err != nil {
			return
		}
		if _, err := p.Holds(request); err == nil {
			p.Holds(facts{})
		}
	})
}

func BenchmarkHolds(b *testing.B) {
	p, err := expr.Compile(`request.headers["x-team"] == "blue" && mcp.tool.name == "add"`)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if ok, err := p.Holds(request); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

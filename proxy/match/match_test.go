package match_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/match"
	"github.com/navehq/nave/proxy/message"
)

func listener(name string, port uint16, host string) *table.Listener {
	return &table.Listener{Name: "ns/gw/" + name, Gateway: "ns/gw", Section: name, Port: port, Protocol: table.ProtocolHTTP, Hostname: host}
}

func rule(name string, created int64, hosts []string, matches ...table.Match) *table.Rule {
	return &table.Rule{
		Name: "HTTPRoute ns/" + name + "/0", Created: created, Matches: matches,
		Route: table.Route{Kind: "HTTPRoute", Namespace: "ns", Name: name, Cluster: "c"},
		Binds: []table.Bind{{Listener: "ns/gw/http", Hostnames: hosts}},
	}
}

func path(t table.MatchType, v string) table.Match {
	return table.Match{Path: table.ValueMatch{Type: t, Value: v}}
}

func build(t testing.TB, resources ...table.Resource) *match.Index {
	t.Helper()
	x, err := match.Build(table.New(resources...))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestPrecedence(t *testing.T) {
	any := []string{""}
	get, withHeader, twoHeaders, withQuery := path(table.Prefix, "/p"), path(table.Prefix, "/p"), path(table.Prefix, "/p"), path(table.Prefix, "/p")
	get.Method = "GET"
	h := func(n string) table.NamedMatch {
		return table.NamedMatch{Name: n, ValueMatch: table.ValueMatch{Type: table.Exact, Value: "1"}}
	}
	withHeader.Headers = []table.NamedMatch{h("X-A")}
	twoHeaders.Headers = []table.NamedMatch{h("X-A"), h("X-B")}
	withQuery.Query = []table.NamedMatch{h("q")}
	x := build(t,
		listener("http", 80, ""), listener("own", 80, "own.example.com"), listener("wild", 80, "*.wild.com"),
		rule("exact-host", 9, []string{"a.b.com"}, path(table.Prefix, "/only")),
		rule("wild-host", 9, []string{"*.b.com"}, path(table.Prefix, "/")),
		rule("exact", 9, any, path(table.Exact, "/p/x")),
		rule("long", 9, any, path(table.Prefix, "/p/x")),
		rule("short", 9, any, path(table.Prefix, "/p")),
		rule("get", 9, any, get), rule("header", 9, any, withHeader),
		rule("headers", 9, any, twoHeaders), rule("query", 9, any, withQuery),
		rule("regex", 1, any, path(table.Regex, "/[a-z]/x.*")),
		rule("old", 1, any, path(table.Prefix, "/same")), rule("new", 2, any, path(table.Prefix, "/same/")),
		rule("aa", 5, any, path(table.Prefix, "/tie")), rule("ab", 5, any, path(table.Prefix, "/tie")),
	)
	for _, c := range []struct{ host, method, path, query, headers, want, why string }{
		{"a.b.com", "PUT", "/only/x", "", "", "exact-host", "an exact hostname wins"},
		{"a.b.com", "PUT", "/else", "", "", "wild-host", "what it does not match falls to the wildcard"},
		{"A.B.com.:8080", "PUT", "/only", "", "", "exact-host", "case, final dot and port do not count"},
		{"b.com", "PUT", "/x", "", "", "", "a wildcard stands for a label"},
		{"x", "PUT", "/p/x", "", "", "exact", "exact before prefix"},
		{"x", "PUT", "/p/x/", "", "", "long", "the longer prefix, by elements"},
		{"x", "PUT", "/p/xy", "", "", "short", "/p/x is no prefix of /p/xy by elements"},
		{"x", "PUT", "/px", "", "", "", "nor /p of /px"},
		{"x", "GET", "/p/1", "", "ab", "get", "method before headers"},
		{"x", "PUT", "/p/1", "q=1", "ab", "headers", "more headers first"},
		{"x", "PUT", "/p/1", "q=1", "a", "header", "headers before query"},
		{"x", "PUT", "/p/1", "q=%31&q=2", "", "query", "the first parameter, decoded"},
		{"x", "PUT", "/p/1", "q=2&q=1", "", "short", "not the second one"},
		{"x", "PUT", "/q/xyz", "", "", "regex", "a pattern last"},
		{"x", "PUT", "/same", "", "", "old", "the older route"},
		{"x", "PUT", "/tie", "", "", "aa", "then the name"},
		{"own.example.com", "PUT", "/p", "", "", "", "a more specific listener isolates"},
		{"a.wild.com", "PUT", "/p", "", "", "", "a wildcard listener too"},
		{"x", "OPTIONS", "*", "", "", "", "an asterisk is no path"},
	} {
		var header message.Header
		for _, n := range c.headers {
			header.Add("x-"+string(n), "1")
		}
		f := match.Facts{Port: 80, Host: c.host, Method: c.method, Path: c.path, Query: c.query, Header: &header}
		got := ""
		if r := x.Match(&f); r.Rule != nil {
			got = r.Rule.Route.Name
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.why, got, c.want)
		}
	}
}

func TestMisdirected(t *testing.T) {
	x := build(t, listener("a", 443, "a.com"), listener("http", 443, "*.b.com"))
	for _, c := range []struct {
		sni, host string
		want      bool
	}{{"a.com", "a.com", false}, {"a.com", "x.b.com", true}, {"x.b.com", "y.b.com", false}, {"", "a.com", false}} {
		got := x.Match(&match.Facts{Port: 443, Secure: true, ServerName: c.sni, Host: c.host, Path: "/", Header: &message.Header{}})
		if got.Misdirected != c.want {
			t.Errorf("%+v: got %v", c, got.Misdirected)
		}
	}
}

func TestBadPatternRefusesTheTable(t *testing.T) {
	x := build(t, listener("http", 80, ""), rule("ok", 1, []string{""}, path(table.Prefix, "/")))
	bad := rule("bad", 1, []string{""}, path(table.Regex, "("))
	if _, err := x.Apply(x.Table().Apply(table.Put(bad)), []table.Change{table.Put(bad)}); err == nil {
		t.Error("an expression that does not compile was taken")
	}
	if r := x.Match(facts(80, "x", "/")); r.Rule == nil {
		t.Error("the index before does not serve any more")
	}
}

func facts(port uint16, host, path string) *match.Facts {
	return &match.Facts{Port: port, Host: host, Method: "GET", Path: path, Header: &message.Header{}}
}

// world makes random tables whose parts meet often.
type world struct{ *rand.Rand }

func (w world) of(s ...string) string { return s[w.IntN(len(s))] }

func (w world) host() string {
	return w.of("", "a.com", "*.com", "x.a.com", "*.a.com", "b.org", "*.x.a.com")
}

func (w world) path() string {
	return w.of("/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/a//b", "/b", "")
}

func (w world) value(name string) table.NamedMatch {
	v := table.ValueMatch{Type: table.Exact, Value: w.of("1", "2", "a b")}
	if w.IntN(4) == 0 {
		v = table.ValueMatch{Type: table.Regex, Value: w.of("[0-9]+", "1.*")}
	}
	return table.NamedMatch{Name: name, ValueMatch: v}
}

func (w world) match() table.Match {
	m := table.Match{Path: table.ValueMatch{Type: table.Prefix, Value: w.path()}}
	switch w.IntN(4) {
	case 0:
		m.Path.Type = table.Exact
	case 1:
		m.Path = table.ValueMatch{Type: table.Regex, Value: w.of("/a.*", "/.*/b", "/[ab]+")}
	}
	if w.IntN(3) == 0 {
		m.Method = w.of("GET", "POST")
	}
	for _, n := range []string{"X-A", "X-B"} {
		if w.IntN(4) == 0 {
			m.Headers = append(m.Headers, w.value(n))
		}
		if w.IntN(4) == 0 {
			m.Query = append(m.Query, w.value(n))
		}
	}
	return m
}

func (w world) change() table.Change {
	if w.IntN(8) == 0 {
		l := listener(w.of("http", "two", "three"), 80, w.host())
		// One port and hostname is one listener's: the hostname follows the name.
		l.Hostname = map[string]string{"http": "", "two": "*.a.com", "three": "x.a.com"}[l.Section]
		if w.IntN(3) == 0 {
			return table.Remove(l.ID())
		}
		return table.Put(l)
	}
	r := rule(fmt.Sprint("r", w.IntN(12)), int64(w.IntN(3)), nil)
	if w.IntN(4) == 0 {
		return table.Remove(r.ID())
	}
	r.Binds = nil
	for range 1 + w.IntN(2) {
		b := table.Bind{Listener: "ns/gw/" + w.of("http", "two", "three")}
		for range 1 + w.IntN(2) {
			b.Hostnames = append(b.Hostnames, w.host())
		}
		r.Binds = append(r.Binds, b)
	}
	for range w.IntN(3) {
		r.Matches = append(r.Matches, w.match())
	}
	return table.Put(r)
}

func (w world) facts() *match.Facts {
	var h message.Header
	for _, n := range []string{"x-a", "X-B", "X-A"} {
		if w.IntN(3) == 0 {
			h.Add(n, w.of("1", "2", "17"))
		}
	}
	return &match.Facts{
		Port: 80, Host: w.of("a.com", "x.a.com", "y.x.a.com", "b.org", "q", "X.A.COM:80", ""),
		Method: w.of("GET", "POST", "PUT"), Path: w.path() + w.of("", "/b", "/c/d", "x"),
		Query: w.of("", "X-A=1", "X-B=a+b&X-A=2", "X-A=17&X-A=1"), Header: &h,
	}
}

func FuzzMatchAgainstSlow(f *testing.F) {
	for s := range uint64(300) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := world{rand.New(rand.NewPCG(seed, 1))}
		x, now := match.Empty(), table.New()
		for range 30 {
			changes := []table.Change{w.change()}
			if w.IntN(3) == 0 {
				changes = append(changes, w.change())
			}
			now = now.Apply(changes...)
			var err error
			if x, err = x.Apply(now, changes); err != nil {
				t.Fatal(err)
			}
			q := w.facts()
			wantL, wantR := slow(now, q)
			got := x.Match(q)
			gotL, gotR := "", ""
			if got.Listener != nil {
				gotL = got.Listener.Name
			}
			if got.Rule != nil {
				gotR = got.Rule.Name
			}
			if gotL != wantL || gotR != wantR {
				t.Fatalf("%+v: got %s %s, want %s %s", q, gotL, gotR, wantL, wantR)
			}
		}
		anew, err := match.Build(now)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := x.Print(), anew.Print(); a != b {
			t.Fatalf("by steps:\n%s\nanew:\n%s", a, b)
		}
	})
}

func many(n int) []table.Resource {
	out := []table.Resource{listener("http", 80, "")}
	for i := range n {
		r := rule(fmt.Sprint("r", i), int64(i), []string{fmt.Sprintf("h%d.example.com", i%(n/10+1))}, path(table.Prefix, fmt.Sprintf("/api/v1/r%d", i)))
		out = append(out, r)
	}
	return out
}

func TestMatchAllocatesNothing(t *testing.T) {
	x := build(t, many(1000)...)
	f := facts(80, "h7.example.com:8080", "/api/v1/r108/x/y")
	if x.Match(f).Rule == nil {
		t.Fatal("no rule")
	}
	if n := testing.AllocsPerRun(100, func() { x.Match(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := build(b, many(n)...)
			f := facts(80, "h7.example.com:8080", "/api/v1/r7/x/y")
			b.ReportAllocs()
			for b.Loop() {
				if x.Match(f).Rule == nil {
					b.Fatal("no rule")
				}
			}
		})
	}
}

func BenchmarkApplyOneRule(b *testing.B) {
	for _, n := range []int{100, 40_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := build(b, many(n)...)
			r := *many(n)[8].(*table.Rule)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c := r
				c.Matches = []table.Match{path(table.Prefix, fmt.Sprintf("/api/v2/%d", i%2))}
				changes := []table.Change{table.Put(&c)}
				next, err := x.Apply(x.Table().Apply(changes...), changes)
				if err != nil {
					b.Fatal(err)
				}
				x = next
			}
		})
	}
}

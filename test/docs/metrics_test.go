package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// series is a metric as the code declares it and as the page lists it.
type series struct{ program, name, kind, labels string }

func (s series) String() string {
	return fmt.Sprintf("%s: %s, a %s by (%s)", s.program, s.name, s.kind, s.labels)
}

var (
	ownName = regexp.MustCompile(`^(nave|agentgateway)_[a-z0-9_]+$`)
	row     = regexp.MustCompile("(?m)^\\| `((?:nave|agentgateway)_[a-z0-9_]+)` \\| (\\w+) \\| ([^|]*)\\| ([^|]+) \\|$")
)

// The page lists every metric under the program that has it, with its type and
// labels, and none that is not there.
func TestMetricsPageListsWhatTheCodeHas(t *testing.T) {
	have := map[series]bool{}
	for _, program := range []string{"hub", "spoke", "proxy"} {
		for _, s := range declared(t, program) {
			have[s] = true
		}
	}
	listed := map[series]bool{}
	text := read(t, "docs/reference/metrics.md").text
	for _, section := range strings.Split(text, "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		for _, m := range row.FindAllStringSubmatch(body, -1) {
			labels := quoted.FindAllStringSubmatch(m[3], -1)
			var names []string
			for _, l := range labels {
				names = append(names, l[1])
			}
			slices.Sort(names)
			listed[series{"nave-" + strings.ToLower(title), m[1], m[2], strings.Join(names, ",")}] = true
		}
	}
	for _, s := range slices.SortedFunc(maps.Keys(have), bySeries) {
		if !listed[s] {
			t.Errorf("the page lacks %s", s)
		}
	}
	for _, s := range slices.SortedFunc(maps.Keys(listed), bySeries) {
		if !have[s] {
			t.Errorf("the code lacks %s", s)
		}
	}
}

func bySeries(a, b series) int { return strings.Compare(a.String(), b.String()) }

// declared are the metrics that the packages below a part construct.
func declared(t *testing.T, part string) (out []series) {
	byDir := map[string][]*ast.File{}
	err := filepath.WalkDir(filepath.Join(root, part), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		byDir[filepath.Dir(path)] = append(byDir[filepath.Dir(path)], file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, files := range byDir {
		values := variables(files)
		seen := map[string]bool{}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if s, ok := constructed(call, values); ok {
						s.program = "nave-" + part
						seen[s.name] = true
						out = append(out, s)
					}
				}
				return true
			})
		}
		for _, f := range files {
			for _, name := range names(f) {
				if !seen[name] {
					t.Errorf("%s: %q is made in a way that this test does not read", dir, name)
				}
			}
		}
	}
	return out
}

// names are the string literals of a file that are names of metrics.
func names(f *ast.File) (out []string) {
	if !slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return strings.Contains(i.Path.Value, "client_golang") }) {
		return nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if l, ok := n.(ast.Expr); ok && ownName.MatchString(text(l)) {
			out = append(out, text(l))
		}
		return true
	})
	return out
}

// constructed reads the calls by which metrics are made: prometheus.NewX(XOpts{…},
// labels), prometheus.NewDesc(name, help, labels, nil) for gauges that are read
// when they are asked for, and a package's own counter and histogram.
func constructed(call *ast.CallExpr, values map[string]ast.Expr) (s series, ok bool) {
	fun := ""
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		fun = f.Sel.Name
	case *ast.Ident:
		fun = f.Name
	}
	if len(call.Args) == 0 {
		return s, false
	}
	for _, kind := range []string{"counter", "gauge", "histogram"} {
		if strings.HasPrefix(strings.ToLower(strings.TrimPrefix(fun, "New")), kind) {
			s.kind = kind
		}
	}
	var labels []string
	switch first := call.Args[0].(type) {
	case *ast.CompositeLit:
		for _, e := range first.Elts {
			kv, is := e.(*ast.KeyValueExpr)
			if !is {
				continue
			}
			key, is := kv.Key.(*ast.Ident)
			switch {
			case is && key.Name == "Name":
				s.name = text(kv.Value)
			case is && key.Name == "ConstLabels":
				labels = append(labels, keys(kv.Value)...)
			}
		}
		if len(call.Args) > 1 && strings.HasSuffix(fun, "Vec") {
			labels = append(labels, list(call.Args[1], values)...)
		}
	case *ast.BasicLit:
		s.name = text(first)
		if fun == "NewDesc" {
			s.kind = "gauge"
		}
		if len(call.Args) > 2 {
			labels = list(call.Args[2], values)
		}
	}
	slices.Sort(labels)
	s.labels = strings.Join(labels, ",")
	return s, s.kind != "" && ownName.MatchString(s.name)
}

// variables are the values of a package's variables.
func variables(files []*ast.File) map[string]ast.Expr {
	out := map[string]ast.Expr{}
	for _, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				if v, ok := s.(*ast.ValueSpec); ok && len(v.Names) == len(v.Values) {
					for i, n := range v.Names {
						out[n.Name] = v.Values[i]
					}
				}
			}
		}
	}
	return out
}

// list reads []string{…}, a variable that holds one, and append of both.
func list(e ast.Expr, values map[string]ast.Expr) (out []string) {
	switch e := e.(type) {
	case *ast.Ident:
		if v := values[e.Name]; v != nil {
			return list(v, values)
		}
	case *ast.CallExpr:
		for _, a := range e.Args {
			out = append(out, list(a, values)...)
		}
	case *ast.CompositeLit:
		for _, x := range e.Elts {
			out = append(out, text(x))
		}
	}
	return out
}

func keys(e ast.Expr) (out []string) {
	if c, ok := e.(*ast.CompositeLit); ok {
		for _, x := range c.Elts {
			if kv, ok := x.(*ast.KeyValueExpr); ok {
				out = append(out, text(kv.Key))
			}
		}
	}
	return out
}

// text is the value of a string literal, "" for anything else.
func text(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		s, _ := strconv.Unquote(l.Value)
		return s
	}
	return ""
}

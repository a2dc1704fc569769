// Package arch_test keeps the house in order: who may import whom, which
// packages are pure, how long a function may be, and that every package says
// what it is for. It reads the main module's sources and builds nothing.
package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/navehq/nave"

// pure packages decide and never do: values in, values out.
var pure = []string{
	"api/v1alpha1", "api/agentgateway", "api/objects", "api/schema", "api/derive", "api/expr",
	"api/stream", "api/table", "api/assignment", "api/failover", "api/version",
	"hub/fleet", "hub/plan", "hub/drill",
	"spoke/translate",
	"proxy/match", "proxy/latency", "proxy/pick", "proxy/http1/parse",
	"proxy/llm/chat", "proxy/llm/dialect", "proxy/llm/dialect/openai", "proxy/llm/dialect/anthropic", "proxy/llm/dialect/scan", "proxy/llm/dialect/failure", "proxy/llm/dialect/provider",
	"proxy/llm/usage", "proxy/llm/sse",
	"proxy/mcp/jsonrpc", "proxy/mcp/catalog", "proxy/mcp/session",
	"proxy/message", "proxy/filter/apikey", "proxy/filter/authorization", "api/probe",
}

// apiEdges are the packages of api that touch the world.
var apiEdges = []string{"api/objects/folder", "api/wire", "api/pki", "api/atomicfile"}

// edgesOfStd are the parts of the standard library that reach outside a value.
var edgesOfStd = []string{
	"net", "net/http", "net/http/httptest", "net/http/httputil", "net/rpc", "net/smtp", "os", "os/exec", "os/signal", "os/user",
	"log", "log/slog", "sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand",
	"crypto/tls", "syscall", "plugin", "database/sql", "io/ioutil", "testing",
}

// typesAllowed are the third-party packages that a pure package may import.
var typesAllowed = []string{
	"k8s.io/api/", "k8s.io/apimachinery/", "sigs.k8s.io/gateway-api/", "sigs.k8s.io/yaml", "sigs.k8s.io/json", "go.yaml.in/",
	"github.com/google/cel-go/", "cel.dev/expr", "google.golang.org/protobuf/types/", "google.golang.org/genproto/googleapis/api/expr",
	"github.com/benbjohnson/immutable", "github.com/go-json-experiment/json", "github.com/tidwall/gjson",
}

const (
	longestFunction = 80
	longestFile     = 500
	longestMain     = 60
)

type source struct {
	dir  string // relative to the module
	path string
	file *ast.File
	fset *token.FileSet
	test bool
}

func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var out []source
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && otherModule(path) || strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata" || d.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		out = append(out, source{filepath.ToSlash(filepath.Dir(rel)), filepath.ToSlash(rel), file, fset, strings.HasSuffix(path, "_test.go")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func otherModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func imports(s source) []string {
	var out []string
	for _, i := range s.file.Imports {
		out = append(out, strings.Trim(i.Path.Value, `"`))
	}
	return out
}

func hasAnyPrefix(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

func TestPurePackagesStayPure(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || !slices.Contains(pure, s.dir) {
			continue
		}
		for _, path := range imports(s) {
			if own, ok := strings.CutPrefix(path, module+"/"); ok {
				if !slices.Contains(pure, own) {
					t.Errorf("%s: pure package %s imports %s, which is not pure", s.path, s.dir, own)
				}
				continue
			}
			if !strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
				if slices.Contains(edgesOfStd, path) {
					t.Errorf("%s: pure package %s imports %s", s.path, s.dir, path)
				}
				continue
			}
			if !hasAnyPrefix(path, typesAllowed) {
				t.Errorf("%s: pure package %s imports %s, which is not on the short list", s.path, s.dir, path)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: starts a goroutine in a pure package", s.fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker", "AfterFunc"}, n.Sel.Name) {
					t.Errorf("%s: asks the clock in a pure package", s.fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

// component is hub, spoke, proxy or api, and the rest.
func component(dir string) string { return strings.SplitN(dir, "/", 2)[0] }

func mayJoin(dir string) bool {
	return strings.Contains(dir, "/cmd/") || hasAnyPrefix(dir+"/", []string{"hub/supervise/", "hub/cli/", "test/", "hack/"})
}

func TestWhoMayImportWhom(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || mayJoin(s.dir) {
			continue
		}
		from := component(s.dir)
		for _, path := range imports(s) {
			own, ok := strings.CutPrefix(path, module+"/")
			if !ok || slices.Contains(pure, own) || component(own) == from {
				continue
			}
			if from == "api" || component(own) != "api" {
				t.Errorf("%s: %s imports %s: components meet in api, in pure packages and on the wire only", s.path, s.dir, own)
			}
		}
	}
}

func TestRootsAreImportedByMainsOnly(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || mayJoin(s.dir) {
			continue
		}
		for _, path := range imports(s) {
			if slices.Contains([]string{module + "/hub", module + "/spoke", module + "/proxy"}, path) {
				t.Errorf("%s: imports the root %s", s.path, path)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test {
			said[s.dir] = said[s.dir] || s.file.Doc != nil && len(s.file.Doc.Text()) > 40
		}
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("package %s has no package comment that says what it decides or carries", dir)
		}
	}
}

func generated(s source) bool { return ast.IsGenerated(s.file) }

func TestSizes(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || generated(s) {
			continue
		}
		lines := s.fset.Position(s.file.End()).Line
		if lines > longestFile {
			t.Errorf("%s has %d lines, more than %d", s.path, lines, longestFile)
		}
		if s.file.Name.Name == "main" && strings.HasSuffix(s.path, "/main.go") && lines > longestMain {
			t.Errorf("%s has %d lines, more than %d", s.path, lines, longestMain)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > longestFunction {
				t.Errorf("%s: %s has %d lines, more than %d", s.path, f.Name.Name, n, longestFunction)
			}
		}
	}
}

var badNames = []string{"util", "utils", "common", "helpers", "helper", "shared", "types", "manager", "misc"}

func TestNames(t *testing.T) {
	for _, s := range sources(t) {
		if slices.Contains(badNames, s.file.Name.Name) {
			t.Errorf("%s: package %s is not a noun that says something", s.path, s.file.Name.Name)
		}
	}
}

func TestProxyLinksNoClientGo(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || component(s.dir) != "proxy" {
			continue
		}
		for _, path := range imports(s) {
			if hasAnyPrefix(path, []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime"}) {
				t.Errorf("%s imports %s: a proxy never talks to Kubernetes", s.path, path)
			}
		}
	}
}

// TestListsAreTrue keeps the lists above from naming what does not exist.
func TestListsAreTrue(t *testing.T) {
	for _, dir := range append(slices.Clone(pure), apiEdges...) {
		if _, err := os.Stat(filepath.Join("../..", dir)); err != nil {
			t.Errorf("the list names %s, which is not there", dir)
		}
	}
}

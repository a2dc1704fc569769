// Package docs_test keeps the pages true: what they name in the code is there,
// their links lead somewhere, and the reference pages list what the code has,
// no more and no less.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// page is a Markdown file, its path relative to the root.
type page struct{ path, text string }

func read(t *testing.T, path string) page {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return page{path, string(data)}
}

// pages are the README, CONTRIBUTING and all below docs.
func pages(t *testing.T) []page {
	t.Helper()
	out := []page{read(t, "README.md"), read(t, "CONTRIBUTING.md")}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
			relative, _ := filepath.Rel(root, path)
			out = append(out, read(t, relative))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func isDir(path string) bool {
	i, err := os.Stat(filepath.Join(root, path))
	return err == nil && i.IsDir()
}

var (
	quoted  = regexp.MustCompile("`([^`\n]+)`")
	inCode  = regexp.MustCompile(`^([\w/]+\.go):([\w.]+)$`)
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	ofTree  = regexp.MustCompile(`^(api|hub|spoke|proxy|test|hack|charts|docs)(/[\w.-]+)+$`)
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	slugged = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Every `file.go:Name` is declared in a file of that name, in a package that the
// page names.
func TestWalksNameWhatIsThere(t *testing.T) {
	for _, p := range pages(t) {
		text := fenced.ReplaceAllString(p.text, "")
		var packages []string
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			if isDir(m[1]) {
				packages = append(packages, m[1])
			}
		}
		found := 0
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			ref := inCode.FindStringSubmatch(m[1])
			if ref == nil || ref[1] == "file.go" {
				continue
			}
			found++
			there := slices.ContainsFunc(packages, func(dir string) bool {
				return declares(t, filepath.Join(root, dir, ref[1]), ref[2])
			})
			if !there {
				t.Errorf("%s: %s is in none of the packages that the page names", p.path, m[0])
			}
		}
		if filepath.Dir(p.path) == "docs/walks" && found == 0 {
			t.Errorf("%s names nothing in the code", p.path)
		}
	}
}

// declares tells whether a file has a function, type, variable, method
// (Type.Method) or field (Type.field) of that name.
func declares(t *testing.T, path, name string) bool {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return false
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			own := d.Name.Name
			if name == own || d.Recv != nil && name == receiver(d)+"."+own {
				return true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if slices.Contains(specified(s), name) {
					return true
				}
			}
		}
	}
	return false
}

func receiver(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	if s, ok := e.(*ast.StarExpr); ok {
		e = s.X
	}
	if i, ok := e.(*ast.IndexExpr); ok {
		e = i.X
	}
	if n, ok := e.(*ast.Ident); ok {
		return n.Name
	}
	return ""
}

func specified(s ast.Spec) (names []string) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			names = append(names, n.Name)
		}
	case *ast.TypeSpec:
		names = append(names, s.Name.Name)
		if st, ok := s.Type.(*ast.StructType); ok {
			for _, f := range st.Fields.List {
				for _, n := range f.Names {
					names = append(names, s.Name.Name+"."+n.Name)
				}
			}
		}
	}
	return names
}

// Every `api/…`, `hub/…` and so on is in the repository; pages about a fleet's own
// folder speak of other trees.
func TestPagesNamePathsThatExist(t *testing.T) {
	for _, p := range pages(t) {
		if strings.HasPrefix(p.path, "docs/examples/") || strings.HasPrefix(p.path, "docs/guides/") || p.path == "docs/reference/ports-and-files.md" {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(p.text, -1) {
			if !ofTree.MatchString(m[1]) {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil && !generic(m[1]) {
				t.Errorf("%s names %s, which is not there", p.path, m[0])
			}
		}
	}
}

// generic are paths that stand in an example of a fleet's folder.
func generic(path string) bool {
	return strings.HasPrefix(path, "hub/") && strings.HasSuffix(path, ".yaml")
}

// Every relative link leads to a file, and its fragment to a heading.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(p.text, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			path, fragment, _ := strings.Cut(m[1], "#")
			to := p.path
			if path != "" {
				to = filepath.Join(filepath.Dir(p.path), path)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", p.path, m[1])
				continue
			}
			if fragment != "" && !slices.Contains(anchors(read(t, to).text), fragment) {
				t.Errorf("%s: %s has no heading #%s", p.path, to, fragment)
			}
		}
	}
}

func anchors(text string) (out []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		out = append(out, strings.ReplaceAll(slugged.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return out
}

// The architecture page names every package that stands directly below a part,
// and none that does not exist.
func TestArchitectureNamesEveryPart(t *testing.T) {
	text := read(t, "docs/architecture.md").text
	for _, part := range []string{"api", "hub", "spoke", "proxy"} {
		row := regexp.MustCompile("(?m)^\\| `" + part + "` \\|.*$").FindString(text)
		named := map[string]bool{}
		for _, m := range quoted.FindAllStringSubmatch(row, -1)[1:] {
			if strings.HasPrefix(m[1], "-") {
				continue
			}
			named[m[1]] = true
			if !isDir(part + "/" + m[1]) {
				t.Errorf("there is no package %s/%s", part, m[1])
			}
		}
		entries, err := os.ReadDir(filepath.Join(root, part))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() && !named[e.Name()] && !slices.ContainsFunc(slices.Collect(maps.Keys(named)), func(n string) bool { return strings.HasPrefix(n, e.Name()+"/") }) {
				t.Errorf("the page does not name %s/%s", part, e.Name())
			}
		}
	}
}

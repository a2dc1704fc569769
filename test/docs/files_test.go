package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	port    = regexp.MustCompile(`(?:at\([^\n]*?, |Port += |slotPort = )(\d{4,5})\b`)
	kept    = regexp.MustCompile(`Join\([a-z.]*[sS]tate, "([\w.]+)"\)`)
	guarded = regexp.MustCompile(`var own = \[\]uint16\{([\d, ]+)\}`)
)

// The page names every port that a program opens of itself, and every file that
// it keeps in its state.
func TestPortsAndFilesPageNamesThemAll(t *testing.T) {
	page := read(t, "docs/reference/ports-and-files.md").text
	found := map[string]int{}
	for _, glob := range []string{"hub/*.go", "hub/supervise/*.go", "hub/platform/*.go", "spoke/*.go", "proxy/*.go"} {
		paths, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %v", glob, paths, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for kind, pattern := range map[string]*regexp.Regexp{"port": port, "file": kept} {
				for _, m := range pattern.FindAllStringSubmatch(string(source), -1) {
					found[kind]++
					if m[1] == "objects" || m[1] == "store" {
						m[1] += "/"
					}
					if !strings.Contains(page, m[1]) {
						t.Errorf("%s: the page does not name the %s %s", path, kind, m[1])
					}
				}
			}
		}
	}
	if found["port"] < 10 || found["file"] < 10 {
		t.Errorf("found only %v in the code: the patterns no longer fit it", found)
	}
	source, err := os.ReadFile(filepath.Join(root, "proxy/upstream/guard.go"))
	if err != nil {
		t.Fatal(err)
	}
	m := guarded.FindStringSubmatch(string(source))
	if m == nil {
		t.Fatal("the ports that no route leads to are no longer listed")
	}
	for _, p := range strings.Split(m[1], ", ") {
		if !strings.Contains(page, "| "+p+" |") {
			t.Errorf("no route leads to port %s, which the page does not list", p)
		}
	}
}

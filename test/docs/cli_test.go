package docs_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/hub/cli"
)

var update = flag.Bool("update", false, "write the commands of docs/reference/cli.md anew")

const (
	cliPage = "docs/reference/cli.md"
	// below is the part of the page that is made from what the commands say.
	below = "## Commands\n"
)

var (
	usageLine = regexp.MustCompile(`(?m)^  (nave.*?)( \[flags\])?$`)
	subLine   = regexp.MustCompile(`(?m)^  ([a-z][\w-]*) {2,}\S`)
	flagLine  = regexp.MustCompile(`(?m)^ +(?:-(\w), )? *--([\w-]+)(?: (\w+))? {2,}(.*)$`)
)

// The page's commands are those of the program, with their arguments and flags.
func TestCLIPageListsTheCommands(t *testing.T) {
	var made strings.Builder
	describe(t, &made)
	page := read(t, cliPage).text
	head, have, ok := strings.Cut(page, below)
	if !ok {
		t.Fatalf("%s has no heading %q", cliPage, below)
	}
	if *update {
		if err := os.WriteFile(filepath.Join(root, cliPage), []byte(head+below+made.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(made.String(), have); d != "" {
		t.Errorf("%s differs from what the commands say (go test ./docs -update writes it anew):\n%s", cliPage, d)
	}
}

// describe writes a command and those below it.
func describe(t *testing.T, w *strings.Builder, path ...string) {
	t.Helper()
	text := help(t, path...)
	short, _, _ := strings.Cut(text, "\n")
	usage := usageLine.FindStringSubmatch(section(text, "Usage:"))
	if usage == nil {
		t.Fatalf("nave %s --help names no usage:\n%s", strings.Join(path, " "), text)
	}
	subs := subLine.FindAllStringSubmatch(section(text, "Available Commands:"), -1)
	if len(path) > 0 && len(subs) == 0 {
		fmt.Fprintf(w, "\n### `%s`\n\n%s.\n", usage[1], strings.ToUpper(short[:1])+short[1:])
		flags(w, section(text, "Flags:"))
	}
	if len(path) == 0 {
		fmt.Fprintf(w, "\nEvery command has these:\n")
		flags(w, section(text, "Flags:"))
	}
	for _, s := range subs {
		if s[1] != "completion" && s[1] != "help" {
			describe(t, w, append(path[:len(path):len(path)], s[1])...)
		}
	}
}

func flags(w *strings.Builder, text string) {
	first := true
	for _, m := range flagLine.FindAllStringSubmatch(text, -1) {
		if m[2] == "help" {
			continue
		}
		if first {
			w.WriteString("\n| flag | meaning |\n|---|---|\n")
			first = false
		}
		name := "`--" + m[2]
		if m[3] != "" {
			name += " " + strings.ToUpper(m[3])
		}
		name += "`"
		if m[1] != "" {
			name += ", `-" + m[1] + "`"
		}
		fmt.Fprintf(w, "| %s | %s |\n", name, strings.ReplaceAll(m[4], "|", `\|`))
	}
}

func help(t *testing.T, path ...string) string {
	t.Helper()
	var out, problems bytes.Buffer
	if code := cli.Run(context.Background(), append(path, "--help"), &out, &problems); code != 0 {
		t.Fatalf("nave %s --help: exit code %d, %s", strings.Join(path, " "), code, problems.String())
	}
	return out.String()
}

// section is what follows a heading of a help text, up to an empty line.
func section(text, heading string) string {
	_, rest, ok := strings.Cut("\n"+text, "\n"+heading+"\n")
	if !ok {
		return ""
	}
	part, _, _ := strings.Cut(rest, "\n\n")
	return part
}

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/hub/cli/preview"
	"github.com/navehq/nave/hub/supervise"
)

var errProblems = errors.New("there are problems to mend")

// folder is the argument of a command, or the fleet's folder.
func (c *client) folder(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return c.dir
}

// check tells what would be refused or closed, without a fleet.
func (c *client) check() *cobra.Command {
	return &cobra.Command{Use: "check [DIR|FILE...]", Short: "what is wrong in a fleet's folder, or in files; touches nothing", RunE: func(cmd *cobra.Command, args []string) error {
		problems, line, err := checked(append(args, c.dir)[:max(1, len(args))])
		if err != nil {
			return err
		}
		if err := c.print(cmd.OutOrStdout(), problems, func(w io.Writer) { showProblems(w, problems, line) }); err != nil {
			return err
		}
		if slices.ContainsFunc(problems, func(x objects.Problem) bool { return x.Severity != objects.SeverityInfo }) {
			return errProblems
		}
		return nil
	}}
}

func showProblems(w io.Writer, problems []objects.Problem, line func(objects.Problem) string) {
	for _, x := range problems {
		kind := "problem"
		if x.Severity == objects.SeverityInfo {
			kind = "notice"
		}
		fmt.Fprintf(w, "%s  %s\n", kind, line(x))
	}
}

// checked tells what is wrong in a fleet's folder, or in files: those of one
// fleet's folder are read with the rest of it, others as one cluster of their
// own. line is how a problem is told.
func checked(args []string) (problems []objects.Problem, line func(objects.Problem) string, err error) {
	if len(args) == 1 && isFleet(args[0]) {
		problems, err := checkFleet(args[0])
		return problems, report.Line, err
	}
	files, err := yamlFiles(args)
	if err != nil {
		return nil, nil, err
	}
	if dir, names := fleetOf(files); dir != "" {
		problems, err := checkFleet(dir)
		return slices.DeleteFunc(problems, func(p objects.Problem) bool {
			return !slices.Contains(names, report.File(p))
		}), report.Line, err
	}
	p, err := preview.Read(preview.Options{Files: files})
	for i := range p.Problems {
		p.Problems[i].Cluster = ""
	}
	return append([]objects.Problem{}, p.Problems...), objects.Problem.String, err
}

func checkFleet(dir string) ([]objects.Problem, error) {
	p, err := preview.Read(preview.Options{Dir: dir})
	return append(append([]objects.Problem{}, p.Problems...), supervise.Check(dir)...), err
}

func isFleet(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "clusters"))
	return err == nil && info.IsDir()
}

// yamlFiles lists the files, and those of the folders, that are named.
func yamlFiles(args []string) ([]string, error) {
	var out []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		if !info.IsDir() {
			out = append(out, arg)
			continue
		}
		before := len(out)
		for _, pattern := range []string{"*.yaml", "*.yml"} {
			found, err := filepath.Glob(filepath.Join(arg, pattern))
			if err != nil {
				return nil, fmt.Errorf("check: %w", err)
			}
			out = append(out, found...)
		}
		if len(out) == before {
			return nil, fmt.Errorf("check %s: it has neither a folder clusters/ nor YAML files", arg)
		}
	}
	return out, nil
}

// fleetOf is the fleet's folder that all the files are in, with their names as
// seen from there; "" where there is none.
func fleetOf(files []string) (dir string, names []string) {
	for _, file := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			return "", nil
		}
		of := filepath.Dir(filepath.Dir(path))
		if filepath.Base(of) == "clusters" {
			of = filepath.Dir(of)
		} else if filepath.Base(filepath.Dir(path)) != "hub" {
			return "", nil
		}
		if !isFleet(of) || dir != "" && dir != of {
			return "", nil
		}
		name, err := filepath.Rel(of, path)
		if err != nil {
			return "", nil
		}
		dir, names = of, append(names, filepath.ToSlash(name))
	}
	return dir, names
}

// planned is a table as `plan -o json` shows it.
type planned struct {
	Cluster   string            `json:"cluster"`
	Table     string            `json:"table"`
	Resources []json.RawMessage `json:"resources"`
}

// plan prints what each proxy would obey, or what would be otherwise than it is,
// without a fleet.
func (c *client) plan() *cobra.Command {
	changes := false
	cmd := &cobra.Command{Use: "plan [DIR]", Short: "what each proxy of a folder's fleet would obey; touches nothing", Args: cobra.MaximumNArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		dir := c.folder(args)
		of := dir
		if cmd.Flags().Changed("dir") {
			of = c.dir
		}
		state := filepath.Join(of, ".nave")
		p, err := preview.Read(preview.Options{Dir: dir, State: state})
		if err != nil {
			return err
		}
		showProblems(cmd.ErrOrStderr(), p.Problems, report.Line)
		if !changes {
			return c.printTables(cmd.OutOrStdout(), p.Tables)
		}
		list, err := p.Changes(state)
		if err != nil {
			return err
		}
		return c.print(cmd.OutOrStdout(), list, func(w io.Writer) { showChanges(w, list) })
	}}
	cmd.Flags().BoolVar(&changes, "changes", false, "only what differs from what the fleet of --dir, or of DIR, was assigned and obeys by its own files")
	return cmd
}

func showChanges(w io.Writer, list []preview.Change) {
	last := ""
	for _, x := range list {
		where := "assignment of " + x.Cluster
		if x.Table != "" {
			where = x.Table + " in " + x.Cluster
		}
		if where != last {
			fmt.Fprintf(w, "=== %s\n", where)
		}
		last = where
		fmt.Fprintf(w, "%s %s\n", x.Kind, x.Name)
		for _, line := range x.Lines {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
}

// printTables writes whole tables as they are wanted.
func (c *client) printTables(w io.Writer, tables []preview.Table) error {
	if c.output == "table" {
		return printTables(w, tables)
	}
	list := []planned{}
	for _, t := range tables {
		x := planned{Cluster: t.Cluster, Table: t.Name, Resources: []json.RawMessage{}}
		for r := range t.Table.All() {
			data, err := shown(r)
			if err != nil {
				return err
			}
			x.Resources = append(x.Resources, data)
		}
		list = append(list, x)
	}
	return c.print(w, list, nil)
}

// shown is a resource as JSON; of a secret its name only.
func shown(r table.Resource) (json.RawMessage, error) {
	body := any(r)
	if _, secret := r.(*table.Secret); secret {
		body = struct{}{}
	}
	return json.Marshal(map[string]any{"kind": r.ID().Kind, "name": r.ID().Name, "body": body})
}

func printTables(w io.Writer, tables []preview.Table) error {
	for _, t := range tables {
		if _, err := fmt.Fprintf(w, "=== %s in %s\n", t.Name, t.Cluster); err != nil {
			return err
		}
		if err := table.Print(w, t.Table); err != nil {
			return err
		}
	}
	return nil
}

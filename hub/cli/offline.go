package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	return &cobra.Command{Use: "check [DIR]", Short: "what is wrong in a fleet's folder; touches nothing", Args: cobra.MaximumNArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		p, err := preview.Read(preview.Options{Dir: c.folder(args)})
		if err != nil {
			return err
		}
		problems := append([]objects.Problem{}, p.Problems...)
		problems = append(problems, supervise.Check(c.folder(args))...)
		err = c.print(cmd.OutOrStdout(), problems, func(w io.Writer) {
			for _, x := range problems {
				kind := "problem"
				if x.Severity == objects.SeverityInfo {
					kind = "notice"
				}
				fmt.Fprintf(w, "%s  %s\n", kind, report.Line(x))
			}
		})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(problems, func(x objects.Problem) bool { return x.Severity != objects.SeverityInfo }) {
			return errProblems
		}
		return nil
	}}
}

// planned is a table as `plan -o json` shows it.
type planned struct {
	Cluster   string            `json:"cluster"`
	Table     string            `json:"table"`
	Resources []json.RawMessage `json:"resources"`
}

// plan prints what each proxy would obey, without a fleet.
func (c *client) plan() *cobra.Command {
	return &cobra.Command{Use: "plan [DIR]", Short: "what each proxy of a folder's fleet would obey; touches nothing", Args: cobra.MaximumNArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		p, err := preview.Read(preview.Options{Dir: c.folder(args)})
		if err != nil {
			return err
		}
		if c.output == "table" {
			return printTables(cmd.OutOrStdout(), p.Tables)
		}
		list := []planned{}
		for _, t := range p.Tables {
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
		return c.print(cmd.OutOrStdout(), list, nil)
	}}
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

package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/navehq/nave/hub/audit"
)

// history is what was ordered, read from the fleet's folder, so that it is there
// with the hub gone.
func (c *client) history() *cobra.Command {
	lines := 0
	show := &cobra.Command{Use: "show", Short: "who ordered what, when and why", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := countable(lines); err != nil {
			return err
		}
		file, err := c.openAudit()
		if err != nil {
			return err
		}
		defer file.Close()
		list, err := audit.Read(file, lines)
		if err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
		return c.print(cmd.OutOrStdout(), append([]audit.Entry{}, list...), func(w io.Writer) {
			fmt.Fprintln(w, orderedHead)
			for _, e := range list {
				showOrdered(w, e.At, e.Who, e.What, e.On, e.Why, e.Refused)
			}
		})
	}}
	show.Flags().IntVarP(&lines, "lines", "n", 50, "how many of the last orders")
	verify := &cobra.Command{Use: "verify", Short: "whether the orders stand as they were written", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		file, err := c.openAudit()
		if err != nil {
			return err
		}
		defer file.Close()
		count, err := audit.Verify(file)
		if err != nil {
			return fmt.Errorf("verify the audit log: after %d orders that hold: %w", count, err)
		}
		answer := map[string]int{"orders": count}
		return c.print(cmd.OutOrStdout(), answer, func(w io.Writer) { fmt.Fprintf(w, "%d orders hold\n", count) })
	}}
	cmd := &cobra.Command{Use: "audit", Short: "what was ordered"}
	cmd.AddCommand(show, verify)
	return cmd
}

func (c *client) openAudit() (*os.File, error) {
	file, err := os.Open(filepath.Join(c.dir, ".nave", "audit.jsonl"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the audit log: the fleet of %s has none; say --dir, or start it with `nave up`", c.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return file, nil
}

const orderedHead = "WHEN\tWHO\tWHAT\tON\tWHY"

func showOrdered(w io.Writer, at time.Time, who, what, on, why, refused string) {
	if refused != "" {
		why += " (refused: " + refused + ")"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", at.Local().Format("2006-01-02 15:04:05"), printable(who), printable(what), printable(on), printable(why))
}

// printable keeps what people wrote from steering a terminal, and leaves the
// rest as they wrote it.
func printable(text string) string {
	var out strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		out.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return out.String()
}

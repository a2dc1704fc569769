// Package cli is the command line: `nave up` runs a fleet from a folder, the
// other commands ask and order a running one over the hub's JSON API. It
// decides nothing.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/navehq/nave/hub/supervise"
	"github.com/navehq/nave/hub/supervise/relay"
)

// The exit codes.
const (
	done   = 0
	failed = 1
	usage  = 2
)

// errUsage marks what the person typed wrong.
var errUsage = errors.New("see --help")

// misused has the arguments and flags of a command, and of those below it, refused as usage.
func misused(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error { return mistyped(check(cmd, args)) }
	}
	for _, sub := range c.Commands() {
		misused(sub)
	}
}

func mistyped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; %w", err, errUsage)
}

// Run runs one command line and gives the exit code.
func Run(ctx context.Context, args []string, out, problems io.Writer) int {
	root := &cobra.Command{Use: "nave", Short: "One hub steering the AI gateways of a whole fleet", SilenceUsage: true, SilenceErrors: true}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(problems)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return mistyped(err) })
	root.AddCommand(up(problems), runRelay(problems))
	c := &client{}
	root.PersistentFlags().StringVar(&c.dir, "dir", ".", "the fleet's folder")
	root.PersistentFlags().StringVarP(&c.output, "output", "o", "table", "table, json or yaml")
	root.AddCommand(c.commands()...)
	// What cannot be obeyed whole is refused before anything is done.
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		return mistyped(cmp.Or(c.checkOutput(), cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()))
	}
	// A word that is no command comes here: there is nothing else to run.
	root.Args, root.RunE = cobra.NoArgs, func(c *cobra.Command, _ []string) error { return c.Help() }
	misused(root)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return done
	case errors.Is(err, errUsage):
		fmt.Fprintln(problems, "nave:", err)
		return usage
	}
	fmt.Fprintln(problems, "nave:", err)
	return failed
}

// up runs a folder's fleet.
func up(problems io.Writer) *cobra.Command {
	verbose := false
	cmd := &cobra.Command{
		Use: "up DIR", Short: "run the fleet of a folder until it is interrupted", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelDebug
			}
			s, err := supervise.New(supervise.Options{
				Dir: args[0], Bin: filepath.Dir(self), Out: c.OutOrStdout(),
				Log: slog.New(slog.NewTextHandler(problems, &slog.HandlerOptions{Level: level})),
			})
			if err != nil {
				return err
			}
			return s.Run(c.Context())
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "say more")
	return cmd
}

// runRelay is the simulated network: a process of its own, so that it outlives
// a region that is killed.
func runRelay(problems io.Writer) *cobra.Command {
	socket := ""
	cmd := &cobra.Command{
		Use: "relay", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			l, err := net.Listen("unix", socket)
			if err != nil {
				return err
			}
			return relay.Run(c.Context(), relay.Options{Control: l, Log: slog.New(slog.NewTextHandler(problems, nil))})
		},
	}
	cmd.Flags().StringVar(&socket, "socket", "", "where to be told what to carry")
	return cmd
}

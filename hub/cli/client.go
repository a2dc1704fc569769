package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/navehq/nave/api/version"
)

// How long a question, and an order, may wait for their answer.
const (
	askWithin   = 5 * time.Second
	orderWithin = 30 * time.Second
)

// client talks to the hub of a folder's fleet, or to a spoke.
type client struct {
	dir    string
	output string
	// via is the cluster whose spoke is asked; "" asks the hub.
	via string
}

// endpoint is where who is asked answers, and the secret that it wants.
func (c *client) endpoint() (base, token string, err error) {
	var asked struct {
		API string `json:"api"`
	}
	file := "hub.json"
	if c.via != "" {
		file = "spoke-" + c.via + ".json"
	}
	data, err := os.ReadFile(filepath.Join(c.dir, ".nave", "run", file))
	if c.via != "" && errors.Is(err, os.ErrNotExist) {
		return "", "", fmt.Errorf("find the spoke of cluster %q in the fleet of %s: it has not been started", c.via, c.dir)
	}
	if err != nil {
		return "", "", fmt.Errorf("find the fleet of %s: %w; start it with `nave up %s`, or say --dir", c.dir, err, c.dir)
	}
	if err := json.Unmarshal(data, &asked); err != nil {
		return "", "", fmt.Errorf("find the fleet of %s: %w", c.dir, err)
	}
	secret, err := os.ReadFile(filepath.Join(c.dir, ".nave", "token"))
	if err != nil {
		return "", "", fmt.Errorf("read the fleet's token: %w", err)
	}
	return "http://" + asked.API, strings.TrimSpace(string(secret)), nil
}

// call asks the hub and decodes its answer.
func (c *client) call(ctx context.Context, method, path string, body, into any) error {
	base, token, err := c.endpoint()
	if err != nil {
		return err
	}
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(data)
	}
	within := orderWithin
	if method == http.MethodGet {
		within = askWithin
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no answer within %s", within))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, base+path, reader)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return c.unanswered(ctx, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return c.unanswered(ctx, err)
	}
	if resp.StatusCode >= 300 {
		return errors.New(strings.TrimSpace(string(data)))
	}
	if into == nil || len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, into)
}

// unanswered says who did not answer, and whom else to ask.
func (c *client) unanswered(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if c.via != "" {
		return fmt.Errorf("ask the spoke of %s: %w; if the fleet has ended, start it with `nave up %s`", c.via, err, c.dir)
	}
	return fmt.Errorf("ask the hub: %w; while it is gone, status, latency and explain ask a spoke by --via CLUSTER; if the fleet has ended, start it with `nave up %s`", err, c.dir)
}

// throughSpoke lets a command ask a spoke.
func (c *client) throughSpoke(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&c.via, "via", "", "ask the spoke of this cluster, for what it knows, and not the hub")
	return cmd
}

// print writes an answer as it is wanted; table writes rows.
func (c *client) print(w io.Writer, v any, table func(io.Writer)) error {
	switch c.output {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		data, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	case "table":
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		table(t)
		return t.Flush()
	}
	return c.checkOutput()
}

func (c *client) checkOutput() error {
	if slices.Contains([]string{"table", "json", "yaml"}, c.output) {
		return nil
	}
	return fmt.Errorf("output %q is none of table, json, yaml", c.output)
}

// countable refuses a number of lines that is none.
func countable(lines int) error {
	if lines < 0 {
		return mistyped(fmt.Errorf("--lines %d: is no number of lines; say 0 or more", lines))
	}
	return nil
}

func (c *client) commands() []*cobra.Command {
	return []*cobra.Command{
		c.check(), c.plan(), c.logs(), c.cluster(), c.history(), c.version(),
		c.throughSpoke(c.status()), c.throughSpoke(c.latency()), c.explain(), c.drill(), c.token(),
		c.order("cordon", "CLUSTER", "give a cluster no new work"), c.order("drain", "CLUSTER", "take a cluster's work elsewhere"),
		c.order("uncordon", "CLUSTER", "let a cluster serve again"), c.order("undrain", "CLUSTER", "end a drain; a cordon stays"), c.order("freeze", "", "stop automation"), c.order("unfreeze", "", "let automation go on"),
		c.order("confirm", "CLUSTER", "let a held assignment through"),
	}
}

func (c *client) version() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "print the version", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return c.print(cmd.OutOrStdout(), map[string]string{"version": version.Version}, func(w io.Writer) { fmt.Fprintln(w, version.Version) })
	}}
}

func who() string {
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return "cli"
}

func (c *client) token() *cobra.Command {
	cluster := ""
	create := &cobra.Command{Use: "create", Short: "make a single-use token by which a cluster joins", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		var answer struct {
			Token string `json:"token"`
		}
		if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/tokens", map[string]string{"cluster": cluster, "who": who()}, &answer); err != nil {
			return err
		}
		return c.print(cmd.OutOrStdout(), answer, func(w io.Writer) { fmt.Fprintln(w, answer.Token) })
	}}
	create.Flags().StringVar(&cluster, "cluster", "", "the cluster that it is for")
	_ = create.MarkFlagRequired("cluster") // the flag is there: it was just made
	cmd := &cobra.Command{Use: "token", Short: "tokens by which clusters join"}
	cmd.AddCommand(create)
	return cmd
}

func (c *client) explain() *cobra.Command {
	from := ""
	cmd := &cobra.Command{Use: "explain BACKEND", Short: "why requests to a backend go where they go", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		var answer []struct {
			Cluster string `json:"cluster"`
			Proxy   string `json:"proxy,omitempty"`
			Text    string `json:"text"`
		}
		query := url.Values{"backend": {args[0]}, "from": {from}}
		if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/explain?"+query.Encode(), nil, &answer); err != nil {
			return err
		}
		return c.print(cmd.OutOrStdout(), answer, func(w io.Writer) {
			for _, a := range answer {
				fmt.Fprintf(w, "from %s (%s)\n%s\n", a.Cluster, a.Proxy, a.Text)
			}
		})
	}}
	cmd.Flags().StringVar(&from, "from", "", "as a cluster sees it; all without it")
	c.throughSpoke(cmd)
	cmd.MarkFlagsMutuallyExclusive("from", "via") // a spoke knows what its own cluster sees
	return cmd
}

package cli

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/navehq/nave/api/report"
)

// order is a command that orders something for a cluster or the fleet.
func (c *client) order(verb, arg, short string) *cobra.Command {
	why, life := "", time.Duration(0)
	use, args := verb, cobra.NoArgs
	if arg != "" {
		use, args = verb+" "+arg, cobra.ExactArgs(1)
	}
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, list []string) error {
		body := map[string]any{"verb": verb, "why": why, "who": who()}
		if len(list) > 0 {
			body["cluster"] = list[0]
		}
		if cmd.Flags().Changed("for") {
			if life < report.ShortestOrder || life > report.LongestOrder {
				return mistyped(fmt.Errorf("--for %s: an order holds 1s to %.0fh; without --for it holds until it is taken back", life, report.LongestOrder.Hours()))
			}
			body["seconds"] = int(math.Ceil(life.Seconds()))
		}
		var done report.Done
		if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/orders", body, &done); err != nil {
			return err
		}
		return c.print(cmd.OutOrStdout(), done, func(w io.Writer) { fmt.Fprintln(w, outcome(done)) })
	}}
	cmd.Flags().StringVar(&why, "why", "", "why, for those who read it later")
	if verb == "confirm" || strings.HasPrefix(verb, "un") {
		return cmd // what ends an order, or a hold, lasts
	}
	cmd.Flags().DurationVar(&life, "for", 0, "how long it holds, 1s to 8784h; without it until it is taken back")
	return cmd
}

// is tells what a verb, a kind of order, or a state says of what it is for.
var is = map[string]string{
	"cordon": "cordoned", "uncordon": "cordoned", "Cordon": "cordoned", "Cordoned": "cordoned",
	"drain": "draining", "undrain": "draining", "Drain": "draining", "Draining": "draining",
	"freeze": "frozen", "unfreeze": "frozen", "Freeze": "frozen", "Frozen": "frozen",
}

// outcome says what is so after an order.
func outcome(d report.Done) string {
	subject, now := cmp.Or(d.Cluster, "automation"), is[d.State]
	if d.Done == "confirm" {
		return subject + " is given what was held back"
	}
	if !strings.HasPrefix(d.Done, "un") {
		return subject + " is " + inForce(d, now)
	}
	was := "was not " + is[d.Done]
	var ended []string
	for _, o := range d.Ended {
		ended = append(ended, is[o.Kind])
	}
	if slices.Sort(ended); len(ended) > 0 {
		was = "is no longer " + strings.Join(slices.Compact(ended), " and ")
	}
	if now == "" {
		return subject + " " + was
	}
	return fmt.Sprintf("%s %s by order; it is still %s, as declared or ordered otherwise", subject, was, now)
}

// inForce is the order that is in force now, with what it replaced.
func inForce(d report.Done, now string) string {
	out := is[d.Done] + held(d.Until, d.Why)
	if now != "" && now != is[d.Done] {
		out += ", and " + now + " besides"
	}
	for _, o := range d.Ended {
		out += fmt.Sprintf("; this replaces the order of %s%s", printable(o.Who), held(o.Expires, o.Why))
	}
	return out
}

// held is until when and why an order holds.
func held(until time.Time, why string) string {
	out := ""
	if !until.IsZero() {
		out = " until " + clock(until)
	}
	if why != "" {
		out += " (" + printable(why) + ")"
	}
	return out
}

func (c *client) cluster() *cobra.Command {
	cmd := &cobra.Command{Use: "cluster", Short: "clusters that have joined"}
	cmd.AddCommand(&cobra.Command{Use: "revoke NAME", Short: "end every identity that a cluster ever had: its spoke and proxies are refused everywhere", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		var answer struct {
			Cluster string   `json:"cluster"`
			Revoked []string `json:"revoked"`
		}
		if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/clusters/"+url.PathEscape(args[0])+"/revoke", map[string]string{"who": who()}, &answer); err != nil {
			return err
		}
		return c.print(cmd.OutOrStdout(), answer, func(w io.Writer) {
			fmt.Fprintf(w, "%s is refused everywhere: %d more identities are revoked\n", answer.Cluster, len(answer.Revoked))
		})
	}})
	return cmd
}

package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/v1alpha1"
)

func (c *client) status() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "the fleet: clusters, Gateways, problems", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		var s report.Status
		if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/status", nil, &s); err != nil {
			return err
		}
		return c.print(cmd.OutOrStdout(), s, func(w io.Writer) { showStatus(w, s) })
	}}
}

func showStatus(w io.Writer, s report.Status) {
	if s.By != "" {
		fmt.Fprintln(w, told(s)+"\n")
	}
	fmt.Fprintln(w, "CLUSTER\tREGION\tLEASE\tSTATE\tPROXIES\tHEARD")
	for _, x := range s.Clusters {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", x.Name, x.Place(), x.Lease, standing(x), heard(s, x))
	}
	fmt.Fprintln(w, "\nGATEWAY\tIN\tOF\tLISTENER\tURLS")
	for _, g := range s.Gateways {
		for _, l := range g.Listeners {
			fmt.Fprintf(w, "%s/%s\t%s\t%s\t%s\t%s\n", g.Namespace, g.Name, g.Cluster, g.Home, l.Name, strings.Join(l.URLs, " "))
		}
	}
	if len(s.Orders) > 0 {
		fmt.Fprintln(w, "\nORDER\tON\tBY\tWHY\tTERM")
	}
	for _, o := range s.Orders {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", o.Kind, cmp.Or(o.Cluster, "the fleet"), printable(o.Who), printable(o.Why), term(o))
	}
	if len(s.History) > 0 {
		fmt.Fprintln(w, "\n"+orderedHead)
	}
	for _, o := range s.History[max(0, len(s.History)-latest):] {
		showOrdered(w, o.At, o.Who, o.What, o.On, o.Why, o.Refused)
	}
	if len(s.Problems) > 0 {
		fmt.Fprintln(w)
	}
	showProblems(w, s.Problems, report.Line)
}

// told says whose knowledge a status is, where it is not the hub's.
func told(s report.Status) string {
	hub := "which hears the hub"
	switch {
	case s.HubSilent && s.HubHeard.IsZero():
		hub = "which has not heard the hub since it began"
	case s.HubSilent:
		hub = "which hears nothing of the hub since " + clock(s.HubHeard)
	}
	return fmt.Sprintf("as far as the spoke of %s knows, %s", s.By, hub)
}

// heard are the proxies of a cluster that are ready, and when its spoke was
// heard: of others a spoke knows neither.
func heard(s report.Status, x report.Cluster) string {
	if s.By != "" && s.By != x.Name {
		return "-\t-"
	}
	ready := 0
	for _, p := range x.Proxies {
		if p.Ready {
			ready++
		}
	}
	last := "never"
	if !x.Heard.IsZero() {
		last = max(0, time.Since(x.Heard)).Round(time.Second).String() + " ago"
	}
	return fmt.Sprintf("%d/%d\t%s", ready, len(x.Proxies), last)
}

// clock is a time of today without its day.
func clock(t time.Time) string {
	t = t.Local()
	if t.Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// standing is a cluster's state, with how far its drain has come.
func standing(c report.Cluster) string {
	if c.Drain == nil {
		return c.State
	}
	if c.Drain.Complete {
		return "Drained"
	}
	return c.State + " (" + c.Drain.Message + ")"
}

// latest is how many of the last orders the status shows.
const latest = 5

// term is when an order was given, and when it ends.
func term(o report.Order) string {
	out := ""
	if !o.Since.IsZero() {
		out = "since " + o.Since.Local().Format("15:04:05")
	}
	if !o.Expires.IsZero() {
		out += " until " + o.Expires.Local().Format("2006-01-02 15:04:05")
	}
	return strings.TrimSpace(out)
}

func (c *client) latency() *cobra.Command {
	return &cobra.Command{Use: "latency", Short: "measured round trips between clusters", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		var paths []report.Path
		if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/latency", nil, &paths); err != nil {
			return err
		}
		return c.print(cmd.OutOrStdout(), paths, func(w io.Writer) {
			fmt.Fprintln(w, "FROM\tTO\tMEASURED BY\tRTT\tAGE")
			for _, p := range paths {
				rtt := fmt.Sprintf("%.1f ms", p.RTT)
				if p.Lost {
					rtt = "no answer"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.0f s\n", p.From, p.To, p.Measure, rtt, p.Age)
			}
		})
	}}
}

func (c *client) drill() *cobra.Command {
	cmd := &cobra.Command{Use: "drill", Short: "rehearse the loss of a region"}
	for _, sub := range []struct{ verb, method, short string }{
		{"preview", http.MethodGet, "check a drill, and touch nothing"}, {"start", http.MethodPost, "begin a run"},
		{"abort", http.MethodPost, "end the run, and give back what was lost"}, {"report", http.MethodGet, "the latest run"},
	} {
		cmd.AddCommand(&cobra.Command{Use: sub.verb + " NAME", Short: sub.short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			var s v1alpha1.DrillStatus
			var body any
			if sub.method == http.MethodPost {
				body = map[string]string{"who": who()}
			}
			if err := c.call(cmd.Context(), sub.method, "/api/v1/drills/"+url.PathEscape(args[0])+"/"+sub.verb, body, &s); err != nil {
				return err
			}
			if err := c.print(cmd.OutOrStdout(), s, func(w io.Writer) { showDrill(w, s) }); err != nil {
				return err
			}
			if sub.verb == "preview" {
				return wouldBegin(args[0], s.Preflight)
			}
			return nil
		}})
	}
	return cmd
}

// wouldBegin refuses what a start would refuse.
func wouldBegin(name string, checks []v1alpha1.DrillCheck) error {
	var failed []string
	for _, c := range checks {
		if !c.Passed {
			failed = append(failed, c.Name)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("drill %q would be refused: %s", name, strings.Join(failed, ", "))
}

func showDrill(w io.Writer, s v1alpha1.DrillStatus) {
	fmt.Fprintf(w, "phase\t%s\tverdict\t%s\n", s.Phase, s.Verdict)
	for _, c := range s.Preflight {
		mark := "ok"
		if !c.Passed {
			mark = "NO"
		}
		fmt.Fprintf(w, "check %s\t%s\t%s\n", mark, c.Name, c.Message)
	}
	for _, e := range s.Timeline {
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.At.Format("15:04:05.000"), e.Event, e.Message)
	}
	if r := s.Report; r != nil {
		fmt.Fprintf(w, "before\tshare %d %%\t%d requests in flight\n", r.SharePercentBefore, r.InFlightAtLoss)
		fmt.Fprintf(w, "time\tto detect %s\tto shift %s, to fail back %s\n", span(r.TimeToDetect), span(r.TimeToShift), span(r.TimeToFailback))
		fmt.Fprintf(w, "slowest\t%s\tMCP sessions initialised anew: %d\n", span(r.MaxLatency), r.SessionsReinitialised)
		fmt.Fprintf(w, "requests\tok %d\tfailed %d, retried %d, lost %d\n", r.Requests.OK, r.Requests.Failed, r.Requests.Retried, r.Requests.Lost)
	}
	for _, f := range s.Findings {
		fmt.Fprintf(w, "finding\t%s\n", f)
	}
	if s.Refusal == nil {
		return
	}
	for _, c := range s.Refusal.Checks {
		fmt.Fprintf(w, "refused at %s\t%s\t%s\n", clock(s.Refusal.At.Time), c.Name, c.Message)
	}
}

func span(d *metav1.Duration) string {
	if d == nil {
		return "not reached"
	}
	return d.Round(time.Millisecond).String()
}

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/v1alpha1"
)

const (
	victim = "westus2"
	drill  = "lose-westus2"
	// The least that the victim must carry for its loss to show anything.
	leastShare, leastFlying = 50, 10
	// slowest is how long a request that met the loss may take.
	slowest = 3 * time.Second
)

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func run(ctx context.Context, rate int, keep bool) error {
	f, err := startFleet()
	if err != nil {
		return err
	}
	if !keep {
		defer f.stop()
	}
	say("fleet    %s", f.dir)
	d, err := f.ready(ctx)
	if err != nil {
		return err
	}
	say("console  %s", f.console)
	say("models   %s   tools %s", strings.Join(d.models, " "), strings.Join(d.tools, " "))
	t, err := connect(ctx, d)
	if err != nil {
		return err
	}
	loop, stop := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() { t.run(loop, rate); close(over) }()
	err = story(ctx, f, t, rate)
	stop()
	<-over
	if keep {
		say("\nThe fleet goes on: `nave --dir %s status`. End it with `kill -INT %d`.", f.dir, f.cmd.Process.Pid)
	}
	return err
}

// story is the run's course: before, the loss, after, and the return.
func story(ctx context.Context, f *fleet, t *traffic, rate int) error {
	say("\n%d requests a second from eastus: chat completions, streams, and tool calls in %d sessions", rate, sessions)
	if err := pause(ctx, 4*time.Second); err != nil {
		return err
	}
	began := time.Now()
	var lost, restored time.Time
	invalid := ""
	status, err := f.drill(ctx, drill, func(e v1alpha1.DrillEvent) {
		switch e.Event {
		case "Lost":
			lost = e.At.Time
			invalid = tooLittle(t, began, lost)
		case "Restored":
			restored = e.At.Time
		}
		say("%s  %-10s %s", e.At.Format("15:04:05.0"), e.Event, e.Message)
	})
	if err != nil {
		return err
	}
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	results, _ := t.since(began)
	if !lost.IsZero() {
		show("before", results, began, lost)
		show("during", results, lost, restored)
		show("after", results, restored, time.Now())
	}
	tell(status)
	if invalid != "" {
		return fmt.Errorf("%w: %s", errInvalid, invalid)
	}
	return judge(status, results, lost)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// tooLittle says what the victim lacked when it was lost.
func tooLittle(t *traffic, from, lost time.Time) string {
	results, flying := t.since(from)
	total, its := 0, 0
	for _, r := range results {
		if r.due.Add(r.took).Before(lost) {
			total++
			if r.served == victim {
				its++
			}
		}
	}
	// Those that were on their way when it was lost have ended or are still flying.
	met := flying[victim]
	for _, r := range results {
		if r.due.Before(lost) && r.due.Add(r.took).After(lost) {
			met++
		}
	}
	switch {
	case total == 0 || 100*its < leastShare*total:
		return fmt.Sprintf("%s carried %d of %d requests, less than %d %%", victim, its, total, leastShare)
	case met < leastFlying:
		return fmt.Sprintf("%s had %d requests in flight, less than %d", victim, met, leastFlying)
	}
	say("%s carried %d of %d requests and had %d in flight", victim, its, total, met)
	return ""
}

// show says who served what in a span.
func show(name string, results []result, from, to time.Time) {
	kinds := []string{"chat", "stream", "tool"}
	say("\n%-8s %-8s %8s %8s %16s %8s %10s", name, "", "requests", victim, "southcentralus", "failed", "slowest")
	for _, kind := range kinds {
		served, n, failed, worst := map[string]int{}, 0, 0, time.Duration(0)
		for _, r := range results {
			if r.kind != kind || r.due.Before(from) || !r.due.Before(to) {
				continue
			}
			n++
			served[r.served]++
			worst = max(worst, r.took)
			if r.err != nil {
				failed++
			}
		}
		say("%-8s %-8s %8d %8d %16d %8d %10s", "", kind, n, served[victim], served["southcentralus"], failed, worst.Round(time.Millisecond))
	}
}

// tell prints the drill's report.
func tell(s v1alpha1.DrillStatus) {
	say("\ndrill    %s", s.Verdict)
	if r := s.Report; r != nil {
		say("         the prober's requests: %d ok, %d of them retried, %d failed, %d lost", r.Requests.OK, r.Requests.Retried, r.Requests.Failed, r.Requests.Lost)
		say("         time to detect %s, to shift %s, to fail back %s; sessions initialised anew: %d", span(r.TimeToDetect), span(r.TimeToShift), span(r.TimeToFailback), r.SessionsReinitialised)
	}
	for _, f := range s.Findings {
		say("         %s", f)
	}
}

func span(d *metav1.Duration) string {
	if d == nil {
		return "not reached"
	}
	return d.Duration.Round(time.Millisecond).String()
}

// judge says whether anything was lost.
func judge(s v1alpha1.DrillStatus, results []result, lost time.Time) error {
	var failed []result
	late, cut := time.Duration(0), 0
	for _, r := range results {
		switch {
		case r.err != nil && r.begun && r.due.Before(lost):
			// The model had begun to answer: nobody else can go on with its words.
			cut++
		case r.err != nil:
			failed = append(failed, r)
		}
		if r.due.Add(r.took).After(lost) {
			late = max(late, r.took)
		}
	}
	for _, r := range failed[:min(len(failed), 5)] {
		fmt.Fprintf(os.Stderr, "  %s due %+.3fs after the loss: %v\n", r.kind, r.due.Sub(lost).Seconds(), r.err)
	}
	slices.SortFunc(results, func(a, b result) int { return a.due.Compare(b.due) })
	switch {
	case s.Verdict == v1alpha1.VerdictInvalid:
		return fmt.Errorf("%w: the drill: %s", errInvalid, strings.Join(s.Findings, "; "))
	case len(failed) > 0:
		return fmt.Errorf("%d of %d requests failed", len(failed), len(results))
	case late > slowest:
		return fmt.Errorf("the slowest request took %s, more than %s", late.Round(time.Millisecond), slowest)
	case s.Verdict != v1alpha1.VerdictPass:
		return fmt.Errorf("the drill says %s: %s", s.Verdict, strings.Join(s.Findings, "; "))
	}
	say("\nNothing was lost: %d requests, slowest %s. %d streams had begun at %s when it was killed;", len(results), late.Round(time.Millisecond), cut, victim)
	say("they were cut, and their clients were told so in the stream.")
	return nil
}

// Package rehearse carries drills out: it asks the probers what clients see,
// loses and gives back what hub/drill says, and keeps the reports. It decides
// nothing of a drill's course.
package rehearse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/probe"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/drill"
)

const (
	// pace is how often the probers are asked.
	pace = 250 * time.Millisecond
	// askWithin bounds one question to a spoke, and act one to the supervisor.
	askWithin = time.Second
	actWithin = 20 * time.Second
	// margin is how much longer than the drill means it a loss may last, where
	// nobody ends it.
	margin = 30 * time.Second
)

// The reasons for which nothing is done.
var (
	ErrUnknown = errors.New("there is no such drill")
	ErrRunning = errors.New("a drill is under way already")
	ErrIdle    = errors.New("the drill is not under way")
)

// Options are what drills are carried out with.
type Options struct {
	// Facts are as of now; Other is filled in here.
	Facts func() drill.Facts
	// Find returns a declared drill.
	Find func(name string) (*v1alpha1.Drill, bool)
	// Ask asks a cluster's spoke.
	Ask func(ctx context.Context, cluster, path string, body []byte) ([]byte, error)
	// Lose orders a mode's loss of a cluster, which ends by itself after life, and
	// Restore its return.
	Lose    func(ctx context.Context, mode v1alpha1.DrillMode, cluster, why string, life time.Duration) error
	Restore func(ctx context.Context, mode v1alpha1.DrillMode, cluster string) error
	// Keep stores the latest status of a drill.
	Keep     func(name string, s v1alpha1.DrillStatus)
	Log      *slog.Logger
	Now      func() time.Time
	Registry prometheus.Registerer
}

// Rehearsals are a hub's drills. It is safe for concurrent use.
type Rehearsals struct {
	opts    Options
	metrics metrics

	mu      sync.Mutex
	runs    map[string]drill.Run
	current string
	abort   chan string
	wg      sync.WaitGroup
}

// New is ready to rehearse; kept are the statuses of earlier runs.
func New(opts Options, kept map[string]v1alpha1.DrillStatus) *Rehearsals {
	r := &Rehearsals{opts: opts, metrics: newMetrics(opts.Registry), runs: map[string]drill.Run{}}
	for name, status := range kept {
		if status.Phase != v1alpha1.DrillPhaseDone && status.Phase != v1alpha1.DrillPhasePending {
			status.Phase, status.Verdict = v1alpha1.DrillPhaseDone, v1alpha1.VerdictInvalid
			status.Findings = append(status.Findings, "the hub was restarted during the run")
		}
		r.runs[name] = drill.Run{Number: status.Run, Status: status}
	}
	return r
}

// Preview checks a drill as a start would, and touches nothing.
func (r *Rehearsals) Preview(name string) (*v1alpha1.DrillStatus, error) {
	d, ok := r.opts.Find(name)
	if !ok {
		return nil, fmt.Errorf("preview drill %q: %w", name, ErrUnknown)
	}
	checks, _ := drill.Preflight(d, r.facts())
	return &v1alpha1.DrillStatus{Phase: v1alpha1.DrillPhasePending, Preflight: checks}, nil
}

func (r *Rehearsals) facts() drill.Facts {
	f := r.opts.Facts()
	r.mu.Lock()
	defer r.mu.Unlock()
	f.Other = r.current
	return f
}

// Start begins a run that goes on until it ends by itself, is aborted, or ctx
// ends. Where a check fails none begins, and the error is a *RefusedError.
func (r *Rehearsals) Start(ctx context.Context, name string) (*v1alpha1.DrillStatus, error) {
	d, ok := r.opts.Find(name)
	if !ok {
		return nil, fmt.Errorf("start drill %q: %w; declare it in hub/*.yaml", name, ErrUnknown)
	}
	facts := r.facts()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != "" {
		return nil, fmt.Errorf("start drill %q: %w: %q", name, ErrRunning, r.current)
	}
	run, actions := drill.Step(drill.New(d, r.runs[name].Number+1), drill.Begin{Now: r.opts.Now(), Facts: facts})
	if failed := refused(run.Status); len(failed) > 0 {
		return nil, r.refuse(name, failed)
	}
	r.current, r.abort = name, make(chan string, 1)
	r.record(name, run)
	c := &course{r: r, name: name, run: run, abort: r.abort, survivors: survivors(facts, run.Target())}
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		c.follow(ctx, actions)
	}()
	status := run.Status
	return &status, nil
}

func survivors(f drill.Facts, target string) []string {
	var out []string
	for _, c := range f.Clusters {
		if c.Name != target && c.Proxies > 0 {
			out = append(out, c.Name)
		}
	}
	return out
}

// Abort ends the run that is under way; what was lost is given back.
func (r *Rehearsals) Abort(name, why string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, declared := r.opts.Find(name); !declared && r.current != name {
		return fmt.Errorf("abort drill %q: %w", name, ErrUnknown)
	}
	if r.current != name || name == "" {
		return fmt.Errorf("abort drill %q: %w", name, ErrIdle)
	}
	select {
	case r.abort <- why:
	default:
	}
	return nil
}

// Report is the latest run of a drill.
func (r *Rehearsals) Report(name string) (*v1alpha1.DrillStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run, ok := r.runs[name]
	if !ok {
		if _, declared := r.opts.Find(name); declared {
			return &v1alpha1.DrillStatus{Phase: v1alpha1.DrillPhasePending}, nil
		}
		return nil, fmt.Errorf("report drill %q: %w", name, ErrUnknown)
	}
	status := run.Status
	return &status, nil
}

// Reports are the latest runs of all drills that ran, by name.
func (r *Rehearsals) Reports() map[string]v1alpha1.DrillStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]v1alpha1.DrillStatus{}
	for _, name := range slices.Sorted(maps.Keys(r.runs)) {
		out[name] = r.runs[name].Status
	}
	return out
}

// Wait waits for the run that is under way to end.
func (r *Rehearsals) Wait() { r.wg.Wait() }

// record keeps a run; the caller holds the lock.
func (r *Rehearsals) record(name string, run drill.Run) {
	r.runs[name] = run
	r.opts.Keep(name, run.Status)
	if run.Ended() {
		r.current = ""
		r.metrics.ended(name, run.Status)
	}
}

// course is one run on its way.
type course struct {
	r         *Rehearsals
	name      string
	run       drill.Run
	abort     chan string
	survivors []string
	// since is the first bucket of which not all is known.
	since   map[string]time.Time
	skew    map[string]time.Duration
	buckets map[time.Time]map[string]probe.Bucket
}

func (c *course) follow(ctx context.Context, actions []drill.Action) {
	c.since, c.skew = map[string]time.Time{}, map[string]time.Duration{}
	c.buckets = map[time.Time]map[string]probe.Bucket{}
	c.act(ctx, actions)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for !c.run.Ended() {
		select {
		case <-ctx.Done():
			// What was lost is given back although the hub itself is ending.
			c.step(context.WithoutCancel(ctx), drill.Abort{Now: c.r.opts.Now(), Why: "the hub ends"})
		case why := <-c.abort:
			c.step(ctx, drill.Abort{Now: c.r.opts.Now(), Why: why})
		case <-tick.C:
			c.look(ctx)
			c.step(ctx, drill.Seen{Now: c.r.opts.Now(), Buckets: c.seen()})
		}
	}
}

func (c *course) step(ctx context.Context, e drill.Event) {
	next, actions := drill.Step(c.run, e)
	c.run = next
	c.r.mu.Lock()
	c.r.record(c.name, next)
	c.r.mu.Unlock()
	c.act(ctx, actions)
}

func (c *course) act(ctx context.Context, actions []drill.Action) {
	for _, a := range actions {
		err := c.do(ctx, a)
		if err != nil {
			c.r.opts.Log.Warn("carry out a step of a drill", "drill", c.name, "step", string(a), "err", err)
		}
		if a == drill.Lose || a == drill.Restore {
			c.step(ctx, drill.Done{Now: c.r.opts.Now(), Action: a, Err: err})
		}
	}
}

func (c *course) do(ctx context.Context, a drill.Action) error {
	mode := c.run.Drill.Spec.Mode
	switch a {
	case drill.Probe:
		return c.startProbers(ctx)
	case drill.StopProbe:
		for _, cluster := range c.survivors {
			if _, err := c.ask(ctx, cluster, probe.AskStop, nil); err != nil {
				c.r.opts.Log.Warn("stop a prober", "cluster", cluster, "err", err)
			}
		}
		return nil
	case drill.Lose:
		ctx, cancel := context.WithTimeout(ctx, actWithin)
		defer cancel()
		c.r.opts.Log.Info("a drill loses a cluster", "drill", c.name, "cluster", c.run.Target(), "mode", mode)
		return c.r.opts.Lose(ctx, mode, c.run.Target(), "drill "+c.name, c.run.Duration()+margin)
	case drill.Restore:
		ctx, cancel := context.WithTimeout(ctx, actWithin)
		defer cancel()
		c.r.opts.Log.Info("a drill gives a cluster back", "drill", c.name, "cluster", c.run.Target(), "mode", mode)
		return c.r.opts.Restore(ctx, mode, c.run.Target())
	}
	return nil
}

func (c *course) ask(ctx context.Context, cluster, path string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return c.r.opts.Ask(ctx, cluster, path, data)
}

// startProbers starts them at those who survive: guarantees hold for clients
// that enter there.
func (c *course) startProbers(ctx context.Context) error {
	plan := probe.Plan{Rate: c.run.Rate(), Until: c.run.Until()}
	var failures []error
	for _, cluster := range c.survivors {
		if _, err := c.ask(ctx, cluster, probe.AskStart, plan); err != nil {
			failures = append(failures, fmt.Errorf("start the prober of cluster %q: %w", cluster, err))
		}
	}
	if len(failures) == len(c.survivors) {
		return errors.Join(failures...)
	}
	return nil
}

// look asks every prober for what has changed, all at once.
func (c *course) look(ctx context.Context) {
	type answer struct {
		cluster string
		report  probe.Report
		err     error
	}
	answers := make(chan answer, len(c.survivors))
	for _, cluster := range c.survivors {
		since := probe.Since{At: c.since[cluster]}
		go func() {
			data, err := c.ask(ctx, cluster, probe.AskReport, since)
			var report probe.Report
			if err == nil {
				err = json.Unmarshal(data, &report)
			}
			answers <- answer{cluster, report, err}
		}()
	}
	for range c.survivors {
		a := <-answers
		if a.err != nil {
			c.r.opts.Log.Debug("ask a prober", "cluster", a.cluster, "err", a.err)
			continue
		}
		c.merge(a.cluster, a.report)
	}
}

// merge takes a prober's buckets, moved to the hub's clock: its own is taken
// as ahead by what it showed when it first answered.
func (c *course) merge(cluster string, report probe.Report) {
	if _, known := c.skew[cluster]; !known {
		c.skew[cluster] = report.Clock.Sub(c.r.opts.Now()).Truncate(probe.Width)
	}
	complete := true
	for _, b := range report.Buckets {
		if complete && b.Open > 0 {
			complete = false
			c.since[cluster] = b.At
		}
		at := b.At.Add(-c.skew[cluster]).Truncate(probe.Width)
		if c.buckets[at] == nil {
			c.buckets[at] = map[string]probe.Bucket{}
		}
		b.At = at
		c.buckets[at][cluster] = b
	}
	if n := len(report.Buckets); complete && n > 0 {
		c.since[cluster] = report.Buckets[n-1].At
	}
}

// seen adds the probers up, in order of time.
func (c *course) seen() []probe.Bucket {
	out := make([]probe.Bucket, 0, len(c.buckets))
	for _, at := range slices.SortedFunc(maps.Keys(c.buckets), time.Time.Compare) {
		sum := probe.Bucket{At: at}
		for _, b := range c.buckets[at] {
			sum = sum.Add(b)
		}
		out = append(out, sum)
	}
	return out
}

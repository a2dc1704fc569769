// Package drill decides the course of a drill: given a run and an event, the
// next run and what to do. It never loses a region itself, never asks a prober
// and never looks at a clock: time comes with the events. A run can be printed
// at every step.
package drill

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/probe"
	"github.com/navehq/nave/api/v1alpha1"
)

const (
	// baseline is how long traffic is watched before the loss.
	baseline = 3 * time.Second
	// settled is how long a state must hold to count as reached.
	settled = time.Second
	// patience bounds the wait for traffic to come back.
	patience = 90 * time.Second
	// defaultDuration is how long the target is lost where the drill does not say.
	defaultDuration = 20 * time.Second
	// rate is what each prober sends, requests a second.
	rate = 20
	// window is what an abort limit in percent looks at.
	window = 10 * time.Second
)

// Run is one run of a drill. It is a value: Step gives the next one.
type Run struct {
	Drill  *v1alpha1.Drill
	Number int64
	Status v1alpha1.DrillStatus

	target   string
	phase    time.Time // when the current phase began
	lost     time.Time
	restored time.Time
	buckets  []probe.Bucket
}

// Action is something to be done about a run.
type Action string

// The actions. Lose and Restore answer with Done when it has happened.
const (
	Probe     Action = "probe"
	StopProbe Action = "stop probing"
	Lose      Action = "lose"
	Restore   Action = "restore"
)

// Event is something that happened: Begin, Tick, Seen, Done or Abort.
type Event interface{ event() }

// Begin starts a run, with what is known then.
type Begin struct {
	Now   time.Time
	Facts Facts
}

// Tick is the passing of time.
type Tick struct{ Now time.Time }

// Seen replaces what the probers saw so far, sorted by time, all probers added up.
type Seen struct {
	Now     time.Time
	Buckets []probe.Bucket
}

// Done says that an action was carried out, or why not.
type Done struct {
	Now    time.Time
	Action Action
	Err    error
}

// Abort ends a run early.
type Abort struct {
	Now time.Time
	Why string
}

func (Begin) event() {}
func (Tick) event()  {}
func (Seen) event()  {}
func (Done) event()  {}
func (Abort) event() {}

// Ended tells whether a run is over.
func (r Run) Ended() bool { return r.Status.Phase == v1alpha1.DrillPhaseDone }

// Target is the cluster that is lost.
func (r Run) Target() string { return r.target }

// Rate is what each prober is to send, requests a second.
func (r Run) Rate() int { return rate }

// Until bounds the probing of a run.
func (r Run) Until() time.Time {
	return r.Status.StartedAt.Add(baseline + r.Duration() + 2*patience)
}

// Duration is for how long the target is lost.
func (r Run) Duration() time.Duration {
	longest, _ := v1alpha1.MaxFaultDuration.Or(0)
	d, err := r.Drill.Spec.Duration.Or(defaultDuration)
	if err != nil {
		return defaultDuration
	}
	return min(d, longest)
}

// New is a run that has not begun.
func New(d *v1alpha1.Drill, number int64) Run {
	return Run{Drill: d, Number: number, Status: v1alpha1.DrillStatus{Phase: v1alpha1.DrillPhasePending, Run: number}}
}

// Step takes an event and gives the next run and what to do.
func Step(r Run, e Event) (Run, []Action) {
	if r.Ended() {
		return r, nil
	}
	r.Status.Timeline = slices.Clone(r.Status.Timeline)
	switch e := e.(type) {
	case Begin:
		return r.begin(e)
	case Seen:
		r.buckets = e.Buckets
		return r.advance(e.Now)
	case Tick:
		return r.advance(e.Now)
	case Done:
		return r.done(e)
	case Abort:
		r.note(e.Now, "Aborted", "%s", e.Why)
		return r.end(e.Now, v1alpha1.VerdictAborted, e.Why)
	}
	return r, nil
}

func (r *Run) note(at time.Time, event, format string, args ...any) {
	r.Status.Timeline = append(r.Status.Timeline, v1alpha1.DrillEvent{
		At: metav1.NewMicroTime(at), Event: event, Cluster: r.target, Message: fmt.Sprintf(format, args...),
	})
}

func (r *Run) enter(p v1alpha1.DrillPhase, now time.Time) {
	r.Status.Phase, r.phase = p, now
}

func (r Run) begin(e Begin) (Run, []Action) {
	started := metav1.NewTime(e.Now)
	r.Status.StartedAt = &started
	r.enter(v1alpha1.DrillPhasePreflight, e.Now)
	r.Status.Preflight, r.target = Preflight(r.Drill, e.Facts)
	for _, c := range r.Status.Preflight {
		if !c.Passed {
			r.note(e.Now, "Refused", "%s: %s", c.Name, c.Message)
			return r.end(e.Now, v1alpha1.VerdictInvalid, c.Name+": "+c.Message)
		}
	}
	if r.Drill.Spec.Mode == v1alpha1.DrillModeDryRun {
		return r.end(e.Now, v1alpha1.VerdictPass, "every check passed; nothing was touched")
	}
	r.note(e.Now, "Begun", "watch traffic for %s before the loss", baseline)
	return r, []Action{Probe}
}

func (r Run) advance(now time.Time) (Run, []Action) {
	switch r.Status.Phase {
	case v1alpha1.DrillPhasePreflight:
		return r.watchBaseline(now)
	case v1alpha1.DrillPhaseRunning:
		return r.watchLoss(now)
	case v1alpha1.DrillPhaseRecovering:
		return r.watchReturn(now)
	}
	return r, nil
}

func (r Run) watchBaseline(now time.Time) (Run, []Action) {
	if now.Sub(r.phase) < baseline || r.Status.Report != nil {
		return r, nil
	}
	report := r.before(now)
	r.Status.Report = &report
	if why := r.tooLittle(report); why != "" {
		r.note(now, "Invalid", "%s", why)
		return r.end(now, v1alpha1.VerdictInvalid, why)
	}
	return r, []Action{Lose}
}

func (r Run) done(e Done) (Run, []Action) {
	if e.Err != nil {
		why := fmt.Sprintf("%s: %v", e.Action, e.Err)
		r.note(e.Now, "Failed", "%s", why)
		return r.end(e.Now, v1alpha1.VerdictInvalid, why)
	}
	switch e.Action {
	case Lose:
		r.lost = e.Now
		r.enter(v1alpha1.DrillPhaseRunning, e.Now)
		r.note(e.Now, "Lost", "%s of cluster %s, for %s", r.Drill.Spec.Mode, r.target, r.Duration())
	case Restore:
		r.restored = e.Now
		r.enter(v1alpha1.DrillPhaseRecovering, e.Now)
		r.note(e.Now, "Restored", "cluster %s is given back", r.target)
	}
	return r, nil
}

func (r Run) watchLoss(now time.Time) (Run, []Action) {
	r.observe()
	if why := r.beyondLimits(now); why != "" {
		r.note(now, "Aborted", "%s", why)
		r.Status.Verdict = v1alpha1.VerdictAborted
		r.Status.Findings = append(slices.Clone(r.Status.Findings), why)
		return r, []Action{Restore}
	}
	if now.Sub(r.lost) < r.Duration() || r.Status.Phase != v1alpha1.DrillPhaseRunning {
		return r, nil
	}
	r.shifted()
	r.enter(v1alpha1.DrillPhaseRecovering, now)
	return r, []Action{Restore}
}

func (r Run) watchReturn(now time.Time) (Run, []Action) {
	if r.restored.IsZero() {
		return r, nil
	}
	r.observe()
	if back, ok := r.back(); ok {
		report := *r.Status.Report
		report.TimeToFailback = &metav1.Duration{Duration: back.Sub(r.restored)}
		r.Status.Report = &report
		r.note(back, "FailedBack", "traffic is back at cluster %s", r.target)
		return r.judge(now)
	}
	if now.Sub(r.restored) >= patience {
		r.note(now, "NotBack", "traffic is not back after %s", patience)
		return r.judge(now)
	}
	return r, nil
}

func (r Run) end(now time.Time, v v1alpha1.DrillVerdict, why string) (Run, []Action) {
	ended := metav1.NewTime(now)
	r.Status.EndedAt = &ended
	var actions []Action
	if r.Status.Phase != v1alpha1.DrillPhasePreflight || r.Status.Report != nil || len(r.Status.Timeline) > 0 {
		actions = append(actions, StopProbe)
	}
	if !r.lost.IsZero() && r.restored.IsZero() {
		actions = append(actions, Restore)
	}
	r.enter(v1alpha1.DrillPhaseDone, now)
	r.Status.Verdict = v
	if why != "" {
		r.Status.Findings = append(slices.Clone(r.Status.Findings), why)
	}
	return r, actions
}

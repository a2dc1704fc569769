package drill

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/probe"
	"github.com/navehq/nave/api/v1alpha1"
)

// before is what the target carried ahead of the loss.
func (r *Run) before(now time.Time) v1alpha1.DrillReport {
	var all probe.Bucket
	for _, b := range r.buckets {
		if !b.At.Before(r.phase) && b.At.Before(now) {
			all = all.Add(b)
		}
	}
	report := v1alpha1.DrillReport{InFlightAtLoss: all.OpenAt[r.target]}
	if ok := all.OK(); ok > 0 {
		report.SharePercentBefore = v1alpha1.Percent(100 * all.Served[r.target] / ok)
	}
	return report
}

// tooLittle says what the target lacks for a loss to show anything.
func (r *Run) tooLittle(report v1alpha1.DrillReport) string {
	least := v1alpha1.Percent(1)
	inFlight := int64(0)
	if m := r.Drill.Spec.MinTraffic; m != nil {
		if m.SharePercent != nil {
			least = *m.SharePercent
		}
		if m.InFlight != nil {
			inFlight = *m.InFlight
		}
	}
	switch {
	case report.SharePercentBefore < least:
		return fmt.Sprintf("cluster %s carries %d %% of the traffic, less than %d %%", r.target, report.SharePercentBefore, least)
	case report.InFlightAtLoss < inFlight:
		return fmt.Sprintf("cluster %s has %d requests in flight, less than %d", r.target, report.InFlightAtLoss, inFlight)
	}
	return ""
}

// disturbed tells whether a bucket shows the loss: something failed, moved, or
// is not answered.
func (r *Run) disturbed(b probe.Bucket) bool {
	return b.Failed > 0 || b.Lost > 0 || b.Retried > 0
}

// observe brings the report up to date from the loss on.
func (r *Run) observe() {
	report := *r.Status.Report
	var all probe.Bucket
	for _, b := range r.buckets {
		if b.At.Add(probe.Width).After(r.lost) {
			all = all.Add(b)
		}
	}
	report.Requests = v1alpha1.DrillRequests{OK: all.OK(), Failed: all.Failed, Retried: all.Retried, Lost: all.Lost}
	report.SessionsReinitialised = all.Reinitialised
	report.MaxLatency = &metav1.Duration{Duration: r.slowest()}
	if at, ok := r.detected(); ok && report.TimeToDetect == nil {
		report.TimeToDetect = &metav1.Duration{Duration: at.Sub(r.lost)}
		r.note(at, "Detected", "the first request moves away from cluster %s", r.target)
	}
	r.Status.Report = &report
}

// slowest is the slowest request that met the loss.
func (r *Run) slowest() time.Duration {
	var worst time.Duration
	for _, b := range r.buckets {
		if b.At.Add(probe.Width).After(r.lost) && (r.restored.IsZero() || b.At.Before(r.restored)) {
			worst = max(worst, b.Slowest)
		}
	}
	return worst
}

// detected is when the first request that the target would have served was not.
func (r *Run) detected() (time.Time, bool) {
	for _, b := range r.buckets {
		if b.At.Add(probe.Width).Before(r.lost) {
			continue
		}
		if r.disturbed(b) || b.OK() > 0 && b.Served[r.target] == 0 && r.Status.Report.SharePercentBefore > 0 {
			at := b.At.Add(b.Slowest)
			if at.Before(r.lost) {
				at = r.lost
			}
			return at, true
		}
	}
	return time.Time{}, false
}

// shifted notes when the last request was disturbed or served by the target
// before none was for a while. Later on a proxy tries now and then whether the
// target is back, which costs that request a second attempt.
func (r *Run) shifted() {
	last := r.lost
	for _, b := range r.buckets {
		if b.At.Sub(last) >= settled {
			break
		}
		if b.At.Add(probe.Width).After(r.lost) && (r.disturbed(b) || b.Served[r.target] > 0 || b.Open > 0) {
			last = b.At.Add(max(probe.Width, b.Slowest))
		}
	}
	report := *r.Status.Report
	if last.Sub(r.lost) < r.Duration()-settled {
		report.TimeToShift = &metav1.Duration{Duration: last.Sub(r.lost)}
		r.note(last, "Shifted", "every request is served elsewhere at its first attempt")
	}
	r.Status.Report = &report
}

// back is when the target had its share again, to nine tenths, and kept it.
func (r *Run) back() (time.Time, bool) {
	var since, last time.Time
	for _, b := range r.buckets {
		all, its := b.Free(r.target)
		if b.At.Before(r.restored) || all == 0 {
			continue
		}
		last = b.At.Add(probe.Width)
		if 1000*its/all < 9*int64(r.Status.Report.SharePercentBefore) {
			since = time.Time{}
		} else if since.IsZero() {
			since = b.At
		}
	}
	return since, !since.IsZero() && last.Sub(since) >= settled
}

// beyondLimits says which abort limit is crossed.
func (r *Run) beyondLimits(now time.Time) string {
	limits := r.Drill.Spec.Abort
	if limits == nil || r.Status.Verdict == v1alpha1.VerdictAborted {
		return ""
	}
	bad := r.Status.Report.Requests.Failed + r.Status.Report.Requests.Lost
	if limits.Failed != nil && bad > *limits.Failed {
		return fmt.Sprintf("%d requests failed, more than %d", bad, *limits.Failed)
	}
	if limits.ErrorPercent == nil {
		return ""
	}
	var recent probe.Bucket
	for _, b := range r.buckets {
		if b.At.After(now.Add(-window)) {
			recent = recent.Add(b)
		}
	}
	errors := recent.Failed + recent.Lost
	if ended := errors + recent.OK(); ended > 0 && 100*errors > int64(*limits.ErrorPercent)*ended {
		return fmt.Sprintf("%d of %d requests of the last %s failed, more than %d %%", errors, ended, window, *limits.ErrorPercent)
	}
	return ""
}

// judge holds the report against the expectations.
func (r Run) judge(now time.Time) (Run, []Action) {
	if r.Status.Verdict == v1alpha1.VerdictAborted {
		return r.end(now, v1alpha1.VerdictAborted, "")
	}
	findings := r.missed()
	if len(findings) == 0 {
		return r.end(now, v1alpha1.VerdictPass, "every expectation is met")
	}
	next, actions := r.end(now, v1alpha1.VerdictFail, "")
	next.Status.Findings = append(next.Status.Findings, findings...)
	return next, actions
}

// missed lists the expectations that are not met. Where the drill says nothing,
// nothing may fail or be lost.
func (r *Run) missed() []string {
	e := r.Drill.Spec.Expectations
	if e == nil {
		none := int64(0)
		e = &v1alpha1.DrillExpectations{MaxFailed: &none, MaxLost: &none}
	}
	p := r.Status.Report
	var out []string
	count := func(what string, got int64, most *int64) {
		if most != nil && got > *most {
			out = append(out, fmt.Sprintf("%s: %d, more than %d", what, got, *most))
		}
	}
	count("failed requests", p.Requests.Failed, e.MaxFailed)
	count("lost requests", p.Requests.Lost, e.MaxLost)
	count("sessions initialised anew", p.SessionsReinitialised, e.MaxSessionsReinitialised)
	span := func(what string, got *metav1.Duration, most v1alpha1.Duration) {
		limit, err := most.Or(0)
		switch {
		case most == "" || err != nil:
		case got == nil:
			out = append(out, fmt.Sprintf("%s: not reached, expected within %s", what, limit))
		case got.Duration > limit:
			out = append(out, fmt.Sprintf("%s: %s, more than %s", what, got.Duration, limit))
		}
	}
	span("time to detect", p.TimeToDetect, e.MaxTimeToDetect)
	span("time to shift", p.TimeToShift, e.MaxTimeToShift)
	span("time to failback", p.TimeToFailback, e.MaxTimeToFailback)
	span("slowest request", p.MaxLatency, e.MaxLatency)
	return out
}

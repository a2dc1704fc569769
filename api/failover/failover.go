// Package failover fills the rules of a FailoverPolicy over the defaults that
// it inherits: Nave's own, the fleet's, the tenant's. It decides what a policy
// says, never where a request goes. Rules that nothing carries out yet are
// refused with their path.
package failover

import (
	"fmt"
	"slices"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// Default is what holds where nobody says anything.
func Default() table.Failover {
	return table.Failover{
		Order:  table.ByLatency,
		Margin: table.Duration(5 * time.Millisecond),
		Triggers: []table.Trigger{
			table.OnConnect, table.OnTimeout, table.OnServer, table.OnRateLimit,
			table.OnOverload, table.OnStream, table.OnDNS,
		},
		Attempts:      4,
		BudgetPercent: 100,
		MaxBody:       8 << 20,
		Failback: table.Failback{
			Window:   table.Duration(10 * time.Second),
			Absolute: table.Duration(5 * time.Millisecond),
			Percent:  20,
			Ramp:     table.Duration(10 * time.Second),
		},
	}
}

// Refusal is a field that cannot be obeyed.
type Refusal struct {
	Path   string
	Reason string
}

// Apply fills rules over base. path names rules in messages ("spec").
func Apply(base table.Failover, rules v1alpha1.FailoverRules, path string) (table.Failover, []Refusal) {
	r := &reader{path: path}
	out := base
	out.Regions = slices.Clone(base.Regions)
	r.order(&out, rules.Order)
	if len(rules.Triggers) > 0 {
		out.Triggers = nil
		for _, t := range rules.Triggers {
			out.Triggers = append(out.Triggers, table.Trigger(t))
		}
	}
	r.retry(&out, rules.Retry)
	if rules.Hedging != nil {
		r.refuse("hedging", "hedging is not built; take it out")
	}
	r.failback(&out, rules.Failback)
	return out, r.refusals
}

type reader struct {
	path     string
	refusals []Refusal
}

func (r *reader) refuse(field, format string, args ...any) {
	r.refusals = append(r.refusals, Refusal{r.path + "." + field, fmt.Sprintf(format, args...)})
}

func (r *reader) duration(into *table.Duration, d v1alpha1.Duration, field string) {
	v, err := d.Or(into.Std())
	if err != nil {
		r.refuse(field, "%v", err)
		return
	}
	*into = table.Duration(v)
}

func (r *reader) order(out *table.Failover, o *v1alpha1.FailoverOrder) {
	if o == nil {
		return
	}
	switch o.By {
	case v1alpha1.OrderByLatency, v1alpha1.OrderByStatic:
	case v1alpha1.OrderByRegion:
		if len(o.Regions) == 0 {
			r.refuse("order.regions", "an order by region names at least one region")
		}
	case v1alpha1.OrderByCost:
		r.refuse("order.by", "order by cost is not built; use Latency, Region or Static")
	default:
		r.refuse("order.by", "%q is none of Latency, Region, Static", o.By)
	}
	out.Order = table.OrderBy(o.By)
	out.Regions = nil
	for _, region := range o.Regions {
		out.Regions = append(out.Regions, string(region))
	}
	r.duration(&out.Margin, o.LatencyMargin, "order.latencyMargin")
}

func (r *reader) retry(out *table.Failover, retry *v1alpha1.FailoverRetry) {
	if retry == nil {
		return
	}
	if retry.Attempts != nil {
		if *retry.Attempts < 1 {
			r.refuse("retry.attempts", "%d is less than 1, the first attempt", *retry.Attempts)
		}
		out.Attempts = int(*retry.Attempts)
	}
	r.duration(&out.PerAttemptTimeout, retry.PerAttemptTimeout, "retry.perAttemptTimeout")
	if retry.BudgetPercent != nil {
		out.BudgetPercent = int(*retry.BudgetPercent)
	}
	if q := retry.MaxBodySize; q != nil {
		const most = 64 << 20
		if q.Value() < 0 || q.Value() > most {
			r.refuse("retry.maxBodySize", "%s is not between 0 and 64Mi", q)
		}
		out.MaxBody = q.Value()
	}
	out.ReplayUnsafe = out.ReplayUnsafe || retry.ReplayUnsafe
}

func (r *reader) failback(out *table.Failover, f *v1alpha1.Failback) {
	if f == nil {
		return
	}
	r.duration(&out.Failback.Window, f.StabilizationWindow, "failback.stabilizationWindow")
	if f.Margin != nil {
		r.duration(&out.Failback.Absolute, f.Margin.Absolute, "failback.margin.absolute")
		if f.Margin.Percent != nil {
			out.Failback.Percent = int(*f.Margin.Percent)
		}
	}
	if f.Ramp == nil {
		return
	}
	// A proxy ramps evenly over the steps' whole time; unlike steps would say
	// something that it does not do.
	step := table.Duration(0)
	r.duration(&step, f.Ramp.StepDuration, "failback.ramp.stepDuration")
	if !even(f.Ramp.Steps) {
		r.refuse("failback.ramp.steps", "steps that do not grow evenly up to 100 are not built; use for example [25, 50, 75]")
	}
	out.Failback.Ramp = table.Duration(step.Std() * time.Duration(len(f.Ramp.Steps)))
}

// even tells whether steps part the way to 100 into equal parts, to a percent.
func even(steps []v1alpha1.Percent) bool {
	for i, s := range steps {
		ideal := 100 * (i + 1) / (len(steps) + 1)
		if int(s) < ideal-1 || int(s) > ideal+1 {
			return false
		}
	}
	return true
}

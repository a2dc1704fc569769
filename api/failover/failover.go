// Package failover reads what a FailoverPolicy says: it fills its rules over
// the settings that they inherit (Nave's own, the fleet's, the tenant's, a less
// specific policy's) and says which of its fields cannot be obeyed. It decides
// what a policy says, never where a request goes.
package failover

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

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

// Bounds of what a policy may ask of a proxy.
const (
	maxAttempts = 16
	maxSteps    = 16
	maxBody     = 64 << 20 // bytes kept for each request
	leastTime   = 10 * time.Millisecond
)

// Refusal is a field that cannot be obeyed.
type Refusal struct {
	Path, Message, Remedy string
	// Unbuilt: the field is understood and left out; the others are in force.
	Unbuilt bool
}

// Apply fills rules over base. path names rules in messages ("spec"). A rule
// that is refused stays as inherited.
func Apply(base table.Failover, rules v1alpha1.FailoverRules, path string) (table.Failover, []Refusal) {
	r := &reader{path: path}
	out := base
	r.order(&out, rules.Order)
	r.triggers(&out, rules.Triggers)
	r.retry(&out, rules.Retry)
	if rules.Hedging != nil {
		r.unbuilt("hedging", "is not built yet", "remove it")
	}
	r.failback(&out, rules.Failback)
	return out, r.refusals
}

type reader struct {
	path     string
	refusals []Refusal
}

func (r *reader) refuse(field, message, remedy string) {
	r.refusals = append(r.refusals, Refusal{Path: r.path + "." + field, Message: message, Remedy: remedy})
}

func (r *reader) unbuilt(field, message, remedy string) {
	r.refusals = append(r.refusals, Refusal{r.path + "." + field, message, remedy, true})
}

func (r *reader) duration(into *table.Duration, d v1alpha1.Duration, field string) {
	v, err := d.Or(into.Std())
	if err != nil {
		r.refuse(field, fmt.Sprintf("%q is no duration", string(d)), "write it like 1m30s")
		return
	}
	*into = table.Duration(v.Round(time.Millisecond))
}

func (r *reader) percent(into *int, p *v1alpha1.Percent, field string) {
	switch {
	case p == nil:
	case *p < 0 || *p > 100:
		r.refuse(field, fmt.Sprintf("%d is no share of a hundred", *p), "give one from 0 to 100")
	default:
		*into = int(*p)
	}
}

func (r *reader) order(out *table.Failover, o *v1alpha1.FailoverOrder) {
	if o == nil {
		return
	}
	switch {
	case o.By == v1alpha1.OrderByRegion && len(o.Regions) == 0:
		r.refuse("order.regions", "order by Region needs regions", "name them, the preferred first")
		return
	case o.By != v1alpha1.OrderByRegion && len(o.Regions) > 0:
		r.refuse("order.regions", "regions are for order by Region", "remove them, or order by Region")
		return
	}
	repeated(r, "order.regions", o.Regions)
	switch o.By {
	case v1alpha1.OrderByLatency, v1alpha1.OrderByRegion, v1alpha1.OrderByStatic:
		out.Order, out.Regions = table.OrderBy(o.By), texts(o.Regions)
	case v1alpha1.OrderByCost:
		r.unbuilt("order.by", "Cost is not built yet; the order is by latency", "use Region, Latency or Static")
		out.Order, out.Regions = table.ByLatency, nil
	default:
		r.refuse("order.by", fmt.Sprintf("there is no order by %q", o.By), "use Region, Latency or Static")
		return
	}
	if o.By == v1alpha1.OrderByStatic && o.LatencyMargin != "" {
		r.unbuilt("order.latencyMargin", "order by Static looks at no latency", "remove it")
		return
	}
	r.duration(&out.Margin, o.LatencyMargin, "order.latencyMargin")
}

func (r *reader) triggers(out *table.Failover, list []v1alpha1.Trigger) {
	if len(list) == 0 {
		return
	}
	out.Triggers = nil
	for i, t := range list {
		if !slices.Contains(v1alpha1.Triggers(), t) {
			r.refuse(fmt.Sprintf("triggers[%d]", i), fmt.Sprintf("there is no trigger %q", t), "use one of "+fmt.Sprint(v1alpha1.Triggers()))
		}
		out.Triggers = append(out.Triggers, table.Trigger(t))
	}
	repeated(r, "triggers", list)
}

func (r *reader) retry(out *table.Failover, retry *v1alpha1.FailoverRetry) {
	if retry == nil {
		return
	}
	if a := retry.Attempts; a != nil {
		if *a < 1 || *a > maxAttempts {
			r.refuse("retry.attempts", fmt.Sprintf("%d is not within 1 and %d", *a, maxAttempts), "correct it; 1 is no failover within a request")
		} else {
			out.Attempts = int(*a)
		}
	}
	if v, err := retry.PerAttemptTimeout.Or(leastTime); err == nil && v < leastTime {
		r.refuse("retry.perAttemptTimeout", fmt.Sprintf("%s is less than %s", retry.PerAttemptTimeout, leastTime), "give an attempt more time")
	} else {
		r.duration(&out.PerAttemptTimeout, retry.PerAttemptTimeout, "retry.perAttemptTimeout")
	}
	r.percent(&out.BudgetPercent, retry.BudgetPercent, "retry.budgetPercent")
	if q := retry.MaxBodySize; q != nil {
		if q.Value() < 0 || q.Value() > maxBody {
			r.refuse("retry.maxBodySize", fmt.Sprintf("%s is not within 0 and %s", q, resource.NewQuantity(maxBody, resource.BinarySI)), "correct it")
		} else {
			out.MaxBody = q.Value()
		}
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
		r.percent(&out.Failback.Percent, f.Margin.Percent, "failback.margin.percent")
	}
	if f.Ramp != nil {
		r.ramp(&out.Failback, f.Ramp)
	}
}

func (r *reader) ramp(out *table.Failback, ramp *v1alpha1.Ramp) {
	var steps []int
	known := len(r.refusals)
	switch n := len(ramp.Steps); {
	case n == 0:
		r.refuse("failback.ramp.steps", "is empty", "give the shares, one after the other, such as [10, 50]; 100 follows the last")
	case n > maxSteps:
		r.refuse("failback.ramp.steps", fmt.Sprintf("has %d steps", n), fmt.Sprintf("give at most %d", maxSteps))
	}
	for i, s := range ramp.Steps {
		field := fmt.Sprintf("failback.ramp.steps[%d]", i)
		switch {
		case s < 1 || s > 100:
			r.refuse(field, fmt.Sprintf("%d is no share that a step can have", s), "give one from 1 to 100")
		case i > 0 && s <= ramp.Steps[i-1]:
			r.refuse(field, fmt.Sprintf("%d is not more than the step before it", s), "let the steps rise")
		}
		steps = append(steps, int(s))
	}
	step := table.Duration(0)
	if r.duration(&step, ramp.StepDuration, "failback.ramp.stepDuration"); ramp.StepDuration == "" {
		r.refuse("failback.ramp.stepDuration", "is missing", "say how long each step lasts")
	}
	if len(r.refusals) == known {
		out.Ramp, out.Steps = table.Duration(len(steps))*step, steps
	}
}

// repeated refuses what a list that is a set holds twice.
func repeated[T comparable](r *reader, field string, list []T) {
	for i, x := range list {
		if slices.Contains(list[:i], x) {
			r.refuse(fmt.Sprintf("%s[%d]", field, i), fmt.Sprintf("%v stands there twice", x), "remove one")
		}
	}
}

func texts(regions []v1alpha1.Region) []string {
	var out []string
	for _, region := range regions {
		out = append(out, string(region))
	}
	return out
}

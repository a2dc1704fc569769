package failover_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/navehq/nave/api/failover"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

func TestApply(t *testing.T) {
	attempts, percent, budget := int32(2), v1alpha1.Percent(30), v1alpha1.Percent(10)
	size := resource.MustParse("1Mi")
	cases := map[string]struct {
		reason string
		rules  v1alpha1.FailoverRules
		want   func(*table.Failover)
		refuse []string
	}{
		"nothing": {reason: "what is left unset stays as inherited", want: func(*table.Failover) {}},
		"everything": {
			reason: "each rule replaces its own part",
			rules: v1alpha1.FailoverRules{
				Order:    &v1alpha1.FailoverOrder{By: v1alpha1.OrderByRegion, Regions: []v1alpha1.Region{"b", "a"}, LatencyMargin: "1ms"},
				Triggers: []v1alpha1.Trigger{v1alpha1.TriggerTimeout},
				Retry:    &v1alpha1.FailoverRetry{Attempts: &attempts, PerAttemptTimeout: "3s", BudgetPercent: &budget, MaxBodySize: &size, ReplayUnsafe: true},
				Failback: &v1alpha1.Failback{
					StabilizationWindow: "1m", Margin: &v1alpha1.Margin{Absolute: "2ms", Percent: &percent},
					Ramp: &v1alpha1.Ramp{Steps: []v1alpha1.Percent{25, 50, 75}, StepDuration: "10s"},
				},
			},
			want: func(f *table.Failover) {
				f.Order, f.Regions, f.Margin = table.ByRegion, []string{"b", "a"}, table.Duration(time.Millisecond)
				f.Triggers = []table.Trigger{table.OnTimeout}
				f.Attempts, f.PerAttemptTimeout, f.BudgetPercent, f.MaxBody, f.ReplayUnsafe = 2, table.Duration(3*time.Second), 10, 1<<20, true
				f.Failback = table.Failback{Window: table.Duration(time.Minute), Absolute: table.Duration(2 * time.Millisecond), Percent: 30, Ramp: table.Duration(30 * time.Second)}
			},
		},
		"not built": {
			reason: "what nothing carries out is refused by its path",
			rules: v1alpha1.FailoverRules{
				Order:    &v1alpha1.FailoverOrder{By: v1alpha1.OrderByCost},
				Hedging:  &v1alpha1.Hedging{After: "1s"},
				Failback: &v1alpha1.Failback{Ramp: &v1alpha1.Ramp{Steps: []v1alpha1.Percent{5, 25, 50}, StepDuration: "x"}},
			},
			refuse: []string{"spec.order.by", "spec.hedging", "spec.failback.ramp.stepDuration", "spec.failback.ramp.steps"},
		},
		"no regions": {
			reason: "an order by region without regions says nothing",
			rules:  v1alpha1.FailoverRules{Order: &v1alpha1.FailoverOrder{By: v1alpha1.OrderByRegion}},
			refuse: []string{"spec.order.regions"},
		},
	}
	for name, c := range cases {
		got, refusals := failover.Apply(failover.Default(), c.rules, "spec")
		var paths []string
		for _, r := range refusals {
			paths = append(paths, r.Path)
		}
		if diff := cmp.Diff(c.refuse, paths); diff != "" {
			t.Errorf("%s: %s: refused (-want +got):\n%s", name, c.reason, diff)
		}
		if c.want == nil {
			continue
		}
		want := failover.Default()
		c.want(&want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, c.reason, diff)
		}
	}
}

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
	attempts, percent, budget, over := int32(2), v1alpha1.Percent(30), v1alpha1.Percent(10), v1alpha1.Percent(101)
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
				f.Failback = table.Failback{Window: table.Duration(time.Minute), Absolute: table.Duration(2 * time.Millisecond), Percent: 30, Ramp: table.Duration(30 * time.Second), Steps: []int{25, 50, 75}}
			},
		},
		"not built": {
			reason: "what nothing carries out is refused by its path",
			rules: v1alpha1.FailoverRules{
				Order:   &v1alpha1.FailoverOrder{By: v1alpha1.OrderByCost},
				Hedging: &v1alpha1.Hedging{After: "1s"},
			},
			refuse: []string{"spec.order.by", "spec.hedging"},
		},
		"steps": {
			reason: "the shares rise, from 1 to 100, each for its own time",
			rules: v1alpha1.FailoverRules{
				Failback: &v1alpha1.Failback{Ramp: &v1alpha1.Ramp{Steps: []v1alpha1.Percent{0, 25, 25, 101}, StepDuration: "x"}},
			},
			refuse: []string{"spec.failback.ramp.steps[0]", "spec.failback.ramp.steps[2]", "spec.failback.ramp.steps[3]", "spec.failback.ramp.stepDuration"},
			want:   func(*table.Failover) {},
		},
		"uneven steps": {
			reason: "steps are obeyed as they stand",
			rules: v1alpha1.FailoverRules{
				Failback: &v1alpha1.Failback{Ramp: &v1alpha1.Ramp{Steps: []v1alpha1.Percent{1, 2}, StepDuration: "10s"}},
			},
			want: func(f *table.Failover) {
				f.Failback.Ramp, f.Failback.Steps = table.Duration(20*time.Second), []int{1, 2}
			},
		},
		"no steps": {
			reason: "a ramp has steps and their time",
			rules:  v1alpha1.FailoverRules{Failback: &v1alpha1.Failback{Ramp: &v1alpha1.Ramp{}}},
			refuse: []string{"spec.failback.ramp.steps", "spec.failback.ramp.stepDuration"},
		},
		"out of bounds": {
			reason: "what the CRD refuses is refused everywhere, and stays as inherited",
			rules: v1alpha1.FailoverRules{
				Order:    &v1alpha1.FailoverOrder{By: v1alpha1.OrderByLatency, Regions: []v1alpha1.Region{"ra"}},
				Triggers: []v1alpha1.Trigger{v1alpha1.TriggerTimeout, v1alpha1.TriggerTimeout},
				Retry:    &v1alpha1.FailoverRetry{PerAttemptTimeout: "9ms", BudgetPercent: &over},
				Failback: &v1alpha1.Failback{Margin: &v1alpha1.Margin{Percent: &over}},
			},
			refuse: []string{"spec.order.regions", "spec.triggers[1]", "spec.retry.perAttemptTimeout", "spec.retry.budgetPercent", "spec.failback.margin.percent"},
		},
		"a region twice": {
			reason: "the list is a set",
			rules:  v1alpha1.FailoverRules{Order: &v1alpha1.FailoverOrder{By: v1alpha1.OrderByRegion, Regions: []v1alpha1.Region{"a", "b", "a"}}},
			refuse: []string{"spec.order.regions[2]"},
		},
		"a margin that nothing looks at": {
			reason: "no field is read for nothing",
			rules:  v1alpha1.FailoverRules{Order: &v1alpha1.FailoverOrder{By: v1alpha1.OrderByStatic, LatencyMargin: "1ms"}},
			refuse: []string{"spec.order.latencyMargin"},
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

func TestCheck(t *testing.T) {
	target := func(group, kind, section string) v1alpha1.FailoverTargetRef {
		return v1alpha1.FailoverTargetRef{Group: group, Kind: kind, Name: "n", SectionName: v1alpha1.Name(section)}
	}
	const gateway, agent = "gateway.networking.k8s.io", "agentgateway.dev"
	cases := map[string]struct {
		spec   v1alpha1.FailoverPolicySpec
		refuse []string
	}{
		"targets": {spec: v1alpha1.FailoverPolicySpec{TargetRefs: []v1alpha1.FailoverTargetRef{
			target(agent, "AgentgatewayBackend", ""), target("", "Service", ""), target(gateway, "HTTPRoute", "rule"), target(gateway, "Gateway", "listener"),
		}}},
		"others": {spec: v1alpha1.FailoverPolicySpec{TargetRefs: []v1alpha1.FailoverTargetRef{
			target(gateway, "GRPCRoute", ""), target("", "Gateway", ""), target(agent, "AgentgatewayBackend", "provider"), target("", "Service", "http"),
		}}, refuse: []string{"spec.targetRefs[0]", "spec.targetRefs[1]", "spec.targetRefs[2].sectionName", "spec.targetRefs[3].sectionName"}},
		"providers": {spec: v1alpha1.FailoverPolicySpec{
			Providers: []v1alpha1.FailoverProvider{{Name: "a", Region: "r"}, {Name: "b"}, {Name: "a", Region: "r", InputCost: "1", OutputCost: "2"}},
		}, refuse: []string{"spec.providers[1]", "spec.providers[2].inputCost", "spec.providers[2].outputCost", "spec.providers[2]"}},
		"modes": {spec: v1alpha1.FailoverPolicySpec{
			Credentials: v1alpha1.CredentialsSealed, Automation: v1alpha1.AutomationDisabled, PolicyDrift: "Perhaps",
			AllowedRegions: []v1alpha1.Region{"a", "a"},
		}, refuse: []string{"spec.allowedRegions[1]", "spec.policyDrift", "spec.credentials", "spec.automation"}},
	}
	for name, c := range cases {
		var paths []string
		for _, r := range failover.Check(&c.spec) {
			if paths = append(paths, r.Path); r.Message == "" || r.Remedy == "" {
				t.Errorf("%s: %s is refused without a reason or a remedy: %+v", name, r.Path, r)
			}
		}
		if diff := cmp.Diff(c.refuse, paths); diff != "" {
			t.Errorf("%s: refused (-want +got):\n%s", name, diff)
		}
	}
}

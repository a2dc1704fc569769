package upstream_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/upstream"
)

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func middle() uint64 { return 1 << 63 } // neither longer nor shorter
func newHealth() (*upstream.Health, *clock) {
	c := &clock{t: time.Unix(1e9, 0)}
	return upstream.NewHealth(c.now, middle, prometheus.NewRegistry()), c
}

var back = table.Failback{Window: table.Duration(10 * time.Second), Ramp: table.Duration(10 * time.Second)}

// A candidate's way out and back is told: as it is at each moment, and counted.
func TestStandings(t *testing.T) {
	c, r := &clock{t: time.Unix(1e9, 0)}, prometheus.NewRegistry()
	h := upstream.NewHealth(c.now, middle, r)
	at := func(want float64, why string) {
		t.Helper()
		if got := series(t, r)["nave_failover_state k"]; got != want {
			t.Errorf("%s: state %v, want %v", why, got, want)
		}
	}
	well := upstream.Evidence{Failback: back}
	h.Learn("k", well)
	at(0, "used")
	h.Learn("k", upstream.Evidence{Failed: table.OnConnect, Failback: back})
	at(3, "refused a connection")
	c.pass(2 * time.Second)
	at(2, "its time is up")
	if !h.Claim("k") {
		t.Fatal("nobody may try it")
	}
	h.Learn("k", well)
	c.pass(11 * time.Second)
	h.Learn("k", well)
	at(1, "well for the window")
	c.pass(11 * time.Second)
	h.Learn("k", well)
	at(0, "well for the ramp")
	h.Absent("k", back)
	h.Absent("k", back)
	at(3, "its cluster is gone")
	h.Begin("k")
	h.End("k")
	at(2, "its cluster is back")
	h.Learn("k", upstream.Evidence{Failed: table.OnRateLimit, RetryAfter: time.Minute, Failback: back})
	at(3, "its quota is used up")
	for name, want := range map[string]float64{"ejected": 2, "half_open": 1, "slow_start": 1, "in_service": 1} {
		if got := series(t, r)["nave_failover_transitions_total k "+name]; got != want {
			t.Errorf("%v times to %s, want %v", got, name, want)
		}
	}
}

// series are the values of counters and gauges by their names and labels' values.
func series(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func TestEjectionTakesEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		failures []table.Trigger
		out      bool
	}{
		"nothing failed":         {nil, false},
		"one refused connection": {[]table.Trigger{table.OnConnect}, true},
		"one 5xx":                {[]table.Trigger{table.OnServer}, false},
		"three 5xx in a row":     {[]table.Trigger{table.OnServer, table.OnServer, table.OnServer}, true},
		"a success between":      {[]table.Trigger{table.OnServer, table.OnServer, "", table.OnServer}, false},
		"one timeout":            {[]table.Trigger{table.OnTimeout}, false},
		"two timeouts":           {[]table.Trigger{table.OnTimeout, table.OnTimeout}, true},
	} {
		h, _ := newHealth()
		for _, f := range c.failures {
			h.Learn("k", upstream.Evidence{Failed: f, Failback: back})
		}
		if got := h.Of("k", "").Ejected; got != c.out {
			t.Errorf("%s: ejected %v", name, got)
		}
	}
}

func TestEjectionsGrowAndAreCapped(t *testing.T) {
	h, c := newHealth()
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		h.Learn("k", upstream.Evidence{Failed: table.OnConnect})
		// A failure that was under way when it was ejected adds nothing.
		h.Learn("k", upstream.Evidence{Failed: table.OnConnect})
		if got := h.Of("k", "").Until.Sub(c.t); got != want*time.Second {
			t.Errorf("ejection %d: %v, want %v", i+1, got, want*time.Second)
		}
		c.pass(want * time.Second)
	}
}

func TestReturn(t *testing.T) {
	h, c := newHealth()
	h.Learn("k", upstream.Evidence{Failed: table.OnConnect, Failback: back})
	if h.Claim("k") {
		t.Error("claimed while ejected")
	}
	c.pass(time.Second)
	if got := h.Of("k", ""); !got.HalfOpen {
		t.Fatalf("after its time: %+v", got)
	}
	if !h.Claim("k") || h.Claim("k") {
		t.Error("not exactly one request may try")
	}
	if got := h.Of("k", ""); !got.Ejected || !got.HalfOpen {
		t.Errorf("while one tries: %+v", got)
	}
	for range 21 { // ten seconds of tries, the first at 0
		h.Learn("k", upstream.Evidence{Failback: back})
		c.pass(500 * time.Millisecond)
	}
	if got := h.Of("k", ""); got.Ejected || got.HalfOpen || got.Share > 0.1 {
		t.Errorf("after the window: %+v", got)
	}
	c.pass(5 * time.Second)
	if got := h.Of("k", "").Share; got < 0.5 || got > 0.6 {
		t.Errorf("half way up: %v", got)
	}
	c.pass(5 * time.Second)
	h.Learn("k", upstream.Evidence{Failback: back})
	if got := h.Of("k", ""); got.Share != 1 || got.Reason != "" {
		t.Errorf("all the way: %+v", got)
	}
}

func TestAFailedTryBeginsTheWindowAnew(t *testing.T) {
	h, c := newHealth()
	h.Learn("k", upstream.Evidence{Failed: table.OnConnect, Failback: back})
	c.pass(time.Second)
	h.Learn("k", upstream.Evidence{Failback: back})
	c.pass(9 * time.Second)
	h.Learn("k", upstream.Evidence{Failed: table.OnServer, Failback: back})
	if got := h.Of("k", ""); !got.Ejected || got.Until.Sub(c.t) != 2*time.Second {
		t.Errorf("got %+v", got)
	}
}

func TestQuotaIsItsOwners(t *testing.T) {
	h, c := newHealth()
	h.Learn("a", upstream.Evidence{Failed: table.OnRateLimit, Quota: "acct/m", RetryAfter: 7 * time.Second})
	for _, x := range []struct {
		why, key, quota string
		out             bool
	}{
		{"who was refused", "a", "acct/m", true},
		{"another candidate of the account, never used", "b", "acct/m", true},
		{"another model", "a", "acct/n", false},
		{"another account", "c", "other/m", false},
		{"who has a quota of its own", "d", "", false},
	} {
		if got := h.Of(x.key, x.quota); got.Ejected != x.out {
			t.Errorf("%s: %+v", x.why, got)
		}
	}
	if got := h.Of("a", ""); got.Ejected || got.Refused.Sub(c.t) != 7*time.Second {
		t.Errorf("who was refused, whatever it is asked for: %+v", got)
	}
	c.pass(7 * time.Second)
	if got := h.Of("a", "acct/m"); got.Ejected || got.Share != 1 {
		t.Errorf("after Retry-After: %+v", got)
	}
	h.Learn("a", upstream.Evidence{Failed: table.OnRateLimit, RetryAfter: time.Hour})
	if got := h.Of("a", "acct/n").Until.Sub(c.t); got != 300*time.Second {
		t.Errorf("its own quota, an hour is capped: %v", got)
	}
}

// One client that asks for ever new models fills what is remembered, and takes
// nothing from the others.
func TestManyQuotasSetNoCandidateAside(t *testing.T) {
	h, c := newHealth()
	for i := range 1<<16 + 10 {
		h.Learn("a", upstream.Evidence{Failed: table.OnRateLimit, Quota: fmt.Sprint("client/", i), RetryAfter: time.Minute})
	}
	if got := h.Of("a", "other"); got.Ejected {
		t.Errorf("another's: %+v", got)
	}
	c.pass(30 * time.Second)
	h.Learn("a", upstream.Evidence{Failed: table.OnRateLimit, Quota: "client/0", RetryAfter: time.Minute})
	c.pass(31 * time.Second)
	if got := h.Of("a", "client/0"); !got.Ejected {
		t.Errorf("one that is known is refused for longer: %+v", got)
	}
	h.Learn("b", upstream.Evidence{Failed: table.OnRateLimit, RetryAfter: time.Minute})
	if got := h.Of("b", "any"); !got.Ejected {
		t.Errorf("a quota of its own: %+v", got)
	}
}

func TestASuccessWhileEjectedIsOld(t *testing.T) {
	h, c := newHealth()
	for range 6 { // the last one is out for 32 s
		h.Learn("k", upstream.Evidence{Failed: table.OnConnect, Failback: back})
		if got := h.Of("k", "").Until.Sub(c.t); got < 32*time.Second {
			c.pass(got)
		}
	}
	until := h.Of("k", "").Until
	for c.t.Before(until) { // answers to what was sent before, over more than the window
		h.Learn("k", upstream.Evidence{Failback: back})
		if got := h.Of("k", ""); !got.Ejected || !got.Until.Equal(until) {
			t.Fatalf("%v before its return: %+v", until.Sub(c.t), got)
		}
		c.pass(4 * time.Second)
	}
	h.Learn("k", upstream.Evidence{Failback: back})
	if got := h.Of("k", ""); !got.HalfOpen {
		t.Errorf("the window has only begun: %+v", got)
	}
}

func TestAbsentReturnsByTheWindow(t *testing.T) {
	h, c := newHealth()
	h.Absent("k", back)
	if got := h.Of("k", ""); !got.HalfOpen {
		t.Errorf("reachable again: %+v", got)
	}
	h.Learn("k", upstream.Evidence{Failback: back})
	c.pass(10 * time.Second)
	h.Learn("k", upstream.Evidence{Failback: back})
	if got := h.Of("k", ""); got.HalfOpen || got.Ejected {
		t.Errorf("after the window: %+v", got)
	}
}

func TestBudget(t *testing.T) {
	b := upstream.NewBudgets()
	n := 0
	for b.Repeat("x", 20) {
		n++
	}
	if n != 256 {
		t.Errorf("at first %d repeats, want the burst", n)
	}
	for range 10 {
		b.Request("x", 20)
	}
	for n = 0; b.Repeat("x", 20); n++ {
	}
	if n < 1 || n > 2 {
		t.Errorf("%d repeats for ten requests, want two", n)
	}
	if !b.Repeat("x", 0) {
		t.Error("without a percentage there is no budget")
	}
}

// A candidate comes back by the declared steps, each for its own time.
func TestReturnBySteps(t *testing.T) {
	h, c := newHealth()
	steps := table.Failback{Window: table.Duration(time.Second), Ramp: table.Duration(20 * time.Second), Steps: []int{1, 2}}
	h.Learn("k", upstream.Evidence{Failed: table.OnConnect, Failback: steps})
	c.pass(2 * time.Second)
	h.Learn("k", upstream.Evidence{Failback: steps})
	c.pass(time.Second)
	h.Learn("k", upstream.Evidence{Failback: steps})
	for _, x := range []struct {
		after time.Duration
		share float64
	}{{-time.Minute, 0.01}, {time.Minute, 0.01}, {9999 * time.Millisecond, 0.01}, {time.Millisecond, 0.02}, {9 * time.Second, 0.02}, {time.Second, 1}} {
		c.pass(x.after)
		if got := h.Of("k", ""); got.Share != x.share || got.HalfOpen || got.Ejected {
			t.Errorf("after %s more: %+v, want a share of %v", x.after, got, x.share)
		}
	}
}

// What steered traffic learns of a candidate is its own; the metric has the
// candidate's name only.
func TestSteeredTrafficLearnsByItself(t *testing.T) {
	r := prometheus.NewRegistry()
	h := upstream.NewHealth(time.Now, middle, r)
	h.Learn("k"+upstream.Steered+"a policy", upstream.Evidence{Failed: table.OnConnect, Failback: back})
	if h.Of("k", "").Ejected || !h.Of("k"+upstream.Steered+"a policy", "").Ejected {
		t.Error("what one route's policy sets aside is set aside for others too, or not at all")
	}
	h.Learn("k", upstream.Evidence{Failback: back})
	if got := series(t, r); got["nave_ejections_total k ConnectError"] != 1 || got["nave_failover_state k"] != 3 || got["nave_failover_transitions_total k ejected"] != 1 {
		t.Errorf("the candidate is not named as it is: %v", got)
	}
}

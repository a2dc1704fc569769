package upstream

import (
	"cmp"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/latency"
	"github.com/navehq/nave/proxy/pick"
)

// What sets a candidate aside, and for how long: it is ejected once its
// failures in a row weigh threshold; each further ejection lasts twice as long,
// from firstOut up to longestOut, a fifth more or less by chance. While it is
// tried again, one request goes to it every probeEvery. What was well for
// forget is as if it had never failed.
const (
	threshold  = 3
	firstOut   = time.Second
	longestOut = 300 * time.Second
	probeEvery = 500 * time.Millisecond
	forget     = 5 * time.Minute
	leastShare = 0.05
)

// maxOwners bounds the quotas that are told apart, since clients name models;
// beyond it those of named owners are not remembered: what one client asks for
// sets no candidate aside for the others.
const maxOwners = 1 << 16

// sampleEvery is how often a candidate's time to first byte is taken: of many
// requests a second, some are enough.
const sampleEvery = 20 * time.Millisecond

// weigh is what one failure counts: who cannot be reached at all is out at once.
func weigh(t table.Trigger) int {
	switch t {
	case "":
		return 0
	case table.OnConnect, table.OnDNS:
		return threshold
	case table.OnTimeout, table.OnOverload:
		return 2
	}
	return 1
}

// Steered stands in a candidate's key between its name and that of the policies
// that steer the traffic it is kept for, where those are not its backend's own.
const Steered = "\x00"

// candidate is the name in a key.
func candidate(key string) string {
	name, _, _ := strings.Cut(key, Steered)
	return name
}

// Evidence is what came of one attempt.
type Evidence struct {
	Failed table.Trigger // "" for none
	// Quota owns the refusal of a 429; "" is the candidate itself.
	Quota      string
	RetryAfter time.Duration
	FirstByte  time.Duration
	// Failback is the policy of the backend.
	Failback table.Failback
}

// Health keeps, for each candidate, what its use has shown. It is safe for
// concurrent use. An entry that nobody has used for long is dropped.
type Health struct {
	now  func() time.Time
	word func() uint64
	out  *prometheus.CounterVec
	// moved counts changes of candidates' states.
	moved *prometheus.CounterVec

	mu     sync.Mutex
	states map[string]*state
	quotas map[string]time.Time // until when an owner is left alone
	firsts latency.Book
	swept  time.Time
}

type state struct {
	inFlight int
	weight   int // of failures in a row
	times    int // ejected in a row
	limits   int // refused for a quota in a row
	until    time.Time
	reason   string
	out      bool      // ejected, not yet well again
	absent   bool      // its cluster could not be reached when it was last wanted
	tried    bool      // a request was let through since it was ejected
	probe    time.Time // when the next request may try
	well     time.Time // since when tries succeed; zero while out and untried
	ramp     time.Time // since when its share grows; zero for none
	failback table.Failback
	limited  time.Time // until when a quota that refused it is left alone
	used     time.Time
	sampled  time.Time // when a time to first byte was last taken
}

// NewHealth makes a Health; word gives random words, r the metrics' registerer
// or nil.
func NewHealth(now func() time.Time, word func() uint64, r prometheus.Registerer) *Health {
	h := &Health{
		now: now, word: word, states: map[string]*state{}, quotas: map[string]time.Time{},
		firsts: latency.New(5 * time.Minute),
		out: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nave_ejections_total", Help: "Candidates and owners of quotas that were set aside.",
		}, []string{"candidate", "reason"}),
		moved: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nave_failover_transitions_total", Help: "Changes of candidates' states.",
		}, []string{"candidate", "to"}),
	}
	if r != nil {
		r.MustRegister(h.out, h.moved, states{h})
	}
	return h
}

// Of is what is believed of a candidate now; quota names the owner of the quota
// that it draws on, "" for its own.
func (h *Health) Of(key, quota string) pick.Health {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, owner := range [...]string{quota, key} {
		if until, ok := h.quotas[owner]; ok && now.Before(until) {
			return pick.Health{Ejected: true, Until: until, Reason: "its quota " + candidate(owner) + " is used up"}
		}
	}
	s := h.states[key]
	if s == nil {
		return pick.Health{Share: 1}
	}
	if s.out {
		if now.Before(s.until) {
			return pick.Health{Ejected: true, Until: later(s.until, s.probe), Reason: s.reason}
		}
		return pick.Health{HalfOpen: true, Ejected: now.Before(s.probe), Until: s.probe, Reason: s.reason, Refused: s.limited}
	}
	return pick.Health{Share: s.share(now), Reason: s.reason, Refused: s.limited}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *state) share(now time.Time) float64 {
	ramp := s.failback.Ramp.Std()
	if s.ramp.IsZero() || ramp <= 0 {
		return 1
	}
	past := max(0, now.Sub(s.ramp)) // now was read before the lock was had
	steps := s.failback.Steps
	switch {
	case past >= ramp:
		return 1
	case len(steps) > 0:
		return float64(steps[int(past)*len(steps)/int(ramp)]) / 100
	}
	return max(leastShare, float64(past)/float64(ramp))
}

// InFlight is the number of attempts that a candidate has.
func (h *Health) InFlight(key string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.states[key]; s != nil {
		return s.inFlight
	}
	return 0
}

// FirstByte is the estimate of a candidate's own time to first byte.
func (h *Health) FirstByte(key string) latency.Estimate {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.firsts.Estimate(key, now)
}

// Claim asks for the right to try a candidate that is half open; one in
// probeEvery gets it.
func (h *Health) Claim(key string) bool {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.states[key]
	if s == nil || !s.out {
		return true
	}
	if now.Before(s.until) || now.Before(s.probe) || s.inFlight > 0 {
		return false
	}
	s.probe = now.Add(probeEvery)
	if !s.tried {
		s.tried = true
		h.enter(key, halfOpen)
	}
	return true
}

// Begin counts an attempt in.
func (h *Health) Begin(key string) {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.state(key, now)
	s.inFlight++
	s.absent = false
}

// End counts an attempt out that nothing was learned of.
func (h *Health) End(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.states[key]; s != nil && s.inFlight > 0 {
		s.inFlight--
	}
}

// Learn takes the evidence of an attempt.
func (h *Health) Learn(key string, e Evidence) {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.state(key, now)
	s.failback = e.Failback
	switch {
	case e.Failed == "":
		if now.Sub(s.sampled) >= sampleEvery {
			h.firsts, s.sampled = h.firsts.Add(key, now, e.FirstByte), now
		}
		h.succeed(key, s, now)
	case e.Failed == table.OnRateLimit:
		h.refuse(key, s, e, now)
	default:
		if s.weight += weigh(e.Failed); s.weight >= threshold || s.out {
			h.eject(key, s, string(e.Failed), now)
		}
	}
}

// Absent says that a candidate's cluster cannot be reached: when it can be
// again, it returns as one that was ejected.
func (h *Health) Absent(key string, failback table.Failback) {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.state(key, now)
	s.failback = failback
	s.out, s.well, s.ramp = true, time.Time{}, time.Time{}
	s.reason = "its cluster could not be reached"
	if !s.absent {
		s.absent, s.tried = true, false
		h.enter(key, ejected)
	}
	s.until = later(s.until, now)
}

func (h *Health) succeed(key string, s *state, now time.Time) {
	if s.out && now.Before(s.until) {
		return // it was under way when the candidate was ejected
	}
	s.weight, s.limits = 0, 0
	if !s.out {
		if !s.ramp.IsZero() && now.Sub(s.ramp) >= s.failback.Ramp.Std() {
			s.ramp, s.reason = time.Time{}, ""
			h.enter(key, inService)
		}
		if s.times > 0 && now.Sub(s.until) > forget {
			s.times = 0
		}
		return
	}
	if s.well.IsZero() {
		s.well = now
	}
	if now.Sub(s.well) >= s.failback.Window.Std() {
		s.out, s.well = false, time.Time{}
		if s.failback.Ramp > 0 {
			s.ramp = now
			h.enter(key, slowStart)
		} else {
			h.enter(key, inService)
		}
	}
}

// refuse leaves the owner of a quota alone, the candidate itself where no owner
// is named: for as long as it asks, else for twice as long each time.
func (h *Health) refuse(key string, s *state, e Evidence, now time.Time) {
	span := e.RetryAfter
	if span <= 0 {
		span = firstOut << min(s.limits, 20)
	}
	s.limits++
	owner := cmp.Or(e.Quota, key)
	if _, known := h.quotas[owner]; known || owner == key || len(h.quotas) < maxOwners {
		s.limited = later(h.quotas[owner], now.Add(min(span, longestOut)))
		h.quotas[owner] = s.limited
	}
	h.out.WithLabelValues(candidate(key), string(table.OnRateLimit)).Inc()
}

// eject sets a candidate aside. Failures of requests that were under way when
// it was ejected already do not make it longer.
func (h *Health) eject(key string, s *state, reason string, now time.Time) {
	s.weight, s.well, s.ramp = 0, time.Time{}, time.Time{}
	if s.out && now.Before(s.until) {
		return
	}
	long := min(firstOut<<min(s.times, 20), longestOut)
	long += time.Duration(float64(long) * 0.4 * (float64(h.word()>>11)/(1<<53) - 0.5))
	s.times++
	s.out, s.tried, s.reason = true, false, reason
	h.enter(key, ejected)
	s.until = now.Add(min(long, longestOut))
	h.out.WithLabelValues(candidate(key), reason).Inc()
}

// state finds or makes a candidate's entry; h.mu is held.
func (h *Health) state(key string, now time.Time) *state {
	if now.Sub(h.swept) > time.Minute {
		h.sweep(now)
	}
	s := h.states[key]
	if s == nil {
		s = &state{}
		h.states[key] = s
	}
	s.used = now
	return s
}

// sweep drops what nobody has used for twice as long as anything is remembered.
func (h *Health) sweep(now time.Time) {
	h.swept = now
	for key, s := range h.states {
		if s.inFlight == 0 && now.Sub(s.used) > 2*forget {
			delete(h.states, key)
			h.firsts = h.firsts.Forget(key)
		}
	}
	for owner, until := range h.quotas {
		if now.After(until) {
			delete(h.quotas, owner)
		}
	}
}

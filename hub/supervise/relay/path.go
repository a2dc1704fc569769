package relay

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// segment is what one packet of a TCP stream carries on Ethernet.
	segment = 1460
	// minRTO is how long Linux waits, above a round trip, before it sends again.
	minRTO = 200 * time.Millisecond
	// maxResends bounds the doubling of that wait.
	maxResends = 5
)

// wan is what lies between the clusters now. Readers take the current view;
// replacing it wakes everyone who waits on the old one.
type wan struct {
	current atomic.Pointer[view]
	mu      sync.Mutex
	random  *rand.Rand
}

type view struct {
	links   map[pair]state
	changed chan struct{} // closed when this view is no longer the current one
}

// state is a link and when its last partition ended.
type state struct {
	Link
	healed time.Time
}

func newWAN(seed uint64) *wan {
	w := &wan{random: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))}
	w.current.Store(&view{changed: make(chan struct{})})
	return w
}

// set replaces the links. Only one caller at a time.
func (w *wan) set(links []Link, now time.Time) {
	old := w.current.Load()
	next := &view{links: make(map[pair]state, len(links)), changed: make(chan struct{})}
	for _, link := range links {
		next.links[pair{link.From, link.To}] = state{Link: link}
	}
	for key, was := range old.links {
		is := next.links[key] // a link no longer named is a near one, and may just have healed
		is.healed = was.healed
		if was.Partition && !is.Partition {
			is.healed = now
		}
		if !is.healed.IsZero() {
			next.links[key] = is
		}
	}
	w.current.Store(next)
	close(old.changed)
}

// chance is an even draw from [0, 1).
func (w *wan) chance() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.Float64()
}

// path is one direction between two clusters, as it is whenever it is asked.
type path struct {
	wan *wan
	pair
}

func (p path) state() (state, <-chan struct{}) {
	v := p.wan.current.Load()
	return v.links[p.pair], v.changed
}

func (p path) reverse() path { return path{p.wan, pair{p.to, p.from}} }

// delay draws how long the next packet travels.
func (p path) delay() time.Duration {
	s, _ := p.state()
	total := time.Duration(s.Delay)
	if s.Jitter > 0 {
		total += time.Duration(p.wan.chance() * float64(s.Jitter))
	}
	return total
}

// lost draws whether a packet is.
func (p path) lost() bool {
	s, _ := p.state()
	return s.Loss > 0 && p.wan.chance() < s.Loss
}

// latency draws how long n bytes of a stream travel, with what is lost of them
// sent again after a retransmission timeout that doubles, as RFC 6298 has it.
func (p path) latency(n int) time.Duration {
	total := p.delay()
	s, _ := p.state()
	if s.Loss == 0 {
		return total
	}
	back, _ := p.reverse().state()
	timeout := minRTO + time.Duration(s.Delay+back.Delay)
	for packets := max(1, (n+segment-1)/segment); packets > 0; packets-- {
		wait := timeout
		for resend := 0; resend < maxResends && p.lost(); resend++ {
			total += wait
			wait *= 2
		}
	}
	return total
}

// wait returns when what was sent has arrived after latency, or false when done
// is closed first. What a partition meets on its way is sent again at its end.
func (p path) wait(done <-chan struct{}, sent time.Time, latency time.Duration) bool {
	for {
		s, changed := p.state()
		var arrival <-chan time.Time
		if !s.Partition {
			if s.healed.After(sent) {
				sent = s.healed
			}
			left := time.Until(sent.Add(latency))
			if left <= 0 {
				return true
			}
			arrival = time.After(left)
		}
		select {
		case <-arrival:
		case <-changed:
		case <-done:
			return false
		}
	}
}

// healedSince says whether a partition ended after t.
func (p path) healedSince(t time.Time) bool {
	s, _ := p.state()
	return s.healed.After(t)
}

package upstream

import "sync"

// Budgets bound repeats to a share of requests, for each backend by itself: a
// request puts a share of a token in, a repeat takes one out. burst is what a
// backend has at first and at most, so that the loss of a whole region's
// requests in flight can be repaired at once.
type Budgets struct {
	mu sync.Mutex
	m  map[string]float64
}

const (
	burst      = 256
	maxBudgets = 65536
)

// NewBudgets makes budgets that are all full.
func NewBudgets() *Budgets { return &Budgets{m: map[string]float64{}} }

// Request counts a request in; percent is the share that may be repeated.
func (b *Budgets) Request(backend string, percent int) {
	if percent <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	left, ok := b.m[backend]
	switch {
	case !ok && len(b.m) >= maxBudgets:
		clear(b.m)
	case ok && left < burst:
		b.m[backend] = min(burst, left+float64(percent)/100)
	}
}

// Repeat takes one repeat; it is false where the budget is used up. Without a
// percentage there is no budget.
func (b *Budgets) Repeat(backend string, percent int) bool {
	if percent <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	left, ok := b.m[backend]
	if !ok {
		left = burst
	}
	if left < 1 {
		return false
	}
	b.m[backend] = left - 1
	return true
}

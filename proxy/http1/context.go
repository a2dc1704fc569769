package http1

import (
	"context"
	"sync"
)

// exchangeContext is one exchange's context. The standard one inside gives it
// children without goroutines, whatever wraps it between; its own list of
// functions spares the client's watch, which every exchange has, the child.
type exchangeContext struct {
	context.Context
	end context.CancelFunc

	mu    sync.Mutex
	ended bool
	after []*afterFunc
}

func newContext() *exchangeContext {
	x := new(exchangeContext)
	x.Context, x.end = context.WithCancel(context.Background())
	return x
}

// afterFunc is a function that runs, in a goroutine of its own, when x ends.
type afterFunc struct {
	x *exchangeContext
	f func()
}

// watch has f run once the context has ended, unless stop is called before.
func (x *exchangeContext) watch(f func()) (stop func() bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		go f()
		return func() bool { return false }
	}
	a := &afterFunc{x, f}
	x.after = append(x.after, a)
	return a.stop
}

// stop tells whether it came in time.
func (a *afterFunc) stop() bool {
	a.x.mu.Lock()
	defer a.x.mu.Unlock()
	for i, b := range a.x.after {
		if a == b {
			last := len(a.x.after) - 1
			a.x.after[i], a.x.after[last] = a.x.after[last], nil
			a.x.after = a.x.after[:last]
			return true
		}
	}
	return false
}

// cancel ends the context; a second time does nothing.
func (x *exchangeContext) cancel() {
	x.end()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	for _, a := range x.after {
		go a.f()
	}
	x.after = nil
}

package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Backoff is how a client waits between attempts: a uniformly random part (full
// jitter) of a bound that doubles from Initial to Max. A connection that lasted
// for Stable starts it anew.
type Backoff struct{ Initial, Max, Stable time.Duration }

// DefaultBackoff is for hubs on other machines.
var DefaultBackoff = Backoff{Initial: time.Second, Max: time.Minute, Stable: time.Minute}

// LocalBackoff is for peers on the same machine.
var LocalBackoff = Backoff{Initial: 100 * time.Millisecond, Max: 2 * time.Second, Stable: 10 * time.Second}

// Delay is how long to wait after the given number of failures in a row (from
// 1), for a random word.
func (b Backoff) Delay(failures int, chance uint64) time.Duration {
	bound := b.Max
	if n := failures - 1; n < 32 && b.Initial<<n < b.Max && b.Initial<<n > 0 {
		bound = b.Initial << n
	}
	return time.Duration(float64(bound) * (float64(chance>>11) / (1 << 53)))
}

// RetryLaterError is how a server's Run and a client's end where too many
// peers resync at the moment.
type RetryLaterError struct{ After time.Duration }

func (e *RetryLaterError) Error() string {
	return fmt.Sprintf("too many peers resync at the moment: to be tried again after %s", e.After)
}

// Loop keeps a client's session connected.
type Loop struct {
	Session *Session
	// Open makes a stream that lives as long as its context, and what to call
	// when it is over (closing a connection that was made for it), or nil.
	Open    func(ctx context.Context) (Stream, func(), error)
	Backoff Backoff // zero: DefaultBackoff
	// Chance gives random words; nil: the runtime's.
	Chance func() uint64
	Log    *slog.Logger
}

// Run connects, and connects again, until ctx ends or the session is closed.
func (l Loop) Run(ctx context.Context) error {
	if l.Backoff == (Backoff{}) {
		l.Backoff = DefaultBackoff
	}
	if l.Chance == nil {
		l.Chance = rand.Uint64
	}
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	for failures := 0; ; {
		began := time.Now()
		err := l.once(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, ErrClosed) {
			return err
		}
		if time.Since(began) >= l.Backoff.Stable {
			failures = 0
		}
		failures++
		wait := l.Backoff.Delay(failures, l.Chance())
		if later := (*RetryLaterError)(nil); errors.As(err, &later) {
			// Spread those that were told the same over as long again.
			wait = later.After + time.Duration(float64(later.After)*float64(l.Chance()>>11)/(1<<53))
		}
		l.Log.Warn("stream is down", "cause", err, "failures", failures, "retry_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l Loop) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, closeStream, err := l.Open(ctx)
	if err != nil {
		return fmt.Errorf("opening the stream: %w", err)
	}
	err = l.Session.Run(ctx, stream)
	cancel()
	if closeStream != nil {
		closeStream()
	}
	l.Session.wait()
	return err
}

// Admission limits how many peers resync at one time: when all come back at
// once, most are told to wait. A nil Admission admits everybody.
type Admission struct {
	slots chan struct{}
	after time.Duration
	hold  time.Duration
}

// NewAdmission admits n peers at a time and tells others to come back after
// the given time. A peer that has not synced within 30 s counts no longer.
func NewAdmission(n int, after time.Duration) *Admission {
	return &Admission{slots: make(chan struct{}, n), after: after, hold: 30 * time.Second}
}

func (a *Admission) enter() (release func(), wait time.Duration, ok bool) {
	if a == nil {
		return func() {}, 0, true
	}
	select {
	case a.slots <- struct{}{}:
	default:
		return nil, a.after, false
	}
	leave := sync.OnceFunc(func() { <-a.slots })
	timer := time.AfterFunc(a.hold, leave)
	return func() { timer.Stop(); leave() }, 0, true
}

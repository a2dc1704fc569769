package keep

import (
	"context"
	"log/slog"
	"time"
)

// Renewal is an identity that has to be replaced before it ends.
type Renewal struct {
	// Due is when to renew; it is asked again after each renewal.
	Due func() time.Time
	// Renew does it.
	Renew func(context.Context) error
	Now   func() time.Time
	// Retry is how long to wait after an attempt that failed [1 min].
	Retry time.Duration
	Log   *slog.Logger
}

// look is how often the clock is read: a timer alone would sleep as long as the
// machine does, and past the end of a certificate.
const look = 30 * time.Second

// Run renews when it is due, until ctx ends.
func (r Renewal) Run(ctx context.Context) error {
	if r.Retry <= 0 {
		r.Retry = time.Minute
	}
	for {
		wait := min(max(r.Due().Sub(r.Now()), 0), look)
		if !r.Now().Before(r.Due()) {
			err := r.Renew(ctx)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			wait = 0
			if err != nil {
				wait = r.Retry
				r.Log.Warn("certificate is not renewed yet", "cause", err, "retry_in", wait)
			}
			if err == nil && !r.Now().Before(r.Due()) {
				wait = r.Retry // what was given is as old: its issuer is about to end
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

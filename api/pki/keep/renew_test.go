package keep_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/navehq/nave/api/pki/keep"
)

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		due := began.Add(time.Hour)
		var at []time.Duration
		r := keep.Renewal{
			Due: func() time.Time { return due }, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Renew: func(context.Context) error {
				at = append(at, time.Since(began))
				if len(at) < 3 {
					return errors.New("the issuer is away")
				}
				due = time.Now().Add(time.Hour)
				return nil
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Minute)
		defer cancel()
		if err := r.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		want := []time.Duration{time.Hour, 61 * time.Minute, 62 * time.Minute, 122 * time.Minute}
		if len(at) != len(want) {
			t.Fatalf("renewed at %v, want %v", at, want)
		}
		for i := range want {
			if at[i] != want[i] {
				t.Fatalf("renewed at %v, want %v", at, want)
			}
		}
	})
}

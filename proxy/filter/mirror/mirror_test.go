package mirror_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/mirror"
	"github.com/navehq/nave/proxy/message"
)

func TestAmong(t *testing.T) {
	n := 0
	for w := range uint64(1000) {
		if mirror.Among(&table.Mirror{Numerator: 3, Denominator: 10}, w) {
			n++
		}
	}
	if n != 300 {
		t.Errorf("%d of 1000", n)
	}
}

func TestCopiesAreBoundedAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies := make(chan string, 10)
		m := mirror.New(func(ctx context.Context, _ string, _ *table.Steering, r *message.Request) {
			b, _ := io.ReadAll(r.Body)
			bodies <- string(b)
			<-ctx.Done()
		}, 2, time.Second, nil)
		body := []byte("body")
		for range 5 {
			m.Copy("b", nil, &message.Request{Method: "POST"}, body)
		}
		synctest.Wait()
		if len(bodies) != 2 || <-bodies != "body" {
			t.Errorf("%d copies on their way, want 2", len(bodies))
		}
		time.Sleep(2 * time.Second) // the copies' timeout, in virtual time
		m.Copy("b", nil, &message.Request{}, body)
		m.Close()
	})
}

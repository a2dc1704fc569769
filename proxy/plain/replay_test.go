package plain

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/message"
)

// source is a body that tells whether it was closed.
type source struct {
	io.Reader
	closed bool
}

func (s *source) Close() error { s.closed = true; return nil }

func TestReplay(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		read   int // bytes; -1 all
		close  bool
		failed bool
		whole  bool
		closed bool
	}{
		"nothing was read":                     {"hello", 0, true, true, true, false},
		"all was read":                         {"hello", -1, true, false, true, false},
		"all was read, longer than is kept":    {"hello world", -1, false, true, false, false},
		"half was read and the attempt failed": {"hello", 2, false, true, true, false},
		"half was read and an answer came":     {"hello", 2, false, false, false, false},
		"half was read and the engine gave up": {"hello", 2, true, true, false, true},
	} {
		src := &source{Reader: strings.NewReader(c.body)}
		b := &replay{src: src, limit: 5}
		var err error
		if c.read < 0 {
			_, err = io.ReadAll(b)
		} else {
			_, err = io.ReadFull(b, make([]byte, c.read))
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.close {
			b.Close()
		}
		if got := b.whole(c.failed); got != c.whole || src.closed != c.closed {
			t.Errorf("%s: whole %v, source closed %v", name, got, src.closed)
			continue
		}
		if c.whole {
			b.rewind()
			if again, err := io.ReadAll(b); err != nil || string(again) != c.body {
				t.Errorf("%s: again %q, %v", name, again, err)
			}
		}
	}
}

func TestGather(t *testing.T) {
	body := strings.Repeat("x", 100_000)
	r := &message.Request{Body: strings.NewReader(body), ContentLength: 100_000}
	if err := gather(r, 1<<20); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r.Body); err != nil || string(got) != body {
		t.Error(len(got), err)
	}
	cut := &message.Request{Body: strings.NewReader("x"), ContentLength: 100_000}
	if err := gather(cut, 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	for v, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "-1": 0, "99999999999": 0, "soon": 0} {
		var h message.Header
		if v != "" {
			h.Add("retry-after", v)
		}
		if got := retryAfter(&h); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
	var h message.Header
	h.Add("Retry-After", time.Now().Add(time.Minute).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	if got := retryAfter(&h); got < 50*time.Second || got > time.Minute {
		t.Errorf("a date: %v", got)
	}
}

package link

import (
	"testing"
	"time"

	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/message"
)

func FuzzHeadRoundTrips(f *testing.F) {
	f.Add("AgentgatewayBackend ns/b", "p", "a b", " %41", uint64(1))
	f.Add("b", "", "\x00\xff\r\n", "%", uint64(0))
	f.Fuzz(func(t *testing.T, backend, member, route, principal string, word uint64) {
		if backend == "" || len(backend)+len(member)+len(route)+len(principal) > 1000 {
			t.Skip()
		}
		in := forward.Head{Backend: backend, Member: member, Route: route, Principal: principal, Word: word}
		var h message.Header
		h.Add("x", "y")
		write(&h, in, time.Now())
		for field := range h.All() {
			for _, c := range []byte(field.Value) {
				if c < ' ' || c >= 0x7f {
					t.Fatalf("%s holds the byte %x", field.Name, c)
				}
			}
		}
		out, err := read(&h, time.Now())
		if err != nil || out != in {
			t.Fatalf("got %+v, %v, want %+v", out, err, in)
		}
		if h.Len() != 1 {
			t.Errorf("%d fields stay", h.Len())
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add("%zz", "99999999999999", "xyz")
	f.Fuzz(func(t *testing.T, backend, deadline, word string) {
		var h message.Header
		h.Add(headBackend, backend)
		h.Add(headDeadline, deadline)
		h.Add(headWord, word)
		if d, err := read(&h, time.Unix(0, 0)); err == nil && d.Backend == "" {
			t.Error("a head without a backend was taken")
		}
	})
}

package parse_test

import (
	"strings"
	"testing"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// What was taken holds nothing that could mean something else to the next hop.
func clean(t *testing.T, h *message.Header) {
	t.Helper()
	for f := range h.All() {
		if !parse.Token(f.Name) || !parse.Value(f.Value) {
			t.Errorf("field %q: %q", f.Name, f.Value)
		}
		if parse.Engine(f.Name) && f.Name != "TE" && f.Name != "Upgrade" {
			t.Errorf("field %q was left in", f.Name)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, c := range refused {
		f.Add(c.raw)
	}
	f.Add("GET http://a/b?c HTTP/1.1\r\nHost: a\r\nConnection: upgrade, x\r\nUpgrade: y\r\nX: z\r\n\r\n")
	f.Add("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		r, fr, err := request(raw, parse.Limits{})
		if err != nil {
			return
		}
		clean(t, &r.Header)
		if !parse.Token(r.Method) || !parse.Target(r.Path) || strings.ContainsAny(r.Target(), " \r\n") {
			t.Errorf("request line %q %q", r.Method, r.Target())
		}
		if r.Protocol == message.HTTP11 && !parse.Host(r.Authority) {
			t.Errorf("authority %q", r.Authority)
		}
		if fr.Chunked != (fr.Length < 0) {
			t.Errorf("framing %+v", fr)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET")
	f.Add("HTTP/1.0 304\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n", "HEAD")
	f.Add("HTTP/1.1 101 Switching\r\nUpgrade: a\r\n\r\n", "GET")
	f.Fuzz(func(t *testing.T, raw, method string) {
		r, fr, err := response(raw, method)
		if err != nil {
			return
		}
		clean(t, &r.Header)
		if r.Status < 100 || r.Status > 999 || fr.Length < -1 || method == "HEAD" && fr.Body() {
			t.Errorf("status %d, framing %+v", r.Status, fr)
		}
	})
}

func FuzzChunked(f *testing.F) {
	f.Add("3\r\nabc\r\n0\r\n\r\n", 1)
	f.Add("5;x=y\r\nabcde\r\nFFFFFFFFFFFFFFF\r\n", 3)
	f.Fuzz(func(t *testing.T, raw string, step int) {
		step = 1 + (step&0xff)%64
		a, resta, erra := unchunk(raw, step)
		b, restb, errb := unchunk(raw, 1<<30)
		if (erra == nil) != (errb == nil) || erra == nil && (a != b || resta != restb) {
			t.Errorf("in steps of %d %q, %v; at once %q, %v", step, a, erra, b, errb)
		}
		if len(b) > len(raw) {
			t.Errorf("%d bytes out of %d", len(b), len(raw))
		}
	})
}

func FuzzTrailer(f *testing.F) {
	f.Add("A: b\r\nContent-Length: 3\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		s := parse.Scan{Trailer: true}
		n, err := s.End([]byte(raw), parse.Default)
		if err != nil || n == 0 {
			return
		}
		var h message.Header
		if parse.Trailer(raw[:n], &h) == nil {
			clean(t, &h)
		}
	})
}

package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/proxy/llm/sse"
)

// collect feeds the stream in pieces of n bytes and prints every event.
func collect(stream []byte, n, limit int) (events []string, raw []byte, err error) {
	s := sse.Scanner{Max: limit}
	show := func(ev sse.Event) {
		if !ev.Whole() && len(stream) > 0 {
			panic("an event in the middle is not whole")
		}
		events = append(events, fmt.Sprintf("%s|%s|%q|%t", ev.Name, ev.ID, ev.Data, ev.Data != nil))
		raw = append(raw, ev.Raw...)
	}
	for len(stream) > 0 {
		k := min(n, len(stream))
		piece := bytes.Clone(stream[:k])
		stream = stream[k:]
		s.Feed(piece)
		for {
			ev, ok, err := s.Next()
			if err != nil {
				return events, raw, err
			}
			if !ok {
				break
			}
			show(ev)
		}
		// The scanner must hold its own copy by now.
		for i := range piece {
			piece[i] = '!'
		}
	}
	if ev, ok := s.End(); ok {
		show(ev)
	}
	return events, raw, nil
}

func TestEvents(t *testing.T) {
	for _, tc := range []struct {
		why, in string
		want    []string
	}{
		{"plain", "data: a\n\ndata: b\n\n", []string{`||"a"|true`, `||"b"|true`}},
		{"CRLF", "event: x\r\ndata: a\r\n\r\n", []string{`x||"a"|true`}},
		{"CR alone", "data: a\r\rdata: b\r\r.", []string{`||"a"|true`, `||"b"|true`, `||""|false`}},
		{"no space after the colon", "data:{\"a\":1}\n\n", []string{`||"{\"a\":1}"|true`}},
		{"only one space is taken off", "data:  a\n\n", []string{`||" a"|true`}},
		{"several data lines", "data: a\ndata: b\ndata:\ndata: c\n\n", []string{`||"a\nb\n\nc"|true`}},
		{"a comment is a block without data", ": ping\n\ndata: a\n\n", []string{`||""|false`, `||"a"|true`}},
		{"a comment inside an event", "data: a\n: hm\ndata: b\n\n", []string{`||"a\nb"|true`}},
		{"a byte-order mark", "\xef\xbb\xbfdata: a\n\n", []string{`||"a"|true`}},
		{"an id and a name", "id: 7\nevent: tick\ndata: a\n\n", []string{`tick|7|"a"|true`}},
		{"empty data", "data\n\n", []string{`||""|true`}},
		{"no blank line at the end", "data: a\n\ndata: b", []string{`||"a"|true`, `||"b"|true`}},
		{"no line end but CR at the end", "data: a\r", []string{`||"a"|true`}},
		{"unknown fields", "retry: 10\nfoo\n\n", []string{`||""|false`}},
		{"nothing", "", nil},
	} {
		for _, n := range []int{1, 2, 3, 1 << 20} {
			got, raw, err := collect([]byte(tc.in), n, 0)
			if err != nil {
				t.Fatalf("%s: %v", tc.why, err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("%s, in pieces of %d:\n%s", tc.why, n, d)
			}
			if want := strings.TrimPrefix(tc.in, "\xef\xbb\xbf"); string(raw) != want {
				t.Errorf("%s: raw is %q, want %q", tc.why, raw, want)
			}
		}
	}
}

func TestTooLarge(t *testing.T) {
	long := []byte("data: " + strings.Repeat("x", 100) + "\n\n")
	for _, n := range []int{1, 7, 1000} {
		_, _, err := collect(long, n, 64)
		var large *sse.TooLargeError
		if !errors.As(err, &large) || large.Max != 64 {
			t.Errorf("pieces of %d: got %v, want a TooLargeError of 64", n, err)
		}
	}
	if _, _, err := collect(long, 1000, len(long)); err != nil {
		t.Errorf("an event of exactly the bound: %v", err)
	}
}

func TestReset(t *testing.T) {
	s := sse.Scanner{Max: 32}
	s.Feed([]byte("data: half"))
	if _, ok, _ := s.Next(); ok {
		t.Fatal("an event from half of one")
	}
	s.Reset()
	s.Feed([]byte("data: b\n\n"))
	ev, ok, err := s.Next()
	if !ok || err != nil || string(ev.Data) != "b" || s.Max != 32 {
		t.Errorf("after a reset: %q %v %v, bound %d", ev.Data, ok, err, s.Max)
	}
}

func FuzzPieces(f *testing.F) {
	for _, s := range []string{
		"data: a\n\n", "event: e\r\ndata: a\r\ndata: b\r\n\r\n", "\xef\xbb\xbfdata:x\n\n: c\n\n", "data: a\r\r\n\ndata",
		"id: 1\rdata\r\r", "\r\n\r\n\n", "\xef\xbb", strings.Repeat("data: y\n", 9) + "\n",
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, n uint8) {
		for _, limit := range []int{0, 16} {
			whole, wholeRaw, wholeErr := collect(stream, len(stream)+1, limit)
			for _, k := range []int{1, int(n) + 1} {
				got, raw, err := collect(stream, k, limit)
				if d := cmp.Diff(whole, got); d != "" {
					t.Fatalf("pieces of %d differ:\n%s", k, d)
				}
				if !bytes.Equal(wholeRaw, raw) {
					t.Fatalf("pieces of %d: raw %q, whole %q", k, raw, wholeRaw)
				}
				if (err == nil) != (wholeErr == nil) {
					t.Fatalf("pieces of %d: %v, whole: %v", k, err, wholeErr)
				}
			}
		}
	})
}

func BenchmarkChunk(b *testing.B) {
	chunk := []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"hello there"},"finish_reason":null}]}` + "\n\n")
	var s sse.Scanner
	b.ReportAllocs()
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		s.Feed(chunk)
		for {
			_, ok, err := s.Next()
			if err != nil {
				b.Fatal(err)
			}
			if !ok {
				break
			}
		}
	}
}

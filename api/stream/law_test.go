package stream_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/stream"
)

// link is a source and a sink with a connection between them that delivers in
// order, or breaks and loses what is under way.
type link struct {
	t      testing.TB
	source *stream.Source
	sink   *stream.Sink
	up     bool
	deltas []stream.Delta
	acks   []stream.Ack
	// has is what the receiver obeys; marks is the source's state at each mark.
	has   map[stream.ID]string
	want  map[stream.ID]string
	marks map[string]map[stream.ID]string
	n     int
}

func newLink(t testing.TB, guard stream.Guard) *link {
	return &link{
		t: t, source: stream.NewSource(), sink: stream.NewSink(nil, guard, stream.DefaultLimits),
		has: map[stream.ID]string{}, want: map[stream.ID]string{}, marks: map[string]map[stream.ID]string{},
	}
}

func (l *link) set(id stream.ID, body string) {
	l.t.Helper()
	if err := l.source.Set(stream.Resource{Kind: id.Kind, Key: id.Key, Payload: []byte(body)}); err != nil {
		l.t.Fatal(err)
	}
	l.want[id] = body
}

func (l *link) delete(id stream.ID) {
	l.source.Delete(id)
	delete(l.want, id)
}

func (l *link) mark(confirmed bool) {
	l.n++
	l.name(fmt.Sprintf("r%d", l.n), confirmed)
}

func (l *link) name(rev string, confirmed bool) {
	state := make(map[stream.ID]string, len(l.want))
	for k, v := range l.want {
		state[k] = v
	}
	l.marks[rev] = state
	l.source.Mark(rev, confirmed)
}

func (l *link) connect() {
	l.drop()
	l.sink.Connect()
	l.source.Begin(l.sink.Held())
	l.up = true
}

func (l *link) drop() {
	l.source.End()
	l.deltas, l.acks, l.up = nil, nil, false
}

func (l *link) send(max int) bool {
	d, ok := l.source.Next(max)
	if ok {
		l.deltas = append(l.deltas, d)
	}
	return ok
}

// deliver gives the sink the oldest delta, and holds its promises against it.
func (l *link) deliver() bool {
	l.t.Helper()
	if len(l.deltas) == 0 {
		return false
	}
	d := l.deltas[0]
	l.deltas = l.deltas[1:]
	rel, hold, err := l.sink.Receive(d)
	if err != nil {
		l.t.Fatalf("receive: %v", err)
	}
	l.acks = append(l.acks, stream.Ack{Nonce: d.Nonce, Hold: hold})
	if rel == nil {
		return true
	}
	for _, c := range rel.Changes {
		if c.Deleted {
			delete(l.has, c.ID())
		} else {
			l.has[c.ID()] = string(c.Payload)
		}
	}
	if diff := cmp.Diff(l.marks[rel.Mark], l.has); diff != "" {
		l.t.Fatalf("at mark %s the receiver does not have what the source had (-source +receiver):\n%s", rel.Mark, diff)
	}
	return true
}

func (l *link) answer() bool {
	l.t.Helper()
	if len(l.acks) == 0 {
		return false
	}
	if _, _, err := l.source.Acked(l.acks[0]); err != nil {
		l.t.Fatal(err)
	}
	l.acks = l.acks[1:]
	return true
}

// settle lets everything through that is under way.
func (l *link) settle() {
	for l.send(0) || l.deliver() || l.answer() {
	}
}

// Whatever changes, breaks and is lost on the way: every released state is one
// that the source had, and in the end both have the same.
func TestRandomSequencesConverge(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { converge(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func converge(t *testing.T, r *rand.Rand) {
	l := newLink(t, stream.Guard{})
	id := func() stream.ID {
		return stream.ID{Kind: string('A' + rune(r.IntN(3))), Key: fmt.Sprint(r.IntN(12))}
	}
	for range 400 {
		switch r.IntN(16) {
		case 0, 1, 2, 3:
			for range r.IntN(4) {
				l.set(id(), fmt.Sprintf("%0*d", 1+r.IntN(40), r.IntN(3)))
			}
			if r.IntN(3) == 0 {
				l.delete(id())
			}
			l.mark(false)
		case 4:
			l.delete(id())
			l.mark(false)
		case 5:
			l.drop()
		case 6, 7:
			if !l.up || r.IntN(4) == 0 {
				l.connect()
			}
		case 8, 9, 10:
			l.send(1 + r.IntN(300))
		case 11, 12, 13:
			l.deliver()
		default:
			l.answer()
		}
	}
	l.mark(false)
	l.connect()
	l.settle()
	if diff := cmp.Diff(l.want, l.has); diff != "" {
		t.Fatalf("after all is delivered (-source +receiver):\n%s", diff)
	}
	if st := l.source.Standing(); !st.Settled {
		t.Fatalf("the source is not settled: %+v", st)
	}
	l.connect()
	for l.send(0) {
	}
	if n := len(l.deltas); n != 1 || len(l.deltas[0].Upserts)+len(l.deltas[0].Deletes) != 0 || !l.deltas[0].Complete {
		t.Fatalf("a peer that has everything was sent %+v", l.deltas)
	}
}

func TestCoalescingKeepsTheLast(t *testing.T) {
	l := newLink(t, stream.Guard{})
	id := stream.ID{Kind: "Route", Key: "a"}
	l.set(id, "first")
	l.mark(false)
	l.connect()
	l.settle()
	for i := range 1000 {
		l.set(id, fmt.Sprint(i))
	}
	l.mark(false)
	d, ok := l.source.Next(0)
	if !ok || len(d.Upserts) != 1 || string(d.Upserts[0].Payload) != "999" {
		t.Fatalf("got %+v, want the last one alone", d)
	}
}

// What goes back to what the peer has is not sent, and a resource that flaps
// while nobody listens leaves nothing behind.
func TestChangeAndBackIsNoChange(t *testing.T) {
	l := newLink(t, stream.Guard{})
	id := stream.ID{Kind: "Route", Key: "a"}
	l.set(id, "same")
	l.name("r", false)
	l.connect()
	l.settle()
	for range 10_000 {
		l.set(id, "other")
		l.delete(id)
		l.set(id, "same")
	}
	l.source.Mark("", false)
	if d, ok := l.source.Next(0); ok {
		t.Fatalf("sent %+v for no change", d)
	}
}

func TestNothingIsSaidWithoutAName(t *testing.T) {
	l := newLink(t, stream.Guard{})
	l.set(stream.ID{Kind: "Route", Key: "a"}, "x")
	l.connect()
	if d, ok := l.source.Next(0); ok {
		t.Fatalf("a source without a mark said %+v", d)
	}
	l.mark(false)
	if _, ok := l.source.Next(0); !ok {
		t.Fatal("a named source said nothing")
	}
}

func TestSlowPeerGetsOneRevisionAtATime(t *testing.T) {
	l := newLink(t, stream.Guard{})
	id := stream.ID{Kind: "Route", Key: "a"}
	l.set(id, "1")
	l.mark(false)
	l.connect()
	l.send(0)
	l.set(id, "2")
	l.mark(false)
	l.set(id, "3")
	l.mark(false)
	if l.send(0) {
		t.Fatal("a second revision was sent before the first was answered")
	}
	l.deliver()
	l.answer()
	l.settle()
	if got := l.sink.Mark(); got != "r3" {
		t.Fatalf("the peer ended at %s, want r3", got)
	}
}

// A wide sync does not run ahead of its acknowledgements by more than the window.
func TestWindow(t *testing.T) {
	l := newLink(t, stream.Guard{})
	big := string(make([]byte, 700<<10))
	for i := range 20 {
		l.set(stream.ID{Kind: "Blob", Key: fmt.Sprint(i)}, big)
	}
	l.mark(false)
	l.connect()
	for l.send(0) {
	}
	if n := len(l.deltas); n < 4 || n > 7 {
		t.Fatalf("%d deltas of 700 KiB under way, want about 4 MiB", n)
	}
	l.settle()
	if len(l.has) != 20 {
		t.Fatalf("%d resources arrived, want 20", len(l.has))
	}
}

// A connection that breaks in the middle goes on where it broke.
func TestStagedIsOffered(t *testing.T) {
	l := newLink(t, stream.Guard{})
	for i := range 10 {
		l.set(stream.ID{Kind: "R", Key: fmt.Sprint(i)}, "x")
	}
	l.mark(false)
	l.connect()
	for range 4 {
		l.send(1)
		l.deliver()
	}
	l.connect()
	d, _ := l.source.Next(0)
	if len(d.Upserts) != 6 {
		t.Fatalf("%d sent after the break, want the 6 that had not arrived", len(d.Upserts))
	}
	if len(l.has) != 0 {
		t.Fatal("something took effect before its mark")
	}
}

func TestGuard(t *testing.T) {
	explained := map[stream.ID]bool{}
	tests := []struct {
		reason             string
		held, gone, byWord int
		confirmed          bool
		hold               bool
	}{
		{reason: "a fifth is allowed", held: 100, gone: 20},
		{reason: "more than a fifth is held", held: 100, gone: 21, hold: true},
		{reason: "few objects are not guarded", held: 19, gone: 19},
		{reason: "from twenty on they are", held: 20, gone: 5, hold: true},
		{reason: "a person's word lets it through", held: 100, gone: 100, confirmed: true},
		{reason: "what its origin deleted does not count", held: 100, gone: 60, byWord: 45},
		{reason: "the rest still does", held: 100, gone: 60, byWord: 30, hold: true},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			guard := stream.DefaultGuard
			clear(explained)
			guard.Explained = func(id stream.ID, staged func(stream.ID) (stream.Resource, bool)) bool {
				_, ok := staged(stream.TombstoneID(id))
				return ok
			}
			guard.Counts = func(id stream.ID) bool { return id.Kind == "R" }
			l := newLink(t, guard)
			for i := range tc.held {
				l.set(stream.ID{Kind: "R", Key: fmt.Sprint(i)}, "x")
			}
			l.mark(false)
			l.connect()
			l.settle()
			for i := range tc.gone {
				id := stream.ID{Kind: "R", Key: fmt.Sprint(i)}
				l.delete(id)
				if i < tc.byWord {
					tomb := stream.Tombstone(id, "east", 1)
					l.set(tomb.ID(), "")
				}
			}
			l.mark(tc.confirmed)
			l.settle()
			st := l.source.Standing()
			if (st.Hold != "") != tc.hold {
				t.Fatalf("hold %q, want one: %v", st.Hold, tc.hold)
			}
			if tc.hold {
				heldTransitions(t, l, tc.held)
			}
		})
	}
}

// heldTransitions: a held mark deletes nothing, also over a reconnect, and goes
// through once it is confirmed.
func heldTransitions(t *testing.T, l *link, held int) {
	t.Helper()
	count := func() (n int) {
		for id := range l.has {
			if id.Kind == "R" {
				n++
			}
		}
		return n
	}
	l.connect()
	l.settle()
	if count() != held || l.source.Standing().Settled {
		t.Fatalf("%d of %d left after a held mark and a reconnect", count(), held)
	}
	l.mark(true)
	l.settle()
	if diff := cmp.Diff(l.want, l.has); diff != "" || !l.source.Standing().Settled {
		t.Fatalf("after confirming (-source +receiver):\n%s", diff)
	}
}

func TestReceiveRefuses(t *testing.T) {
	good := stream.Resource{Kind: "R", Key: "a", Payload: []byte("x"), Hash: stream.HashOf([]byte("x"))}
	damaged := good
	damaged.Payload = []byte("y")
	tests := []struct {
		reason string
		delta  stream.Delta
		want   error
	}{
		{"a nonce out of sequence", stream.Delta{Nonce: 2}, stream.ErrSequence},
		{"an epoch older than one seen", stream.Delta{Nonce: 1, Epoch: stream.Epoch{Number: 4, Term: 9}}, stream.ErrStale},
		{"a payload that is not what its hash says", stream.Delta{Nonce: 1, Epoch: stream.Epoch{Number: 5}, Upserts: []stream.Resource{damaged}}, stream.ErrDamaged},
		{"a resource twice", stream.Delta{Nonce: 1, Epoch: stream.Epoch{Number: 5}, Upserts: []stream.Resource{good}, Deletes: []stream.ID{good.ID()}}, nil},
		{"a resource without a name", stream.Delta{Nonce: 1, Epoch: stream.Epoch{Number: 5}, Deletes: []stream.ID{{Kind: "R"}}}, nil},
		{"complete without a mark", stream.Delta{Nonce: 1, Epoch: stream.Epoch{Number: 5}, Complete: true}, nil},
		{"more than the limit", stream.Delta{Nonce: 1, Epoch: stream.Epoch{Number: 5}, Deletes: []stream.ID{{Kind: "R", Key: "1"}, {Kind: "R", Key: "2"}, {Kind: "R", Key: "3"}}}, stream.ErrTooMuch},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			s := stream.NewSink(nil, stream.DefaultGuard, stream.Limits{Resources: 2, Staged: 100})
			s.Obeyed(stream.Epoch{Number: 5})
			s.Connect()
			rel, _, err := s.Receive(tc.delta)
			if err == nil || rel != nil {
				t.Fatalf("taken, want it refused")
			}
			if tc.want != nil && !errors.Is(err, tc.want) {
				t.Fatalf("refused with %v, want %v", err, tc.want)
			}
		})
	}
}

func TestNacksReachTheSource(t *testing.T) {
	l := newLink(t, stream.Guard{})
	id := stream.ID{Kind: "R", Key: "a"}
	l.set(id, "x")
	l.mark(false)
	l.connect()
	l.send(0)
	want := []stream.Nack{{ID: id, Hash: stream.HashOf([]byte("x")), Error: "no such filter"}}
	mark, got, err := l.source.Acked(stream.Ack{Nonce: 1, Nacks: want})
	if err != nil || mark != "r1" || !cmp.Equal(got, want) {
		t.Fatalf("got %v, %v", got, err)
	}
	if _, _, err := l.source.Acked(stream.Ack{Nonce: 1}); err == nil {
		t.Fatal("the same delta was acknowledged twice")
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("\x01\x00a\x01b\x02"), uint64(1), "m", true)
	f.Add([]byte{}, uint64(0), "", false)
	f.Fuzz(func(t *testing.T, raw []byte, nonce uint64, mark string, complete bool) {
		s := stream.NewSink([]stream.Version{{ID: stream.ID{Kind: "R", Key: "0"}, Tag: "t"}}, stream.DefaultGuard, stream.Limits{Resources: 50, Staged: 1 << 10})
		s.Connect()
		for i := 0; i < len(raw); i += 4 {
			d := stream.Delta{Nonce: uint64(i/4 + 1), Complete: complete}
			if raw[i]&1 == 1 {
				d.Nonce, d.Mark = nonce, mark
			}
			chunk := raw[i:min(i+4, len(raw))]
			for _, b := range chunk {
				p := []byte{b}
				r := stream.Resource{Kind: "R", Key: fmt.Sprint(b % 8), Payload: p, Hash: stream.HashOf(p)}
				if b&16 != 0 {
					r.Hash = mark
				}
				if b&32 != 0 {
					d.Deletes = append(d.Deletes, r.ID())
				} else {
					d.Upserts = append(d.Upserts, r)
				}
			}
			before := len(s.Held())
			rel, hold, err := s.Receive(d)
			if err != nil && (rel != nil || hold != "" || len(s.Held()) != before) {
				t.Fatal("a refused delta had an effect")
			}
			if rel != nil && !s.Synced() {
				t.Fatal("released before the difference was complete")
			}
		}
	})
}

package wire

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/navehq/nave/api/stream"
)

// over sends a frame through its wire form.
func over(t *testing.T, f *Frame) *Frame {
	t.Helper()
	raw, err := proto.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	out := &Frame{}
	if err := proto.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	d := stream.Delta{
		Nonce: 3, Epoch: stream.Epoch{Number: 2, Term: 9}, Mark: "r1", Complete: true, Confirmed: true,
		Upserts: []stream.Resource{{Kind: "R", Key: "a", Origin: "east", Generation: 4, Hash: "h", Payload: []byte("p"), Signature: []byte("s")}},
		Deletes: []stream.ID{{Kind: "R", Key: "b"}},
	}
	if diff := cmp.Diff(d, decodeDelta(over(t, encodeDelta(d)).GetDelta())); diff != "" {
		t.Errorf("delta (-sent +received):\n%s", diff)
	}
	a := stream.Ack{Nonce: 3, Hold: "too much", Nacks: []stream.Nack{{ID: stream.ID{Kind: "R", Key: "a"}, Hash: "h", Error: "e"}}}
	if diff := cmp.Diff(a, decodeAck(over(t, encodeAck(a)).GetAck())); diff != "" {
		t.Errorf("ack (-sent +received):\n%s", diff)
	}
	g := Greeting{Version: 1, Features: []string{"x"}, ID: "east", Build: "v1", Clock: time.Unix(9, 0).UTC(), Reason: "lost", Seen: stream.Epoch{Number: 1}}
	if diff := cmp.Diff(g, decodeGreeting(over(t, encodeGreeting(g)).GetHello())); diff != "" {
		t.Errorf("greeting (-sent +received):\n%s", diff)
	}
}

// A field that a newer peer adds to a resource outlives an older one between.
func TestUnknownFieldsArePassedOn(t *testing.T) {
	extra := []byte{0xfa, 0x06, 0x03, 'n', 'e', 'w'} // field 111, three bytes
	r := stream.Resource{Kind: "Future", Key: "a", Payload: []byte("p"), Extra: extra}
	got := decodeDelta(over(t, encodeDelta(stream.Delta{Nonce: 1, Upserts: []stream.Resource{r}})).GetDelta()).Upserts[0]
	if diff := cmp.Diff(r, got); diff != "" {
		t.Fatalf("(-sent +received):\n%s", diff)
	}
	plain := r
	plain.Extra = nil
	if r.Version() == plain.Version() {
		t.Fatal("the unknown field is no part of the version")
	}
}

func TestOfferIsSplit(t *testing.T) {
	var held []stream.Version
	for i := range 40_000 {
		held = append(held, stream.Version{ID: stream.ID{Kind: "Declarations", Key: fmt.Sprintf("namespace-%d", i)}, Tag: stream.HashOf(nil)})
	}
	frames := encodeOffer(held)
	var got []stream.Version
	for i, f := range frames {
		if n := proto.Size(f); n > 2<<20 {
			t.Errorf("an offer of %d bytes", n)
		}
		if last := f.GetOffer().GetLast(); last != (i == len(frames)-1) {
			t.Errorf("frame %d of %d says last: %v", i, len(frames), last)
		}
		got = append(got, decodeOffer(f.GetOffer())...)
	}
	if len(frames) < 2 || !cmp.Equal(held, got) {
		t.Fatalf("%d frames, %d versions", len(frames), len(got))
	}
	if frames := encodeOffer(nil); len(frames) != 1 || !frames[0].GetOffer().GetLast() {
		t.Fatalf("holding nothing is said as %v", frames)
	}
}

// FuzzFrame: whatever bytes a peer sends as a frame, what is understood of
// them survives another trip.
func FuzzFrame(f *testing.F) {
	for _, frame := range []*Frame{
		encodeDelta(stream.Delta{Nonce: 1, Mark: "m", Upserts: []stream.Resource{{Kind: "R", Key: "a", Payload: []byte("x")}}, Deletes: []stream.ID{{Kind: "R", Key: "b"}}}),
		encodeAck(stream.Ack{Nonce: 1, Nacks: []stream.Nack{{Error: "e"}}}),
		encodeGreeting(Greeting{ID: "east"}),
		encodeOffer([]stream.Version{{ID: stream.ID{Kind: "R", Key: "a"}, Tag: "t"}})[0],
	} {
		raw, err := proto.Marshal(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in := &Frame{}
		if proto.Unmarshal(raw, in) != nil {
			return
		}
		if m := in.GetDelta(); m != nil {
			d := decodeDelta(m)
			if diff := cmp.Diff(d, decodeDelta(encodeDelta(d).GetDelta())); diff != "" {
				t.Fatal(diff)
			}
		}
		if m := in.GetHello(); m != nil {
			g := decodeGreeting(m)
			g.Clock = g.Clock.UTC()
			if diff := cmp.Diff(g, decodeGreeting(encodeGreeting(g).GetHello())); diff != "" {
				t.Fatal(diff)
			}
		}
		if m := in.GetAck(); m != nil && len(m.GetNacks()) <= maxNacks {
			a := decodeAck(m)
			if got := decodeAck(encodeAck(a).GetAck()); got.Nonce != a.Nonce || len(got.Nacks) != len(a.Nacks) {
				t.Fatalf("%+v became %+v", a, got)
			}
		}
	})
}

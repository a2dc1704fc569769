package wire

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/navehq/nave/api/stream"
)

const (
	// offerChunk is about how many bytes of versions one Offer carries.
	offerChunk = 1 << 20
	// maxNacks and maxReason bound an Ack.
	maxNacks  = 1000
	maxReason = 512
)

func encodeDelta(d stream.Delta) *Frame {
	out := &Delta{Nonce: d.Nonce, Epoch: encodeEpoch(d.Epoch), Mark: d.Mark, Complete: d.Complete, Confirmed: d.Confirmed}
	for i := range d.Upserts {
		out.Upserts = append(out.Upserts, encodeResource(&d.Upserts[i]))
	}
	for _, id := range d.Deletes {
		out.Deletes = append(out.Deletes, &ID{Kind: id.Kind, Key: id.Key})
	}
	return &Frame{Kind: &Frame_Delta{out}}
}

func decodeDelta(m *Delta) stream.Delta {
	d := stream.Delta{Nonce: m.GetNonce(), Epoch: decodeEpoch(m.GetEpoch()), Mark: m.GetMark(), Complete: m.GetComplete(), Confirmed: m.GetConfirmed()}
	for _, r := range m.GetUpserts() {
		d.Upserts = append(d.Upserts, decodeResource(r))
	}
	for _, id := range m.GetDeletes() {
		d.Deletes = append(d.Deletes, stream.ID{Kind: id.GetKind(), Key: id.GetKey()})
	}
	return d
}

func encodeResource(r *stream.Resource) *Resource {
	m := &Resource{
		Kind: r.Kind, Key: r.Key, Origin: r.Origin, Generation: r.Generation,
		Hash: r.Hash, Payload: r.Payload, Signature: r.Signature,
	}
	if len(r.Extra) > 0 {
		m.ProtoReflect().SetUnknown(r.Extra)
	}
	return m
}

func decodeResource(m *Resource) stream.Resource {
	return stream.Resource{
		Kind: m.GetKind(), Key: m.GetKey(), Origin: m.GetOrigin(), Generation: m.GetGeneration(),
		Hash: m.GetHash(), Payload: m.GetPayload(), Signature: m.GetSignature(),
		Extra: m.ProtoReflect().GetUnknown(),
	}
}

func encodeEpoch(e stream.Epoch) *Epoch {
	if e == (stream.Epoch{}) {
		return nil
	}
	return &Epoch{Number: e.Number, Term: e.Term}
}

func decodeEpoch(m *Epoch) stream.Epoch {
	return stream.Epoch{Number: m.GetNumber(), Term: m.GetTerm()}
}

func encodeAck(a stream.Ack) *Frame {
	out := &Ack{Nonce: a.Nonce, Hold: text(a.Hold)}
	for _, n := range a.Nacks[:min(len(a.Nacks), maxNacks)] {
		out.Nacks = append(out.Nacks, &Nack{Kind: n.Kind, Key: n.Key, Hash: n.Hash, Error: text(n.Error)})
	}
	return &Frame{Kind: &Frame_Ack{out}}
}

// text makes a message for people fit for the wire, which takes UTF-8 alone.
func text(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
}

func decodeAck(m *Ack) stream.Ack {
	a := stream.Ack{Nonce: m.GetNonce(), Hold: m.GetHold()}
	for _, n := range m.GetNacks() {
		a.Nacks = append(a.Nacks, stream.Nack{ID: stream.ID{Kind: n.GetKind(), Key: n.GetKey()}, Hash: n.GetHash(), Error: n.GetError()})
	}
	return a
}

// encodeOffer splits what is held into frames, the last of which says so.
func encodeOffer(held []stream.Version) []*Frame {
	var frames []*Frame
	offer, size := &Offer{}, 0
	for _, v := range held {
		cost := len(v.Kind) + len(v.Key) + len(v.Tag) + 8
		if size > 0 && size+cost > offerChunk {
			frames = append(frames, &Frame{Kind: &Frame_Offer{offer}})
			offer, size = &Offer{}, 0
		}
		offer.Versions = append(offer.Versions, &Version{Kind: v.Kind, Key: v.Key, Tag: v.Tag})
		size += cost
	}
	offer.Last = true
	return append(frames, &Frame{Kind: &Frame_Offer{offer}})
}

func decodeOffer(m *Offer) []stream.Version {
	out := make([]stream.Version, 0, len(m.GetVersions()))
	for _, v := range m.GetVersions() {
		out = append(out, stream.Version{ID: stream.ID{Kind: v.GetKind(), Key: v.GetKey()}, Tag: v.GetTag()})
	}
	return out
}

func encodeGreeting(g Greeting) *Frame {
	return &Frame{Kind: &Frame_Hello{&Hello{
		Version: g.Version, Features: g.Features, Id: g.ID, Build: g.Build,
		Clock: timestamppb.New(g.Clock), Reason: g.Reason, Seen: encodeEpoch(g.Seen),
	}}}
}

func decodeGreeting(m *Hello) Greeting {
	return Greeting{
		Version: m.GetVersion(), Features: m.GetFeatures(), ID: m.GetId(), Build: m.GetBuild(),
		Clock: clock(m.GetClock()), Reason: m.GetReason(), Seen: decodeEpoch(m.GetSeen()),
	}
}

// clock is a peer's time, or the zero time where it sent none that is one.
func clock(t *timestamppb.Timestamp) time.Time {
	if t == nil || t.CheckValid() != nil {
		return time.Time{}
	}
	return t.AsTime()
}

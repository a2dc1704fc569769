package stream

import (
	"errors"
	"fmt"
	"slices"
)

const (
	// DefaultChunk is how much one delta carries, in bytes; a single resource
	// may be larger and then travels alone.
	DefaultChunk = 1 << 20
	// window is how much may be under way without an acknowledgement.
	window = 4 << 20
	// maxDeletes bounds the deletions in one delta.
	maxDeletes = 4096
)

// errNoSuchNonce is the cause where an answer fits no delta.
var errNoSuchNonce = errors.New("acknowledges a delta that was not sent")

// Source is the sending side toward one peer: the state that the peer should
// have, and what it still lacks. It survives connections. One owner; no locks.
//
// The state says nothing until it has a name: before the first Mark, Next has
// nothing to send, so that a source that is still being filled deletes nothing
// at its peer. Next is not called between the changes of one revision.
type Source struct {
	have  map[ID]entry
	epoch Epoch
	mark  string
	// confirmed belongs to mark.
	confirmed bool

	// The rest is about the peer; it starts anew with each connection.
	connected bool
	// peer is what the receiver has, or will have when all that is under way arrives.
	peer map[ID]string
	// queued are the ids in which have and peer differ; order is when they
	// began to, and may name some that no longer do.
	queued map[ID]struct{}
	order  []ID

	nonce    uint64
	inflight []flight
	bytes    int
	complete bool // sent since Begin
	unsealed bool // something was sent since the last mark
	sent     sealed
	acked    string
	hold     string
}

type entry struct {
	resource Resource
	tag      string
}

// flight is a delta that is not acknowledged.
type flight struct {
	nonce uint64
	bytes int
	mark  string
}

// sealed is the last mark that was sent.
type sealed struct {
	mark      string
	confirmed bool
}

// NewSource returns a source without resources and without a name.
func NewSource() *Source { return &Source{have: map[ID]entry{}} }

// Set makes r what the peer should have under its name. A change that was not
// sent yet is replaced. It refuses what no receiver would take. The payload is
// kept and not copied: nobody may change it any more.
func (s *Source) Set(r Resource) error {
	if err := r.Check(); err != nil {
		return err
	}
	if r.Hash == "" {
		r.Hash = HashOf(r.Payload)
	}
	e := entry{r, r.tag()}
	s.have[r.ID()] = e
	s.queue(r.ID(), e.tag)
	return nil
}

// Delete takes a resource away. Deleting what is not there does nothing.
func (s *Source) Delete(id ID) {
	if _, ok := s.have[id]; !ok {
		return
	}
	delete(s.have, id)
	s.queue(id, "")
}

// Mark names the state as it is now; marks are compared for equality only. An
// empty rev keeps the name it has: facts that wobble change a state without
// making a revision. With confirmed, the receiver deletes what it would else
// ask about.
func (s *Source) Mark(rev string, confirmed bool) {
	if rev == "" {
		return
	}
	s.mark, s.confirmed = rev, confirmed
}

// SetEpoch says under whose lead the state is made from now on.
func (s *Source) SetEpoch(e Epoch) { s.epoch = e }

// queue notes that the wanted tag of id has changed.
func (s *Source) queue(id ID, tag string) {
	if !s.connected {
		return
	}
	if s.peer[id] == tag {
		delete(s.queued, id)
		return
	}
	if _, ok := s.queued[id]; ok {
		return
	}
	if len(s.order) > 2*len(s.queued)+64 {
		s.compact()
	}
	s.queued[id] = struct{}{}
	s.order = append(s.order, id)
}

// compact forgets ids in order that are no longer queued, so that a resource
// that flaps while nothing can be sent costs nothing.
func (s *Source) compact() {
	seen := make(map[ID]struct{}, len(s.queued))
	s.order = slices.DeleteFunc(s.order, func(id ID) bool {
		_, queued := s.queued[id]
		_, twice := seen[id]
		seen[id] = struct{}{}
		return !queued || twice
	})
}

// Begin starts a connection with a peer that holds these versions: what it
// lacks is queued, and what it has too much is queued for deletion.
func (s *Source) Begin(held []Version) {
	s.End()
	s.connected = true
	s.peer = make(map[ID]string, len(held))
	s.queued = map[ID]struct{}{}
	for _, v := range held {
		s.peer[v.ID] = v.Tag
	}
	for id, e := range s.have {
		if s.peer[id] != e.tag {
			s.order = append(s.order, id)
		}
	}
	upserts := len(s.order)
	for id := range s.peer {
		if _, ok := s.have[id]; !ok {
			s.order = append(s.order, id)
		}
	}
	slices.SortFunc(s.order[:upserts], ID.Compare)
	slices.SortFunc(s.order[upserts:], ID.Compare)
	for _, id := range s.order {
		s.queued[id] = struct{}{}
	}
}

// End is told that the connection is gone. What was under way counts as lost;
// the peer's next offer says what arrived.
func (s *Source) End() {
	*s = Source{have: s.have, epoch: s.epoch, mark: s.mark, confirmed: s.confirmed}
}

// Next returns the next delta to send, of about maxBytes (0: DefaultChunk), or
// false where there is nothing to say or too much is under way. After a mark it
// waits for its acknowledgement: a slow peer gets fewer, larger revisions.
func (s *Source) Next(maxBytes int) (Delta, bool) {
	if !s.connected || s.mark == "" || s.bytes >= window || s.marked() {
		return Delta{}, false
	}
	if maxBytes <= 0 {
		maxBytes = DefaultChunk
	}
	d := Delta{Nonce: s.nonce + 1, Epoch: s.epoch}
	size := s.fill(&d, maxBytes)
	switch {
	case len(s.queued) == 0 && s.due(size > 0):
		d.Mark, d.Confirmed, d.Complete = s.mark, s.confirmed, !s.complete
		s.sent, s.complete, s.unsealed = sealed{s.mark, s.confirmed}, true, false
	case size == 0:
		return Delta{}, false
	default:
		s.unsealed = true
	}
	s.nonce++
	s.bytes += size
	s.inflight = append(s.inflight, flight{d.Nonce, size, d.Mark})
	return d, true
}

// marked tells whether a mark is under way.
func (s *Source) marked() bool {
	n := len(s.inflight)
	return n > 0 && s.inflight[n-1].mark != ""
}

// due tells whether, with nothing queued, a mark has to be sent.
func (s *Source) due(carries bool) bool {
	return carries || s.unsealed || !s.complete || s.sent != sealed{s.mark, s.confirmed}
}

// fill moves queued changes into d, and returns their size.
func (s *Source) fill(d *Delta, maxBytes int) int {
	size, taken := 0, 0
	for _, id := range s.order {
		if _, ok := s.queued[id]; !ok {
			taken++
			continue
		}
		e, ok := s.have[id]
		cost := len(id.Kind) + len(id.Key) + 8
		if ok {
			cost = e.resource.size()
		}
		if size > 0 && size+cost > maxBytes || len(d.Deletes) >= maxDeletes {
			break
		}
		taken++
		size += cost
		delete(s.queued, id)
		if ok {
			d.Upserts = append(d.Upserts, e.resource)
			s.peer[id] = e.tag
		} else {
			d.Deletes = append(d.Deletes, id)
			delete(s.peer, id)
		}
	}
	s.order = s.order[taken:]
	return size
}

// Acked takes the answer to a delta and returns its mark ("" where it had none)
// and what was refused. An answer to a delta that was not sent on this
// connection is an error.
func (s *Source) Acked(a Ack) (string, []Nack, error) {
	i := slices.IndexFunc(s.inflight, func(f flight) bool { return f.nonce == a.Nonce })
	if i < 0 {
		return "", nil, fmt.Errorf("ack of nonce %d: %w", a.Nonce, errNoSuchNonce)
	}
	for _, f := range s.inflight[:i+1] {
		s.bytes -= f.bytes
	}
	mark := s.inflight[i].mark
	if mark != "" {
		s.hold = a.Hold
		if a.Hold == "" {
			s.acked = mark
		}
	}
	s.inflight = slices.Delete(s.inflight, 0, i+1)
	return mark, a.Nacks, nil
}

// Standing is how far a source's peer is.
type Standing struct {
	Connected bool
	// Mark is the state's name, Acked the last one that the peer has taken on
	// this connection. The two are equal when the peer is up to date, and
	// Settled is set when that holds and nothing is queued or under way.
	Mark, Acked string
	Settled     bool
	// Pending counts changes that are not sent, Unacked deltas that are not answered.
	Pending, Unacked int
	// Hold is why the peer did not take the last mark that it answered.
	Hold string
}

// Standing tells how far the peer is.
func (s *Source) Standing() Standing {
	return Standing{
		Connected: s.connected, Mark: s.mark, Acked: s.acked, Hold: s.hold,
		Pending: len(s.queued), Unacked: len(s.inflight),
		Settled: s.connected && s.mark != "" && s.acked == s.mark && len(s.queued) == 0 && len(s.inflight) == 0 && !s.unsealed,
	}
}

// Get returns the resource as the peer should have it.
func (s *Source) Get(id ID) (Resource, bool) {
	e, ok := s.have[id]
	return e.resource, ok
}

// IDs returns the names of all resources, sorted.
func (s *Source) IDs() []ID {
	ids := make([]ID, 0, len(s.have))
	for id := range s.have {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, ID.Compare)
	return ids
}

package stream

import (
	"errors"
	"fmt"
	"slices"
)

// The reasons for which Receive refuses a delta. The connection is of no more
// use then; what was staged before stays.
var (
	ErrStale    = errors.New("epoch is older than one that was obeyed")
	ErrDamaged  = errors.New("payload does not match its hash")
	ErrSequence = errors.New("nonce is out of sequence")
	ErrTooMuch  = errors.New("more resources or bytes than this receiver takes")
)

// Limits bound what a peer can make a receiver hold.
type Limits struct {
	// Resources counts what is held and staged; Staged counts bytes that are
	// staged and not released.
	Resources int
	Staged    int
}

// DefaultLimits fit a fleet's largest cluster many times over.
var DefaultLimits = Limits{Resources: 1_000_000, Staged: 512 << 20}

// Guard is when a receiver asks before it deletes. The zero Guard never does.
type Guard struct {
	// Percent of what is held may go at one mark. 0: the guard is off.
	Percent int
	// From is how much has to be held for the guard to look at all.
	From int
	// Counts says which resources it is about; nil: all. Facts that come and go
	// on their own are left out by it.
	Counts func(ID) bool
	// Explained tells whether the deletion of id is known to be the origin's
	// own will, by a tombstone among what the caller holds or among what is
	// staged. It may be nil.
	Explained func(id ID, staged func(ID) (Resource, bool)) bool
}

// DefaultGuard is a fifth, from twenty resources on.
var DefaultGuard = Guard{Percent: 20, From: 20}

// Sink is the receiving side of one direction: which versions it holds, and
// what is staged until a mark. It survives connections. One owner; no locks.
type Sink struct {
	guard  Guard
	limits Limits

	held   map[ID]string
	staged map[ID]Change
	tags   map[ID]string // of staged upserts
	bytes  int

	epoch Epoch
	mark  string

	// Of this connection: the last nonce, whether the difference has arrived in
	// full, and whether anything was released since.
	nonce    uint64
	synced   bool
	released bool
}

// NewSink returns a sink that holds these versions, for instance from disk.
func NewSink(held []Version, guard Guard, limits Limits) *Sink {
	s := &Sink{guard: guard, limits: limits, held: make(map[ID]string, len(held))}
	for _, v := range held {
		s.held[v.ID] = v.Tag
	}
	s.clear()
	return s
}

func (s *Sink) clear() {
	s.staged, s.tags, s.bytes = map[ID]Change{}, map[ID]string{}, 0
}

// Connect starts a connection: nonces begin anew, and nothing is released
// until the source says that the difference is complete. What was staged is
// kept, and offered, so that a link that breaks often still gets through.
func (s *Sink) Connect() { s.nonce, s.synced, s.released = 0, false, false }

// Obeyed makes epochs before e stale, as after a restart from disk.
func (s *Sink) Obeyed(e Epoch) {
	if e.Compare(s.epoch) > 0 {
		s.epoch = e
	}
}

// Epoch is the newest that was obeyed.
func (s *Sink) Epoch() Epoch { return s.epoch }

// Mark is the last one that was released.
func (s *Sink) Mark() string { return s.mark }

// Synced tells whether this connection's difference has arrived in full.
func (s *Sink) Synced() bool { return s.synced }

// Held is what to offer to the source, sorted: what was released, and over it
// what is staged.
func (s *Sink) Held() []Version {
	out := make([]Version, 0, len(s.held)+len(s.tags))
	for id, tag := range s.held {
		if _, ok := s.staged[id]; !ok {
			out = append(out, Version{id, tag})
		}
	}
	for id, tag := range s.tags {
		out = append(out, Version{id, tag})
	}
	sortVersions(out)
	return out
}

// Release is a state that takes effect.
type Release struct {
	// Changes lead from the last released state to this one, sorted by name.
	Changes []Change
	Mark    string
	Epoch   Epoch
	// Complete: the first one of its connection.
	Complete bool
}

// Receive takes a delta. It returns a release where one is due, or a hold with
// the reason where a mark was reached and deletes too much; without either,
// more follows. A delta that breaks the protocol changes nothing and is an error.
// Every delta that is no error is to be acknowledged, a released one after it
// took effect.
func (s *Sink) Receive(d Delta) (*Release, string, error) {
	if err := s.check(d); err != nil {
		return nil, "", fmt.Errorf("receiving delta %d: %w", d.Nonce, err)
	}
	s.nonce = d.Nonce
	s.Obeyed(d.Epoch)
	for _, r := range d.Upserts {
		s.stageUpsert(r)
	}
	for _, id := range d.Deletes {
		s.stageDelete(id)
	}
	s.synced = s.synced || d.Complete
	if d.Mark == "" || !s.synced {
		return nil, "", nil
	}
	if hold := s.look(d.Confirmed); hold != "" {
		return nil, hold, nil
	}
	return s.release(d), "", nil
}

func (s *Sink) check(d Delta) error {
	if d.Nonce != s.nonce+1 {
		return fmt.Errorf("%w: after %d", ErrSequence, s.nonce)
	}
	if d.Epoch.Compare(s.epoch) < 0 {
		return fmt.Errorf("%w: %d/%d after %d/%d", ErrStale, d.Epoch.Number, d.Epoch.Term, s.epoch.Number, s.epoch.Term)
	}
	if len(d.Mark) > MaxName {
		return errors.New("the mark is too long")
	}
	if d.Complete && d.Mark == "" {
		return errors.New("complete without a mark")
	}
	return s.checkContents(d)
}

func (s *Sink) checkContents(d Delta) error {
	seen := make(map[ID]struct{}, len(d.Upserts)+len(d.Deletes))
	bytes := s.bytes
	for i := range d.Upserts {
		r := &d.Upserts[i]
		if err := r.Check(); err != nil {
			return err
		}
		if HashOf(r.Payload) != r.Hash {
			return fmt.Errorf("resource %q: %w", r.ID(), ErrDamaged)
		}
		seen[r.ID()] = struct{}{}
		bytes += r.size()
	}
	for _, id := range d.Deletes {
		if err := id.check(); err != nil {
			return err
		}
		seen[id] = struct{}{}
	}
	if len(seen) != len(d.Upserts)+len(d.Deletes) {
		return errors.New("a resource occurs twice")
	}
	if bytes > s.limits.Staged || len(s.held)+len(s.staged)+len(seen) > s.limits.Resources {
		return ErrTooMuch
	}
	return nil
}

func (s *Sink) unstage(id ID) {
	c, ok := s.staged[id]
	if !ok {
		return
	}
	if !c.Deleted {
		s.bytes -= c.size()
	}
	delete(s.staged, id)
	delete(s.tags, id)
}

func (s *Sink) stageUpsert(r Resource) {
	id, tag := r.ID(), r.tag()
	s.unstage(id)
	if old, held := s.held[id]; held && old == tag {
		return
	}
	s.staged[id], s.tags[id] = Change{Resource: r}, tag
	s.bytes += r.size()
}

func (s *Sink) stageDelete(id ID) {
	s.unstage(id)
	if _, held := s.held[id]; held {
		s.staged[id] = Change{Resource: Resource{Kind: id.Kind, Key: id.Key}, Deleted: true}
	}
}

// look is the guard's second look; it returns why the mark is held, or "".
func (s *Sink) look(confirmed bool) string {
	if confirmed || s.guard.Percent <= 0 {
		return ""
	}
	counts := s.guard.Counts
	if counts == nil {
		counts = func(ID) bool { return true }
	}
	held, gone := 0, 0
	for id, c := range s.staged {
		if c.Deleted && counts(id) && !s.explained(id) {
			gone++
		}
	}
	if gone*100 <= s.guard.Percent*s.guard.From {
		return "" // whatever is held, so that a small change need not count it
	}
	for id := range s.held {
		if counts(id) {
			held++
		}
	}
	if held < s.guard.From || gone*100 <= s.guard.Percent*held {
		return ""
	}
	return fmt.Sprintf("would delete %d of %d resources without their origin's word; at most %d %% go unconfirmed", gone, held, s.guard.Percent)
}

func (s *Sink) explained(id ID) bool {
	return s.guard.Explained != nil && s.guard.Explained(id, func(id ID) (Resource, bool) {
		c, ok := s.staged[id]
		return c.Resource, ok && !c.Deleted
	})
}

func (s *Sink) release(d Delta) *Release {
	out := &Release{Mark: d.Mark, Epoch: s.epoch, Complete: !s.released, Changes: make([]Change, 0, len(s.staged))}
	for id, c := range s.staged {
		out.Changes = append(out.Changes, c)
		if c.Deleted {
			delete(s.held, id)
		} else {
			s.held[id] = s.tags[id]
		}
	}
	slices.SortFunc(out.Changes, func(a, b Change) int { return a.ID().Compare(b.ID()) })
	s.mark, s.released = d.Mark, true
	s.clear()
	return out
}

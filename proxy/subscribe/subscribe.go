// Package subscribe takes a proxy's table from its spoke: it follows the
// stream, hands each revision on at its mark, answers what was refused, and
// keeps the last good table on disk, so that a proxy alone comes back and
// serves. It does not judge a table; who obeys it does.
package subscribe

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/api/wire"
)

// soon is how long revisions gather before one is written.
const soon = 100 * time.Millisecond

// kept is a table as it stands on disk.
type kept struct {
	Revision  string            `json:"revision"`
	Resources []stream.Resource `json:"resources"`
}

// Options of a Subscription. Obey, Check, Cache and Log are required.
type Options struct {
	// Name is who this proxy is, as its certificate says it; Peer its spoke.
	Name, Peer string
	Heartbeat  time.Duration
	// Cache is the file of the last good table.
	Cache string
	// Obey takes a table into effect. An error refuses it as a whole: the one
	// before stays in force.
	Obey func(t table.Table, changes []table.Change, revision string) error
	// Check tells whether a table could be obeyed, changes being what differs
	// from the one in force, and changes nothing.
	Check func(t table.Table, changes []table.Change) error
	// Ask answers the spoke's questions.
	Ask func(ctx context.Context, path string, body []byte) ([]byte, error)
	// Sample takes what was measured elsewhere in the cluster; nil: nobody asks.
	Sample func(*assignment.Sample)
	Log    *slog.Logger
}

// Subscription is a proxy's side of the stream to its spoke. It is safe for
// concurrent use.
type Subscription struct {
	opts    Options
	session *wire.Session
	cache   *atomicfile.Value[kept]

	mu sync.Mutex
	// wanted is what the spoke wants obeyed, obeyed what is.
	wanted, obeyed table.Table
	raw            map[stream.ID]stream.Resource
	// unread could not be decoded, blamed not be obeyed; either holds back the
	// whole revision.
	unread, blamed map[stream.ID]stream.Nack
	revision       string
	// mark is the last one that was looked at, refused what stood refused then.
	mark    string
	refused []stream.Nack
}

// New loads the last good table, if there is one, and obeys it.
func New(opts Options) *Subscription {
	s := &Subscription{
		opts: opts, wanted: table.New(), obeyed: table.New(),
		raw: map[stream.ID]stream.Resource{}, unread: map[stream.ID]stream.Nack{},
	}
	s.cache = atomicfile.NewValue[kept](opts.Cache, soon, func(err error) { opts.Log.Error("keep the last good table", "err", err) })
	held := s.load()
	s.session = wire.New(wire.Options{
		Name: opts.Name, Peer: opts.Peer, Build: version.Version, Log: opts.Log, Heartbeat: opts.Heartbeat, Held: held,
		Guard:   stream.DefaultGuard,
		Handler: wire.Handler{OnChanges: s.take, OnAsk: opts.Ask, OnHold: s.hold},
	})
	return s
}

// load obeys what the disk holds and returns its versions.
func (s *Subscription) load() []stream.Version {
	last, err := s.cache.Load()
	if err != nil {
		s.opts.Log.Warn("begin without the last good table", "err", err)
		return nil
	}
	if len(last.Resources) == 0 {
		return nil
	}
	changes := make([]stream.Change, 0, len(last.Resources))
	for _, r := range last.Resources {
		changes = append(changes, stream.Change{Resource: r})
	}
	if nacks := s.apply(changes, last.Revision); len(nacks) > 0 {
		s.opts.Log.Warn("cannot obey the last good table", "refused", len(nacks), "err", nacks[0].Error)
	} else {
		s.opts.Log.Info("obey the last good table", "revision", last.Revision, "resources", len(changes))
	}
	held := make([]stream.Version, 0, len(s.raw))
	for _, r := range s.raw {
		held = append(held, r.Version())
	}
	return held
}

// Run keeps the stream connected until ctx ends.
func (s *Subscription) Run(ctx context.Context, d wire.Dialer) error {
	return s.RunWith(ctx, d.OpenSpoke)
}

// RunWith is Run over streams that open makes.
func (s *Subscription) RunWith(ctx context.Context, open func(context.Context) (wire.Stream, func(), error)) error {
	defer s.cache.Close()
	err := wire.Loop{Session: s.session, Open: open, Backoff: wire.LocalBackoff, Log: s.opts.Log}.Run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Tell says something to the spoke: a resource of the proxy's own. It is sent
// at once and does not belong to any revision.
func (s *Subscription) Tell(kind, key string, payload []byte) {
	s.session.Update(func(src *stream.Source) {
		if err := src.Set(stream.Resource{Kind: kind, Key: key, Payload: payload}); err != nil {
			s.opts.Log.Error("tell the spoke", "kind", kind, "key", key, "err", err)
			return
		}
		src.Mark(cmp.Or(src.Standing().Mark, "facts"), false)
	})
}

// Revision is the one in force, "" before the first.
func (s *Subscription) Revision() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision
}

// Table is the one in force.
func (s *Subscription) Table() table.Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.obeyed
}

// Synced tells whether what is obeyed is what the spoke wants obeyed, as far as
// it is heard.
func (s *Subscription) Synced() bool {
	st := s.session.Standing()
	return st.Up && st.Synced && st.Taken == s.Revision()
}

func (s *Subscription) hold(reason string) {
	s.opts.Log.Warn("hold a revision that deletes much", "reason", reason)
}

func (s *Subscription) take(r stream.Release) []stream.Nack {
	changes := s.measured(r.Changes)
	if len(changes) == 0 && r.Mark == s.mark {
		return s.refused
	}
	s.mark, s.refused = r.Mark, s.apply(changes, r.Mark)
	for _, n := range s.refused {
		s.opts.Log.Warn("refuse a resource of the table", "resource", n.ID.String(), "revision", r.Mark, "err", n.Error)
	}
	return s.refused
}

// measured hands on the samples among the changes, which belong to no table, and
// returns the rest.
func (s *Subscription) measured(changes []stream.Change) []stream.Change {
	var rest []stream.Change
	for _, c := range changes {
		if c.Kind != string(assignment.KindSample) {
			rest = append(rest, c)
			continue
		}
		if c.Deleted || s.opts.Sample == nil {
			continue
		}
		r, err := assignment.Decode(assignment.KindSample, c.Key, c.Payload)
		if err != nil {
			s.opts.Log.Warn("read a sample", "err", err)
			continue
		}
		s.opts.Sample(r.(*assignment.Sample))
	}
	return rest
}

// apply brings what is wanted up to date and obeys it if it can be. It returns
// every resource that stands refused.
func (s *Subscription) apply(changes []stream.Change, revision string) []stream.Nack {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		s.stage(c)
	}
	s.blamed = map[stream.ID]stream.Nack{}
	if len(s.unread) == 0 {
		s.obey(revision)
	}
	maps.Copy(s.blamed, s.unread)
	return slices.SortedFunc(maps.Values(s.blamed), func(a, b stream.Nack) int { return a.ID.Compare(b.ID) })
}

// stage decodes a change. A kind that this build does not know is kept, to be
// offered again, and not obeyed.
func (s *Subscription) stage(c stream.Change) {
	id := c.ID()
	at := table.ID{Kind: table.Kind(c.Kind), Name: c.Key}
	delete(s.unread, id)
	if c.Deleted {
		delete(s.raw, id)
		s.wanted = s.wanted.Apply(table.Remove(at))
		return
	}
	s.raw[id] = c.Resource
	r, err := table.Decode(at, c.Payload)
	switch {
	case err == nil:
		s.wanted = s.wanted.Apply(table.Put(r))
	case !errors.Is(err, table.ErrUnknownKind):
		s.unread[id] = stream.Nack{ID: id, Hash: c.Hash, Error: err.Error()}
	}
}

// obey takes what is wanted into effect, or finds out what in it cannot be.
func (s *Subscription) obey(revision string) {
	changes := table.Diff(s.obeyed, s.wanted)
	err := s.opts.Obey(s.wanted, changes, revision)
	if err == nil {
		s.obeyed, s.revision = s.wanted, revision
		s.cache.Save(kept{Revision: revision, Resources: slices.Collect(maps.Values(s.raw))})
		return
	}
	s.blame(changes, err)
}

// blame names who is to blame for a table that cannot be obeyed: each change
// that cannot be made beside all those that can.
func (s *Subscription) blame(changes []table.Change, whole error) {
	var taken []table.Change
	left := changes
	for {
		before := len(left)
		taken, left = s.most(taken, left)
		// What was left may have needed what was taken after it.
		if len(left) == 0 || len(left) == before {
			break
		}
	}
	for _, c := range left {
		if c.Resource == nil {
			continue
		}
		id := stream.ID{Kind: string(c.ID.Kind), Key: c.ID.Name}
		with := append(slices.Clone(taken), c)
		err := cmp.Or(s.opts.Check(s.obeyed.Apply(with...), with), whole)
		s.blamed[id] = stream.Nack{ID: id, Hash: s.raw[id].Hash, Error: err.Error()}
	}
}

// most takes as many of the changes as can be made beside those taken already,
// by halves, so that a few bad ones among many are found at little cost.
func (s *Subscription) most(taken, changes []table.Change) (now, left []table.Change) {
	if len(changes) == 0 {
		return taken, nil
	}
	with := append(slices.Clone(taken), changes...)
	if s.opts.Check(s.obeyed.Apply(with...), with) == nil {
		return with, nil
	}
	if len(changes) == 1 {
		return taken, changes
	}
	half := len(changes) / 2
	taken, left = s.most(taken, changes[:half])
	taken, more := s.most(taken, changes[half:])
	return taken, append(slices.Clone(left), more...)
}

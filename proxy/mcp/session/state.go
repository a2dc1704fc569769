package session

import "slices"

// Phase is where a session at a server stands, as one owner knows it.
type Phase string

// The phases. Lost is Absent with the duty to say so when it comes back.
const (
	Absent       Phase = "Absent"
	Initialising Phase = "Initialising"
	Live         Phase = "Live"
	Lost         Phase = "Lost"
	Ended        Phase = "Ended"
)

// Upstream is one session at one server, as its owner in Cluster knows it. It
// is a value: Step gives the next one.
type Upstream struct {
	Cluster string
	Phase   Phase
	// Turn counts initialisations; a call remembers the turn that it used, so
	// that of many calls that see one loss only the first one tells of it.
	Turn int
	// Begun tells that the session was initialised before, here or elsewhere:
	// doing it again is a move.
	Begun bool
	Moves int
	// ID and Version are what the server gave. ID is "" where it gave none.
	ID, Version string
	// Bound tells that the session lives only as long as one connection.
	Bound bool
	// Stateless tells that the server gave no id: nothing can be lost.
	Stateless bool
	// Spare tells that ID came from a proxy of the same cluster and was not used yet.
	Spare bool
	// Elsewhere is the cluster where the session lives as far as is known.
	Elsewhere     string
	Level         string
	Subscriptions []string
	Digest        string
}

// Event is one of the types below.
type Event interface{ event() }

type (
	// Wanted says that a call needs the session; Here: it must be served by this
	// owner although it may live elsewhere.
	Wanted struct{ Here bool }
	// Opened ends an initialisation.
	Opened struct{ ID, Version string }
	// Refused ends an initialisation without a session.
	Refused struct{}
	// Gone says that the server no longer knows the session of that turn.
	Gone struct{ Turn int }
	// LevelSet says that the client set its log level with success.
	LevelSet struct{ Level string }
	// Subscribed says that the client subscribed with success.
	Subscribed struct{ URI string }
	// Unsubscribed says that the client unsubscribed with success.
	Unsubscribed struct{ URI string }
	// Listed says that the client listed tools with success.
	Listed struct{ Digest string }
	// Told says that another owner's copy came.
	Told struct{ Copy Copy }
	// Idle says that unused for long.
	Idle struct{}
	// Closed says that the client ended the session.
	Closed struct{}
)

func (Wanted) event()       {}
func (Opened) event()       {}
func (Refused) event()      {}
func (Gone) event()         {}
func (LevelSet) event()     {}
func (Subscribed) event()   {}
func (Unsubscribed) event() {}
func (Listed) event()       {}
func (Told) event()         {}
func (Idle) event()         {}
func (Closed) event()       {}

// Action is what the owner has to do after a step, in order.
type Action struct {
	Do Verb
	// What is the id to release or to part with, the cluster to redirect to, the result to
	// count, the level or the URI to replay.
	What string
}

// Verb is the kind of an action.
type Verb string

// The verbs. Go: use the session as it is. Join: wait for the initialisation
// under way, then ask again. Initialise: do it, and say Opened or Refused.
// Redirect: the session lives in that cluster. Gone is for calls after the end.
// SetLevel and Subscribe: tell the server anew what the client had set. Compare:
// the tools may differ from those that the client was shown. Release: end the
// session of that id at the server; Part: once what is under way there has ended.
// Share: give copies. Count: one move with
// that result.
const (
	DoGo         Verb = "go"
	DoJoin       Verb = "join"
	DoInitialise Verb = "initialise"
	DoRedirect   Verb = "redirect"
	DoGone       Verb = "gone"
	DoSetLevel   Verb = "set-level"
	DoSubscribe  Verb = "subscribe"
	DoCompare    Verb = "compare"
	DoRelease    Verb = "release"
	DoPart       Verb = "part"
	DoShare      Verb = "share"
	DoCount      Verb = "count"
)

// The results that Count names.
const (
	Reinitialised = "reinitialised"
	Restored      = "restored"
	Failed        = "failed"
)

// Step is what an event makes of a session, and what is to be done about it.
func (u Upstream) Step(e Event) (Upstream, []Action) {
	if u.Phase == Ended {
		return u, u.afterEnd(e)
	}
	switch e := e.(type) {
	case Wanted:
		return u.wanted(e)
	case Opened:
		return u.opened(e)
	case Refused:
		return u.refused()
	case Gone:
		if u.Phase == Live && e.Turn == u.Turn {
			u.Phase, u.ID = Lost, ""
		}
		return u, nil
	case Told:
		return u.told(e.Copy)
	case Idle:
		return u.rest(Absent)
	case Closed:
		return u.rest(Ended)
	}
	return u.remember(e)
}

func (u Upstream) afterEnd(e Event) []Action {
	switch e := e.(type) {
	case Wanted:
		return []Action{{Do: DoGone}}
	case Opened:
		return []Action{{DoRelease, e.ID}}
	}
	return nil
}

func (u Upstream) wanted(e Wanted) (Upstream, []Action) {
	switch {
	case u.Phase == Live:
		return u, []Action{{Do: DoGo}}
	case u.Phase == Initialising:
		return u, []Action{{Do: DoJoin}}
	case u.Spare:
		u.Phase, u.Spare, u.Elsewhere = Live, false, ""
		u.Turn++
		return u, []Action{{DoCount, Restored}, {Do: DoShare}, {Do: DoGo}}
	case u.Elsewhere != "" && !e.Here:
		return u, []Action{{DoRedirect, u.Elsewhere}}
	}
	u.Phase = Initialising
	return u, []Action{{Do: DoInitialise}}
}

func (u Upstream) opened(e Opened) (Upstream, []Action) {
	held := !u.Stateless
	u.Phase, u.ID, u.Version = Live, e.ID, e.Version
	u.Stateless = e.ID == "" && !u.Bound
	u.Turn++
	u.Elsewhere = ""
	if !u.Begun {
		u.Begun = true
		return u, []Action{{Do: DoShare}}
	}
	u.Moves++
	var actions []Action
	if u.Level != "" {
		actions = append(actions, Action{DoSetLevel, u.Level})
	}
	for _, uri := range u.Subscriptions {
		actions = append(actions, Action{DoSubscribe, uri})
	}
	actions = append(actions, Action{Do: DoCompare})
	if held {
		actions = append(actions, Action{DoCount, Reinitialised})
	}
	return u, append(actions, Action{Do: DoShare})
}

func (u Upstream) refused() (Upstream, []Action) {
	if !u.Begun {
		u.Phase = Absent
		return u, nil
	}
	u.Phase = Lost
	return u, []Action{{DoCount, Failed}}
}

// rest ends the session at the server; what the client had set stays known
// unless the session itself has ended.
func (u Upstream) rest(next Phase) (Upstream, []Action) {
	var actions []Action
	if u.Phase == Live {
		actions = []Action{{DoRelease, u.ID}}
	}
	if u.Phase == Initialising && next != Ended {
		return u, nil // in use
	}
	u.Phase, u.ID, u.Spare = next, "", false
	return u, actions
}

// told takes another owner's copy in: news of a session that is not here, word
// from a proxy that uses the same one, or proof that what lives here was
// overtaken while the owners could not reach each other.
func (u Upstream) told(c Copy) (Upstream, []Action) {
	switch {
	case u.Phase == Initialising:
		return u, nil
	case u.Phase != Live && c.Moves < u.Moves:
		return u, nil
	case u.Phase != Live:
		return u.adopt(c), nil
	case c.Cluster == u.Cluster && c.Live && c.ID == u.ID && c.ID != "":
		u.Level, u.Subscriptions, u.Digest = c.Level, slices.Clone(c.Subscriptions), c.Digest
		return u, nil
	case !c.Live || !c.beats(u.Moves, u.Cluster):
		return u, nil
	}
	id := u.ID
	u.Phase = Absent
	return u.adopt(c), []Action{{DoPart, id}}
}

// adopt makes what a copy says one's own knowledge.
func (u Upstream) adopt(c Copy) Upstream {
	u.Begun, u.Moves, u.Stateless = true, c.Moves, c.Stateless
	u.Level, u.Subscriptions, u.Digest = c.Level, slices.Clone(c.Subscriptions), c.Digest
	u.ID, u.Spare, u.Elsewhere = "", false, ""
	switch {
	case !c.Live || c.Stateless:
	case c.Cluster != u.Cluster:
		u.Elsewhere = c.Cluster
	case c.ID != "":
		u.ID, u.Version, u.Spare = c.ID, c.Version, true
	}
	return u
}

func (u Upstream) remember(e Event) (Upstream, []Action) {
	before := u
	switch e := e.(type) {
	case LevelSet:
		u.Level = e.Level
	case Listed:
		u.Digest = e.Digest
	case Subscribed:
		if len(u.Subscriptions) < MaxSubscriptions && len(e.URI) <= MaxURI && !slices.Contains(u.Subscriptions, e.URI) {
			u.Subscriptions = append(slices.Clip(slices.Clone(u.Subscriptions)), e.URI)
		}
	case Unsubscribed:
		u.Subscriptions = slices.DeleteFunc(slices.Clone(u.Subscriptions), func(s string) bool { return s == e.URI })
	}
	if u.Level == before.Level && u.Digest == before.Digest && slices.Equal(u.Subscriptions, before.Subscriptions) {
		return u, nil
	}
	return u, []Action{{Do: DoShare}}
}

// Copy is what others are told of the session.
func (u Upstream) Copy(h Handle, server string) Copy {
	c := Copy{
		Handle: h, Server: server, Cluster: u.Cluster, Live: u.Phase == Live,
		Moves: u.Moves, Version: u.Version, Stateless: u.Stateless,
		Level: u.Level, Subscriptions: slices.Clone(u.Subscriptions), Digest: u.Digest,
	}
	if c.Live && !u.Bound {
		c.ID = u.ID
	}
	return c
}

package spoke

import (
	"sync"
	"sync/atomic"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/objects/folder"
	contract "github.com/navehq/nave/api/probe"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/spoke/translate"
	"github.com/navehq/nave/spoke/uplink"
)

// desk owns the translator: whatever changes passes over it one step at a time,
// and what follows is published, written and told.
type desk struct {
	s *Spoke

	mu         sync.Mutex
	translator translate.Translator
	peers      map[string]*assignment.Peer
	placed     map[string]*assignment.Placement
	verdicts   map[string]*assignment.Verdict
	// statuses and problems are as they were last written, by object and place.
	statuses map[objects.Key]written
	problems map[string][]objects.Problem
	// given is what each table has of session keys, sealed what each host was
	// sealed: hashes, by table, and by table and host.
	given, sealed map[string]string

	// current is the translator as of the last step, for those who only look.
	current atomic.Pointer[translate.Translator]
}

func newDesk(s *Spoke) *desk {
	d := &desk{
		s: s, peers: map[string]*assignment.Peer{}, placed: map[string]*assignment.Placement{}, verdicts: map[string]*assignment.Verdict{},
		statuses: map[objects.Key]written{}, problems: map[string][]objects.Problem{},
		given: map[string]string{}, sealed: map[string]string{},
		translator: translate.New(translate.Options{
			Cluster: s.opts.Cluster, Region: s.opts.Region, Standalone: true, Probe: contract.Hash(s.probeKey),
		}),
	}
	t := d.translator
	d.current.Store(&t)
	return d
}

// table is the table of a Gateway as of the last step.
func (d *desk) table(name string) (table.Table, string, bool) {
	t := *d.current.Load()
	out, _, ok := t.Table(name)
	return out, t.Revision(name), ok
}

// scanned takes what the folder holds.
func (d *desk) scanned(scan folder.Scan, err error) {
	if err != nil {
		d.s.deps.Log.Error("read the cluster's objects", "err", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.problem("unreadable", d.s.source.Failed(err))
		return
	}
	d.problem("unreadable", nil)
	d.step(func(t translate.Translator) (translate.Translator, translate.Result) {
		return t.Apply(scan.Changes, nil)
	})
	d.declare(scan.Changes)
	d.problem("folder", scan.Problems)
	d.s.first.Do(func() {
		d.prune()
		close(d.s.scanned)
	})
}

// declare pushes what changed; what cannot be pushed is a problem until it changes
// again.
func (d *desk) declare(changes []objects.Change) {
	const place = "declare/"
	for _, c := range changes {
		if at := place + c.Key.String(); d.problems[at] != nil {
			d.problem(at, nil)
		}
	}
	for _, p := range d.s.uplink.Declare(changes) {
		d.problem(place+p.Object, []objects.Problem{p})
	}
}

// assign takes changes of the assignment.
func (d *desk) assign(changes []uplink.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]translate.AssignmentChange, 0, len(changes))
	for _, c := range changes {
		d.note(c)
		list = append(list, translate.AssignmentChange{Kind: c.Kind, Key: c.Key, Resource: c.Resource})
	}
	d.step(func(t translate.Translator) (translate.Translator, translate.Result) { return t.Apply(nil, list) })
}

// note keeps what the spoke itself needs of the assignment.
func (d *desk) note(c uplink.Change) {
	switch c.Kind {
	case assignment.KindPeer:
		delete(d.peers, c.Key)
		if p, ok := c.Resource.(*assignment.Peer); ok {
			d.peers[c.Key] = p
		}
		d.s.meet(d.peers)
	case assignment.KindPlacement:
		delete(d.placed, c.Key)
		if p, ok := c.Resource.(*assignment.Placement); ok {
			d.placed[c.Key] = p
		}
	case assignment.KindVerdict:
		delete(d.verdicts, c.Key)
		if v, ok := c.Resource.(*assignment.Verdict); ok {
			d.verdicts[c.Key] = v
			if status, ok := d.statuses[v.Key]; ok {
				d.writeOne(status.Status)
			}
		}
	case assignment.KindFleet:
		if f, ok := c.Resource.(*assignment.Fleet); ok {
			d.s.revoke(f.Revoked)
			if d.s.gossip != nil {
				d.s.gossip.SetKeys(f.GossipKeys)
			}
		}
	case assignment.KindSealed:
		if x, ok := c.Resource.(*assignment.Sealed); ok {
			d.unseal(x)
		}
	}
}

// observed takes what the proxies report.
func (d *desk) observed(facts map[string]translate.Facts) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step(func(t translate.Translator) (translate.Translator, translate.Result) { return t.Observe(facts) })
}

// refused takes what a proxy refused: it is closed, so that it blocks nothing else.
func (d *desk) refused(_ string, nacks []stream.Nack) {
	list := make([]translate.Nack, 0, len(nacks))
	for _, n := range nacks {
		list = append(list, translate.Nack{ID: table.ID{Kind: table.Kind(n.Kind), Name: n.Key}, Hash: n.Hash, Error: n.Error})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step(func(t translate.Translator) (translate.Translator, translate.Result) { return t.Refuse(list) })
}

// step takes one step, and what follows from it; the caller holds the lock.
func (d *desk) step(f func(translate.Translator) (translate.Translator, translate.Result)) {
	next, result := f(d.translator)
	d.take(next, result)
	d.giveKeys()
	d.sealKeys()
}

func (d *desk) take(next translate.Translator, result translate.Result) {
	d.translator = next
	d.current.Store(&next)
	for name, c := range result.Tables {
		if c.Removed {
			delete(d.given, name)
			continue
		}
		d.s.publisher.Publish(name, c.Changes, c.Revision)
	}
	if len(result.Tables) > 0 {
		d.s.wanted.signal()
	}
	d.write(result)
}

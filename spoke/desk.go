package spoke

import (
	"encoding/json"
	"slices"
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
	keyed      map[string]bool
	sealed     map[string]string
	samples    map[string]*assignment.Sample

	// current is the translator as of the last step, for those who only look.
	current atomic.Pointer[translate.Translator]
}

func newDesk(s *Spoke) *desk {
	d := &desk{
		s: s, peers: map[string]*assignment.Peer{}, placed: map[string]*assignment.Placement{},
		keyed: map[string]bool{}, sealed: map[string]string{}, samples: map[string]*assignment.Sample{},
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
		return
	}
	for _, p := range scan.Problems {
		d.s.deps.Log.Warn("problem", "problem", p.String())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step(func(t translate.Translator) (translate.Translator, translate.Result) {
		return t.Apply(scan.Changes, nil)
	})
	d.s.uplink.Declare(scan.Changes)
	d.s.uplink.Tell(&assignment.Problems{Place: "folder", List: scan.Problems})
	d.s.first.Do(func() { close(d.s.scanned) })
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
	case assignment.KindPlacement:
		delete(d.placed, c.Key)
	}
	switch r := c.Resource.(type) {
	case *assignment.Peer:
		d.peers[c.Key] = r
	case *assignment.Placement:
		d.placed[c.Key] = r
	case *assignment.Fleet:
		d.s.identity.Revoke(r.Revoked)
	case *assignment.Sealed:
		if err := d.s.keys.Take(r); err != nil {
			d.s.deps.Log.Warn("take a session key", "err", err)
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

// sample passes on what a proxy measured.
func (d *desk) sample(s *assignment.Sample) { d.s.uplink.Tell(s) }

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
	shape := false
	for name, c := range result.Tables {
		shape = shape || c.Created || c.Removed || len(c.Changes) == 0
		if c.Removed {
			delete(d.keyed, name)
			continue
		}
		d.s.publisher.Publish(name, c.Changes, c.Revision)
	}
	if shape || len(result.Tables) > 0 {
		d.s.wanted.signal()
	}
	d.write(result)
}

// write writes statuses beside the folder and tells the hub of them.
func (d *desk) write(result translate.Result) {
	for _, status := range result.Statuses {
		if err := d.s.statuses.Write(status, nil); err != nil {
			d.s.deps.Log.Error("write a status", "object", status.Key.String(), "err", err)
		}
		value, err := json.Marshal(status.Value)
		if err != nil {
			d.s.deps.Log.Error("tell a status", "object", status.Key.String(), "err", err)
			continue
		}
		d.s.uplink.Tell(&assignment.Status{Key: status.Key, Generation: status.Generation, Value: value})
	}
	for _, key := range result.Gone {
		if err := d.s.statuses.Remove(key); err != nil {
			d.s.deps.Log.Error("remove a status", "object", key.String(), "err", err)
		}
		d.s.uplink.Untell(assignment.KindStatus, assignment.ObjectKey(key))
	}
	for i := range result.Problems {
		p := &result.Problems[i]
		if len(p.List) == 0 {
			d.s.uplink.Untell(assignment.KindProblems, p.Place)
			continue
		}
		d.s.uplink.Tell(p)
		for _, x := range p.List {
			d.s.deps.Log.Warn("problem", "problem", x.String())
		}
	}
}

// giveKeys gives each table that is new the keys that seal its sessions.
func (d *desk) giveKeys() {
	for _, name := range d.translator.Tables() {
		_, info, _ := d.translator.Table(name)
		if d.keyed[name] || info.Gateway == (objects.Key{}) {
			continue
		}
		set, ok := d.keySet(name, info.Home)
		if !ok {
			continue
		}
		d.keyed[name] = true
		next, result := d.translator.SetSessionKeys(name, set)
		d.take(next, result)
	}
}

func (d *desk) keySet(name, home string) (map[string][]byte, bool) {
	if home != d.s.opts.Cluster {
		return d.s.keys.Given(home, name)
	}
	set, err := d.s.keys.Own(name)
	if err != nil {
		d.s.deps.Log.Error("make a session key", "gateway", name, "err", err)
		return nil, false
	}
	return set, true
}

// sealKeys seals the keys of own Gateways to the clusters that host them.
func (d *desk) sealKeys() {
	for _, p := range d.placed {
		if p.Home != d.s.opts.Cluster {
			continue
		}
		for _, host := range p.Hosts {
			peer := d.peers[host]
			at := p.Namespace + "/" + p.Name + "@" + host
			if host == p.Home || peer == nil || len(peer.PublicKey) == 0 || d.sealed[at] == string(peer.PublicKey) {
				continue
			}
			d.sealed[at] = string(peer.PublicKey)
			sealed, err := d.s.keys.Seal(p.Namespace+"/"+p.Name, host, peer.PublicKey)
			if err != nil {
				d.s.deps.Log.Error("seal a session key", "err", err)
				continue
			}
			d.s.uplink.Tell(sealed)
		}
	}
}

// backends lists the tables that hold a backend of that name, whole or its last part.
func (d *desk) backends(name string) map[string]string {
	t := *d.current.Load()
	out := map[string]string{}
	for _, tableName := range t.Tables() {
		tab, _, _ := t.Table(tableName)
		for b := range table.Each[*table.Backend](tab) {
			if b.Name == name || slices.Contains(shortNames(b.Name), name) {
				out[tableName] = b.Name
			}
		}
	}
	return out
}

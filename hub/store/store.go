// Package store keeps what the hub must know after a restart: what clusters
// declared, who holds which claim, orders that stand, and the last epoch. Here
// it is a folder; nothing in it is a secret, and all of it is mode 0600. It
// decides nothing.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/fleet"
)

// delay is how long changes gather before they are written. What is lost in it
// is sent again by the spokes, which are asked what they hold.
const delay = 100 * time.Millisecond

// kept are the kinds that are worth keeping; statuses and samples are not.
var kept = []string{"declaration", "facts", "sealed"}

// State is what was stored.
type State struct {
	Epoch stream.Epoch
	// Claims are name → cluster.
	Claims     map[string]string
	Operations map[string]*v1alpha1.Operation
	// Views are how clusters see each other's addresses.
	Views []fleet.View
	// Clusters are what each cluster pushed.
	Clusters map[string][]stream.Resource
}

// book is the part of the state that stands in one small file.
type book struct {
	Epoch      stream.Epoch                   `json:"epoch"`
	Claims     map[string]string              `json:"claims,omitempty"`
	Operations map[string]*v1alpha1.Operation `json:"operations,omitempty"`
	Views      []fleet.View                   `json:"views,omitempty"`
}

// Folder is a store in a folder. It is safe for concurrent use.
type Folder struct {
	dir string
	log *slog.Logger

	mu     sync.Mutex
	book   book
	shards map[shard]map[stream.ID]stream.Resource
	dirty  map[shard]bool
	later  *atomicfile.Later
}

// shard is the unit that is written at once: what one cluster pushed of one
// kind in one namespace.
type shard struct{ cluster, part string }

// Open reads the folder, or makes it.
func Open(dir string, log *slog.Logger) (*Folder, State, error) {
	f := &Folder{dir: dir, log: log, shards: map[shard]map[stream.ID]stream.Resource{}, dirty: map[shard]bool{},
		book: book{Claims: map[string]string{}, Operations: map[string]*v1alpha1.Operation{}}}
	f.later = atomicfile.NewLater(delay, f.flush)
	if err := os.MkdirAll(filepath.Join(dir, "clusters"), 0o700); err != nil {
		return nil, State{}, fmt.Errorf("make the hub's store: %w", err)
	}
	if err := read(filepath.Join(dir, "hub.json"), &f.book); err != nil {
		return nil, State{}, err
	}
	if err := f.readShards(); err != nil {
		return nil, State{}, err
	}
	return f, f.state(), nil
}

func read(path string, into any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the hub's store: %w", err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read the hub's store, %s: %w", filepath.Base(path), err)
	}
	return nil
}

func (f *Folder) readShards() error {
	paths, err := filepath.Glob(filepath.Join(f.dir, "clusters", "*", "*.json"))
	if err != nil {
		return fmt.Errorf("read the hub's store: %w", err)
	}
	for _, path := range paths {
		var list []stream.Resource
		if err := read(path, &list); err != nil {
			f.log.Warn("begin without a part of what a cluster declared, which it sends again", "cluster", filepath.Base(filepath.Dir(path)), "err", err)
			continue
		}
		name := filepath.Base(path)
		at := shard{filepath.Base(filepath.Dir(path)), name[:len(name)-len(".json")]}
		f.shards[at] = map[stream.ID]stream.Resource{}
		for _, r := range list {
			f.shards[at][r.ID()] = r
		}
	}
	return nil
}

func (f *Folder) state() State {
	s := State{Epoch: f.book.Epoch, Claims: maps.Clone(f.book.Claims), Operations: maps.Clone(f.book.Operations), Views: f.book.Views, Clusters: map[string][]stream.Resource{}}
	for at, list := range f.shards {
		s.Clusters[at.cluster] = slices.AppendSeq(s.Clusters[at.cluster], maps.Values(list))
	}
	return s
}

// Peek reads what a hub at dir keeps, without its clusters' declarations, and
// writes nothing; the zero State is of a folder that no hub has used.
func Peek(dir string) (State, error) {
	var b book
	if err := read(filepath.Join(dir, "hub.json"), &b); err != nil {
		return State{}, err
	}
	return State{Epoch: b.Epoch, Claims: b.Claims, Operations: b.Operations, Views: b.Views}, nil
}

// SetEpoch keeps the epoch before anything is published under it.
func (f *Folder) SetEpoch(e stream.Epoch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.book.Epoch = e
	return f.writeBook()
}

// SetClaim keeps who holds a name; "" frees it.
func (f *Folder) SetClaim(name, cluster string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cluster == "" {
		delete(f.book.Claims, name)
	} else {
		f.book.Claims[name] = cluster
	}
	return f.writeBook()
}

// SetViews keeps how clusters see each other's addresses.
func (f *Folder) SetViews(views []fleet.View) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.book.Views = views
	return f.writeBook()
}

// SetOperation keeps an order; nil takes it back.
func (f *Folder) SetOperation(name string, o *v1alpha1.Operation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o == nil {
		delete(f.book.Operations, name)
	} else {
		f.book.Operations[name] = o
	}
	return f.writeBook()
}

func (f *Folder) writeBook() error {
	data, err := json.MarshalIndent(f.book, "", "  ")
	if err != nil {
		return fmt.Errorf("write the hub's store: %w", err)
	}
	return atomicfile.ReplaceSynced(filepath.Join(f.dir, "hub.json"), data)
}

// Put keeps what a cluster pushed; it is written soon after.
func (f *Folder) Put(cluster string, changes []stream.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range changes {
		if !slices.Contains(kept, c.Kind) {
			continue
		}
		at := shard{cluster, partOf(c.ID())}
		if c.Deleted {
			delete(f.shards[at], c.ID())
		} else {
			if f.shards[at] == nil {
				f.shards[at] = map[stream.ID]stream.Resource{}
			}
			f.shards[at][c.ID()] = c.Resource
		}
		f.dirty[at] = true
	}
	if len(f.dirty) > 0 {
		f.later.Ask()
	}
}

// partOf puts declarations by namespace, so that a change writes little anew.
func partOf(id stream.ID) string {
	namespace := ""
	slashes := 0
	for i := range len(id.Key) {
		if id.Key[i] == '/' {
			slashes++
			continue
		}
		if id.Kind == "declaration" && slashes == 2 {
			namespace += string(id.Key[i])
		}
	}
	return id.Kind + "." + namespace
}

// Forget drops all that a cluster pushed.
func (f *Folder) Forget(cluster string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at := range f.shards {
		if at.cluster == cluster {
			delete(f.shards, at)
			delete(f.dirty, at)
		}
	}
	if err := os.RemoveAll(filepath.Join(f.dir, "clusters", cluster)); err != nil {
		return fmt.Errorf("forget cluster %q: %w", cluster, err)
	}
	return nil
}

func (f *Folder) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at := range f.dirty {
		if err := f.write(at); err != nil {
			f.log.Error("keep what a cluster declared", "cluster", at.cluster, "part", at.part, "err", err)
			continue
		}
		delete(f.dirty, at)
	}
}

func (f *Folder) write(at shard) error {
	path := filepath.Join(f.dir, "clusters", at.cluster, at.part+".json")
	if len(f.shards[at]) == 0 {
		delete(f.shards, at)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	list := slices.SortedFunc(maps.Values(f.shards[at]), func(a, b stream.Resource) int { return a.ID().Compare(b.ID()) })
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return atomicfile.Replace(path, data)
}

// Close writes what is not written yet.
func (f *Folder) Close() {
	f.later.Close()
	f.flush() // what could not be written before
}

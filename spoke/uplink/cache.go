package uplink

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/stream"
)

// soon is how long changes gather before the assignment is written.
const soon = 100 * time.Millisecond

// stored is an assignment as it stands on disk.
type stored struct {
	Epoch     stream.Epoch      `json:"epoch"`
	Resources []stream.Resource `json:"resources"`
}

// cache keeps the last good assignment in a file of mode 0600.
type cache struct {
	path string
	log  *slog.Logger

	later *atomicfile.Later

	mu   sync.Mutex
	next *stored
}

func newCache(path string, log *slog.Logger) *cache {
	c := &cache{path: path, log: log}
	c.later = atomicfile.NewLater(soon, c.flush)
	return c
}

// load reads what was kept; what cannot be read is as good as nothing, since
// the hub sends it again.
func (c *cache) load() stored {
	var k stored
	data, err := os.ReadFile(c.path)
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			c.log.Warn("begin without the last good assignment", "err", err)
		}
		return stored{}
	}
	was := len(k.Resources)
	k.Resources = slices.DeleteFunc(k.Resources, damaged)
	if n := was - len(k.Resources); n > 0 {
		c.log.Warn("begin without a part of the last good assignment", "resources", n)
	}
	return k
}

// damaged resources are left out: the hub would take them for what it sent.
func damaged(r stream.Resource) bool {
	return r.Kind == "" || r.Key == "" || stream.HashOf(r.Payload) != r.Hash
}

func (c *cache) save(k stored) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = &k
	c.later.Ask()
}

func (c *cache) flush() {
	c.mu.Lock()
	k := c.next
	c.next = nil
	c.mu.Unlock()
	if k == nil {
		return
	}
	if err := c.write(*k); err != nil {
		c.log.Error("keep the last good assignment", "err", err)
	}
}

func (c *cache) write(k stored) error {
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return atomicfile.ReplaceSynced(c.path, data)
}

// close writes what is not written yet.
func (c *cache) close() { c.later.Close() }

package subscribe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
)

// soon is how long revisions gather before one is written.
const soon = 100 * time.Millisecond

// kept is a table as it stands on disk.
type kept struct {
	Revision  string            `json:"revision"`
	Resources []stream.Resource `json:"resources"`
}

// cache keeps the last good table in a file of mode 0600: it holds secrets.
type cache struct {
	path string
	log  *slog.Logger

	later *atomicfile.Later

	mu   sync.Mutex
	next *kept
}

func newCache(path string, log *slog.Logger) *cache {
	c := &cache{path: path, log: log}
	c.later = atomicfile.NewLater(soon, c.flush)
	return c
}

func isUnknown(err error) bool { return errors.Is(err, table.ErrUnknownKind) }

func (c *cache) load() (kept, error) {
	var k kept
	data, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return k, fmt.Errorf("read the last good table: %w", err)
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return kept{}, fmt.Errorf("read the last good table: %w", err)
	}
	return k, nil
}

// save writes k soon; of several only the last.
func (c *cache) save(k kept) {
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
		c.log.Error("keep the last good table", "revision", k.Revision, "err", err)
	}
}

func (c *cache) write(k kept) error {
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return atomicfile.ReplaceSynced(c.path, data)
}

// close writes what is not written yet.
func (c *cache) close() { c.later.Close() }

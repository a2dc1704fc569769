package subscribe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

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

	mu    sync.Mutex
	next  *kept
	timer *time.Timer
	wg    sync.WaitGroup
}

func newCache(path string, log *slog.Logger) *cache { return &cache{path: path, log: log} }

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
	if c.next == nil {
		c.wg.Add(1)
		c.timer = time.AfterFunc(soon, func() { defer c.wg.Done(); c.flush() })
	}
	c.next = &k
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
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), c.path)
}

// close writes what is not written yet.
func (c *cache) close() {
	c.mu.Lock()
	if c.next != nil && c.timer.Stop() {
		c.wg.Done()
	}
	c.mu.Unlock()
	c.wg.Wait()
	c.flush()
}

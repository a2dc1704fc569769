package folder

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/objects"
)

// memory holds what a folder cannot say: when an object was first seen and how
// often it changed since.
type memory struct {
	path  string
	known map[string]fact
	dirty bool
}

type fact struct {
	Generation int64     `json:"generation"`
	Hash       string    `json:"hash"`
	Created    time.Time `json:"created"`
}

// remember reads what was kept. What is damaged is forgotten, with the reason.
func remember(path string) (m memory, damaged, err error) {
	m = memory{path: path, known: map[string]fact{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil, nil
	}
	if err != nil {
		return m, nil, fmt.Errorf("read what is known of objects: %w", err)
	}
	if err := json.Unmarshal(data, &m.known); err != nil {
		m.known, m.dirty = map[string]fact{}, true
		return m, fmt.Errorf("what was known of the folder's objects cannot be read: %w", err), nil
	}
	return m, nil, nil
}

func name(k objects.Key) string { return k.Kind + "." + k.Group + "/" + k.Namespace + "/" + k.Name }

// date gives o its generation and first-seen time. Unlike a cluster's, the
// generation also moves with labels and annotations: they are declarations too.
func (m *memory) date(o *objects.Object, opts Options) *objects.Object {
	k := name(o.Key)
	f, known := m.known[k]
	if !known {
		f = fact{Created: opts.Now().UTC().Truncate(time.Second)}
	}
	if f.Hash != o.Hash {
		f.Generation++
		f.Hash = o.Hash
		m.known[k] = f
		m.dirty = true
	}
	dated := *o
	dated.Cluster, dated.Generation, dated.Created = opts.Cluster, f.Generation, f.Created
	dated.UID = uid(opts.Cluster, k, f.Created)
	return &dated
}

// uid tells an object from a later one of the same name, as a cluster's does.
func uid(cluster, name string, created time.Time) string {
	sum := sha256.Sum256([]byte(cluster + "\x00" + name + "\x00" + created.String()))
	return hex.EncodeToString(sum[:16])
}

func (m *memory) forget(set objects.Set) {
	here := make(map[string]bool, set.Len())
	for o := range set.All() {
		here[name(o.Key)] = true
	}
	for k := range m.known {
		if !here[k] {
			delete(m.known, k)
			m.dirty = true
		}
	}
}

func (m *memory) save() error {
	if !m.dirty {
		return nil
	}
	data, err := json.Marshal(m.known)
	if err != nil {
		return fmt.Errorf("write what is known of objects: %w", err)
	}
	if err := atomicfile.Replace(m.path, data); err != nil {
		return fmt.Errorf("write what is known of objects: %w", err)
	}
	m.dirty = false
	return nil
}

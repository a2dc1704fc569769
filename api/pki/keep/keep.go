// Package keep keeps an identity: it stores the one secret blob that it
// consists of on disk, readable by its owner only and replaced as a whole, and
// has it renewed in time. It never looks inside.
package keep

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"github.com/navehq/nave/api/atomicfile"
	"io/fs"
	"os"
	"sync"
)

// ErrConflict is returned by Save when somebody else has saved since.
var ErrConflict = errors.New("kept state was changed by another writer")

// maxSize bounds what Load reads: a certificate authority with thousands of
// clusters takes a small part of it.
const maxSize = 16 << 20

// Keeper holds a blob and says which version of it this is. A Kubernetes Secret
// with its resourceVersion is one, a File another.
type Keeper interface {
	// Load returns the blob and its version, or an error that is fs.ErrNotExist
	// where nothing was saved yet.
	Load() (blob []byte, version string, err error)
	// Save replaces the version that was loaded ("" for nothing) and returns the
	// new one, or ErrConflict.
	Save(blob []byte, version string) (string, error)
}

// File keeps a blob in a file with mode 0600, in a directory with mode 0700,
// both made as needed.
type File struct {
	path string
	mu   sync.Mutex
}

// NewFile returns the keeper of one path.
func NewFile(path string) *File { return &File{path: path} }

// Load reads the file. One that others may read is refused.
func (f *File) Load() ([]byte, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load()
}

func (f *File) load() ([]byte, string, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, "", fmt.Errorf("reading kept identity: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, "", fmt.Errorf("reading kept identity %q: mode is %o, want 600", f.path, info.Mode().Perm())
	}
	if info.Size() > maxSize {
		return nil, "", fmt.Errorf("reading kept identity %q: %d bytes, at most %d are read", f.path, info.Size(), maxSize)
	}
	blob, err := os.ReadFile(f.path)
	if err != nil {
		return nil, "", fmt.Errorf("reading kept identity: %w", err)
	}
	return blob, version(blob), nil
}

// Save writes a new file beside the old one and renames it over that, so that
// a crash leaves one or the other.
func (f *File) Save(blob []byte, old string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, now, err := f.load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if now != old {
		return "", ErrConflict
	}
	if err := atomicfile.ReplaceSynced(f.path, blob); err != nil {
		return "", fmt.Errorf("keeping identity: %w", err)
	}
	return version(blob), nil
}

func version(blob []byte) string {
	sum := sha256.Sum256(blob)
	return hex.EncodeToString(sum[:8])
}

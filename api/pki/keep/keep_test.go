package keep_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/navehq/nave/api/pki/keep"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "identity.json")
	f := keep.NewFile(path)
	if _, _, err := f.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("loading nothing: %v, want fs.ErrNotExist", err)
	}
	v1, err := f.Save([]byte("one"), "")
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %o, want 600", info.Mode().Perm())
	}
	if _, err := keep.NewFile(path).Save([]byte("two"), v1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Save([]byte("three"), v1); !errors.Is(err, keep.ErrConflict) {
		t.Fatalf("saving over another writer's state: %v, want a conflict", err)
	}
	if blob, _, err := f.Load(); err != nil || string(blob) != "two" {
		t.Fatalf("loaded %q, %v", blob, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".keep-*")); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Load(); err == nil {
		t.Fatal("a file that others can read was taken")
	}
}

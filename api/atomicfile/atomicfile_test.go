package atomicfile_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/navehq/nave/api/atomicfile"
)

// TestReplace: what was there is replaced whole, nobody else may read it, and
// nothing is left beside it, also where it could not be replaced.
func TestReplace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "file")
	for _, write := range []func(string, []byte) error{atomicfile.Replace, atomicfile.ReplaceSynced} {
		for _, text := range []string{"a longer text", "short", ""} {
			if err := write(path, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); string(got) != text || err != nil {
				t.Errorf("%q, %v, want %q", got, err, text)
			}
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(folder, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if atomicfile.Replace(folder, []byte("x")) == nil {
		t.Error("a folder was replaced by a file")
	}
	if atomicfile.Replace(filepath.Join(path, "below"), []byte("x")) == nil {
		t.Error("a file stands below a file")
	}
	if left, err := os.ReadDir(dir); len(left) != 2 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestLater: many askings in the pause are one write, one that runs is followed
// by another, and Close leaves nothing unwritten.
func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		l := atomicfile.NewLater(time.Second, func() { runs.Add(1); time.Sleep(3 * time.Second) })
		expect := func(after time.Duration, want int32) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := runs.Load(); got != want {
				t.Errorf("%d writes, want %d", got, want)
			}
		}
		for range 5 {
			l.Ask()
		}
		expect(900*time.Millisecond, 0)
		expect(200*time.Millisecond, 1)
		l.Ask() // while the first still writes
		expect(time.Second, 2)
		expect(10*time.Second, 2)
		l.Ask()
		start := time.Now()
		l.Close()
		if got := runs.Load(); got != 3 || time.Since(start) != 3*time.Second {
			t.Errorf("%d writes, closed after %v", got, time.Since(start))
		}
		l.Close()
		expect(10*time.Second, 3)
	})
}

// TestValue: the last value of several is read again, also by another; what cannot
// be read or written is told, and a later one is written.
func TestValue(t *testing.T) {
	type point struct{ X, Y int }
	path := filepath.Join(t.TempDir(), "a", "point.json")
	open := func() (*atomicfile.Value[point], *[]error) {
		var failed []error
		return atomicfile.NewValue[point](path, time.Millisecond, func(err error) { failed = append(failed, err) }), &failed
	}
	v, failed := open()
	if got, err := v.Load(); got != (point{}) || err != nil {
		t.Errorf("before there is a file: %v, %v", got, err)
	}
	for x := range 10 {
		v.Save(point{x, 1})
	}
	v.Close()
	v, _ = open()
	if got, err := v.Load(); got != (point{9, 1}) || err != nil || len(*failed) > 0 {
		t.Errorf("after: %v, %v; not written: %v", got, err, *failed)
	}
	if err := os.WriteFile(path, []byte(`{"X": 3, "Y"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := v.Load(); got != (point{}) || err == nil {
		t.Errorf("half a file is %v, %v", got, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	v, failed = open()
	v.Save(point{1, 1})
	v.Close()
	if len(*failed) != 1 {
		t.Fatalf("what could not be written is told as %v", *failed)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	v.Save(point{2, 2})
	v.Close()
	if got, err := v.Load(); got != (point{2, 2}) || err != nil || len(*failed) != 1 {
		t.Errorf("after a failure: %v, %v; not written: %v", got, err, *failed)
	}
}

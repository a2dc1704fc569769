// Package atomicfile replaces files whole: a reader, and a process that dies,
// sees the old content or the new one; Value keeps the last of some values in one.
// It knows nothing of what they mean, and locks nothing: each file has one writer.
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Replace writes a file of mode 0600, and its folders with mode 0700 where there
// are none. A machine that loses its power may lose the new content.
func Replace(path string, data []byte) error { return replace(path, data, false) }

// ReplaceSynced is Replace for what must outlive a loss of power.
func ReplaceSynced(path string, data []byte) error { return replace(path, data, true) }

func replace(path string, data []byte, synced bool) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil && synced {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// Later runs a write a little after it was first asked for, once for all that
// asked meanwhile.
type Later struct {
	pause time.Duration
	write func()

	mu   sync.Mutex
	due  *time.Timer // nil while nobody has asked
	runs sync.WaitGroup
}

// NewLater makes one whose write runs pause after it was asked for.
func NewLater(pause time.Duration, write func()) *Later { return &Later{pause: pause, write: write} }

// Ask has the write run, if it is not due already.
func (l *Later) Ask() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due != nil {
		return
	}
	l.runs.Add(1)
	l.due = time.AfterFunc(l.pause, l.run)
}

func (l *Later) run() {
	defer l.runs.Done()
	l.mu.Lock()
	l.due = nil
	l.mu.Unlock()
	l.write()
}

// Close runs a write that is due at once, and returns when none runs any more.
func (l *Later) Close() {
	l.mu.Lock()
	early := l.due != nil && l.due.Stop()
	l.mu.Unlock()
	if early {
		l.run()
	}
	l.runs.Wait()
}

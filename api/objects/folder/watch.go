package folder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long the folder must be still before it is scanned: an
	// editor's save is several events, and what is saved together belongs
	// together.
	settle = 15 * time.Millisecond
	// longest bounds the wait while events keep coming.
	longest = 150 * time.Millisecond
	// sweep is how often the folder is scanned without any event: some file
	// systems tell nothing.
	sweep = 2 * time.Second
)

// Watch scans now and after each change, and hands on every scan that found
// something new, until ctx ends. A scan that fails is handed on as its error;
// watching goes on.
func (s *Source) Watch(ctx context.Context, on func(Scan, error)) error {
	if len(s.memory.known) == 0 { // else a folder that is not there has been lost
		if err := os.MkdirAll(s.opts.Dir, 0o755); err != nil {
			return fmt.Errorf("watch %s: %w", s.opts.Dir, err)
		}
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.opts.Dir, err)
	}
	defer w.Close()
	told, watched := "", s.follow(w, false)
	look := func() {
		scan, err := s.Scan()
		watched = s.follow(w, watched && err == nil)
		if now := fmt.Sprint(scan.Problems, err); len(scan.Changes) > 0 || now != told {
			told = now
			on(scan, err)
		}
	}
	look()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.Events:
			if ext := filepath.Ext(e.Name); ext == ".yaml" || ext == ".yml" {
				rest(ctx, w)
				look()
			}
		case <-w.Errors:
			look()
		case <-time.After(sweep):
			look()
		}
	}
}

// follow has w watch the folder, anew where it was away, and tells whether it
// does; while it does not, the sweep sees what changes.
func (s *Source) follow(w *fsnotify.Watcher, watched bool) bool {
	if watched {
		return true
	}
	_ = w.Remove(s.opts.Dir) // a folder of this name that was moved away
	return w.Add(s.opts.Dir) == nil
}

// rest waits until the folder is still.
func rest(ctx context.Context, w *fsnotify.Watcher) {
	end := time.After(longest)
	for {
		select {
		case <-w.Events:
		case <-time.After(settle):
			return
		case <-end:
			return
		case <-ctx.Done():
			return
		}
	}
}

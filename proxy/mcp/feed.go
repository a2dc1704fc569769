package mcp

import (
	"io"
	"sync"
)

// feed is a body that is written while it is read: events on their way to an
// entry proxy. It is bounded; a reader too slow for it finds it cut.
type feed struct {
	mu     sync.Mutex
	more   chan struct{} // has one element where a Read may have something to do
	queue  [][]byte
	size   int
	most   int
	over   bool // no more is written
	closed func()
}

func newFeed(most int, closed func()) *feed {
	return &feed{more: make(chan struct{}, 1), most: most, closed: closed}
}

func (f *feed) wake() {
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// write adds bytes; it tells whether anybody will read them.
func (f *feed) write(p []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || f.size+len(p) > f.most {
		f.over = true
		f.wake()
		return false
	}
	f.queue, f.size = append(f.queue, p), f.size+len(p)
	f.wake()
	return true
}

// end lets the reader come to the end of what was written.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.wake()
}

// stop ends whoever writes; what was written can still be read.
func (f *feed) stop() {
	f.mu.Lock()
	closed := f.closed
	f.closed = nil
	f.mu.Unlock()
	if closed != nil {
		closed()
	}
}

// Read waits for bytes.
func (f *feed) Read(p []byte) (int, error) {
	for {
		f.mu.Lock()
		if len(f.queue) > 0 {
			n := copy(p, f.queue[0])
			f.size -= n
			if f.queue[0] = f.queue[0][n:]; len(f.queue[0]) == 0 {
				f.queue = f.queue[1:]
			}
			f.mu.Unlock()
			return n, nil
		}
		over := f.over
		f.mu.Unlock()
		if over {
			f.wake() // for whoever reads again
			return 0, io.EOF
		}
		<-f.more
	}
}

// Close ends the feed for both sides.
func (f *feed) Close() error {
	f.mu.Lock()
	f.over, f.queue, f.size = true, nil, 0
	f.wake()
	f.mu.Unlock()
	f.stop()
	return nil
}

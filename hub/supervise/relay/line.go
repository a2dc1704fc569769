package relay

import (
	"sync"
	"time"
)

// lineBytes bounds what travels in one direction of one connection: the
// receive window of the simulated path. Beyond it the sender is held back.
const lineBytes = 4 << 20

// mark says what an item is.
type mark uint8

const (
	data  mark = iota
	fin        // the sender has no more to say
	reset      // the sender's connection is broken
)

type item struct {
	mark    mark
	bytes   []byte
	sent    time.Time
	latency time.Duration
}

// line carries one direction of a connection: items come out in order, each no
// sooner than its latency after it was sent. Many may push, one takes.
type line struct {
	path   path
	filled chan struct{} // capacity 1: something was pushed
	freed  chan struct{} // capacity 1: something was taken

	mu    sync.Mutex
	items []item
	held  int       // bytes in items
	ended bool      // a fin or a reset was pushed
	floor time.Time // nothing counts as sent before: the handshake's end
}

func newLine(p path) *line {
	return &line{path: p, filled: make(chan struct{}, 1), freed: make(chan struct{}, 1)}
}

// send puts a copy of bytes on the line, waiting for room; false if done was
// closed before there was any.
func (l *line) send(done <-chan struct{}, bytes []byte) bool {
	it := item{bytes: append([]byte(nil), bytes...), sent: time.Now(), latency: l.path.latency(len(bytes))}
	for !l.push(it) {
		select {
		case <-l.freed:
		case <-done:
			return false
		}
	}
	return true
}

// end puts a fin or a reset on the line, for which there is always room.
func (l *line) end(m mark) item {
	it := item{mark: m, sent: time.Now(), latency: l.path.latency(0)}
	l.push(it)
	return it
}

func (l *line) push(it item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if it.mark == data && l.held > 0 && l.held+len(it.bytes) > lineBytes {
		return false
	}
	l.items = append(l.items, it)
	l.held += len(it.bytes)
	l.ended = l.ended || it.mark != data
	signal(l.filled)
	return true
}

// take returns the next item once it has arrived; false if done was closed first.
func (l *line) take(done <-chan struct{}) (item, bool) {
	for {
		it, floor, ok := l.first()
		if ok {
			if floor.After(it.sent) {
				it.sent = floor
			}
			if !l.path.wait(done, it.sent, it.latency) {
				return item{}, false
			}
			l.drop()
			return it, true
		}
		select {
		case <-l.filled:
		case <-done:
			return item{}, false
		}
	}
}

func (l *line) first() (item, time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.items) == 0 {
		return item{}, time.Time{}, false
	}
	return l.items[0], l.floor, true
}

func (l *line) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held -= len(l.items[0].bytes)
	l.items[0] = item{}
	l.items = l.items[1:]
	signal(l.freed)
}

// openAt makes t the earliest that anything on the line counts as sent.
func (l *line) openAt(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.floor = t
}

func (l *line) hasEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

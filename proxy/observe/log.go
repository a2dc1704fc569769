package observe

import (
	"io"
	"sync"
	"time"
)

// Bounds of the access log: how many bytes wait at most for a slow writer, and
// for how long a line waits for company.
const (
	logQueue = 4 << 20
	logBatch = 64 << 10
	logDelay = 50 * time.Millisecond
)

// lines is a bounded queue of log lines with one writer behind it. A full queue
// drops lines and counts them: a request never waits for its log line.
type lines struct {
	w    io.Writer
	wake chan struct{}
	full chan struct{}
	done chan struct{}

	mu      sync.Mutex
	queue   []byte
	spare   []byte
	dropped uint64
	closed  bool
}

func newLines(w io.Writer) *lines {
	l := &lines{
		w: w, wake: make(chan struct{}, 1), full: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go l.run()
	return l
}

// add queues a line, its end included; it is false where the line was dropped.
func (l *lines) add(line []byte) bool {
	l.mu.Lock()
	if l.closed || len(l.queue)+len(line) > logQueue {
		l.dropped++
		l.mu.Unlock()
		return false
	}
	first := len(l.queue) == 0
	l.queue = append(l.queue, line...)
	batch := len(l.queue) >= logBatch
	l.mu.Unlock()
	if first {
		signal(l.wake)
	}
	if batch {
		signal(l.full)
	}
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *lines) run() {
	defer close(l.done)
	timer := time.NewTimer(logDelay)
	defer timer.Stop()
	for range l.wake {
		timer.Reset(logDelay)
		select {
		case <-timer.C:
		case <-l.full:
		}
		if !l.flush() {
			return
		}
	}
}

// flush writes what waits; it is false once the queue is closed and empty.
// A failed write loses its lines: there is nowhere to say so but the counter.
func (l *lines) flush() bool {
	l.mu.Lock()
	out := l.queue
	l.queue, l.spare = l.spare[:0], nil
	closed := l.closed
	l.mu.Unlock()
	if len(out) > 0 {
		if _, err := l.w.Write(out); err != nil {
			l.mu.Lock()
			l.dropped++
			l.mu.Unlock()
		}
	}
	if cap(out) > 4*logBatch {
		out = nil
	}
	l.mu.Lock()
	l.spare = out[:0]
	l.mu.Unlock()
	return !closed
}

func (l *lines) lost() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.dropped)
}

// close writes what waits and ends the writer.
func (l *lines) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	signal(l.full)
	signal(l.wake)
	<-l.done
}

package plain

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/navehq/nave/proxy/message"
)

// inlineBody is up to where the engines send a body before they read the
// answer; a longer one that may have to be repeated is read whole first.
const inlineBody = 64 << 10

// gather reads a body of known length that is longer than inlineBody and not
// longer than limit.
func gather(r *message.Request, limit int64) error {
	if r.ContentLength <= inlineBody || r.ContentLength > limit {
		return nil
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return fmt.Errorf("reading the request's body: %w", err)
	}
	r.Body = bytes.NewReader(body)
	return nil
}

// replay is a request's body that remembers what was read of it, up to limit
// bytes, so that it can be read from its beginning again. An engine may read it
// on a goroutine of its own and close it meanwhile.
type replay struct {
	src   io.Reader
	limit int64

	mu   sync.Mutex // held while reading
	kept []byte
	at   int   // of kept, where the next read begins
	err  error // the source's end
	over bool  // more was read than is kept

	touched, ended, closed atomic.Bool
}

// Read gives what is kept, then reads on.
func (b *replay) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at < len(b.kept) {
		n := copy(p, b.kept[b.at:])
		b.at += n
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	b.touched.Store(true)
	n, err := b.src.Read(p)
	if b.err = err; err == io.EOF {
		b.ended.Store(true)
	}
	switch {
	case b.over:
	case int64(len(b.kept)+n) > b.limit:
		b.over, b.kept, b.at = true, nil, 0
	default:
		b.kept = append(b.kept, p[:n]...)
		b.at = len(b.kept)
	}
	return n, err
}

// Close ends a read that waits. A body of which nothing was read, or all, is
// left as it is: it can be read again.
func (b *replay) Close() error {
	if b.ended.Load() || !b.touched.Load() {
		return nil
	}
	b.closed.Store(true)
	if c, ok := b.src.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// whole tells whether the body can be read again from its beginning. After an
// answer, an engine may still be reading what is left of it; after a failure
// none is.
func (b *replay) whole(failed bool) bool {
	if b == nil {
		return true
	}
	if !b.mu.TryLock() {
		return false
	}
	defer b.mu.Unlock()
	if b.over {
		return false
	}
	return b.ended.Load() || !b.closed.Load() && (failed || !b.touched.Load())
}

func (b *replay) rewind() {
	if b != nil {
		b.mu.Lock()
		b.at = 0
		b.mu.Unlock()
	}
}

package http1

import (
	"io"
	"time"

	"github.com/navehq/nave/proxy/message"
)

// pump sends a large or endless body while the answer is awaited. It is the one
// thing that a call does on a second goroutine; the call waits for it.
type pump struct {
	done   chan struct{}
	err    error // after done
	source bool  // after done: err is the body's own, not the connection's
	closer bool  // the body can be told to end a waiting read
}

// startPump sends r's body. Where the body itself fails, abort ends the wait for
// an answer that cannot come.
func startPump(r *message.Request, w bodyWriter, abort func()) *pump {
	p := &pump{done: make(chan struct{})}
	_, p.closer = r.Body.(io.Closer)
	go func() {
		defer close(p.done)
		if p.err = copyBody(&w, r.Body); p.err == nil {
			p.err = w.end(&r.Trailer)
		}
		w.out.release()
		if p.source = p.err != nil && !w.out.failed; p.source {
			abort()
		}
	}()
	return p
}

// pumpGrace is how long a call whose answer is complete waits for the last
// write to return: the server has read what it wrote.
const pumpGrace = 10 * time.Millisecond

// ended tells whether the whole body was sent.
func (p *pump) ended() bool {
	select {
	case <-p.done:
		return p.err == nil
	default:
	}
	t := time.NewTimer(pumpGrace)
	defer t.Stop()
	select {
	case <-p.done:
		return p.err == nil
	case <-t.C:
		return false
	}
}

// failure is what ended the pump, as far as it is known, and whether the body
// was at fault. One that has called abort is about to be done.
func (p *pump) failure() (err error, source bool) {
	if p.ended() {
		return nil, false
	}
	select {
	case <-p.done:
		return p.err, p.source
	default:
		return nil, false
	}
}

// end stops the pump, whose connection is closed already, and waits for it. A
// body that cannot be closed may hold its read until its own connection ends;
// such a one is not waited for.
func (p *pump) end(body io.Reader) {
	if !p.closer {
		return
	}
	select {
	case <-p.done:
	default:
		body.(io.Closer).Close()
		<-p.done
	}
}

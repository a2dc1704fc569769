package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// resetGrace is how long bytes that arrived before a reset may still wait for
// their reader before the reset overtakes them.
const resetGrace = 50 * time.Millisecond

// serveTCP accepts until the listener is closed, and returns when the last of
// its connections is gone.
func (s *service) serveTCP(ctx context.Context, listener net.Listener) {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var flows sync.WaitGroup
	defer flows.Wait()
	for {
		client, err := listener.Accept()
		switch {
		case err == nil:
			flows.Go(func() { s.carry(ctx, client) })
		case errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
			return
		default: // out of descriptors: they come back when connections end
			s.log.Warn("accepting a connection", "listen", s.route.Listen, "error", err)
			select {
			case <-time.After(minRTO):
			case <-ctx.Done():
			}
		}
	}
}

// carry is the life of one connection. The client's side is open at once, since
// the system accepts for us; what the client then sends counts as sent when the
// handshake with the target would have been over, a round trip later.
func (s *service) carry(ctx context.Context, client net.Conn) {
	s.accepted.Add(1)
	s.open.Add(1)
	defer s.open.Add(-1)
	out := newLine(s.out)
	f := &flow{client: client, out: out, back: newLine(s.out.reverse()), done: make(chan struct{}), joined: make(chan struct{})}
	defer f.workers.Wait()
	defer f.close()
	stop := context.AfterFunc(ctx, func() { f.abort() })
	defer stop()
	f.workers.Go(func() { f.read(client, out) })
	if !s.connect(ctx, f) {
		return
	}
	f.workers.Go(func() { f.read(f.target, f.back) })
	f.workers.Go(func() { f.write(f.client, f.back, f.out) })
	f.write(f.target, f.out, f.back)
	<-f.done
}

// connect plays the handshake: SYN out, SYN-ACK or RST back. The acknowledgement
// that lets the target speak first travels once more. A client that gave up
// during a partition is not connected after it.
func (s *service) connect(ctx context.Context, f *flow) bool {
	began := time.Now()
	if !f.out.path.wait(f.done, began, f.out.path.latency(0)) {
		return false
	}
	if f.out.path.healedSince(began) && f.out.hasEnded() {
		return false
	}
	target, err := s.dial(ctx, s.route.Network, s.route.Source, s.route.Target)
	if !f.back.path.wait(f.done, time.Now(), f.back.path.latency(0)) || err != nil {
		if err != nil {
			s.refused.Add(1)
			f.abort()
		} else {
			target.Close()
		}
		return false
	}
	established := time.Now()
	f.out.openAt(established)
	f.back.openAt(established.Add(f.out.path.delay()))
	f.join(target)
	return true
}

// flow is one connection: two sockets, and a line for each direction.
type flow struct {
	client, target net.Conn
	out, back      *line // client to target, target to client
	workers        sync.WaitGroup
	fins           atomic.Int32

	mu     sync.Mutex    // orders join and close
	joined chan struct{} // closed once target is set
	done   chan struct{} // closed once both sockets are
	closed bool
}

func (f *flow) join(target net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = target
	if f.closed {
		target.Close()
	}
	close(f.joined)
}

// close ends the connection at both sides, as far as it still lives.
func (f *flow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	close(f.done)
	f.client.Close()
	if f.target != nil {
		f.target.Close()
	}
}

// abort resets both sides.
func (f *flow) abort() {
	f.mu.Lock()
	linger(f.client)
	if f.target != nil {
		linger(f.target)
	}
	f.mu.Unlock()
	f.close()
}

// read puts what src says on the line, its end included.
func (f *flow) read(src net.Conn, l *line) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := src.Read(buffer)
		if n > 0 && !l.send(f.done, buffer[:n]) {
			return
		}
		if errors.Is(err, io.EOF) {
			l.end(fin)
			return
		}
		if err != nil {
			f.overtake(l, l.end(reset))
			return
		}
	}
}

// overtake frees a writer that is stuck in front of a reset that has arrived: a
// peer that does not read must still learn of it.
func (f *flow) overtake(l *line, it item) {
	select {
	case <-f.joined:
	case <-f.done:
		return
	}
	if l.path.wait(f.done, it.sent, it.latency+resetGrace) {
		dst := f.client
		if l == f.out {
			dst = f.target
		}
		_ = dst.SetWriteDeadline(time.Now())
	}
}

// write gives dst what arrives on the line. Where dst is broken, it says so on
// the opposite line and swallows the rest, as a network would.
func (f *flow) write(dst net.Conn, l, opposite *line) {
	broken := false
	for {
		it, ok := l.take(f.done)
		if !ok {
			return
		}
		switch it.mark {
		case reset:
			linger(dst)
			f.close()
			return
		case fin:
			closeWrite(dst)
			if f.fins.Add(1) == 2 {
				f.close()
				return
			}
		default:
			if broken {
				continue
			}
			if _, err := dst.Write(it.bytes); err != nil {
				broken = true
				it := opposite.end(reset)
				f.workers.Go(func() { f.overtake(opposite, it) })
			}
		}
	}
}

// linger makes closing c a reset.
func linger(c net.Conn) {
	if tcp, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0)
	}
}

func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	c.Close()
}

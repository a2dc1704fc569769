//go:build unix

package http1

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peeker asks the kernel whether a socket's peer has closed or reset it,
// without reading from it: also where unread bytes (a pipelined request, a TLS
// alert) lie before the end, which a peek at the data could not see past.
type peeker struct {
	raw   syscall.RawConn
	ask   func(fd uintptr)
	event int16
}

// newPeeker is nil for a connection that is no socket.
func newPeeker(c net.Conn) *peeker {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	p := &peeker{raw: raw}
	p.ask = func(fd uintptr) {
		set := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | pollHalfClosed}}
		p.event = 0
		if n, err := unix.Poll(set[:], 0); err == nil && n > 0 {
			p.event = set[0].Revents
		}
	}
	return p
}

// gone tells whether the peer has ended the connection, if only its sending
// half. It is for one goroutine at a time; others may read and write meanwhile.
func (p *peeker) gone() bool {
	return p.poll()&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL|pollHalfClosed) != 0
}

// silent tells whether the peer has neither ended the connection nor sent
// anything that was not read.
func (p *peeker) silent() bool { return p.poll() == 0 }

func (p *peeker) poll() int16 {
	if p == nil {
		return 0
	}
	if p.raw.Control(p.ask) != nil {
		return unix.POLLNVAL
	}
	return p.event
}

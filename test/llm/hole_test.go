package llm_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// bound is a socket with an address of its own, and the address: as long as the
// test runs, nobody else is given it, and it refuses what connects to it.
func bound(t *testing.T) (fd int, address string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	check(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := syscall.Getsockname(fd)
	check(t, err)
	v4, _ := name.(*syscall.SockaddrInet4)
	return fd, netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), uint16(v4.Port)).String()
}

// hole is an address that takes no connection and refuses none: a listener whose
// queue is full.
func hole(t *testing.T) string {
	t.Helper()
	fd, address := bound(t)
	check(t, syscall.Listen(fd, 0))
	for range 64 {
		c, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the queue of a listener does not fill")
	return ""
}

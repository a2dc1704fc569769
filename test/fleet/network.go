package fleet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// network gives every process of a fleet an address of its own, 10.0.0.0/8,
// whatever the machine has: each stands for a free port of the loopback.
type network struct {
	mu sync.Mutex
	at map[string]string // as the fleet knows it → as it is
}

func newNetwork() *network { return &network{at: map[string]string{}} }

func (n *network) listen(ctx context.Context, _, address string) (net.Listener, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen at %q: %w", address, err)
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at[address] != "" {
		_ = l.Close() // nobody knows of it
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: syscall.EADDRINUSE}
	}
	n.at[address] = l.Addr().String()
	return &listener{l, n, net.TCPAddrFromAddrPort(ap)}, nil
}

// dial reaches the fleet's own addresses, and what really listens on the loopback.
func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	real := n.at[address]
	n.mu.Unlock()
	if ap, err := netip.ParseAddrPort(address); real == "" && err == nil && ap.Addr().IsLoopback() {
		real = address
	}
	if real == "" {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", address, syscall.ECONNREFUSED)}
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", real)
}

// listener is open at an address of the fleet.
type listener struct {
	net.Listener
	network *network
	addr    *net.TCPAddr
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Close() error {
	l.network.mu.Lock()
	if l.network.at[l.addr.String()] == l.Listener.Addr().String() {
		delete(l.network.at, l.addr.String())
	}
	l.network.mu.Unlock()
	return l.Listener.Close()
}

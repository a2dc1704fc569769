package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// mappingIdle is how long a client's mapping outlives its last datagram, as
	// connection tracking in Linux has it for a flow that goes both ways.
	mappingIdle = 3 * time.Minute
	// maxMappings and maxFlying bound one route's clients and its datagrams on
	// the way; what is beyond is dropped, as a full router would.
	maxMappings = 8192
	maxFlying   = 16384
	maxDatagram = 64 << 10
)

// serveUDP forwards datagrams until ctx ends. Each client has a socket of its
// own towards the target, and the target's answers to that socket reach the
// client from the address that it wrote to, as through a NAT.
func (s *service) serveUDP(ctx context.Context, front net.PacketConn) {
	p := &packets{service: s, front: front, post: newPost(), mappings: map[netip.AddrPort]*mapping{}}
	stop := context.AfterFunc(ctx, func() { p.close() })
	defer stop()
	p.readers.Go(func() { p.post.run(ctx) })
	defer p.readers.Wait()
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := front.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		if m := p.mapping(ctx, from); m != nil {
			m.used.Store(time.Now().UnixNano())
			p.post.send(s.out, buffer[:n], func(b []byte) { _, _ = m.back.Write(b) })
		}
	}
}

// packets is one UDP route at work.
type packets struct {
	*service
	front   net.PacketConn
	post    *post
	readers sync.WaitGroup

	mu       sync.Mutex
	mappings map[netip.AddrPort]*mapping
	closed   bool
}

// mapping is one client's socket towards the target.
type mapping struct {
	back net.Conn
	used atomic.Int64 // when the client last wrote or was written to, UnixNano
}

func (p *packets) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	_ = p.front.Close()
	for _, m := range p.mappings {
		m.back.Close()
	}
}

// mapping finds or makes a client's socket; nil if there cannot be one.
func (p *packets) mapping(ctx context.Context, from net.Addr) *mapping {
	key, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.mappings[key]; m != nil || p.closed || len(p.mappings) >= maxMappings {
		return m
	}
	back, err := p.dial(ctx, p.route.Network, p.route.Source, p.route.Target)
	if err != nil {
		p.refused.Add(1)
		p.log.Warn("opening a socket towards a target", "target", p.route.Target, "error", err)
		return nil
	}
	m := &mapping{back: back}
	m.used.Store(time.Now().UnixNano())
	p.mappings[key] = m
	p.accepted.Add(1)
	p.open.Add(1)
	p.readers.Go(func() { p.answer(key, from, m) })
	return m
}

// answer carries what the target says to one client until nobody has spoken for
// mappingIdle.
func (p *packets) answer(key netip.AddrPort, client net.Addr, m *mapping) {
	defer p.forget(key, m)
	buffer := make([]byte, maxDatagram)
	for {
		_ = m.back.SetReadDeadline(time.Unix(0, m.used.Load()).Add(mappingIdle))
		n, err := m.back.Read(buffer)
		switch {
		case err == nil:
			m.used.Store(time.Now().UnixNano())
			p.post.send(p.out.reverse(), buffer[:n], func(b []byte) { _, _ = p.front.WriteTo(b, client) })
		case errors.Is(err, syscall.ECONNREFUSED):
			// Nobody listened when the client wrote: somebody may, later.
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, m.used.Load())) < mappingIdle:
			// The client wrote since the deadline was set.
		default:
			return
		}
	}
}

func (p *packets) forget(key netip.AddrPort, m *mapping) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.back.Close()
	delete(p.mappings, key)
	p.open.Add(-1)
}

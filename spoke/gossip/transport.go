package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/net/netutil"
)

// What a transport reads and carries at one time.
const (
	maxPacket  = 64 << 10
	maxStreams = 64
)

var errNoPeer = errors.New("no address is known for it")

// Transport carries gossip over UDP packets and TCP streams, by the names of
// members.
type Transport struct {
	listener net.Listener
	packets  net.PacketConn
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	log      *slog.Logger

	packetCh chan *memberlist.Packet
	streamCh chan net.Conn
	done     chan struct{}
	closing  sync.Once
	// ctx ends the dials that are under way.
	ctx    context.Context
	hangUp context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	peers map[string]string
}

// NewTransport takes over both sockets, which have to be of one port, and
// closes them at its end.
func NewTransport(l net.Listener, p net.PacketConn, dial func(ctx context.Context, network, address string) (net.Conn, error), log *slog.Logger) *Transport {
	t := &Transport{
		listener: netutil.LimitListener(l, maxStreams), packets: p, dial: dial, log: log,
		packetCh: make(chan *memberlist.Packet), streamCh: make(chan net.Conn), done: make(chan struct{}),
		peers: map[string]string{},
	}
	t.ctx, t.hangUp = context.WithCancel(context.Background())
	t.wg.Go(t.readPackets)
	t.wg.Go(t.acceptStreams)
	return t
}

func (t *Transport) setPeers(peers map[string]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers = maps.Clone(peers)
}

func (t *Transport) address(a memberlist.Address) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := t.peers[a.Name]; at != "" {
		return at, nil
	}
	return "", fmt.Errorf("reach gossip member %q: %w", a.Name, errNoPeer)
}

func (t *Transport) readPackets() {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := t.packets.ReadFrom(buf)
		now := time.Now()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n == 0 {
			// A peer that is not there answers a packet with an error of its own.
			if t.pause(err) {
				return
			}
			continue
		}
		select {
		case t.packetCh <- &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: now}:
		case <-t.done:
			return
		}
	}
}

// pause waits a moment, so that an error that stays costs little, and tells
// whether it was the last.
func (t *Transport) pause(err error) bool {
	if err != nil {
		t.log.Debug("read gossip", "err", err)
	}
	select {
	case <-t.done:
		return true
	case <-time.After(5 * time.Millisecond):
		return false
	}
}

func (t *Transport) acceptStreams() {
	for {
		conn, err := t.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if t.pause(err) {
				return
			}
			continue
		}
		select {
		case t.streamCh <- conn:
		case <-t.done:
			_ = conn.Close()
			return
		}
	}
}

// FinalAdvertiseAddr is never dialled; memberlist asks before it knows names.
func (t *Transport) FinalAdvertiseAddr(ip string, _ int) (net.IP, int, error) {
	return net.ParseIP(ip), port, nil
}

// WriteTo is not used: members are written to by name.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends one packet to the member of that name.
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	at, err := t.address(a)
	if err != nil {
		return time.Time{}, err
	}
	to, err := net.ResolveUDPAddr("udp", at)
	if err != nil {
		return time.Time{}, fmt.Errorf("reach gossip member %q: %w", a.Name, err)
	}
	now := time.Now()
	_, err = t.packets.WriteTo(b, to)
	return now, err
}

// PacketCh gives what came.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packetCh }

// DialTimeout is not used: members are dialled by name.
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a stream to the member of that name.
func (t *Transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	at, err := t.address(a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	return t.dial(ctx, "tcp", at)
}

// StreamCh gives the streams that came.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streamCh }

// Shutdown closes the sockets.
func (t *Transport) Shutdown() error {
	t.close()
	return nil
}

func (t *Transport) close() {
	t.closing.Do(func() {
		t.hangUp()
		close(t.done)
		_ = t.listener.Close() // nothing is left to save
		_ = t.packets.Close()
	})
	t.wg.Wait()
}

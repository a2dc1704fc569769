package spoke

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// ports are the spoke's open ones; api and gossip may be nil.
type ports struct {
	config, metrics, health, api, gossip net.Listener
	packets                              net.PacketConn
}

func (p *ports) close() {
	for _, l := range []net.Listener{p.config, p.metrics, p.health, p.api, p.gossip} {
		if l != nil {
			_ = l.Close() // nothing was served
		}
	}
	if p.packets != nil {
		_ = p.packets.Close()
	}
}

func (s *Spoke) openPorts(ctx context.Context) error {
	for _, p := range []struct {
		address  string
		into     *net.Listener
		what     string
		optional bool
	}{
		{s.opts.Config, &s.ports.config, "proxies", false}, {s.opts.Metrics, &s.ports.metrics, "metrics", false},
		{s.opts.Health, &s.ports.health, "health", false}, {s.opts.API, &s.ports.api, "the API", true},
	} {
		if p.optional && p.address == "" {
			continue
		}
		l, err := s.listen(ctx, p.address)
		if err != nil {
			return fmt.Errorf("listen for %s: %w", p.what, err)
		}
		*p.into = l
	}
	if s.opts.Gossip == "" {
		return nil
	}
	if err := s.openGossipPorts(ctx); err != nil {
		return fmt.Errorf("listen for gossip: %w", err)
	}
	return nil
}

// listen opens a port, or, where that is allowed, another one.
func (s *Spoke) listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := s.deps.Listen(ctx, "tcp", address)
	if err == nil || !s.opts.AnyPort {
		return l, err
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return nil, err
	}
	for _, h := range []string{host, "127.0.0.1"} {
		if l, again := s.deps.Listen(ctx, "tcp", net.JoinHostPort(h, "0")); again == nil {
			s.deps.Log.Warn("use a free port", "wanted", address, "is", l.Addr().String(), "cause", err)
			return l, nil
		}
	}
	return nil, err
}

// sameAttempts is how often to look for a port that is free for streams and
// packets alike.
const sameAttempts = 10

// openGossipPorts opens one port for streams and for packets.
func (s *Spoke) openGossipPorts(ctx context.Context) error {
	address, err := s.opts.Gossip, error(nil)
	for range sameAttempts {
		var l net.Listener
		if l, err = s.listen(ctx, address); err != nil {
			return err
		}
		var p net.PacketConn
		if p, err = s.deps.ListenPacket(ctx, "udp", l.Addr().String()); err == nil {
			s.ports.gossip, s.ports.packets = l, p
			return nil
		}
		_ = l.Close()
		if !s.opts.AnyPort {
			return err
		}
		host, _, splitErr := net.SplitHostPort(l.Addr().String())
		if splitErr != nil {
			return err
		}
		address = net.JoinHostPort(host, "0")
	}
	return err
}

// reached is where others reach a port of this spoke.
func (s *Spoke) reached(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.IsUnspecified() || s.opts.Advertise == "" {
		return l.Addr().String()
	}
	return net.JoinHostPort(s.opts.Advertise, strconv.Itoa(addr.Port))
}

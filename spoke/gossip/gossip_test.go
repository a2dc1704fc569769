package gossip_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/spoke/gossip"
)

// spoke is one member on a loopback port.
type spoke struct {
	t       *testing.T
	name    string
	address string
	gossip  *gossip.Gossip
	stop    func()

	mu      sync.Mutex
	samples map[string]*assignment.Sample
}

func verify(cluster string, meta []byte) error {
	if string(meta) != "I am "+cluster {
		return errors.New("forged")
	}
	return nil
}

func start(t *testing.T, name, meta string) *spoke {
	t.Helper()
	var d net.Dialer
	l, p := sockets(t)
	s := &spoke{t: t, name: name, address: l.Addr().String(), samples: map[string]*assignment.Sample{}}
	s.gossip = gossip.New(gossip.Options{
		Cluster: name, Meta: []byte(meta), Verify: verify, Log: slog.New(slog.DiscardHandler),
		Transport: gossip.NewTransport(l, p, d.DialContext, slog.New(slog.DiscardHandler)),
		Sample: func(x *assignment.Sample) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.samples[x.To] = x
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.gossip.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s ends: %v", name, err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// sockets are a TCP and a UDP one of the same port.
func sockets(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	var lc net.ListenConfig
	for range 20 {
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if p, err := lc.ListenPacket(t.Context(), "udp", l.Addr().String()); err == nil {
			return l, p
		}
		_ = l.Close()
	}
	t.Fatal("no port is free for both")
	return nil, nil
}

func (s *spoke) sample(to string) *assignment.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.samples[to]
}

func meet(keys [][]byte, all ...*spoke) {
	for _, s := range all {
		peers := map[string]string{}
		for _, o := range all {
			if o != s {
				peers[o.name] = o.address
			}
		}
		s.gossip.SetPeers(peers)
		s.gossip.SetKeys(keys)
	}
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func key() []byte {
	k := make([]byte, 32)
	_, _ = rand.Read(k)
	return k
}

func (s *spoke) sees(names ...string) func() bool {
	return func() bool { return slices.Equal(s.gossip.Members(), names) }
}

func TestMembersMeetAndMeasureEachOther(t *testing.T) {
	t.Parallel()
	a, b, c := start(t, "a", "I am a"), start(t, "b", "I am b"), start(t, "c", "I am c")
	keys := [][]byte{key()}
	meet(keys, a, b, c)
	until(t, "a sees both", a.sees("b", "c"))
	until(t, "c sees both", c.sees("a", "b"))
	until(t, "a measures both", func() bool { return a.sample("b") != nil && a.sample("c") != nil })
	if e := a.gossip.RTT("b"); !e.Known || e.Value <= 0 || e.Value > time.Second {
		t.Errorf("round trip to b: %+v", e)
	}
	if s := a.sample("b"); s.From != "a" || s.Measure != "gossip" || s.Lost {
		t.Errorf("sample: %+v", s)
	}

	// A new key opens everywhere first, then seals, then the old one goes.
	next := key()
	for _, keys := range [][][]byte{{keys[0], next}, {next, keys[0]}, {next}} {
		meet(keys, a, b, c)
		was := a.sample("b").At
		until(t, "pings go on over a rotation", func() bool { return a.sample("b").At.After(was) })
	}

	b.stop()
	until(t, "a sees b leave", a.sees("c"))
	until(t, "and says so", func() bool { return a.sample("b").Lost })
	again := start(t, "b", "I am b")
	meet([][]byte{next}, a, again, c)
	until(t, "b comes back at another address", a.sees("b", "c"))
	until(t, "and is measured", func() bool { return !a.sample("b").Lost })
}

func TestWhoCannotProveItselfIsNoMember(t *testing.T) {
	t.Parallel()
	a, b := start(t, "a", "I am a"), start(t, "b", "I am b")
	forger, stranger, outsider := start(t, "c", "I am a"), start(t, "x", "I am x"), start(t, "d", "I am d")
	keys := [][]byte{key()}
	meet(keys, a, b, forger)
	// x proves its name, but nobody has it as a peer; d has another key.
	stranger.gossip.SetPeers(map[string]string{"a": a.address, "b": b.address})
	stranger.gossip.SetKeys(keys)
	outsider.gossip.SetPeers(map[string]string{"a": a.address})
	outsider.gossip.SetKeys([][]byte{key()})
	a.gossip.SetPeers(map[string]string{"b": b.address, "c": forger.address, "d": outsider.address})
	until(t, "a and b meet", func() bool { return a.sees("b")() && b.sees("a")() })
	until(t, "a measures b", func() bool { return a.sample("b") != nil })
	if got := a.gossip.Members(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("a counts %v", got)
	}
}

func TestGarbageEndsNothing(t *testing.T) {
	t.Parallel()
	a, b := start(t, "a", "I am a"), start(t, "b", "I am b")
	meet([][]byte{key()}, a, b)
	until(t, "a and b meet", a.sees("b"))
	for _, junk := range [][]byte{{}, {0}, make([]byte, 60000), []byte("GET / HTTP/1.1\r\n\r\n"), {0, 0, 0, 0xff, 0xff, 0xff, 0xff}} {
		for _, network := range []string{"udp", "tcp"} {
			c, err := net.Dial(network, a.address)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write(junk)
			_ = c.Close()
		}
	}
	was := a.sample("b")
	until(t, "pings go on", func() bool { s := a.sample("b"); return s != nil && s != was && !s.Lost })
}

func TestSilentWithoutKeys(t *testing.T) {
	t.Parallel()
	a, b := start(t, "a", "I am a"), start(t, "b", "I am b")
	meet(nil, a, b)
	if got := a.gossip.Members(); len(got) != 0 {
		t.Errorf("members %v without keys", got)
	}
	meet([][]byte{[]byte("short")}, a, b) // a key that none can use is none
	if got := a.gossip.Members(); len(got) != 0 {
		t.Errorf("members %v under a key that cannot be used", got)
	}
	good := bytes.Repeat([]byte("k"), 32)
	meet([][]byte{[]byte("short"), good}, a, b)
	until(t, "they meet", func() bool { return len(a.gossip.Members()) == 1 })
	a.stop()
	b.stop()
}

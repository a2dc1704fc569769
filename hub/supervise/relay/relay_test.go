package relay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/navehq/nave/hub/supervise/relay"
)

// bench is a relay between "east" and "west" with sockets that are known before
// it runs.
type bench struct {
	t       *testing.T
	relay   *relay.Relay
	config  relay.Config
	tcp     map[string]net.Listener
	packets map[string]net.PacketConn
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, tcp: map[string]net.Listener{}, packets: map[string]net.PacketConn{}}
	b.relay = relay.New(relay.Options{
		Seed:         1,
		Listen:       func(_ context.Context, _, address string) (net.Listener, error) { return b.tcp[address], nil },
		ListenPacket: func(_ context.Context, _, address string) (net.PacketConn, error) { return b.packets[address], nil },
	})
	t.Cleanup(b.relay.Close)
	return b
}

// route adds a route from east to west and returns where it listens.
func (b *bench) route(network, target string) string {
	b.t.Helper()
	var address string
	if network == "udp" {
		front, err := net.ListenPacket("udp", "127.0.0.1:0")
		check(b.t, err)
		address = front.LocalAddr().String()
		b.packets[address] = front
	} else {
		front, err := net.Listen("tcp", "127.0.0.1:0")
		check(b.t, err)
		address = front.Addr().String()
		b.tcp[address] = front
	}
	b.config.Routes = append(b.config.Routes, relay.Route{From: "east", To: "west", Network: network, Listen: address, Target: target})
	return address
}

// weather sets both directions.
func (b *bench) weather(out, back relay.Link) {
	b.t.Helper()
	out.From, out.To, back.From, back.To = "east", "west", "west", "east"
	b.config.Links = []relay.Link{out, back}
	check(b.t, b.relay.Set(b.config))
}

func ms(n float64) relay.Duration { return relay.Duration(n * float64(time.Millisecond)) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve runs handle for each connection to a server of its own.
func serve(t *testing.T, handle func(net.Conn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var all sync.WaitGroup
	t.Cleanup(func() { listener.Close(); all.Wait() })
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { defer conn.Close(); handle(conn) })
		}
	})
	return listener.Addr().String()
}

func echo(conn net.Conn) { io.Copy(conn, conn) }

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	check(t, err)
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// turn says one byte and waits for one.
func turn(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	_, err := conn.Write([]byte{'x'})
	check(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	check(t, err)
	return time.Since(began)
}

// near measures until a quarter of some turns lies within tolerance of want, and
// none ever below: a busy machine only adds, and has half a minute.
func near(t *testing.T, what string, want, tolerance time.Duration, measure func() time.Duration) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		var all []time.Duration
		for range 21 {
			all = append(all, measure())
		}
		slices.Sort(all)
		quarter := all[len(all)/4]
		t.Logf("%s: least %v, a quarter %v, median %v, most %v, want %v", what, all[0], quarter, all[len(all)/2], all[len(all)-1], want)
		if all[0] < want {
			t.Fatalf("%s took %v, less than the path's %v", what, all[0], want)
		}
		if quarter-want <= tolerance {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s took %v, want %v and at most %v more", what, quarter, want, tolerance)
		}
	}
}

func TestDelayIsAccurate(t *testing.T) {
	b := newBench(t)
	address := b.route("tcp", serve(t, echo))
	for _, test := range []struct {
		name      string
		out, back relay.Link
		want      time.Duration
	}{
		{"17 ms one way, the other near", relay.Link{Delay: ms(17)}, relay.Link{}, 17 * time.Millisecond},
		{"the other way only", relay.Link{}, relay.Link{Delay: ms(17)}, 17 * time.Millisecond},
		{"both ways add up", relay.Link{Delay: ms(12)}, relay.Link{Delay: ms(5)}, 17 * time.Millisecond},
	} {
		b.weather(test.out, test.back)
		conn := dial(t, address)
		turn(t, conn) // pays for the handshake
		near(t, test.name, test.want, time.Millisecond, func() time.Duration { return turn(t, conn) })
	}
}

func TestUndelayedPathIsNear(t *testing.T) {
	b := newBench(t)
	address := b.route("tcp", serve(t, echo))
	b.weather(relay.Link{}, relay.Link{})
	conn := dial(t, address)
	turn(t, conn)
	near(t, "nothing declared", 0, time.Millisecond, func() time.Duration { return turn(t, conn) })
}

func TestConnectCostsARoundTrip(t *testing.T) {
	b := newBench(t)
	asks := b.route("tcp", serve(t, echo))
	greets := b.route("tcp", serve(t, func(c net.Conn) { c.Write([]byte{'x'}) }))
	b.weather(relay.Link{Delay: ms(10)}, relay.Link{Delay: ms(5)})
	near(t, "connect and request: two round trips", 30*time.Millisecond, 3*time.Millisecond, func() time.Duration {
		began := time.Now()
		conn := dial(t, asks)
		defer conn.Close()
		turn(t, conn)
		return time.Since(began)
	})
	near(t, "a greeting waits for the handshake's acknowledgement", 30*time.Millisecond, 3*time.Millisecond, func() time.Duration {
		began := time.Now()
		conn := dial(t, greets)
		defer conn.Close()
		_, err := io.ReadFull(conn, make([]byte, 1))
		check(t, err)
		return time.Since(began)
	})
}

func TestRefusedTargetResetsAfterARoundTrip(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	gone.Close()
	b := newBench(t)
	address := b.route("tcp", gone.Addr().String())
	b.weather(relay.Link{Delay: ms(10)}, relay.Link{Delay: ms(10)})
	near(t, "reset", 20*time.Millisecond, 3*time.Millisecond, func() time.Duration {
		began := time.Now()
		conn := dial(t, address)
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("got %v, want a reset", err)
		}
		return time.Since(began)
	})
	if status := b.relay.Status()[0]; status.Refused < 21 || status.Accepted < 21 {
		t.Errorf("status %+v does not count the refusals", status)
	}
}

func TestBytesAreWholeAndDelayDoesNotLimitThem(t *testing.T) {
	const size = 32 << 20
	b := newBench(t)
	sums := make(chan [32]byte, 1)
	address := b.route("tcp", serve(t, func(c net.Conn) {
		h := sha256.New()
		io.Copy(h, c)
		sums <- [32]byte(h.Sum(nil))
		io.WriteString(c, "after your end")
	}))
	b.weather(relay.Link{Delay: ms(20), Jitter: ms(3)}, relay.Link{Delay: ms(20)})
	conn := dial(t, address)
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(rand.Uint32())
	}
	began := time.Now()
	_, err := conn.Write(payload)
	check(t, err)
	check(t, conn.CloseWrite())
	rest, err := io.ReadAll(conn)
	check(t, err)
	if string(rest) != "after your end" {
		t.Errorf("the half that stayed open carried %q", rest)
	}
	if got := <-sums; got != sha256.Sum256(payload) {
		t.Error("bytes were changed, lost or reordered")
	}
	took := time.Since(began)
	t.Logf("%d MiB in %v", size>>20, took)
	if took > 5*time.Second {
		t.Errorf("%d MiB took %v: the delay limits the throughput", size>>20, took)
	}
}

func TestResetTravelsAsReset(t *testing.T) {
	for _, side := range []string{"client", "target"} {
		t.Run(side, func(t *testing.T) {
			b := newBench(t)
			targets := make(chan *net.TCPConn)
			over := make(chan struct{})
			defer close(over)
			address := b.route("tcp", serve(t, func(c net.Conn) { targets <- c.(*net.TCPConn); <-over }))
			b.weather(relay.Link{Delay: ms(10)}, relay.Link{Delay: ms(10)})
			client := dial(t, address)
			breaks, learns := client, <-targets
			if side == "target" {
				breaks, learns = learns, client
			}
			breaks.Write([]byte{'x'})
			io.ReadFull(learns, make([]byte, 1))
			check(t, breaks.SetLinger(0))
			began := time.Now()
			breaks.Close()
			learns.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err := io.Copy(io.Discard, learns)
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the other side got %v, want a reset", err)
			}
			if took := time.Since(began); took < 10*time.Millisecond {
				t.Errorf("the reset took %v, less than the path", took)
			}
		})
	}
}

func TestResetReachesWhoDoesNotRead(t *testing.T) {
	b := newBench(t)
	learned := make(chan error, 1)
	filled := make(chan struct{})
	address := b.route("tcp", serve(t, func(c net.Conn) {
		<-filled
		// It only writes: a reset is all that can stop it.
		c.SetWriteDeadline(time.Now().Add(10 * time.Second))
		for {
			if _, err := c.Write([]byte{'x'}); err != nil {
				learned <- err
				return
			}
		}
	}))
	b.weather(relay.Link{Delay: ms(1)}, relay.Link{Delay: ms(1)})
	conn := dial(t, address)
	conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	block := make([]byte, 1<<20)
	for {
		if _, err := conn.Write(block); err != nil {
			break // every buffer on the way is full
		}
	}
	close(filled)
	check(t, conn.SetLinger(0))
	conn.Close()
	select {
	case err := <-learned:
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("got %v, want a reset", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the target never learned of the reset")
	}
}

func TestPartitionSwallowsAndHeals(t *testing.T) {
	for _, test := range []struct {
		name      string
		out, back bool
	}{{"both ways", true, true}, {"requests only", true, false}, {"answers only", false, true}} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			address := b.route("tcp", serve(t, echo))
			b.weather(relay.Link{Delay: ms(5)}, relay.Link{Delay: ms(5)})
			conn := dial(t, address)
			turn(t, conn)
			b.weather(relay.Link{Delay: ms(5), Partition: test.out}, relay.Link{Delay: ms(5), Partition: test.back})
			_, err := conn.Write([]byte("held"))
			check(t, err)
			conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			if n, err := conn.Read(make([]byte, 4)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("read %d bytes and %v through a partition, want silence", n, err)
			}
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			healed := time.Now()
			b.weather(relay.Link{Delay: ms(5)}, relay.Link{Delay: ms(5)})
			got := make([]byte, 4)
			_, err = io.ReadFull(conn, got)
			check(t, err)
			took := time.Since(healed)
			if string(got) != "held" || took < 5*time.Millisecond || took > 200*time.Millisecond {
				t.Errorf("after the partition %q came in %v, want what was held, after its path", got, took)
			}
			near(t, "after healing", 10*time.Millisecond, 3*time.Millisecond, func() time.Duration { return turn(t, conn) })
		})
	}
}

func TestPartitionHoldsTheEndToo(t *testing.T) {
	b := newBench(t)
	ended := make(chan time.Time, 1)
	address := b.route("tcp", serve(t, func(c net.Conn) { io.Copy(c, c); ended <- time.Now() }))
	b.weather(relay.Link{}, relay.Link{})
	conn := dial(t, address)
	turn(t, conn)
	b.weather(relay.Link{Partition: true}, relay.Link{})
	conn.Close()
	select {
	case <-ended:
		t.Fatal("the target learned of a close through a partition")
	case <-time.After(200 * time.Millisecond):
	}
	b.weather(relay.Link{}, relay.Link{})
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the close was lost")
	}
}

func TestWhoGaveUpIsNotConnectedAfterThePartition(t *testing.T) {
	b := newBench(t)
	said := make(chan string, 2)
	address := b.route("tcp", serve(t, func(c net.Conn) { all, _ := io.ReadAll(c); said <- string(all) }))
	b.weather(relay.Link{Partition: true}, relay.Link{})
	stale := dial(t, address)
	io.WriteString(stale, "stale")
	stale.Close()
	patient := dial(t, address)
	io.WriteString(patient, "patient")
	until(t, "both were accepted", func() bool { return b.relay.Status()[0].Open == 2 })
	b.weather(relay.Link{}, relay.Link{})
	until(t, "the stale one is gone", func() bool { return b.relay.Status()[0].Open == 1 })
	patient.CloseWrite()
	if got := <-said; got != "patient" {
		t.Errorf("the target was told %q", got)
	}
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !met(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

func TestLossStallsAStream(t *testing.T) {
	b := newBench(t)
	address := b.route("tcp", serve(t, echo))
	b.weather(relay.Link{Delay: ms(2)}, relay.Link{Delay: ms(2)})
	conn := dial(t, address)
	turn(t, conn)
	b.weather(relay.Link{Delay: ms(2), Loss: 0.3}, relay.Link{Delay: ms(2)})
	stalled := 0
	for range 20 {
		took := turn(t, conn)
		if took >= 204*time.Millisecond {
			stalled++
		} else if took > 100*time.Millisecond {
			t.Errorf("a turn took %v: neither the path nor a retransmission", took)
		}
	}
	if stalled < 1 || stalled > 14 {
		t.Errorf("%d of 20 turns were stalled at 30 %% loss", stalled)
	}
}

func TestManyConnections(t *testing.T) {
	b := newBench(t)
	address := b.route("tcp", serve(t, echo))
	b.weather(relay.Link{Delay: ms(8), Jitter: ms(2)}, relay.Link{Delay: ms(8)})
	var all sync.WaitGroup
	for i := range 400 {
		all.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			want := bytes.Repeat([]byte{byte(i)}, 1000+i)
			for range 5 {
				got := make([]byte, len(want))
				if _, err := conn.Write(want); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
					t.Errorf("connection %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	until(t, "all connections are forgotten", func() bool { return b.relay.Status()[0].Open == 0 })
}

func TestRoutesChangeOnTheFly(t *testing.T) {
	b := newBench(t)
	first := b.route("tcp", serve(t, echo))
	b.weather(relay.Link{}, relay.Link{})
	kept := dial(t, first)
	turn(t, kept)
	second := b.route("tcp", serve(t, echo))
	b.weather(relay.Link{}, relay.Link{})
	cut := dial(t, second)
	turn(t, cut)
	b.config.Routes = b.config.Routes[:1]
	b.weather(relay.Link{}, relay.Link{})
	if _, err := cut.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection of a route that is gone got %v, want a reset", err)
	}
	if _, err := net.Dial("tcp", second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a route that is gone answered with %v, want a refusal", err)
	}
	turn(t, kept) // a route that stays keeps its connections
}

func TestSourceStandsForTheViewer(t *testing.T) {
	b := newBench(t)
	seen := make(chan string, 1)
	address := b.route("tcp", serve(t, func(c net.Conn) { seen <- c.RemoteAddr().(*net.TCPAddr).IP.String() }))
	b.config.Routes[0].Source = "127.7.8.9"
	b.weather(relay.Link{}, relay.Link{})
	dial(t, address)
	if got := <-seen; got != "127.7.8.9" {
		t.Errorf("the target saw %s", got)
	}
}

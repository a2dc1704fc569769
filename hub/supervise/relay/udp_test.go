package relay_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/navehq/nave/hub/supervise/relay"
)

// echoUDP answers each datagram with its sender's address and what it said.
func echoUDP(t *testing.T) string {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				conn.WriteTo(fmt.Appendf(nil, "%s %s", from, buffer[:n]), from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// speaker is an unconnected socket, so that it sees where answers come from.
func speaker(t *testing.T) net.PacketConn {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func ask(conn net.PacketConn, to, word string, patience time.Duration) (answer, from string, err error) {
	address, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		return "", "", err
	}
	if _, err := conn.WriteTo([]byte(word), address); err != nil {
		return "", "", err
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 2048)
	n, sender, err := conn.ReadFrom(buffer)
	if err != nil {
		return "", "", err
	}
	return string(buffer[:n]), sender.String(), nil
}

func TestDatagramsKeepAddresses(t *testing.T) {
	b := newBench(t)
	address := b.route("udp", echoUDP(t))
	b.config.Routes[0].Source = "127.7.8.10"
	b.weather(relay.Link{}, relay.Link{})
	first, second := speaker(t), speaker(t)
	seen := map[string]bool{}
	for _, conn := range []net.PacketConn{first, second, first} {
		answer, from, err := ask(conn, address, "hello", 5*time.Second)
		check(t, err)
		if from != address {
			t.Errorf("the answer came from %s, want the address that was written to, %s", from, address)
		}
		var port int
		if _, err := fmt.Sscanf(answer, "127.7.8.10:%d hello", &port); err != nil {
			t.Errorf("the target saw %q", answer)
		}
		seen[answer] = true
	}
	if len(seen) != 2 {
		t.Errorf("two clients were seen as %v: each keeps one address of its own", seen)
	}
	if status := b.relay.Status()[0]; status.Open != 2 {
		t.Errorf("status %+v, want two clients", status)
	}
}

func TestDatagramDelayIsAccurate(t *testing.T) {
	b := newBench(t)
	address := b.route("udp", echoUDP(t))
	b.weather(relay.Link{Delay: ms(17)}, relay.Link{})
	conn := speaker(t)
	near(t, "17 ms one way", 17*time.Millisecond, time.Millisecond, func() time.Duration {
		began := time.Now()
		_, _, err := ask(conn, address, "x", 5*time.Second)
		check(t, err)
		return time.Since(began)
	})
}

func TestDatagramsStayInOrderWithoutJitter(t *testing.T) {
	b := newBench(t)
	address := b.route("udp", echoUDP(t))
	b.weather(relay.Link{Delay: ms(3)}, relay.Link{Delay: ms(3)})
	conn, err := net.Dial("udp", address)
	check(t, err)
	defer conn.Close()
	for i := range 100 {
		fmt.Fprintf(conn, "%d", i)
	}
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	buffer := make([]byte, 2048)
	for i := range 100 {
		n, err := conn.Read(buffer)
		check(t, err)
		var sender string
		var got int
		fmt.Sscanf(string(buffer[:n]), "%s %d", &sender, &got)
		if got != i {
			t.Fatalf("datagram %d came in place %d", got, i)
		}
	}
}

func TestDatagramsAreLostAndPartitioned(t *testing.T) {
	b := newBench(t)
	address := b.route("udp", echoUDP(t))
	b.weather(relay.Link{Loss: 0.5}, relay.Link{})
	conn := speaker(t)
	came := 0
	for i := range 40 {
		if _, _, err := ask(conn, address, fmt.Sprint(i), 100*time.Millisecond); err == nil {
			came++
		}
	}
	if came < 8 || came > 32 {
		t.Errorf("%d of 40 came back at 50 %% loss", came)
	}
	conn = speaker(t) // where no late answer comes
	b.weather(relay.Link{}, relay.Link{Partition: true})
	if answer, _, err := ask(conn, address, "x", 200*time.Millisecond); err == nil {
		t.Errorf("%q came through a partition", answer)
	}
	b.weather(relay.Link{}, relay.Link{})
	answer, _, err := ask(conn, address, "healed", 5*time.Second)
	check(t, err)
	var sender, word string
	if fmt.Sscan(answer, &sender, &word); word != "healed" {
		t.Errorf("after the partition came %q: datagrams are not kept", answer)
	}
}

func TestDatagramsToNobodyDoNotBreakTheRoute(t *testing.T) {
	target, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	where := target.LocalAddr().String()
	target.Close()
	b := newBench(t)
	address := b.route("udp", where)
	b.weather(relay.Link{}, relay.Link{})
	conn := speaker(t)
	for range 3 {
		if answer, _, err := ask(conn, address, "anyone", 50*time.Millisecond); err == nil {
			t.Fatalf("nobody answered %q", answer)
		}
	}
	revived, err := net.ListenPacket("udp", where)
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	defer revived.Close()
	to, _ := net.ResolveUDPAddr("udp", address)
	conn.WriteTo([]byte("again"), to)
	revived.SetReadDeadline(time.Now().Add(5 * time.Second))
	buffer := make([]byte, 16)
	n, _, err := revived.ReadFrom(buffer)
	if err != nil || string(buffer[:n]) != "again" {
		t.Errorf("the target that came back got %q, %v", buffer[:n], err)
	}
}

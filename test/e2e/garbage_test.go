package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// door is a port of one of the fleet's processes.
type door struct{ of, network, address string }

// TestGarbage: whatever comes to any port of any process, none dies, and what
// serves goes on serving.
func TestGarbage(t *testing.T) {
	f := start(t, nil)
	traffic := f.load(20)
	before, err := f.Processes()
	if err != nil {
		t.Fatal(err)
	}
	var doors []door
	for _, p := range before {
		if p.Program() {
			continue // no part of Nave
		}
		for _, network := range []string{"tcp", "udp"} {
			list := listens(t, p.Pid, network)
			if len(list) == 0 && network == "tcp" {
				t.Fatalf("%s listens nowhere", p.Name)
			}
			for _, address := range list {
				doors = append(doors, door{p.Name, network, address})
			}
		}
	}
	t.Logf("%d doors", len(doors))
	if len(doors) < 60 {
		t.Fatalf("INVALID: only %d doors were found: %v", len(doors), doors)
	}
	slots := make(chan struct{}, 24)
	var wg sync.WaitGroup
	for _, d := range doors {
		for _, g := range garbage() {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				throw(t, d.network, d.address, g)
			})
		}
	}
	wg.Wait()
	f.garble(doors)
	traffic.Stop()
	if s := traffic.Sessions(); s.Changed+s.Restarts > 0 {
		t.Errorf("of %d MCP sessions %d have another id, %d began anew", s.All, s.Changed, s.Restarts)
	}
	fates := none(t, traffic.Results())
	if len(fates) > 1 {
		t.Errorf("requests were disturbed: %v", fates)
	}
	after, err := f.Processes()
	if err != nil || len(after) != len(before) {
		t.Fatalf("%d processes of %d are left, %v", len(after), len(before), err)
	}
	for i := range before {
		if before[i].Pid != after[i].Pid {
			t.Errorf("%s died and was started again", before[i].Name)
		}
		if after[i].Anonymous > 64<<20 {
			t.Errorf("%s has grown to %d MB", after[i].Name, after[i].Anonymous>>20)
		}
	}
	logs, _ := filepath.Glob(filepath.Join(f.Dir(), ".nave", "logs", "*.log"))
	for _, path := range logs {
		if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte("panic")) {
			t.Errorf("%s tells of a panic, %v", filepath.Base(path), err)
		}
	}
}

// garbage is what no client would send.
func garbage() [][]byte {
	r := rand.New(rand.NewPCG(1, 2)) // the same each time
	noise := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	post := func(path, kind, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nAccept: application/json, text/event-stream\r\nContent-Length: %d\r\n\r\n%s", path, kind, len(body), body)
	}
	var out [][]byte
	for _, s := range []string{
		noise(1), noise(64), noise(4096),
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise(400),
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 300<<10) + "\r\n\r\n",
		"GET / HTTP/1.1\r\n" + strings.Repeat("a: b\r\n", 20000) + "\r\n",
		"GET /\x00\x01 HTTP/1.1\r\nHost: \xff\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		post("/mcp", "application/json", strings.Repeat("[", 200<<10)),
		post("/mcp", "application/json", `{"jsonrpc":"2.0","id":`+strings.Repeat("9", 4000)+`,"method":"tools/call"}`),
		post("/mcp", "application/json", `{"jsonrpc":"2.0","method":"initialize","id":null,"params":"\ud800"}`),
		post("/azureopenai/", "application/json", strings.Repeat(`{"messages":`, 50000)),
		post("/azureopenai/", "application/json", `{"model":1e999,"messages":[{"role":{}}],"stream":"yes"}`),
		post("/config", "application/json", noise(2000)),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise(2000),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + strings.Repeat("\x00\x00\x08\x06\x00\x00\x00\x00\x00aaaaaaaa", 2000),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + strings.Repeat("\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08", 2000),
	} {
		out = append(out, []byte(s))
	}
	return out
}

// throw writes to a port and reads what it says to that, for a moment.
func throw(t *testing.T, network, address string, data []byte) {
	conn, err := net.DialTimeout(network, address, 2*time.Second)
	if err != nil {
		t.Errorf("%s %s: %v", network, address, err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if network == "udp" {
		data = data[:min(len(data), 1400)]
	}
	_, _ = conn.Write(data) // it may hang up in the midst
	if network == "udp" {
		return
	}
	buffer := make([]byte, 4096)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

// listens gives the addresses at which a process listens.
func listens(t *testing.T, pid int, network string) []string {
	t.Helper()
	inodes := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
			inodes[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
		}
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, network))
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]string{"tcp": "0A", "udp": "07"}[network]
	var out []string
	for line := range strings.Lines(string(data)) {
		if w := strings.Fields(line); len(w) > 9 && w[3] == state && inodes[w[9]] {
			out = append(out, decodeAddress(t, w[1]))
		}
	}
	return out
}

// decodeAddress reads an IPv4 address as /proc/net writes it.
func decodeAddress(t *testing.T, text string) string {
	t.Helper()
	ip, err := strconv.ParseUint(text[:8], 16, 32)
	port, err2 := strconv.ParseUint(text[9:], 16, 16)
	if err != nil || err2 != nil {
		t.Fatalf("%q is no address", text)
	}
	return net.JoinHostPort(net.IPv4(byte(ip), byte(ip>>8), byte(ip>>16), byte(ip>>24)).String(), strconv.FormatUint(port, 10))
}

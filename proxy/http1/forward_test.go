package http1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/message"
)

// Server and client engine together, between net/http on both sides.
func TestForward(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(103)
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Forwarded-Te", r.Header.Get("Te"))
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
	}))
	defer origin.Close()
	client := newClient(t, http1.ClientOptions{})
	addr, _ := serve(t, forwarder(client, http1.Destination{Address: origin.Listener.Addr().String()}), http1.Options{})
	tr := new(http.Transport)
	defer tr.CloseIdleConnections()
	for _, size := range []int{0, 10, 70_000, 8 << 20} {
		want := strings.Repeat("y", size)
		req, _ := http.NewRequest("POST", "http://"+addr+"/", io.MultiReader(strings.NewReader(want)))
		req.Trailer = http.Header{"X-Sum": {"7"}}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != want || resp.Trailer.Get("X-Sum") != "7" {
			t.Errorf("size %d: got %d bytes, trailer %q, %v", size, len(got), resp.Trailer.Get("X-Sum"), err)
		}
	}
}

// A client that leaves ends the request upstream too, while it waits there; and
// nothing is left running.
func TestForwardClientGone(t *testing.T) {
	before := runtime.NumGoroutine()
	begun, ended := make(chan struct{}), make(chan struct{})
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(ended)
	}))
	client := http1.NewClient(http1.ClientOptions{})
	s := http1.NewServer(forwarder(client, http1.Destination{Address: origin.Listener.Addr().String()}), http1.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go s.Serve(ctx, l)
	c := dial(t, l.Addr().String())
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	at := time.Now()
	c.Close()
	<-ended
	if d := time.Since(at); d > time.Second {
		t.Errorf("upstream saw it after %v", d)
	}
	cancel()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	client.Close()
	origin.Close()
	until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

// The budget of memory for one forwarded request, load included. It holds the
// engines to one piece of memory for each head, not for each header.
func TestForwardAllocations(t *testing.T) {
	const budget = 16
	client := newClient(t, http1.ClientOptions{})
	addr, _ := serve(t, forwarder(client, http1.Destination{Address: rawOrigin(t)}), http1.Options{})
	c := dial(t, addr)
	request := []byte("GET /a HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nG: 7\r\n\r\n")
	buf := make([]byte, 4096)
	got := testing.AllocsPerRun(500, func() {
		c.Write(request)
		for n := 0; n < 1024; {
			m, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	})
	if got > budget {
		t.Errorf("%v allocations for a request, want at most %d", got, budget)
	}
}

// What a request says goes on unchanged, in its order and spelling.
func TestForwardKeepsFields(t *testing.T) {
	got := make(chan string, 1)
	addr, _ := serve(t, message.HandlerFunc(func(x message.Exchange) {
		var b strings.Builder
		for f := range x.Request().Header.All() {
			b.WriteString(f.Name + ":" + f.Value + "|")
		}
		got <- b.String()
		text(200, "").Serve(x)
	}), http1.Options{})
	inner := http1.Destination{Address: addr}
	outer, _ := serve(t, forwarder(newClient(t, http1.ClientOptions{}), inner), http1.Options{})
	ask(t, outer, "GET / HTTP/1.1\r\nHost: h\r\nX-b: 1\r\nx-B: 2\r\nconnection: close, secret\r\nSecret: s\r\nKeep-Alive: 1\r\nCookie: a=b\r\n\r\n")
	if want := "X-b:1|x-B:2|Cookie:a=b|"; <-got != want {
		t.Errorf("want %q", want)
	}
}

// An upstream that answers and leaves before it has read the body: the client,
// which waits with the rest of it, gets the answer.
func TestForwardEarlyAnswer(t *testing.T) {
	d := script(t, func(c *net.TCPConn, r *bufio.Reader) {
		http.ReadRequest(r)
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
	})
	addr, s := serve(t, forwarder(newClient(t, http1.ClientOptions{}), d), http1.Options{})
	c := dial(t, addr)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\nthe first bytes")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 413 || string(b) != "no" {
		t.Errorf("got %d %q, %v", resp.StatusCode, b, err)
	}
	c.Close()
	until(t, "the connection is let go", func() bool { return s.Connections() == 0 })
}

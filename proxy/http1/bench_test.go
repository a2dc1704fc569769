package http1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/message"
)

// forwarder is the least that a proxy does: one client, one destination.
func forwarder(c *http1.Client, d http1.Destination) message.Handler {
	return message.HandlerFunc(func(x message.Exchange) {
		r, err := c.Do(x.Context(), x.Request(), d)
		if err != nil {
			return
		}
		if err := x.Start(r.Status, &r.Header, r.ContentLength); err != nil {
			return
		}
		if r.Body != nil {
			defer r.Body.Close()
			p := copies.Get().(*[16 << 10]byte)
			defer copies.Put(p)
			if _, err := io.CopyBuffer(x, r.Body, p[:]); err != nil {
				return
			}
		}
		x.Finish(&r.Trailer)
	})
}

var copies = sync.Pool{New: func() any { return new([16 << 10]byte) }}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkForward measures server and client engine together; client and
// origin are as cheap as raw sockets can be, and their own cost is reported by
// BenchmarkDirect.
func BenchmarkForward(b *testing.B) {
	origin := rawOrigin(b)
	client := http1.NewClient(http1.ClientOptions{})
	defer client.Close()
	addr, _ := serve(b, forwarder(client, http1.Destination{Address: origin}), http1.Options{})
	load(b, addr)
}

// BenchmarkDirect is the share of BenchmarkForward that is not the engines'.
func BenchmarkDirect(b *testing.B) { load(b, rawOrigin(b)) }

// load keeps 32 connections busy and reports processor time per request.
func load(b *testing.B, addr string) {
	b.ReportAllocs()
	request := []byte("GET /v1/models?x=1 HTTP/1.1\r\nHost: models.example\r\nUser-Agent: bench\r\n" +
		"Accept: application/json\r\nAuthorization: Bearer 0123456789abcdef\r\nX-Request-Id: 12345\r\n\r\n")
	b.SetParallelism(16)
	b.ResetTimer()
	before := cpu()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 4096)
		for pb.Next() {
			if _, err := c.Write(request); err != nil {
				b.Error(err)
				return
			}
			for got := 0; got < 1024; {
				n, err := c.Read(buf)
				if err != nil {
					b.Error(err)
					return
				}
				got += n
			}
		}
	})
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

// rawOrigin answers every request with 1 KB, by the cheapest loop there is.
func rawOrigin(tb testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	body := make([]byte, 1024)
	for i := range body {
		body[i] = 'x'
	}
	answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: origin\r\n"+
		"Cache-Control: no-store\r\nContent-Length: 1024\r\n\r\n"), body...)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					for line := []byte("x"); len(line) > 2 || line[0] == 'x'; {
						if line, err = r.ReadSlice('\n'); err != nil {
							return
						}
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// serve runs a server on a loopback socket until the test ends.
func serve(tb testing.TB, h message.Handler, o http1.Options) (addr string, s *http1.Server) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s = http1.NewServer(h, o)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(context.Background(), l) }()
	tb.Cleanup(func() {
		l.Close()
		<-done
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx)
	})
	return l.Addr().String(), s
}

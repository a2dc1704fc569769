// Package spike measures the engines that proxy/http1 was chosen from, side by
// side: docs/decisions/0002-http1-engine.md. It is a module of its own so that
// what was not chosen is nobody else's dependency.
package spike

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/message"
)

const connections = 32

// shape is one kind of traffic: what a client sends and what the origin answers.
type shape struct {
	name    string
	request []byte
	answer  []byte
}

var shapes = []shape{
	{"get-1k", head("GET", 0), answer(1 << 10)},
	{"post-1k", head("POST", 1<<10), answer(1 << 10)},
	{"post-16k", head("POST", 16<<10), answer(1 << 10)},
}

func head(method string, body int) []byte {
	b := []byte(method + " /v1/chat/completions?x=1 HTTP/1.1\r\nHost: models.example\r\nUser-Agent: bench\r\n" +
		"Accept: application/json\r\nAuthorization: Bearer 0123456789abcdef\r\nX-Request-Id: 12345\r\n")
	if body > 0 {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
		b = append(b, []byte(itoa(body))...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, bytes.Repeat([]byte("x"), body)...)
}

func answer(body int) []byte {
	b := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: origin\r\nCache-Control: no-store\r\nContent-Length: " +
		itoa(body) + "\r\n\r\n")
	return append(b, bytes.Repeat([]byte("x"), body)...)
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// BenchmarkEngine reports processor time per request of the whole process; that
// of "none", where the client asks the origin directly, is to be taken off.
func BenchmarkEngine(b *testing.B) {
	for _, s := range shapes {
		origin := listen(b, s.serve)
		for _, e := range []struct {
			name  string
			start func(testing.TB, string) string
		}{
			{"none", func(_ testing.TB, o string) string { return o }},
			{"own", own},
			{"fasthttp", fast(false)},
			{"fasthttp-streamed", fast(true)},
			{"nethttp", standard},
		} {
			b.Run(s.name+"/"+e.name, func(b *testing.B) { s.load(b, e.start(b, origin)) })
		}
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// load keeps the connections busy.
func (s shape) load(b *testing.B, addr string) {
	b.ReportAllocs()
	b.SetParallelism(connections / 2)
	b.ResetTimer()
	before := cpu()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		r := bufio.NewReaderSize(c, 8<<10)
		for pb.Next() {
			if _, err := c.Write(s.request); err != nil {
				b.Error(err)
				return
			}
			if err := skip(r, 1<<10); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

// skip reads a head and a body of n bytes, as cheaply as can be.
func skip(r *bufio.Reader, n int) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			_, err = r.Discard(n)
			return err
		}
	}
}

func (s shape) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 8<<10)
	body := len(s.request) - bytes.Index(s.request, []byte("\r\n\r\n")) - 4
	for skip(r, body) == nil {
		if _, err := c.Write(s.answer); err != nil {
			return
		}
	}
}

func listen(tb testing.TB, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

var copies = sync.Pool{New: func() any { return new([16 << 10]byte) }}

func own(tb testing.TB, origin string) string {
	client := http1.NewClient(http1.ClientOptions{})
	d := http1.Destination{Address: origin}
	s := http1.NewServer(message.HandlerFunc(func(x message.Exchange) {
		r, err := client.Do(x.Context(), x.Request(), d)
		if err != nil || x.Start(r.Status, &r.Header, r.ContentLength) != nil {
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
	}), http1.Options{})
	addr := listen(tb, func(c net.Conn) { s.ServeConn(c, nil) })
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx)
		client.Close()
	})
	return addr
}

func fast(streamed bool) func(testing.TB, string) string {
	return func(tb testing.TB, origin string) string {
		client := &fasthttp.HostClient{
			Addr: origin, MaxConns: 4 * connections, StreamResponseBody: streamed,
			DisableHeaderNamesNormalizing: true, NoDefaultUserAgentHeader: true,
		}
		s := &fasthttp.Server{
			StreamRequestBody: streamed, NoDefaultServerHeader: true, DisableHeaderNamesNormalizing: true,
			Handler: func(x *fasthttp.RequestCtx) {
				if client.Do(&x.Request, &x.Response) != nil {
					x.Response.Reset()
					x.SetStatusCode(502)
				}
			},
		}
		return listen(tb, func(c net.Conn) { s.ServeConn(c) })
	}
}

func standard(tb testing.TB, origin string) string {
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: origin})
	t := &http.Transport{MaxIdleConnsPerHost: 4 * connections}
	p.Transport = t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &http.Server{Handler: p}
	go s.Serve(l)
	tb.Cleanup(func() { s.Close(); t.CloseIdleConnections() })
	return l.Addr().String()
}

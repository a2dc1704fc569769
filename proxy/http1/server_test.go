package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/message"
)

// until polls for a condition that another goroutine brings about.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

// echo answers with what it got: method, target, header, body, trailers.
var echo = message.HandlerFunc(func(x message.Exchange) {
	r := x.Request()
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return
		}
	}
	var h message.Header
	h.Add("X-Target", r.Method+" "+r.Authority+" "+r.Target())
	for f := range r.Header.All() {
		h.Add("X-Got-"+f.Name, f.Value)
	}
	if x.Start(200, &h, message.UnknownLength) == nil {
		x.Write(body)
		x.Finish(&r.Trailer)
	}
})

func text(status int, body string) message.Handler {
	return message.HandlerFunc(func(x message.Exchange) {
		if x.Start(status, new(message.Header), int64(len(body))) == nil {
			io.WriteString(x, body)
			x.Finish(nil)
		}
	})
}

// dial opens a connection whose reads end with the test.
func dial(tb testing.TB, addr string) *net.TCPConn {
	tb.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c.(*net.TCPConn)
}

// ask sends raw bytes and reads to the connection's end, the Date left out.
func ask(tb testing.TB, addr, raw string) string {
	tb.Helper()
	c := dial(tb, addr)
	if _, err := io.WriteString(c, raw); err != nil {
		tb.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		tb.Fatalf("reading the answer: %v after %q", err, b)
	}
	lines := strings.SplitAfter(string(b), "\r\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "Date: ") {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "")
}

func TestServerBytes(t *testing.T) {
	addr, _ := serve(t, echo, http1.Options{})
	const head = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct{ why, raw, want string }{
		{"close", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			head + "X-Target: GET h /a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"},
		{"1.0 has no chunks", "POST /a HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
			head + "X-Target: POST  /a\r\nConnection: close\r\n\r\nhi"},
		{"pipelined, bodies of both kinds, one empty line between",
			"POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi\r\n" +
				"POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;x\r\nabc\r\n0\r\nT: v\r\n\r\n",
			head + "X-Target: POST h /1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" +
				head + "X-Target: POST h /2\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n"},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			head + "X-Target: HEAD h /\r\nConnection: close\r\n\r\n"},
		{"smuggled", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
			"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
		{"too long a line", "GET /" + strings.Repeat("x", 20<<10) + " HTTP/1.1\r\n",
			"HTTP/1.1 414 Request URI Too Long\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
		{"garbage", "\x16\x03\x01", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
		{"a bad chunk cuts the exchange", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", ""},
		{"a head beyond one buffer", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, big\r\nBig: " + strings.Repeat("x", 30<<10) + "\r\n\r\n",
			head + "X-Target: GET h /\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"},
	} {
		t.Run(c.why, func(t *testing.T) {
			if got := ask(t, addr, c.raw); got != c.want {
				t.Errorf("got\n%q\nwant\n%q", got, c.want)
			}
		})
	}
}

func TestServerAnswers(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	for _, c := range []struct {
		why  string
		f    func(x message.Exchange)
		want string
	}{
		{"204 announces nothing", func(x message.Exchange) {
			x.Start(204, new(message.Header), 0)
			x.Write([]byte("swallowed"))
			x.Finish(nil)
		}, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"},
		{"304 may announce", func(x message.Exchange) {
			x.Start(304, new(message.Header), 9)
			x.Finish(nil)
		}, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"},
		{"informed first", func(x message.Exchange) {
			var h message.Header
			h.Add("Link", "</a>")
			x.Inform(103, &h)
			x.Start(200, new(message.Header), 0)
			x.Finish(nil)
		}, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"a header that would split the answer is refused, another answer is possible", func(x message.Exchange) {
			var h message.Header
			h.Add("X", "a\r\nSet-Cookie: evil")
			if err := x.Start(200, &h, 0); err == nil || x.Started() {
				panic("started")
			}
			x.Start(500, new(message.Header), 0)
			x.Finish(nil)
		}, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"hop-by-hop fields of a handler are not written", func(x message.Exchange) {
			var h message.Header
			h.Add("connection", "keep-alive")
			h.Add("Transfer-Encoding", "chunked")
			h.Add("Content-Length", "99")
			x.Start(200, &h, 2)
			io.WriteString(x, "ok")
			x.Finish(nil)
		}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"},
		{"cut inside chunks", func(x message.Exchange) {
			x.Start(200, new(message.Header), message.UnknownLength)
			io.WriteString(x, "part")
		}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\npart\r\n"},
		{"cut inside a length", func(x message.Exchange) {
			x.Start(200, new(message.Header), 9)
			io.WriteString(x, "part")
			if x.Finish(nil) == nil {
				panic("finished short")
			}
		}, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\npart"},
		{"never more than announced", func(x message.Exchange) {
			x.Start(200, new(message.Header), 2)
			if _, err := io.WriteString(x, "too long"); err == nil {
				panic("written")
			}
			io.WriteString(x, "ok")
			x.Finish(nil)
		}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"},
		{"a panic", func(message.Exchange) { panic("told in the log") }, ""},
		{"no answer", func(message.Exchange) {}, ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			addr, _ := serve(t, message.HandlerFunc(c.f), http1.Options{})
			if got := ask(t, addr, get); got != c.want {
				t.Errorf("got\n%q\nwant\n%q", got, c.want)
			}
		})
	}
}

func TestPanicIsTold(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	w := writerFunc(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return log.Write(p) })
	addr, _ := serve(t, message.HandlerFunc(func(x message.Exchange) { panic("boom") }),
		http1.Options{Log: slog.New(slog.NewTextHandler(w, nil))})
	ask(t, addr, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(log.String(), "boom") {
		t.Errorf("log says %q", log.String())
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// net/http's client is the judge: lengths, chunks, trailers both ways, large
// bodies, kept connections.
func TestServerWithStandardClient(t *testing.T) {
	addr, s := serve(t, echo, http1.Options{})
	tr := &http.Transport{MaxIdleConnsPerHost: 10}
	defer tr.CloseIdleConnections()
	for _, size := range []int{0, 1, 100, 5000, 1 << 20} {
		for _, chunked := range []bool{false, true} {
			body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			var rd io.Reader = strings.NewReader(body)
			if chunked {
				rd = io.MultiReader(rd)
			}
			req, _ := http.NewRequest("POST", "http://"+addr+"/p?q", rd)
			if chunked {
				req.Trailer = http.Header{"X-Sum": {"42"}}
			}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != body {
				t.Errorf("size %d chunked %v: got %d bytes, %v", size, chunked, len(got), err)
			}
			if sum := resp.Trailer.Get("X-Sum"); chunked && sum != "42" {
				t.Errorf("size %d: trailer %q", size, sum)
			}
			if resp.Header.Get("Date") == "" {
				t.Error("no Date")
			}
		}
	}
	if n := s.Connections(); n != 1 {
		t.Errorf("%d connections were used, want 1", n)
	}
}

func TestExpectContinue(t *testing.T) {
	addr, _ := serve(t, message.HandlerFunc(func(x message.Exchange) {
		if x.Request().Path == "/refuse" {
			text(401, "no").Serve(x)
			return
		}
		echo.Serve(x)
	}), http1.Options{})
	for path, want := range map[string]struct{ status, continues int }{"/refuse": {401, 0}, "/take": {200, 1}} {
		continues := 0
		req, _ := http.NewRequest("POST", "http://"+addr+path, strings.NewReader("body"))
		req.Header.Set("Expect", "100-continue")
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{Got100Continue: func() { continues++ }}))
		tr := &http.Transport{ExpectContinueTimeout: 10 * time.Second}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != want.status || continues != want.continues || resp.Close != (want.continues == 0) {
			t.Errorf("%s: status %d, %d continues, close %v", path, resp.StatusCode, continues, resp.Close)
		}
		tr.CloseIdleConnections()
	}
}

// A client that leaves is noticed within a second while the handler neither
// reads nor writes: by its reset, by its end, and with unread bytes before it.
func TestClientGone(t *testing.T) {
	for why, more := range map[string]string{"nothing unread": "", "a pipelined request unread": "GET / HTTP/1.1\r\nHost: h\r\n\r\n"} {
		t.Run(why, func(t *testing.T) {
			begun, noticed := make(chan struct{}, 2), make(chan time.Time, 2)
			addr, _ := serve(t, message.HandlerFunc(func(x message.Exchange) {
				begun <- struct{}{}
				select {
				case <-x.Context().Done():
					noticed <- time.Now()
				case <-time.After(5 * time.Second):
				}
			}), http1.Options{})
			c := dial(t, addr)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"+more)
			<-begun
			left := time.Now()
			c.Close()
			select {
			case at := <-noticed:
				if d := at.Sub(left); d > time.Second {
					t.Errorf("noticed after %v", d)
				}
			case <-time.After(5 * time.Second):
				t.Error("never noticed")
			}
		})
	}
}

// The context of an exchange obeys package context, without goroutines.
func TestExchangeContext(t *testing.T) {
	type key struct{}
	result := make(chan string, 1)
	addr, _ := serve(t, message.HandlerFunc(func(x message.Exchange) {
		before := runtime.NumGoroutine()
		ran := make(chan struct{})
		child, cancel := context.WithCancel(context.WithValue(x.Context(), key{}, "v"))
		defer cancel()
		stop := context.AfterFunc(x.Context(), func() { panic("stopped before") })
		context.AfterFunc(x.Context(), func() { close(ran) })
		if n := runtime.NumGoroutine(); n > before {
			result <- fmt.Sprintf("%d goroutines more", n-before)
			return
		}
		if !stop() || stop() || x.Context().Err() != nil {
			result <- "stop"
			return
		}
		go func() {
			<-ran
			<-child.Done()
			result <- fmt.Sprintf("%v, %v, %v", child.Err(), child.Value(key{}), context.Cause(child))
		}()
		text(200, "").Serve(x)
	}), http1.Options{})
	ask(t, addr, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if got, want := <-result, "context canceled, v, context canceled"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSlowClients(t *testing.T) {
	o := http1.Options{HeaderTimeout: 60 * time.Millisecond, IdleTimeout: 60 * time.Millisecond, StallTimeout: 60 * time.Millisecond}
	addr, _ := serve(t, message.HandlerFunc(func(x message.Exchange) {
		if x.Request().Path == "/huge" {
			x.Start(200, new(message.Header), message.UnknownLength)
			for p := make([]byte, 1<<20); ; {
				if _, err := x.Write(p); err != nil {
					return
				}
			}
		}
		if _, err := io.ReadAll(x.Request().Body); err == nil {
			t.Error("a stalled body was read")
		}
		text(408, "").Serve(x)
	}), o)
	for _, c := range []struct{ why, raw, want string }{
		{"idle", "", ""},
		{"a head that never ends", "GET / HTTP/1.1\r\nHost: h\r\n", "HTTP/1.1 408 "},
		{"a body that never comes", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab", "HTTP/1.1 408 "},
	} {
		t.Run(c.why, func(t *testing.T) {
			if got := ask(t, addr, c.raw); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("an answer that is not taken", func(t *testing.T) {
		c := dial(t, addr)
		io.WriteString(c, "GET /huge HTTP/1.1\r\nHost: h\r\n\r\n")
		until(t, "the connection is cut", func() bool {
			_, err := c.Write([]byte("x"))
			return err != nil
		})
	})
}

// A body that the handler leaves is read away if it is small; a large one costs
// the connection, and the answer arrives all the same.
func TestUnreadBody(t *testing.T) {
	addr, _ := serve(t, text(200, "early"), http1.Options{})
	c := dial(t, addr)
	r := bufio.NewReader(c)
	post := func(n int) (*http.Response, error) {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", n)
		sent := make(chan struct{})
		go func() { defer close(sent); c.Write(make([]byte, n)) }()
		defer func() { <-sent }()
		resp, err := http.ReadResponse(r, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		return resp, err
	}
	for _, n := range []int{10, 60_000, 1 << 20} {
		if _, err := post(n); err != nil {
			t.Fatalf("a body of %d: %v", n, err)
		}
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection was kept with an unread body")
	}
}

func TestUpgrade(t *testing.T) {
	addr, _ := serve(t, message.HandlerFunc(func(x message.Exchange) {
		var h message.Header
		rw, err := x.Switch(&h)
		if err != nil {
			text(400, "").Serve(x)
			return
		}
		io.Copy(rw, rw)
	}), http1.Options{})
	c := dial(t, addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nahead ")
	resp, err := http.ReadResponse(bufio.NewReaderSize(&oneByte{c}, 16), nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "echo" {
		t.Fatalf("got %v, %v", resp, err)
	}
	io.WriteString(c, "and after")
	c.CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "ahead and after" {
		t.Errorf("got %q, %v", got, err)
	}
	if got := ask(t, addr, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("switched without being asked: %q", got)
	}
}

// oneByte keeps a bufio.Reader from reading beyond a head.
type oneByte struct{ io.Reader }

func (o *oneByte) Read(p []byte) (int, error) { return o.Reader.Read(p[:1]) }

func TestShutdown(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{}, 2)
	s := http1.NewServer(message.HandlerFunc(func(x message.Exchange) {
		begun <- struct{}{}
		select {
		case <-release:
			text(200, "done").Serve(x)
		case <-x.Context().Done():
		}
	}), http1.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	idle, busy, stuck := dial(t, l.Addr().String()), dial(t, l.Addr().String()), dial(t, l.Addr().String())
	io.WriteString(busy, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	io.WriteString(stuck, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	<-begun
	until(t, "three connections", func() bool { return s.Connections() == 3 })
	cancel()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	deadline, expire := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(deadline) }()
	if b, err := io.ReadAll(idle); err != nil || len(b) > 0 {
		t.Errorf("the idle connection: %q, %v", b, err)
	}
	release <- struct{}{}
	var finished, cut int
	until(t, "one of two has finished", func() bool { return s.Connections() == 1 })
	expire()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	for _, c := range []net.Conn{busy, stuck} {
		b, _ := io.ReadAll(c)
		switch {
		case bytes.Contains(b, []byte("Connection: close")) && bytes.HasSuffix(b, []byte("done")):
			finished++
		case len(b) == 0:
			cut++
		}
	}
	if finished != 1 || cut != 1 {
		t.Errorf("%d finished, %d cut; want one of each", finished, cut)
	}
}

func TestMaxAge(t *testing.T) {
	addr, s := serve(t, text(200, "ok"), http1.Options{MaxAge: 50 * time.Millisecond, IdleTimeout: 40 * time.Second})
	c := dial(t, addr)
	r := textproto.NewReader(bufio.NewReader(c))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, err := r.ReadLine(); err != nil {
		t.Fatal(err)
	}
	until(t, "the aged connection is closed", func() bool { return s.Connections() == 0 })
}

// In memory, without a socket to ask.
func TestServerInMemory(t *testing.T) {
	s := http1.NewServer(echo, http1.Options{})
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); s.ServeConn(b, nil) }()
	go io.WriteString(a, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	got, err := io.ReadAll(a)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 OK") {
		t.Errorf("got %q, %v", got, err)
	}
	<-done
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

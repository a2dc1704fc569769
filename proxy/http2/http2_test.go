package http2_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	xhttp2 "golang.org/x/net/http2"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http2"
	"github.com/navehq/nave/proxy/message"
)

func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

// serve runs a server without TLS until the test ends.
func serve(tb testing.TB, h message.Handler, o http2.Options) http1.Destination {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := http2.NewServer(h, o)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.ServeConn(context.Background(), c, nil)
		}
	}()
	tb.Cleanup(func() {
		l.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx)
	})
	return http1.Destination{Address: l.Addr().String()}
}

func newClient(tb testing.TB, o http2.ClientOptions) *http2.Client {
	c := http2.NewClient(o)
	tb.Cleanup(func() { c.Close() })
	return c
}

func get(path string) *message.Request {
	return &message.Request{Method: "GET", Authority: "origin.example", Path: path}
}

// echo answers with head, body and trailers that it got.
var echo = message.HandlerFunc(func(x message.Exchange) {
	r := x.Request()
	var h message.Header
	h.Add("X-Target", strings.Join([]string{r.Method, r.Scheme, r.Authority, r.Target(), r.Protocol.String()}, " "))
	for f := range r.Header.All() {
		h.Add("X-Got-"+f.Name, f.Value)
	}
	if x.Start(200, &h, message.UnknownLength) != nil || x.Flush() != nil {
		return
	}
	if r.Body != nil {
		if _, err := io.Copy(flushing{x}, r.Body); err != nil {
			return
		}
	}
	x.Finish(&r.Trailer)
})

type flushing struct{ message.Exchange }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Exchange.Write(p)
	if err == nil {
		err = f.Flush()
	}
	return n, err
}

func read(tb testing.TB, r *message.Response) string {
	tb.Helper()
	if r.Body == nil {
		return ""
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		tb.Fatalf("reading the body: %v", err)
	}
	return string(b)
}

func fields(h *message.Header) string {
	var b strings.Builder
	for f := range h.All() {
		if f.Name != "Date" {
			b.WriteString(f.Name + "=" + f.Value + ";")
		}
	}
	return b.String()
}

func TestBothSides(t *testing.T) {
	d := serve(t, echo, http2.Options{})
	c := newClient(t, http2.ClientOptions{})
	t.Run("a head in all its parts", func(t *testing.T) {
		r := get("/a%2Fb")
		r.Query, r.HasQuery = "", true
		r.Header.Add("X-B", "1")
		r.Header.Add("x-b", "2")
		r.Header.Add("TE", "trailers")
		r.Header.Add("Connection", "X-B")
		resp, err := c.Do(context.Background(), r, d)
		if err != nil {
			t.Fatal(err)
		}
		read(t, resp)
		want := "X-Got-Te=trailers;X-Got-X-B=1;X-Got-X-B=2;X-Target=GET http origin.example /a%2Fb? HTTP/2.0;"
		if diff := cmp.Diff(want, fields(&resp.Header)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a path with two slashes", func(t *testing.T) {
		resp, err := c.Do(context.Background(), get("//a//b"), d)
		if err != nil {
			t.Fatal(err)
		}
		read(t, resp)
		if got := resp.Header.Get("X-Target"); got != "GET http origin.example //a//b HTTP/2.0" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("bodies and trailers", func(t *testing.T) {
		for _, size := range []int{0, 1, 100_000, 3 << 20} {
			want := strings.Repeat("z", size)
			r := get("/")
			r.Method, r.Body, r.ContentLength = "POST", strings.NewReader(want), message.UnknownLength
			r.Trailer.Add("X-Sum", "42")
			resp, err := c.Do(context.Background(), r, d)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, resp); got != want || resp.Trailer.Get("X-Sum") != "42" {
				t.Errorf("size %d: got %d bytes, trailer %q", size, len(got), resp.Trailer.Get("X-Sum"))
			}
		}
	})
	t.Run("both directions at once", func(t *testing.T) {
		src, w := io.Pipe()
		r := get("/")
		r.Method, r.Body, r.ContentLength = "POST", src, message.UnknownLength
		resp, err := c.Do(context.Background(), r, d)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 8)
		for _, say := range []string{"one", "two"} {
			io.WriteString(w, say)
			if n, err := resp.Body.Read(buf); string(buf[:n]) != say {
				t.Errorf("got %q, %v", buf[:n], err)
			}
		}
		w.Close()
		read(t, resp)
	})
}

func TestServerAnswers(t *testing.T) {
	for _, c := range []struct {
		why, method string
		f           func(x message.Exchange)
		want        string
	}{
		{"nothing is guessed or added", "GET", func(x message.Exchange) {
			x.Start(200, new(message.Header), message.UnknownLength)
			io.WriteString(x, "<html>")
			x.Flush()
			x.Finish(nil)
		}, "200  <html> "},
		{"a length", "GET", func(x message.Exchange) {
			x.Start(200, new(message.Header), 2)
			io.WriteString(x, "ok")
			x.Finish(nil)
		}, "200  ok "},
		{"HEAD", "HEAD", func(x message.Exchange) {
			x.Start(200, new(message.Header), 9)
			io.WriteString(x, "swallowed")
			x.Finish(nil)
		}, "200   "},
		{"204", "GET", func(x message.Exchange) {
			x.Start(204, new(message.Header), 0)
			x.Finish(nil)
		}, "204   "},
		{"informed first", "GET", func(x message.Exchange) {
			var h message.Header
			h.Add("Link", "</a>")
			x.Inform(103, &h)
			x.Start(200, new(message.Header), 0)
			x.Finish(nil)
		}, "103 Link=</a>; 200   "},
		{"only trailers", "GET", func(x message.Exchange) {
			var trailer message.Header
			trailer.Add("Grpc-Status", "5")
			x.Start(200, new(message.Header), message.UnknownLength)
			x.Finish(&trailer)
		}, "200   Grpc-Status=5;"},
		{"shorter than announced", "GET", func(x message.Exchange) {
			x.Start(200, new(message.Header), 9)
			io.WriteString(x, "part")
			if x.Finish(nil) == nil {
				panic("finished short")
			}
		}, "cut"},
		{"given up", "GET", func(x message.Exchange) {
			x.Start(200, new(message.Header), message.UnknownLength)
			io.WriteString(x, "part")
			x.Flush()
		}, "cut"},
		{"a header that would split", "GET", func(x message.Exchange) {
			var h message.Header
			h.Add("X", "a\r\nb")
			if x.Start(200, &h, 0) == nil || x.Started() {
				panic("started")
			}
			x.Start(500, new(message.Header), 0)
			x.Finish(nil)
		}, "500   "},
		{"a panic", "GET", func(message.Exchange) { panic("told") }, "cut"},
		{"an upgrade", "GET", func(x message.Exchange) {
			if _, err := x.Switch(new(message.Header)); err == nil {
				panic("switched")
			}
			x.Start(400, new(message.Header), 0)
			x.Finish(nil)
		}, "400   "},
	} {
		t.Run(c.why, func(t *testing.T) {
			d := serve(t, message.HandlerFunc(c.f), http2.Options{})
			if got := told(newClient(t, http2.ClientOptions{}), c.method, d); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// told sends a request and puts what came in a few words.
func told(client *http2.Client, method string, d http1.Destination) (got string) {
	r := get("/")
	r.Method = method
	informed := make(chan string, 1)
	r.Inform = func(status int, h *message.Header) {
		informed <- statusText(status) + " " + fields(h) + " "
	}
	resp, err := client.Do(context.Background(), r, d)
	if err != nil {
		return "cut"
	}
	select {
	case got = <-informed:
	default:
	}
	var body []byte
	if resp.Body != nil {
		if body, err = io.ReadAll(resp.Body); err != nil {
			return "cut"
		}
	}
	return got + strings.Join([]string{statusText(resp.Status), fields(&resp.Header), string(body), fields(&resp.Trailer)}, " ")
}

func statusText(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

// net/http is the judge of either side, over TLS.
func TestClientWithStandardServer(t *testing.T) {
	o := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Seen", r.Proto+" "+r.Host+" "+r.UserAgent())
		io.Copy(w, r.Body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
	}))
	o.EnableHTTP2 = true
	o.StartTLS()
	defer o.Close()
	d := http1.Destination{Address: o.Listener.Addr().String(), TLS: &tls.Config{InsecureSkipVerify: true}}
	r := get("/")
	r.Method, r.Body, r.ContentLength = "POST", strings.NewReader("body"), 4
	r.Header.Add("Trailer", "X-Sum")
	r.Trailer.Add("X-Sum", "9")
	resp, err := newClient(t, http2.ClientOptions{}).Do(context.Background(), r, d)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, resp); got != "body" || resp.Trailer.Get("X-Sum") != "9" || resp.Header.Get("X-Seen") != "HTTP/2.0 origin.example " {
		t.Errorf("got %q, trailer %q, seen %q", got, resp.Trailer.Get("X-Sum"), resp.Header.Get("X-Seen"))
	}
}

// late is a context whose deadline passes when the test says so.
type late struct {
	context.Context
	passed chan struct{}
}

func (l late) Done() <-chan struct{} { return l.passed }

func (l late) Err() error {
	select {
	case <-l.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestErrors(t *testing.T) {
	only1 := httptest.NewTLSServer(nil)
	defer only1.Close()
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	l.Close()
	hang := serve(t, message.HandlerFunc(func(x message.Exchange) { <-x.Context().Done() }), http2.Options{})
	asked := late{context.Background(), make(chan struct{})}
	hangs := serve(t, message.HandlerFunc(func(x message.Exchange) { close(asked.passed); <-x.Context().Done() }), http2.Options{})
	bad := errors.New("source broke")
	failing := get("/")
	failing.Method, failing.Body, failing.ContentLength = "POST", io.MultiReader(strings.NewReader("x"), iotest{bad}), 10
	for _, c := range []struct {
		why  string
		ctx  context.Context
		r    *message.Request
		d    http1.Destination
		want message.SendError
	}{
		{"no HTTP/2 there", t.Context(), get("/"), http1.Destination{Address: only1.Listener.Addr().String(), TLS: &tls.Config{InsecureSkipVerify: true}},
			message.SendError{Stage: message.StageHandshake, Unprocessed: true}},
		{"refused", t.Context(), get("/"), http1.Destination{Address: l.Addr().String()},
			message.SendError{Stage: message.StageConnect, Unprocessed: true}},
		{"no answer in time", asked, get("/"), hangs, message.SendError{Stage: message.StageAwait, Timeout: true}},
		{"the body's own failure", t.Context(), failing, hang, message.SendError{Stage: message.StageSource}},
		{"a bad path", t.Context(), get("/ x"), hang, message.SendError{Stage: message.StageSend, Unprocessed: true}},
	} {
		t.Run(c.why, func(t *testing.T) {
			_, err := newClient(t, http2.ClientOptions{}).Do(c.ctx, c.r, c.d)
			var got *message.SendError
			if !errors.As(err, &got) || got.Stage != c.want.Stage || got.Unprocessed != c.want.Unprocessed || got.Timeout != c.want.Timeout {
				t.Errorf("got %+v (%v), want %+v", got, err, c.want)
			}
		})
	}
}

type iotest struct{ err error }

func (f iotest) Read([]byte) (int, error) { return 0, f.err }

// framed serves connections frame by frame: what it does with a request's
// stream is up to answer.
func framed(t *testing.T, answer func(f *xhttp2.Framer, stream uint32)) http1.Destination {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.ReadFull(c, make([]byte, len(xhttp2.ClientPreface)))
				f := xhttp2.NewFramer(c, c)
				f.WriteSettings()
				for {
					frame, err := f.ReadFrame()
					if err != nil {
						return
					}
					if h, ok := frame.(*xhttp2.HeadersFrame); ok {
						answer(f, h.StreamID)
					}
				}
			}()
		}
	}()
	return http1.Destination{Address: l.Addr().String()}
}

// What the peer says it has not acted on is unprocessed, promptly, with a body
// and without one; a stream at or below GOAWAY's last id is not.
func TestUnprocessed(t *testing.T) {
	for _, c := range []struct {
		why         string
		answer      func(f *xhttp2.Framer, stream uint32)
		unprocessed bool
	}{
		{"REFUSED_STREAM", func(f *xhttp2.Framer, id uint32) { f.WriteRSTStream(id, xhttp2.ErrCodeRefusedStream) }, true},
		{"GOAWAY below the stream", func(f *xhttp2.Framer, id uint32) { f.WriteGoAway(0, xhttp2.ErrCodeNo, nil) }, true},
		{"INTERNAL_ERROR", func(f *xhttp2.Framer, id uint32) { f.WriteRSTStream(id, xhttp2.ErrCodeInternal) }, false},
	} {
		for _, body := range []string{"", "body"} {
			t.Run(c.why+" "+body, func(t *testing.T) {
				r := get("/")
				if body != "" {
					r.Method, r.Body, r.ContentLength = "POST", strings.NewReader(body), int64(len(body))
				}
				begin := time.Now()
				_, err := newClient(t, http2.ClientOptions{}).Do(context.Background(), r, framed(t, c.answer))
				var got *message.SendError
				if !errors.As(err, &got) || got.Unprocessed != c.unprocessed {
					t.Errorf("got %v (%+v)", err, got)
				}
				if d := time.Since(begin); d > time.Second {
					t.Errorf("it took %v", d)
				}
			})
		}
	}
}

// A client that resets its stream, or leaves, ends the exchange at once; nothing
// is left running.
func TestClientGone(t *testing.T) {
	before := runtime.NumGoroutine()
	begun, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	s := http2.NewServer(message.HandlerFunc(func(x message.Exchange) {
		begun <- struct{}{}
		<-x.Context().Done()
		ended <- struct{}{}
	}), http2.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err == nil {
			s.ServeConn(context.Background(), c, nil)
		}
	}()
	client := http2.NewClient(http2.ClientOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-begun; cancel() }()
	if _, err := client.Do(ctx, get("/"), http1.Destination{Address: l.Addr().String()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended
	client.Close()
	l.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

// Draining finishes what runs, takes nothing new on the old connection, and cuts
// the rest when time is out.
func TestShutdown(t *testing.T) {
	begun, release := make(chan struct{}, 2), make(chan struct{})
	s := http2.NewServer(message.HandlerFunc(func(x message.Exchange) {
		begun <- struct{}{}
		select {
		case <-release:
			x.Start(200, new(message.Header), 0)
			x.Finish(nil)
		case <-x.Context().Done():
		}
	}), http2.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			s.ServeConn(context.Background(), c, nil)
		}
	}()
	client := newClient(t, http2.ClientOptions{})
	results := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := client.Do(context.Background(), get("/"), http1.Destination{Address: l.Addr().String()})
			results <- err
		}()
		<-begun
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(ctx) }()
	release <- struct{}{}
	if err := <-results; err != nil {
		t.Errorf("the one that finished: %v", err)
	}
	cancel()
	if err := <-results; err == nil {
		t.Error("the one that was cut has an answer")
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
}

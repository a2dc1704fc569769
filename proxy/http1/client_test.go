package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/message"
)

func newClient(tb testing.TB, o http1.ClientOptions) *http1.Client {
	c := http1.NewClient(o)
	tb.Cleanup(func() { c.Close() })
	return c
}

func get(path string) *message.Request {
	return &message.Request{Method: "GET", Authority: "origin.example", Path: path}
}

func post(body io.Reader, n int64) *message.Request {
	r := get("/post")
	r.Method, r.Body, r.ContentLength = "POST", body, n
	return r
}

// script serves one connection after the other, each by one function.
func script(tb testing.TB, conns ...func(c *net.TCPConn, r *bufio.Reader)) http1.Destination {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, f := range conns {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c.(*net.TCPConn), bufio.NewReader(c))
			c.Close()
		}
	}()
	tb.Cleanup(func() { l.Close(); <-done })
	return http1.Destination{Address: l.Addr().String()}
}

// raw answers each request head with fixed bytes and closes.
func raw(answers ...string) func(*net.TCPConn, *bufio.Reader) {
	return func(c *net.TCPConn, r *bufio.Reader) {
		for _, a := range answers {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			io.WriteString(c, a)
		}
	}
}

func body(tb testing.TB, r *message.Response) string {
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

// net/http's server is the judge: bodies of all kinds both ways, kept
// connections, trailers, TLS.
func TestClientWithStandardServer(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Target", r.Method+" "+r.Host+" "+r.URL.RequestURI())
		w.Header().Set("X-TE", r.Header.Get("TE"))
		w.Header().Set("Trailer", "X-Sum")
		if r.ContentLength < 0 {
			w.(http.Flusher).Flush()
		}
		w.Write(b)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
	})
	plain, secure := httptest.NewServer(h), httptest.NewTLSServer(h)
	defer plain.Close()
	defer secure.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	for _, d := range []http1.Destination{
		{Address: plain.Listener.Addr().String()},
		{Address: secure.Listener.Addr().String(), TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}},
	} {
		dials := 0
		c := newClient(t, http1.ClientOptions{Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
			dials++
			return new(net.Dialer).DialContext(ctx, n, a)
		}})
		for _, size := range []int{0, 1, 5000, 60_000, 200_000, 3 << 20} {
			for _, kind := range []string{"length", "reader", "unknown"} {
				want := strings.Repeat("x", size)
				r := post(strings.NewReader(want), int64(size))
				switch kind {
				case "reader":
					r.Body = io.MultiReader(r.Body)
				case "unknown":
					r.Body, r.ContentLength = io.MultiReader(r.Body), message.UnknownLength
					r.Header.Add("TE", "trailers")
					r.Trailer.Add("X-Sum", "42")
				}
				r.Query = "a=b"
				resp, err := c.Do(context.Background(), r, d)
				if err != nil {
					t.Fatalf("%s of %d: %v", kind, size, err)
				}
				if got := body(t, resp); got != want || resp.Header.Get("X-Target") != "POST origin.example /post?a=b" {
					t.Errorf("%s of %d: got %d bytes, target %q", kind, size, len(got), resp.Header.Get("X-Target"))
				}
				if kind == "unknown" && (resp.Trailer.Get("X-Sum") != "42" || resp.Header.Get("X-TE") != "trailers") {
					t.Errorf("trailer %q, TE %q", resp.Trailer.Get("X-Sum"), resp.Header.Get("X-TE"))
				}
			}
		}
		if dials != 1 {
			t.Errorf("dialed %d times, want once", dials)
		}
	}
}

func TestClientReads(t *testing.T) {
	for _, c := range []struct{ why, method, answer, want string }{
		{"a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok kept"},
		{"chunks and a trailer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nT: v\r\n\r\n", "200 ok T=v kept"},
		{"to the end", "GET", "HTTP/1.1 200 OK\r\n\r\nok", "200 ok"},
		{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "200 ok"},
		{"1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok"},
		{"1.0 that stays", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "200 ok kept"},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "204  kept"},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "200  kept"},
		{"informed", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "103 200 ok kept"},
		{"bytes beyond the answer", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", "200 ok"},
		{"both framings", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "reading the answer's head"},
		{"not HTTP", "GET", "220 smtp ready\r\n\r\n", "reading the answer's head"},
		{"half a head", "GET", "HTTP/1.1 200 OK\r\nConte", "reading the answer's head"},
		{"nothing", "GET", "", "awaiting an answer"},
		{"an upgrade unasked", "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "reading the answer's head"},
		{"1xx without end", "GET", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 40), "reading the answer's head"},
		{"cut in a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "200 reading the answer's body"},
		{"cut in chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", "200 reading the answer's body"},
		{"cut before the last chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "200 reading the answer's body"},
		{"a bad chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "200 reading the answer's body"},
	} {
		t.Run(c.why, func(t *testing.T) {
			hold := make(chan struct{})
			d := script(t, func(conn *net.TCPConn, r *bufio.Reader) {
				raw(c.answer)(conn, r)
				if strings.HasSuffix(c.want, "kept") {
					<-hold
				}
			})
			defer close(hold)
			client := newClient(t, http1.ClientOptions{})
			if got := told(client, c.method, d); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// told sends one request and puts what came of it in a few words.
func told(client *http1.Client, method string, d http1.Destination) (got string) {
	var failed *message.SendError
	r := get("/")
	r.Method = method
	r.Inform = func(status int, h *message.Header) { got += fmt.Sprint(status, " ") }
	resp, err := client.Do(context.Background(), r, d)
	if errors.As(err, &failed) {
		return failed.Stage.String()
	}
	got += fmt.Sprint(resp.Status, " ")
	if resp.Body != nil {
		b, err := io.ReadAll(resp.Body)
		if errors.As(err, &failed) {
			return got + failed.Stage.String()
		}
		got += string(b)
		resp.Body.Close()
	}
	for f := range resp.Trailer.All() {
		got += " " + f.Name + "=" + f.Value
	}
	if client.Idle() == 1 {
		got += " kept"
	}
	return got
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

func TestClientErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := l.Addr().String()
	l.Close()
	asked := late{context.Background(), make(chan struct{})}
	silent := script(t, func(c *net.TCPConn, r *bufio.Reader) { r.ReadByte(); close(asked.passed); io.Copy(io.Discard, r) })
	noTLS := script(t, func(c *net.TCPConn, r *bufio.Reader) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	noTLS.TLS = &tls.Config{ServerName: "a"}
	deadline := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.Background(), 50*time.Millisecond)
	}
	background := func() (context.Context, context.CancelFunc) { return context.Background(), func() {} }
	bad := errors.New("source broke")
	for _, c := range []struct {
		why     string
		ctx     func() (context.Context, context.CancelFunc)
		r       *message.Request
		d       http1.Destination
		dial    func(context.Context, string, string) (net.Conn, error)
		want    message.SendError
		mention string
	}{
		{"refused", background, get("/"), http1.Destination{Address: refused}, nil,
			message.SendError{Stage: message.StageConnect, Unprocessed: true}, "refused"},
		{"no such name", background, get("/"), http1.Destination{Address: "x.invalid:80"},
			func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x.invalid"}}
			}, message.SendError{Stage: message.StageResolve, Unprocessed: true}, "no such host"},
		{"no TLS there", background, get("/"), noTLS, nil,
			message.SendError{Stage: message.StageHandshake, Unprocessed: true}, "TLS"},
		{"connecting takes too long", deadline, get("/"), http1.Destination{Address: "x:80"},
			func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
			message.SendError{Stage: message.StageConnect, Unprocessed: true, Timeout: true}, "deadline"},
		{"no answer in time", func() (context.Context, context.CancelFunc) { return asked, func() {} }, get("/"), silent, nil,
			message.SendError{Stage: message.StageAwait, Timeout: true}, "deadline"},
		{"a path that would split the request", background, get("/ HTTP/1.1\r\nX: y"), silent, nil,
			message.SendError{Stage: message.StageSend, Unprocessed: true}, "writing a request"},
		{"the small body's own failure", background, post(io.MultiReader(strings.NewReader("x"), failing{bad}), 10), script(t, raw("")), nil,
			message.SendError{Stage: message.StageSource, Unprocessed: false}, "source broke"},
		{"the large body's own failure", background, post(io.MultiReader(strings.NewReader("x"), failing{bad}), 1<<20),
			script(t, func(c *net.TCPConn, r *bufio.Reader) { io.Copy(io.Discard, r) }), nil,
			message.SendError{Stage: message.StageSource}, "source broke"},
	} {
		t.Run(c.why, func(t *testing.T) {
			ctx, cancel := c.ctx()
			defer cancel()
			_, err := newClient(t, http1.ClientOptions{Dial: c.dial}).Do(ctx, c.r, c.d)
			var got *message.SendError
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if got.Stage != c.want.Stage || got.Unprocessed != c.want.Unprocessed || got.Timeout != c.want.Timeout {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if !strings.Contains(err.Error(), c.mention) {
				t.Errorf("%q does not mention %q", err, c.mention)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// A kept connection that the server has closed is not used.
func TestClientLeavesClosedConnections(t *testing.T) {
	c := newClient(t, http1.ClientOptions{})
	closed := make(chan struct{})
	d := script(t, func(conn *net.TCPConn, r *bufio.Reader) { raw(ok)(conn, r); conn.Close(); close(closed) }, raw(ok))
	for range 2 {
		resp, err := c.Do(context.Background(), get("/"), d)
		if err != nil {
			t.Fatal(err)
		}
		body(t, resp)
		<-closed
	}
}

// A kept connection that the server closes at the moment of use is told as such.
func TestClientStale(t *testing.T) {
	c := newClient(t, http1.ClientOptions{})
	d := script(t, raw(ok, ""))
	resp, err := c.Do(context.Background(), get("/"), d)
	if err != nil {
		t.Fatal(err)
	}
	body(t, resp)
	_, err = c.Do(context.Background(), get("/"), d)
	var failed *message.SendError
	if !errors.As(err, &failed) || !failed.Reused || failed.Unprocessed || failed.Stage != message.StageAwait {
		t.Errorf("got %+v", failed)
	}
}

func TestClientIdle(t *testing.T) {
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer o.Close()
	c := newClient(t, http1.ClientOptions{IdleTimeout: 50 * time.Millisecond})
	if _, err := c.Do(context.Background(), get("/"), http1.Destination{Address: o.Listener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	if c.Idle() != 1 {
		t.Fatal("not kept")
	}
	until(t, "the idle connection is closed", func() bool { return c.Idle() == 0 })
}

// The end of the context ends a read of the answer's body that waits.
func TestClientCancelInBody(t *testing.T) {
	d := script(t, func(c *net.TCPConn, r *bufio.Reader) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
		io.Copy(io.Discard, r)
	})
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := newClient(t, http1.ClientOptions{}).Do(ctx, get("/"), d)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if n, err := resp.Body.Read(buf); n != 4 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := resp.Body.Read(buf); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	resp.Body.Close()
}

// A server that answers while it reads (an echo of more than the sockets hold)
// must not stand still with a client that writes before it reads.
func TestClientFullDuplex(t *testing.T) {
	d := script(t, func(c *net.TCPConn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", req.ContentLength)
		io.Copy(c, req.Body)
	})
	big := bytes.Repeat([]byte("0123456789abcdef"), 2<<20)
	resp, err := newClient(t, http1.ClientOptions{}).Do(context.Background(), post(bytes.NewReader(big), int64(len(big))), d)
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, resp); got != string(big) {
		t.Errorf("got %d bytes of %d", len(got), len(big))
	}
}

// A server that refuses a large body before it has read it: its answer arrives,
// and the body's own source is let go although it gives nothing.
func TestClientEarlyAnswer(t *testing.T) {
	d := script(t, func(c *net.TCPConn, r *bufio.Reader) {
		http.ReadRequest(r)
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		io.Copy(io.Discard, r)
	})
	src, w := io.Pipe()
	defer w.Close()
	c := newClient(t, http1.ClientOptions{})
	resp, err := c.Do(context.Background(), post(src, message.UnknownLength), d)
	if err != nil {
		t.Fatal(err)
	}
	if got := body(t, resp); resp.Status != 413 || got != "no" || c.Idle() != 0 {
		t.Errorf("got %d %q, %d idle", resp.Status, got, c.Idle())
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("the source was not closed")
	}
}

func TestClientUpgrade(t *testing.T) {
	d := script(t, func(c *net.TCPConn, r *bufio.Reader) {
		req, _ := http.ReadRequest(r)
		if req == nil || req.Header.Get("Connection") != "Upgrade" || req.Header.Get("Upgrade") != "echo" {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nahead ")
		io.Copy(c, r)
	})
	r := get("/")
	r.Upgrade = "echo"
	resp, err := newClient(t, http1.ClientOptions{}).Do(context.Background(), r, d)
	if err != nil || resp.Switched == nil || resp.Header.Get("Upgrade") != "echo" {
		t.Fatalf("got %+v, %v", resp, err)
	}
	io.WriteString(resp.Switched, "and after")
	resp.Switched.(interface{ CloseWrite() error }).CloseWrite()
	if got, err := io.ReadAll(resp.Switched); err != nil || string(got) != "ahead and after" {
		t.Errorf("got %q, %v", got, err)
	}
	resp.Switched.Close()
}

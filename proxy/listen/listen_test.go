package listen_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http2"
	"github.com/navehq/nave/proxy/listen"
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

// says answers with a word and what it knows of the connection.
func says(word string) message.Handler {
	return message.HandlerFunc(func(x message.Exchange) {
		r := x.Request()
		words := []string{word, r.Scheme, r.Protocol.String()}
		if r.TLS != nil {
			words = append(words, r.TLS.ServerName, strings.Join(r.TLS.PeerURIs, ","))
		}
		body := strings.Join(words, " ")
		if x.Start(200, new(message.Header), int64(len(body))) == nil {
			io.WriteString(x, body)
			x.Finish(nil)
		}
	})
}

func open(tb testing.TB, o listen.Options, specs ...listen.Spec) *listen.Sockets {
	tb.Helper()
	s := listen.New(o)
	for _, f := range s.Apply(specs) {
		tb.Fatal(f)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Drain(ctx)
	})
	return s
}

type doer interface {
	Do(context.Context, *message.Request, http1.Destination) (*message.Response, error)
}

func ask(tb testing.TB, c doer, d http1.Destination) string {
	tb.Helper()
	resp, err := c.Do(context.Background(), &message.Request{Method: "GET", Authority: "a.example", Path: "/"}, d)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func clients(tb testing.TB) (*http1.Client, *http2.Client) {
	one, two := http1.NewClient(http1.ClientOptions{}), http2.NewClient(http2.ClientOptions{})
	tb.Cleanup(func() { one.Close(); two.Close() })
	return one, two
}

// certificate makes a certificate for a server name or, with a URI, a client.
func certificate(tb testing.TB, name string, uris ...string) (tls.Certificate, *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	for _, u := range uris {
		parsed, err := url.Parse(u)
		if err != nil {
			tb.Fatal(err)
		}
		c.URIs = append(c.URIs, parsed)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func TestPlain(t *testing.T) {
	s := open(t, listen.Options{}, listen.Spec{Name: "web", Address: "127.0.0.1:0", Handler: says("hi")})
	d := http1.Destination{Address: s.Addr("127.0.0.1:0").String()}
	one, two := clients(t)
	if got, want := ask(t, one, d), "hi http HTTP/1.1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := ask(t, two, d), "hi http HTTP/2.0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTLS(t *testing.T) {
	certA, poolA := certificate(t, "a.example")
	certB, poolB := certificate(t, "b.example")
	mine, clientPool := certificate(t, "client", "spiffe://nave/cluster/a")
	configs := map[string]*tls.Config{
		"a.example": {Certificates: []tls.Certificate{certA}},
		"b.example": {Certificates: []tls.Certificate{certB}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clientPool},
	}
	s := open(t, listen.Options{}, listen.Spec{
		Name: "web", Address: "127.0.0.1:0", Protocol: listen.HTTPS, Handler: says("hi"),
		TLS: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if c := configs[h.ServerName]; c != nil {
				return c, nil
			}
			return nil, errors.New("no such name")
		},
	})
	address := s.Addr("127.0.0.1:0").String()
	one, two := clients(t)
	for _, c := range []struct {
		why  string
		by   doer
		tls  *tls.Config
		want string
	}{
		{"HTTP/1.1", one, &tls.Config{ServerName: "a.example", RootCAs: poolA}, "hi https HTTP/1.1 a.example "},
		{"HTTP/2", two, &tls.Config{ServerName: "a.example", RootCAs: poolA}, "hi https HTTP/2.0 a.example "},
		{"the certificate of the other name, and a client's own", two,
			&tls.Config{ServerName: "b.example", RootCAs: poolB, Certificates: []tls.Certificate{mine}},
			"hi https HTTP/2.0 b.example spiffe://nave/cluster/a"},
	} {
		t.Run(c.why, func(t *testing.T) {
			if got := ask(t, c.by, http1.Destination{Address: address, TLS: c.tls}); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("a name that is not served", func(t *testing.T) {
		d := http1.Destination{Address: address, TLS: &tls.Config{ServerName: "c.example", RootCAs: poolA}}
		_, err := one.Do(context.Background(), &message.Request{Method: "GET", Path: "/"}, d)
		var failed *message.SendError
		if !errors.As(err, &failed) || failed.Stage != message.StageHandshake {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a client that says nothing", func(t *testing.T) {
		s := open(t, listen.Options{HandshakeTimeout: 30 * time.Millisecond},
			listen.Spec{Address: "127.0.0.1:0", Protocol: listen.HTTPS, Handler: says("hi")})
		c, err := net.Dial("tcp", s.Addr("127.0.0.1:0").String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("it was let wait")
		}
	})
}

// A socket that stays wanted stays open: a connection that was there follows the
// new handler, and so does one with new options.
func TestApplyKeepsSockets(t *testing.T) {
	spec := listen.Spec{Name: "web", Address: "127.0.0.1:0", Handler: says("old")}
	s := open(t, listen.Options{DrainTimeout: time.Millisecond}, spec)
	address := s.Addr("127.0.0.1:0").String()
	dials := 0
	c := http1.NewClient(http1.ClientOptions{Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
		dials++
		return new(net.Dialer).DialContext(ctx, n, a)
	}})
	defer c.Close()
	d := http1.Destination{Address: address}
	if got := ask(t, c, d); !strings.HasPrefix(got, "old ") {
		t.Errorf("got %q", got)
	}
	spec.Handler = says("new")
	if f := s.Apply([]listen.Spec{spec}); f != nil || s.Addr("127.0.0.1:0").String() != address {
		t.Errorf("failures %v, address %v", f, s.Addr("127.0.0.1:0"))
	}
	if got := ask(t, c, d); !strings.HasPrefix(got, "new ") || dials != 1 {
		t.Errorf("got %q after %d dials", got, dials)
	}
	spec.HTTP1.IdleTimeout = time.Minute
	s.Apply([]listen.Spec{spec})
	until(t, "the connection with the old options is ended", func() bool { return c.Idle() == 0 })
	if got := ask(t, c, d); !strings.HasPrefix(got, "new ") || dials != 2 {
		t.Errorf("got %q after %d dials", got, dials)
	}
}

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := l.Addr().String()
	s := listen.New(listen.Options{})
	defer s.Drain(context.Background())
	specs := []listen.Spec{
		{Name: "first", Address: taken, Handler: says("a")},
		{Name: "second", Address: "127.0.0.1:0", Handler: says("b")},
		{Name: "third", Address: "127.0.0.1:0", Handler: says("c")},
	}
	failed := s.Apply(specs)
	if len(failed) != 2 || failed[0].Name != "first" || !errors.Is(failed[0], syscall.EADDRINUSE) ||
		!strings.Contains(failed[0].Error(), taken) || failed[1].Name != "third" {
		t.Fatalf("got %v", failed)
	}
	one, _ := clients(t)
	if got := ask(t, one, http1.Destination{Address: s.Addr("127.0.0.1:0").String()}); !strings.HasPrefix(got, "b ") {
		t.Errorf("got %q", got)
	}
	l.Close()
	if failed := s.Apply(specs[:2]); failed != nil {
		t.Errorf("the port is free again: %v", failed)
	}
	if got := ask(t, one, http1.Destination{Address: taken}); !strings.HasPrefix(got, "a ") {
		t.Errorf("got %q", got)
	}
}

// Removing a socket finishes what runs on it and takes nothing new.
func TestRemove(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s := open(t, listen.Options{}, listen.Spec{Address: "127.0.0.1:0", Handler: message.HandlerFunc(func(x message.Exchange) {
		close(begun)
		<-release
		says("done").Serve(x)
	})})
	address := s.Addr("127.0.0.1:0").String()
	result := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + address)
		if err != nil {
			result <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		result <- string(b)
	}()
	<-begun
	if f := s.Apply(nil); f != nil {
		t.Fatal(f)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("the removed socket took a connection")
	}
	close(release)
	if got := <-result; got != "done http HTTP/1.1" {
		t.Errorf("got %q", got)
	}
}

// Draining ends everything, also handshakes, upgrades and streams that would
// never end, and leaves nothing running.
func TestDrain(t *testing.T) {
	before := runtime.NumGoroutine()
	cert, pool := certificate(t, "a.example")
	begun := make(chan struct{}, 2)
	stuck := message.HandlerFunc(func(x message.Exchange) {
		begun <- struct{}{}
		<-x.Context().Done()
	})
	s := listen.New(listen.Options{})
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	if f := s.Apply([]listen.Spec{
		{Address: "127.0.0.1:0", Handler: stuck},
		{Address: "localhost:0", Protocol: listen.HTTPS, Handler: stuck, TLS: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config, nil }},
	}); f != nil {
		t.Fatal(f)
	}
	plain, secure := s.Addr("127.0.0.1:0").String(), s.Addr("localhost:0").String()
	one, two := http1.NewClient(http1.ClientOptions{}), http2.NewClient(http2.ClientOptions{})
	ended := make(chan error, 2)
	get := func(c doer, d http1.Destination) {
		_, err := c.Do(context.Background(), &message.Request{Method: "GET", Authority: "a.example", Path: "/"}, d)
		ended <- err
	}
	go get(two, http1.Destination{Address: plain})
	go get(one, http1.Destination{Address: secure, TLS: &tls.Config{ServerName: "a.example", RootCAs: pool}})
	<-begun
	<-begun
	silent, err := net.Dial("tcp", secure)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	s.Drain(ctx)
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("an exchange without an answer ended well")
		}
	}
	silent.Close()
	one.Close()
	two.Close()
	until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

package http1_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/proxy/http1"
)

// Whatever a client sends, the server ends the connection with the client and
// says nothing but whole heads.
func FuzzServer(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	f.Add("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n")
	f.Add("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nab")
	f.Add("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\x00\x01")
	f.Add("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	s := http1.NewServer(echo, http1.Options{})
	f.Cleanup(func() { s.Shutdown(context.Background()) })
	f.Fuzz(func(t *testing.T, raw string) {
		a, b := net.Pipe()
		served := make(chan struct{})
		go func() { defer close(served); s.ServeConn(b, nil) }()
		answer := make(chan string, 1)
		go func() { got, _ := io.ReadAll(a); answer <- string(got) }()
		a.SetWriteDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(a, raw)
		a.Close()
		<-served
		if got := <-answer; got != "" && !strings.HasPrefix("HTTP/1.1 ", got[:min(9, len(got))]) {
			t.Errorf("got %q", got)
		}
	})
}

// Whatever a server sends, the client gives an answer or an error and lets the
// connection go.
func FuzzClient(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n")
	f.Add("HTTP/1.0 200\r\n\r\nto the end")
	f.Add("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw")
	f.Fuzz(func(t *testing.T, raw string) {
		client := http1.NewClient(http1.ClientOptions{Dial: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			go func() {
				b.Read(make([]byte, 4096))
				io.WriteString(b, raw)
				b.Close()
			}()
			return a, nil
		}})
		defer client.Close()
		r := get("/")
		r.Upgrade = "x"
		resp, err := client.Do(context.Background(), r, http1.Destination{Address: "x:80"})
		switch {
		case err != nil:
		case resp.Switched != nil:
			resp.Switched.Close()
		case resp.Body != nil:
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}

package forward_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkPlain is the whole way of a plain request over loopback, one
// kilobyte back, access log and metrics on. Besides the elapsed time it tells
// the processor time of this process, in which the client and the backend are
// as lean as they can be made; cpu-direct is theirs alone.
func BenchmarkPlain(b *testing.B) {
	answer := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024)
	backend := leanServer(b, answer)
	log, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	p := start(b, log, append(service(backend), rule(nil))...)
	for name, addr := range map[string]string{"direct": backend, "proxied": strings.TrimPrefix(p.url, "http://")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := processor()
			load(b, addr, len(answer))
			b.ReportMetric(float64(processor()-before)/float64(b.N)/1e3, "cpu-µs/op")
		})
	}
}

func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func leanServer(b *testing.B, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := io.WriteString(c, answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// load keeps 32 connections busy until b.N requests are answered.
func load(b *testing.B, addr string, _ int) {
	var wg sync.WaitGroup
	const conns = 32
	for i := range conns {
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			r := bufio.NewReaderSize(c, 4096)
			for range n {
				io.WriteString(c, "GET /api/v1/things?id=7 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
				if err := readAnswer(r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func readAnswer(r *bufio.Reader) error {
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		s := string(line)
		if strings.HasPrefix(s, "Content-Length: ") {
			length, err = strconv.Atoi(strings.TrimSpace(s[16:]))
			if err != nil {
				return err
			}
		}
		if s == "\r\n" {
			break
		}
	}
	_, err := r.Discard(length)
	return err
}

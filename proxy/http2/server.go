package http2

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// Options of a Server. Zero values mean the defaults in brackets.
type Options struct {
	MaxStreams     uint32        // at a time on one connection [250]
	StreamWindow   int32         // bytes a client may send ahead, per stream [1 MiB]
	ConnWindow     int32         // and per connection [1 MiB]
	FrameSize      uint32        // largest frame taken [16 KiB]
	MaxHeader      int           // decoded bytes of a request's header [64 KiB]
	IdleTimeout    time.Duration // without a stream [10 min]
	KeepAlive      time.Duration // silence before a ping [none is sent]
	KeepAliveLimit time.Duration // for its answer [15 s]
	StallTimeout   time.Duration // a write that takes no byte for that long ends the connection [1 min]
	MaxAge         time.Duration // of a connection before it is asked to end [none]
	Log            *slog.Logger  // panics of handlers; what the library says, at debug [none]
}

func (o Options) withDefaults() Options {
	o.MaxStreams = cmp.Or(o.MaxStreams, 250)
	o.StreamWindow = cmp.Or(o.StreamWindow, 1<<20)
	o.ConnWindow = cmp.Or(o.ConnWindow, 1<<20)
	o.FrameSize = cmp.Or(o.FrameSize, 16<<10)
	o.MaxHeader = cmp.Or(o.MaxHeader, parse.Default.Head)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 10*time.Minute)
	o.StallTimeout = cmp.Or(o.StallTimeout, time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Server serves HTTP/2 connections that somebody else has accepted.
type Server struct {
	handler message.Handler
	opt     Options

	mu       sync.Mutex
	conns    map[*conn]struct{}
	draining bool
	empty    chan struct{} // closed when draining and no connection is left
}

// conn is one client's connection. Each has a library server of its own, so that
// one can be asked to end alone.
type conn struct {
	net    net.Conn
	config *http.Server
	cancel context.CancelFunc
}

// NewServer makes a server. It starts nothing.
func NewServer(h message.Handler, o Options) *Server {
	return &Server{handler: h, opt: o.withDefaults(), conns: map[*conn]struct{}{}, empty: make(chan struct{})}
}

// ServeConn serves one connection, from its preface on, to its end and closes
// it. nc is the *tls.Conn itself where there is TLS, its handshake done; tls is
// what that told, or nil.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn, tls *message.TLS) {
	defer nc.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o := &s.opt
	log := slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	c := &conn{net: nc, cancel: cancel, config: &http.Server{MaxHeaderBytes: o.MaxHeader, ErrorLog: log}}
	engine := &http2.Server{
		MaxConcurrentStreams: o.MaxStreams, MaxReadFrameSize: o.FrameSize,
		MaxUploadBufferPerStream: o.StreamWindow, MaxUploadBufferPerConnection: max(o.ConnWindow, 65535),
		IdleTimeout: o.IdleTimeout, ReadIdleTimeout: o.KeepAlive, PingTimeout: o.KeepAliveLimit,
		WriteByteTimeout: o.StallTimeout,
	}
	if err := http2.ConfigureServer(c.config, engine); err != nil {
		o.Log.Error("configuring an HTTP/2 connection", "cause", err)
		return
	}
	if !s.add(c) {
		return
	}
	defer s.remove(c)
	if o.MaxAge > 0 {
		defer time.AfterFunc(o.MaxAge, c.ask).Stop()
	}
	engine.ServeConn(nc, &http2.ServeConnOpts{
		Context: ctx, BaseConfig: c.config,
		Handler: &adapter{server: s, tls: tls, remote: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr())},
	})
}

// ask has the client open no more streams (GOAWAY) and ends when those there are
// have ended.
func (c *conn) ask() { c.config.Shutdown(context.Background()) }

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		s.conns[c] = struct{}{}
	}
	return !s.draining
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.draining && len(s.conns) == 0 {
		close(s.empty)
	}
}

// Shutdown drains: clients are told to open no more streams; what still runs
// when ctx ends is cut, contexts first. It returns when every connection has
// ended, with ctx's error if something was cut. It is called once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	if len(s.conns) == 0 {
		close(s.empty)
	}
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.ask()
	}
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
	}
	for _, c := range all {
		c.cancel()
		c.net.Close()
	}
	<-s.empty
	return ctx.Err()
}

// adapter is the library's handler for one connection.
type adapter struct {
	server        *Server
	tls           *message.TLS
	remote, local netip.AddrPort
}

// ServeHTTP turns the library's request into an exchange and has it handled.
func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r}
	if status := x.begin(a); status != 0 {
		w.WriteHeader(status)
		return
	}
	if !a.handle(x) || !x.finished {
		panic(http.ErrAbortHandler) // resets the stream: the client sees the answer cut
	}
}

func (a *adapter) handle(x *exchange) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			a.server.opt.Log.Error("handler panicked", "panic", p, "remote", a.remote.String(), "stack", string(debug.Stack()))
		}
	}()
	a.server.handler.Serve(x)
	return true
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

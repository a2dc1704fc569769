package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http2"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

// socket is one open socket. What it follows is swapped by pointer; nothing
// that is open is closed for it.
type socket struct {
	set      *Sockets
	listener net.Listener
	spec     atomic.Pointer[Spec]
	engines  atomic.Pointer[engines]
	base     *tls.Config
	conns    sync.WaitGroup // the accepting goroutine and every connection
	ctx      context.Context
	stop     context.CancelFunc // ends handshakes
}

func newSocket(s *Sockets, l net.Listener, spec *Spec) *socket {
	k := &socket{set: s, listener: l}
	k.ctx, k.stop = context.WithCancel(s.base)
	k.base = &tls.Config{NextProtos: ALPN, GetConfigForClient: k.configure}
	own := *spec
	k.spec.Store(&own)
	k.engines.Store(k.newEngines(spec))
	k.conns.Go(k.accept)
	return k
}

// close takes no more connections; those there are go on.
func (k *socket) close() {
	k.stop()
	k.listener.Close()
}

// follow makes spec what the socket obeys. If the engines' options have changed,
// it returns the engines that are no longer used for new connections.
func (k *socket) follow(spec *Spec) (old *engines) {
	was := k.spec.Load()
	own := *spec
	k.spec.Store(&own)
	if reflect.DeepEqual(was.HTTP1, spec.HTTP1) && reflect.DeepEqual(was.HTTP2, spec.HTTP2) {
		return nil
	}
	return k.engines.Swap(k.newEngines(spec))
}

// Serve passes an exchange to the handler of the moment.
func (k *socket) Serve(x message.Exchange) { k.spec.Load().Handler.Serve(x) }

// engines serve a socket's connections, all with the same options.
type engines struct {
	one *http1.Server
	two *http2.Server
}

func (k *socket) newEngines(spec *Spec) *engines {
	e := new(engines)
	o1, o2 := spec.HTTP1, spec.HTTP2
	o1.Log, o2.Log = k.set.opt.Log, k.set.opt.Log
	o1.HTTP2 = func(ctx context.Context, c net.Conn) { e.two.ServeConn(ctx, c, nil) }
	e.two = http2.NewServer(k, o2)
	e.one = http1.NewServer(k, o1)
	return e
}

// drain ends both engines together: a connection of HTTP/2 without TLS counts
// with both.
func (e *engines) drain(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { _ = e.two.Shutdown(ctx) }) // an error is ctx's end
	both.Go(func() { _ = e.one.Shutdown(ctx) })
	both.Wait()
}

// acceptPause is the wait after a failed accept, for example for want of file
// descriptors.
const acceptPause = 10 * time.Millisecond

func (k *socket) accept() {
	for {
		c, err := k.listener.Accept()
		if err == nil {
			k.conns.Go(func() { k.serve(c) })
			continue
		}
		if errors.Is(err, net.ErrClosed) || k.ctx.Err() != nil {
			return
		}
		k.set.opt.Log.Warn("accepting a connection", "address", k.listener.Addr().String(), "cause", err)
		select {
		case <-time.After(acceptPause):
		case <-k.ctx.Done():
			return
		}
	}
}

func (k *socket) serve(c net.Conn) {
	e := k.engines.Load()
	c, m := k.meter(c)
	if k.spec.Load().Protocol == HTTP {
		count(m, nil)
		e.one.ServeConn(c, nil)
		return
	}
	t := tls.Server(c, k.base)
	ctx, cancel := context.WithTimeout(k.ctx, k.set.opt.HandshakeTimeout)
	began := time.Now()
	err := t.HandshakeContext(ctx)
	took := time.Since(began)
	cancel()
	if err != nil {
		count(m, nil)
		c.Close()
		return
	}
	state := t.ConnectionState()
	told := &message.TLS{ServerName: state.ServerName, ALPN: state.NegotiatedProtocol}
	if len(state.VerifiedChains) > 0 {
		for _, u := range state.PeerCertificates[0].URIs {
			told.PeerURIs = append(told.PeerURIs, u.String())
		}
	}
	if d := count(m, told); d != nil {
		d.Shaken(took)
	}
	if state.NegotiatedProtocol == "h2" {
		e.two.ServeConn(k.set.base, t, told)
		return
	}
	e.one.ServeConn(t, told)
}

// meter has a connection's bytes counted, where the socket is counted at all.
func (k *socket) meter(c net.Conn) (net.Conn, *metered) {
	find := k.spec.Load().Meter
	if find == nil {
		return c, nil
	}
	m := &metered{Conn: c, find: find}
	return m, m
}

// count counts a connection, once it is known whose it is.
func count(m *metered, told *message.TLS) *observe.Downstream {
	if m == nil {
		return nil
	}
	d := m.find(told)
	d.Opened()
	m.attribute(d)
	return d
}

var errNoTLS = errors.New("accepting TLS: the listener has no certificates")

func (k *socket) configure(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	ask := k.spec.Load().TLS
	if ask == nil {
		return nil, errNoTLS
	}
	c, err := ask(hello)
	if err == nil && c == nil {
		err = errNoTLS
	}
	if err != nil || len(c.NextProtos) > 0 {
		return c, err
	}
	c = c.Clone()
	c.NextProtos = ALPN
	return c, nil
}

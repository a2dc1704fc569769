// Package listen holds the proxy's HTTP sockets: it opens and closes them as
// the wanted set changes, ends TLS, tells HTTP/1 from HTTP/2 and gives each
// connection to its engine. Which rule a request meets is the handler's affair,
// and which certificate is shown the callback's.
package listen

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http2"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

// Protocol is what a socket speaks. Both mean HTTP/1.1 and HTTP/2: HTTP by
// prior knowledge, HTTPS by ALPN.
type Protocol uint8

// The protocols.
const (
	HTTP Protocol = iota
	HTTPS
)

// Spec is one wanted socket. Several listeners of a Gateway that share a port
// share a Spec: their handler and TLS callback tell them apart.
type Spec struct {
	Name     string // for errors
	Address  string // host:port, an empty host for all; the socket's identity
	Protocol Protocol
	Handler  message.Handler
	// TLS gives the configuration for a client's hello, so the certificate for
	// its server name; with HTTPS only. An error refuses the handshake. Its
	// NextProtos are ALPN where empty. Keep the value it returns: a new one for
	// each hello costs session resumption.
	TLS func(*tls.ClientHelloInfo) (*tls.Config, error)
	// Meter finds what counts a connection, by its handshake, nil without TLS or
	// where it failed.
	Meter func(*message.TLS) *observe.Downstream
	// HTTP1 and HTTP2 tune the engines. HTTP1.HTTP2 and both Logs are set here.
	HTTP1 http1.Options
	HTTP2 http2.Options
}

// ALPN is what an HTTPS socket offers.
var ALPN = []string{"h2", "http/1.1"}

// Failure is a socket that could not be opened.
type Failure struct {
	Name    string
	Address string
	Err     error
}

func (f Failure) Error() string {
	return fmt.Sprintf("listening on %q for %q: %v", f.Address, f.Name, f.Err)
}

// Unwrap gives the cause.
func (f Failure) Unwrap() error { return f.Err }

// Options of a Set. Zero values mean the defaults in brackets.
type Options struct {
	// Listen opens sockets [net.ListenConfig].
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
	// HandshakeTimeout bounds a TLS handshake [10 s].
	HandshakeTimeout time.Duration
	// DrainTimeout is how long a socket that is no longer wanted may finish its
	// exchanges [30 s].
	DrainTimeout time.Duration
	Log          *slog.Logger // [none]
}

// Sockets are the open sockets. Its methods may be called by one goroutine at a
// time each; Apply and Drain not together.
type Sockets struct {
	opt  Options
	base context.Context
	cut  context.CancelFunc
	wait sync.WaitGroup // drains of sockets no longer wanted

	mu   sync.Mutex
	open map[string]*socket
}

// New makes an empty set.
func New(o Options) *Sockets {
	if o.Listen == nil {
		o.Listen = (&net.ListenConfig{}).Listen
	}
	o.HandshakeTimeout = cmp.Or(o.HandshakeTimeout, 10*time.Second)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 30*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sockets{opt: o, open: map[string]*socket{}}
	s.base, s.cut = context.WithCancel(context.Background())
	return s
}

var errTwice = errors.New("the address is listed twice")

// Apply makes the open sockets those of specs. A socket whose address stays is
// not closed: its next handshakes and requests, on connections that are open
// too, follow the new Spec. One that is no longer listed takes no connections
// from now on and drains by itself. What cannot be opened is returned and does
// not hinder the others; it is tried again with the next Apply.
func (s *Sockets) Apply(specs []Spec) []Failure {
	wanted := make(map[string]bool, len(specs))
	for i := range specs {
		wanted[specs[i].Address] = true
	}
	s.removeBut(wanted)
	var failed []Failure
	applied := make(map[string]bool, len(specs))
	for i := range specs {
		spec := &specs[i]
		err := errTwice
		if !applied[spec.Address] {
			err = s.apply(spec)
		}
		if err != nil {
			failed = append(failed, Failure{spec.Name, spec.Address, err})
		}
		applied[spec.Address] = true
	}
	return failed
}

// removeBut comes before the opening of others: a port may pass from one
// address to another.
func (s *Sockets) removeBut(wanted map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, k := range s.open {
		if !wanted[address] {
			delete(s.open, address)
			k.close()
			s.drainLater(k.engines.Load(), k)
		}
	}
}

// drainLater ends what is no longer used, within the time that is allowed.
func (s *Sockets) drainLater(e *engines, k *socket) {
	s.wait.Go(func() {
		ctx, cancel := context.WithTimeout(s.base, s.opt.DrainTimeout)
		defer cancel()
		e.drain(ctx)
		if k != nil {
			k.conns.Wait()
		}
	})
}

func (s *Sockets) apply(spec *Spec) error {
	s.mu.Lock()
	k := s.open[spec.Address]
	s.mu.Unlock()
	if k != nil {
		if old := k.follow(spec); old != nil {
			s.drainLater(old, nil)
		}
		return nil
	}
	l, err := s.opt.Listen(s.base, "tcp", spec.Address)
	if err != nil {
		return err
	}
	k = newSocket(s, l, spec)
	s.mu.Lock()
	s.open[spec.Address] = k
	s.mu.Unlock()
	return nil
}

// Addr is where the socket of a Spec's address is open, or nil: the way to learn
// a port that the system chose.
func (s *Sockets) Addr(address string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.open[address]; k != nil {
		return k.listener.Addr()
	}
	return nil
}

// Drain closes every socket and waits for what runs; when ctx ends, the rest is
// cut. It is called once, last.
func (s *Sockets) Drain(ctx context.Context) {
	s.mu.Lock()
	open := s.open
	s.open = map[string]*socket{}
	s.mu.Unlock()
	defer context.AfterFunc(ctx, s.cut)()
	for _, k := range open {
		k.close()
		s.wait.Go(func() {
			k.engines.Load().drain(ctx)
			k.conns.Wait()
		})
	}
	s.wait.Wait()
	s.cut()
}

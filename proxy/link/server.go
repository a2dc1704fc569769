package link

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/http2"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

// ServerOptions of a Server. TLS and Serve are required.
type ServerOptions struct {
	// TLS admits proxies of the same tenant only (pki.Party.LinkServer).
	TLS *tls.Config
	// Proxy is this one's id, of Cluster; a request for another replica is refused.
	Cluster, Proxy string
	// Serve serves a request by the candidate that its head names. An error means
	// that nothing was answered nor sent on.
	Serve func(x message.Exchange, h forward.Head, rec *observe.Record) error
	// Registerer gets the metrics; nil is silent. Log [none].
	Registerer prometheus.Registerer
	Log        *slog.Logger
}

// handshakeTime bounds a handshake.
const handshakeTime = 5 * time.Second

// Server serves what other proxies send.
type Server struct {
	opt    ServerOptions
	tls    *tls.Config
	engine *http2.Server
	served *prometheus.CounterVec
	took   *prometheus.HistogramVec
	// foreign are the requests of other clusters under way.
	foreign atomic.Int64

	mu    sync.Mutex
	conns map[*tls.Conn]struct{}
	down  bool
	work  sync.WaitGroup // grows under mu, and no more once down
}

// NewServer makes a Server; Shutdown ends it.
func NewServer(o ServerOptions) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opt: o, tls: o.TLS.Clone(), conns: map[*tls.Conn]struct{}{}}
	s.tls.NextProtos = []string{"h2"}
	s.engine = http2.NewServer(message.HandlerFunc(s.serve), http2.Options{
		MaxStreams: 4096, StreamWindow: 1 << 20, ConnWindow: 16 << 20,
		KeepAlive: 2 * time.Second, KeepAliveLimit: 2 * time.Second, Log: o.Log,
	})
	s.served = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "nave_link_served_total", Help: "Requests of other proxies, by cluster and result: served, refused.",
	}, []string{"from", "result"})
	s.took = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "nave_link_serve_duration_seconds", Help: "From a linked request's head to its answer's end.",
		Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 80},
	}, []string{"from"})
	if o.Registerer != nil {
		o.Registerer.MustRegister(s.served, s.took)
	}
	return s
}

// Serve accepts connections until ctx ends or l is closed, and closes l; the
// first that comes after Shutdown is let go and ends it too. The connections live
// on until Shutdown.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })() // ends Accept
	defer func() { _ = l.Close() }()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			if !s.begin(c) {
				_ = c.Close() // nothing was said yet
				return nil
			}
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		default:
			s.opt.Log.Warn("accepting on the link", "cause", err)
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// begin serves a connection, unless the server is shut down.
func (s *Server) begin(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.down {
		s.work.Go(func() { s.connection(c) })
	}
	return !s.down
}

func (s *Server) connection(raw net.Conn) {
	c := tls.Server(raw, s.tls)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	err := c.HandshakeContext(ctx)
	cancel()
	if err != nil || c.ConnectionState().NegotiatedProtocol != "h2" {
		_ = raw.Close() // nothing was said yet
		s.opt.Log.Debug("shaking hands on the link", "remote", raw.RemoteAddr().String(), "cause", err)
		return
	}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	state := c.ConnectionState()
	told := &message.TLS{ServerName: state.ServerName, ALPN: state.NegotiatedProtocol}
	for _, u := range state.PeerCertificates[0].URIs {
		told.PeerURIs = append(told.PeerURIs, u.String())
	}
	s.engine.ServeConn(context.Background(), c, told)
}

// Recheck closes the connections whose peers would not be let in any more. It
// is called when the fleet's roots or revocations have changed.
func (s *Server) Recheck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if s.tls.VerifyConnection != nil && s.tls.VerifyConnection(c.ConnectionState()) != nil {
			_ = c.NetConn().Close() // the peer has no claim to a farewell
		}
	}
}

// Shutdown drains: peers open no more requests; what runs when ctx ends is cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.down = true
	s.mu.Unlock()
	err := s.engine.Shutdown(ctx)
	s.work.Wait()
	return err
}

// serve reads the head and hands the request on.
func (s *Server) serve(x message.Exchange) {
	r := x.Request()
	name := s.peer(r)
	start := time.Now()
	if name.Cluster != s.opt.Cluster {
		s.foreign.Add(1)
		defer s.foreign.Add(-1)
	}
	h, err := read(&r.Header, start)
	if err == nil {
		// Who sends is what the certificate says, whatever the head says.
		h.From, h.Tenant = name.Cluster, name.Tenant
		if h.Replica != "" && h.Replica != s.opt.Proxy {
			err = errors.New("serving a linked request: it is for replica " + h.Replica)
		}
	}
	if err == nil {
		err = s.opt.Serve(x, h, &observe.Record{Source: r.Remote, Method: r.Method, Host: r.Authority, Path: r.Path})
	}
	result := "served"
	if err != nil {
		result = "refused"
		refuse(x, err)
	}
	s.served.WithLabelValues(name.Cluster, result).Inc()
	s.took.WithLabelValues(name.Cluster).Observe(time.Since(start).Seconds())
}

// Foreign is how many requests of other clusters are under way.
func (s *Server) Foreign() int { return int(s.foreign.Load()) }

func (s *Server) peer(r *message.Request) pki.Name {
	if r.TLS == nil || len(r.TLS.PeerURIs) != 1 {
		return pki.Name{}
	}
	name, err := pki.ParseName(r.TLS.PeerURIs[0])
	if err != nil {
		return pki.Name{}
	}
	return name
}

// refuse answers a request that was not served, in a way that the other side
// can tell from any backend's answer.
func refuse(x message.Exchange, err error) {
	if x.Started() {
		return
	}
	var h message.Header
	h.Add(headRefused, escape(err.Error()))
	if x.Start(503, &h, 0) == nil {
		_ = x.Finish(nil) // the peer is gone then, and knows
	}
}

// Package relay is the simulated wide-area network of a fleet on one machine: it
// carries TCP and UDP between clusters and adds to each direction the delay,
// jitter, loss and partitions that it is told. It runs as a process of its own,
// so that it outlives what a drill kills. It never reads what it carries, never
// decides what is far from what, and never closes a connection because of a
// partition.
//
// What differs from a real path: a TCP client's connect returns at once, since
// the local system accepts, and the handshake's round trip is paid by its first
// bytes; a partition in one direction leaves the other's bytes flowing, since no
// acknowledgements are simulated.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options is what a relay is made of. The zero value of each field but Config
// works.
type Options struct {
	Config Config
	// Control, if set, serves the control interface (see Push); Run closes it.
	Control net.Listener
	// Listen and ListenPacket open the routes' sockets; nil means the system's.
	Listen       func(ctx context.Context, network, address string) (net.Listener, error)
	ListenPacket func(ctx context.Context, network, address string) (net.PacketConn, error)
	// Dial connects to a target from a local IP, or from any if source is empty.
	Dial func(ctx context.Context, network, source, target string) (net.Conn, error)
	// Seed makes jitter and loss repeatable.
	Seed uint64
	// Log hears what a person may want to know; nil is silent.
	Log *slog.Logger
}

// Relay forwards between clusters. Its methods may be called from anywhere.
type Relay struct {
	options Options
	wan     *wan
	ctx     context.Context
	stop    context.CancelFunc

	mu       sync.Mutex
	config   Config
	services map[socket]*service
	broken   map[socket]RouteStatus // routes of config that could not be listened on
}

// service is one route at work.
type service struct {
	route Route
	out   path // from the route's From to its To
	log   *slog.Logger
	dial  func(ctx context.Context, network, source, target string) (net.Conn, error)
	stop  context.CancelFunc
	ended chan struct{} // closed when nothing of it is left

	accepted, refused, open atomic.Int64
}

// RouteStatus is a route and what it has carried.
type RouteStatus struct {
	Route
	Open     int64  `json:"open"`     // connections, or clients of a UDP route, now
	Accepted int64  `json:"accepted"` // connections, or clients, ever
	Refused  int64  `json:"refused"`  // times that the target could not be reached
	Error    string `json:"error,omitempty"`
}

// New makes a relay that carries nothing yet; Set gives it its configuration.
func New(options Options) *Relay {
	if options.Listen == nil {
		options.Listen = new(net.ListenConfig).Listen
	}
	if options.ListenPacket == nil {
		options.ListenPacket = new(net.ListenConfig).ListenPacket
	}
	if options.Dial == nil {
		options.Dial = dialFrom
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Relay{options: options, wan: newWAN(options.Seed), ctx: ctx, stop: stop, services: map[socket]*service{}, broken: map[socket]RouteStatus{}}
}

// Run carries options.Config, and what the control interface replaces it by,
// until ctx ends; then it resets what is open and returns nil. A route that
// cannot be listened on at the start is an error.
func Run(ctx context.Context, options Options) error {
	r := New(options)
	defer r.Close()
	if err := r.Set(options.Config); err != nil {
		return err
	}
	if options.Control == nil {
		<-ctx.Done()
		return nil
	}
	return r.serveControl(ctx, options.Control)
}

// Set replaces the configuration while traffic flows. Links change at once, for
// what is on its way too. Routes that are the same as before keep their
// connections; those gone or changed lose them by a reset. A configuration that
// does not validate changes nothing; a route that cannot be listened on is
// reported, and the rest is in force.
func (r *Relay) Set(config Config) error {
	if err := config.Validate(); err != nil {
		return fmt.Errorf("setting a relay's configuration: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return errors.New("setting a relay's configuration: the relay is closed")
	}
	r.config = config
	r.wan.set(config.Links, time.Now())
	wanted := map[socket]Route{}
	for _, route := range config.Routes {
		wanted[route.socket()] = route
	}
	for key, running := range r.services {
		if wanted[key] != running.route {
			running.close()
			delete(r.services, key)
		}
	}
	clear(r.broken)
	var errs []error
	for _, route := range config.Routes {
		if r.services[route.socket()] != nil {
			continue
		}
		started, err := r.start(route)
		if err != nil {
			errs = append(errs, err)
			r.broken[route.socket()] = RouteStatus{Route: route, Error: err.Error()}
			continue
		}
		r.services[route.socket()] = started
	}
	return errors.Join(errs...)
}

func (r *Relay) start(route Route) (*service, error) {
	ctx, stop := context.WithCancel(r.ctx)
	s := &service{
		route: route, out: path{r.wan, pair{route.From, route.To}},
		log: r.options.Log, dial: r.options.Dial, stop: stop, ended: make(chan struct{}),
	}
	serve, err := r.listen(ctx, s)
	if err != nil {
		stop()
		return nil, fmt.Errorf("listening for %q on the way to %q: %w", route.From, route.To, err)
	}
	go func() {
		defer close(s.ended)
		serve()
	}()
	return s, nil
}

func (r *Relay) listen(ctx context.Context, s *service) (serve func(), err error) {
	if s.route.Network == "udp" {
		front, err := r.options.ListenPacket(ctx, "udp", s.route.Listen)
		return func() { s.serveUDP(ctx, front) }, err
	}
	listener, err := r.options.Listen(ctx, "tcp", s.route.Listen)
	return func() { s.serveTCP(ctx, listener) }, err
}

func (s *service) close() {
	s.stop()
	<-s.ended
}

// Config is what Set was last given.
func (r *Relay) Config() Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config
}

// Status tells of every route, by its listen address.
func (r *Relay) Status() []RouteStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []RouteStatus
	for _, s := range r.services {
		all = append(all, RouteStatus{Route: s.route, Open: s.open.Load(), Accepted: s.accepted.Load(), Refused: s.refused.Load()})
	}
	for _, status := range r.broken {
		all = append(all, status)
	}
	slices.SortFunc(all, func(a, b RouteStatus) int {
		return strings.Compare(a.Listen+a.Network, b.Listen+b.Network)
	})
	return all
}

// Close resets every connection and frees every address.
func (r *Relay) Close() {
	r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, s := range r.services {
		s.close()
		delete(r.services, key)
	}
}

func dialFrom(ctx context.Context, network, source, target string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 10 * time.Second, KeepAlive: -1}
	if source != "" {
		local := net.JoinHostPort(source, "0")
		var err error
		if network == "udp" {
			dialer.LocalAddr, err = net.ResolveUDPAddr(network, local)
		} else {
			dialer.LocalAddr, err = net.ResolveTCPAddr(network, local)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the source address %q: %w", source, err)
		}
	}
	return dialer.DialContext(ctx, network, target)
}

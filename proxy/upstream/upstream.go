// Package upstream reaches endpoints that this cluster declares: it resolves,
// guards, dials and keeps the health of each destination by what came of using
// it. It never chooses between candidates, never follows a redirect and never
// sends a request twice after any of it may have been acted on.
package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/message"
)

// Client sends a request over kept connections; http1's and http2's do.
type Client interface {
	Do(ctx context.Context, r *message.Request, to http1.Destination) (*message.Response, error)
}

// Options of an Upstream. HTTP1 and HTTP2 are required.
type Options struct {
	HTTP1, HTTP2 Client
	// Resolve looks a name up [the system's resolver].
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Allow admits an address that the guard would refuse [none].
	Allow func(netip.AddrPort) bool
	// Now is the time [time.Now].
	Now func() time.Time
}

// Upstream sends requests to local endpoints. It is safe for concurrent use.
type Upstream struct {
	opt   Options
	names *names
	tls   *configs

	mu     sync.Mutex
	faults map[netip.AddrPort]time.Time // when an address was last found dead
	turn   uint64
}

// New makes an Upstream.
func New(o Options) *Upstream {
	fill(&o)
	return &Upstream{opt: o, names: newNames(o.Resolve, o.Now), tls: newConfigs(), faults: map[netip.AddrPort]time.Time{}}
}

// Target is an endpoint to send to.
type Target struct {
	Dial *table.Dial
	// Find looks the table up that the request was matched by.
	Find func(table.ID) table.Resource
	// Standalone admits of loopback what the table's endpoints and hosts name.
	Standalone bool
}

// maxTries is how many addresses of one destination are tried where
// connections to them fail.
const maxTries = 3

// Send sends the request to one of the target's addresses and gives the head of
// its answer and the address that gave it. Where a connection cannot be made,
// others of its addresses are tried. Scheme is set by the target; what it fails
// with is a *message.SendError.
func (u *Upstream) Send(ctx context.Context, t Target, r *message.Request) (*message.Response, string, error) {
	p, err := u.plan(ctx, t)
	if err != nil {
		return nil, p.name, err
	}
	r.Scheme = p.scheme
	client := u.opt.HTTP1
	if t.Dial.HTTP2 && r.Upgrade == "" {
		client = u.opt.HTTP2
	}
	for i := 0; ; i++ {
		a := p.addresses[i]
		resp, err := u.try(ctx, client, t.Dial, r, http1.Destination{Address: a.String(), TLS: p.tls})
		if err == nil {
			return resp, p.label(a), nil
		}
		if !unconnected(err) || ctx.Err() != nil {
			return nil, p.label(a), err
		}
		u.fault(a)
		if i+1 == len(p.addresses) || i+1 == maxTries {
			return nil, p.label(a), err
		}
	}
}

// try bounds the connecting by the target's own limit where it has one. The
// limit ends with the answer's head: a connection is then long made.
func (u *Upstream) try(ctx context.Context, c Client, d *table.Dial, r *message.Request, to http1.Destination) (*message.Response, error) {
	limit := d.ConnectTimeout.Std()
	if limit <= 0 {
		return c.Do(ctx, r, to)
	}
	return c.Do(context.WithValue(ctx, connectLimit{}, limit), r, to)
}

type connectLimit struct{}

// Dialer makes a dial function that obeys the connect timeout of the target for
// which it dials. It goes into the clients that Options name.
func Dialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		limit, ok := ctx.Value(connectLimit{}).(time.Duration)
		if !ok {
			return dial(ctx, network, address)
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return dial(ctx, network, address)
	}
}

// unconnected tells whether the attempt ended before a connection was made.
func unconnected(err error) bool {
	var e *message.SendError
	return errors.As(err, &e) && e.Unprocessed && e.Stage == message.StageConnect
}

// faulty addresses come after the others for that long.
const faultTime = 5 * time.Second

func (u *Upstream) fault(a netip.AddrPort) {
	now := u.opt.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	for old, at := range u.faults {
		if now.Sub(at) > faultTime {
			delete(u.faults, old)
		}
	}
	u.faults[a] = now
}

// arrange turns the list by one for each request, and puts addresses that were
// lately found dead last.
func (u *Upstream) arrange(list []netip.AddrPort) []netip.AddrPort {
	if len(list) < 2 {
		return list
	}
	now := u.opt.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.turn++
	at := int(u.turn % uint64(len(list)))
	good := make([]netip.AddrPort, 0, len(list))
	var bad []netip.AddrPort
	for i := range list {
		a := list[(at+i)%len(list)]
		if found, ok := u.faults[a]; ok && now.Sub(found) < faultTime {
			bad = append(bad, a)
		} else {
			good = append(good, a)
		}
	}
	return append(good, bad...)
}

// failed is an attempt that ended before anything was sent.
func failed(stage message.Stage, address string, err error) error {
	return &message.SendError{
		Stage: stage, Address: address, Unprocessed: true,
		Timeout: errors.Is(err, context.DeadlineExceeded), Err: err,
	}
}

func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// Authority is what a dial's requests say as their host: the declared one, with
// the port where it is not the scheme's own.
func Authority(d *table.Dial) string {
	own := uint16(80)
	if d.TLS != nil {
		own = 443
	}
	if d.Port == own || d.Port == 0 {
		if addr, err := netip.ParseAddr(d.Host); err == nil && addr.Is6() {
			return "[" + d.Host + "]"
		}
		return d.Host
	}
	return hostPort(d.Host, d.Port)
}

func fill(o *Options) {
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Allow == nil {
		o.Allow = func(netip.AddrPort) bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// errNobody is what a Service with no ready endpoint amounts to.
var errNobody = errors.New("no endpoint is ready")

func missing(e *table.Endpoints, name string) error {
	if e == nil {
		return fmt.Errorf("endpoints %q: %w", name, errNobody)
	}
	return fmt.Errorf("endpoints %q: %w: %s", name, errNobody, cmp.Or(e.Missing, "the list is empty"))
}

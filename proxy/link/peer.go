package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http2"
)

// How a connection is kept: pinged every pingEvery; given up when two pings in
// a row got no answer within pingLimit each, so at most 1.7 s after its last
// sign of life, unless this process stood still meanwhile; opened anew after a
// pause that doubles from firstPause to lastPause, each halved at most by chance.
const (
	connectTime = 2 * time.Second
	pingEvery   = 500 * time.Millisecond
	pingLimit   = 600 * time.Millisecond
	pingSlowest = 2 * time.Second
	// lateMost is how many pings in a row may be given up late before they count.
	lateMost   = 3
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	// drainLimit is how long what is in flight to a peer that goes may take, and
	// drainEvery how often that is looked at.
	drainLimit = 2 * time.Minute
	drainEvery = 100 * time.Millisecond
)

var errSilent = errors.New("two pings in a row were not answered")

// peer is one proxy and the connection to it.
type peer struct {
	client  *Client
	cluster string
	proxy   table.LinkProxy
	stop    context.CancelFunc
	poke    chan struct{} // asks for a ping at once
	// before is the same proxy at the address that it had, as long as this one has
	// not answered; the client's lock guards it.
	before *peer

	mu     sync.Mutex
	conn   *http2.Conn // nil while there is none
	state  func() error
	why    error
	flight int
}

func (p *peer) up() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn != nil && p.conn.Usable()
}

// answering is the peer, or the one before it while only that is up.
func (p *peer) answering() *peer {
	if p.before != nil && !p.up() && p.before.up() {
		return p.before
	}
	return p
}

// drain waits until nothing is in flight, or has taken too long.
func (p *peer) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for p.busy() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *peer) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn != nil && (p.flight > 0 || p.conn.Busy())
}

func (p *peer) cause() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why == nil {
		return errors.New("its connection is ending")
	}
	return p.why
}

func (p *peer) load() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flight
}

func (p *peer) begin() *http2.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		p.flight++
	}
	return p.conn
}

func (p *peer) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flight--
}

// suspect has the connection pinged at once.
func (p *peer) suspect() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// recheck closes the connection if its peer would not be accepted now.
func (p *peer) recheck() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil && p.state != nil && p.state() != nil {
		p.conn.Close() // ends what is in flight
	}
}

// keep opens the connection again and again, until ctx ends.
func (p *peer) keep(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		began := p.client.opt.Now()
		err := p.live(ctx)
		if ctx.Err() != nil {
			return
		}
		p.client.opt.Log.Info("link lost", "cluster", p.cluster, "proxy", p.proxy.ID, "cause", err)
		if p.client.opt.Now().Sub(began) > 2*lastPause {
			pause = firstPause
		}
		wait := pause/2 + time.Duration(p.client.opt.Word()%uint64(pause/2+1))
		pause = min(2*pause, lastPause)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// live opens a connection and keeps it for as long as it answers.
func (p *peer) live(ctx context.Context) error {
	c, err := p.connect(ctx)
	if err == nil {
		err = p.ping(ctx, c, pingLimit)
	}
	if err != nil {
		if c != nil {
			c.Close()
		}
		p.set(nil, err)
		return err
	}
	p.set(c, nil)
	p.client.arrived(p)
	p.client.opt.Log.Info("link up", "cluster", p.cluster, "proxy", p.proxy.ID)
	err = p.watch(ctx, c)
	p.set(nil, err)
	c.Close() // what is in flight fails now, and can be sent elsewhere
	return err
}

func (p *peer) connect(ctx context.Context) (*http2.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	config := p.client.opt.TLS(p.cluster).Clone()
	verify := config.VerifyConnection
	var state *tls.ConnectionState
	config.VerifyConnection = func(s tls.ConnectionState) error {
		state = &s
		if verify == nil {
			return nil
		}
		return verify(s)
	}
	if host, _, err := net.SplitHostPort(p.proxy.Address); err == nil && config.ServerName == "" {
		config.ServerName = host
	}
	c, err := http2.Connect(ctx, http2.ClientOptions{Dial: p.client.opt.Dial, ConnectTimeout: connectTime}, http1.Destination{Address: p.proxy.Address, TLS: config})
	if err != nil {
		return nil, fmt.Errorf("connecting to proxy %q: %w", p.proxy.ID, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = func() error {
		if verify == nil || state == nil {
			return nil
		}
		return verify(*state)
	}
	return c, nil
}

func (p *peer) set(c *http2.Conn, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn, p.why = c, why
}

// watch pings until the connection does not answer.
func (p *peer) watch(ctx context.Context, c *http2.Conn) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-p.poke:
		}
		if !c.Usable() {
			return errors.New("the connection was closed")
		}
		limit := p.limit()
		if silent(limit, func() error { return p.ping(ctx, c, limit) }) && ctx.Err() == nil {
			return errSilent
		}
	}
}

// silent tells whether two pings in a row are not answered. One that was given up
// late tells of this process, which stood still, and not of the peer; but so much
// patience has an end.
func silent(limit time.Duration, ping func() error) bool {
	for missed, late := 0, 0; missed < 2; {
		start := time.Now()
		if ping() == nil {
			return false
		}
		if time.Since(start) > limit+limit/2 && late < lateMost {
			late++
			continue
		}
		missed++
	}
	return true
}

// limit leaves a way that is long by nature its time.
func (p *peer) limit() time.Duration {
	return min(max(pingLimit, 3*p.client.RTT(p.cluster).Value), pingSlowest)
}

func (p *peer) ping(ctx context.Context, c *http2.Conn, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	if err := c.Ping(ctx); err != nil {
		p.client.out.missed.WithLabelValues(p.cluster).Inc()
		return fmt.Errorf("pinging proxy %q: %w", p.proxy.ID, err)
	}
	p.client.sample(p.cluster, time.Since(start))
	return nil
}

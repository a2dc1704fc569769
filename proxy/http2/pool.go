package http2

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/message"
)

// pool holds the connections of a Client. It takes the place of the library's
// own, which knows destinations by their host name only.
type pool struct {
	opt       ClientOptions
	transport *http2.Transport

	mu     sync.Mutex
	dests  map[http1.Destination]*dest
	conns  map[*http2.ClientConn]http1.Destination
	closed bool
}

// dest is one destination. It is dropped when nobody uses it.
type dest struct {
	dialing chan struct{} // holds a token while nobody dials
	users   int           // calls that want a connection just now
	conns   []*http2.ClientConn
	tls     *tls.Config // the destination's, with HTTP/2 asked for
}

func newPool(o ClientOptions, t *http2.Transport) *pool {
	return &pool{
		opt: o, transport: t,
		dests: map[http1.Destination]*dest{}, conns: map[*http2.ClientConn]http1.Destination{},
	}
}

// GetClientConn gives the request a place on a connection. The library calls it
// again when the peer has refused the first place; that, and its growing pauses,
// are cut short here: who sends decides what is tried next.
func (p *pool) GetClientConn(r *http.Request, _ string) (*http2.ClientConn, error) {
	a := r.Context().Value(attemptKey{}).(*attempt)
	if a.taken {
		return nil, errRefused
	}
	a.taken = true
	d := p.use(a.to)
	defer p.leave(a.to, d)
	if cc := p.reserve(d); cc != nil {
		a.reused = true
		return cc, nil
	}
	select {
	case <-d.dialing:
		defer func() { d.dialing <- struct{}{} }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if cc := p.reserve(d); cc != nil { // the one before us dialed
		return cc, nil
	}
	return p.dial(r.Context(), a.to, d)
}

func (p *pool) use(to http1.Destination) *dest {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.dests[to]
	if d == nil {
		d = &dest{dialing: make(chan struct{}, 1)}
		d.dialing <- struct{}{}
		if to.TLS != nil {
			d.tls = asking(to.TLS)
		}
		p.dests[to] = d
	}
	d.users++
	return d
}

func (p *pool) leave(to http1.Destination, d *dest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.users--
	p.drop(to, d)
}

// drop forgets an unused destination; p.mu is held.
func (p *pool) drop(to http1.Destination, d *dest) {
	if d.users == 0 && len(d.conns) == 0 {
		delete(p.dests, to)
	}
}

func (p *pool) reserve(d *dest) *http2.ClientConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cc := range d.conns {
		if cc.ReserveNewRequest() {
			return cc
		}
	}
	return nil
}

var errClosed = errors.New("the client is closed")

func (p *pool) dial(ctx context.Context, to http1.Destination, d *dest) (*http2.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opt.ConnectTimeout)
	defer cancel()
	asked := to
	asked.TLS = d.tls
	began := time.Now()
	cc, err := open(ctx, p.transport, p.opt.Dial, asked)
	if err != nil {
		return nil, err
	}
	p.opt.Connected(to.TLS != nil, time.Since(began))
	fail := func(err error) error {
		return &message.SendError{Stage: message.StageConnect, Address: to.Address, Unprocessed: true, Err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		cc.Close()
		return nil, fail(errClosed)
	}
	d.conns = append(d.conns, cc)
	p.conns[cc] = to
	if !cc.ReserveNewRequest() {
		return nil, fail(errRefused)
	}
	return cc, nil
}

// MarkDead forgets a connection; the library calls it when one has ended.
func (p *pool) MarkDead(cc *http2.ClientConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to, ok := p.conns[cc]
	if !ok {
		return
	}
	delete(p.conns, cc)
	if d := p.dests[to]; d != nil {
		d.conns = slices.DeleteFunc(d.conns, func(o *http2.ClientConn) bool { return o == cc })
		p.drop(to, d)
	}
}

// close ends every connection as soon as it carries no stream.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	all := make([]*http2.ClientConn, 0, len(p.conns))
	for cc := range p.conns {
		all = append(all, cc)
	}
	p.mu.Unlock()
	for _, cc := range all {
		cc.SetDoNotReuse()
		if s := cc.State(); s.StreamsActive+s.StreamsReserved+s.StreamsPending == 0 {
			cc.Close()
		}
	}
}

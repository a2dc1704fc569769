package http2

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"golang.org/x/net/http2"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/message"
)

// Conn is one connection that its owner opens, pings and closes, where a Client
// keeps its own to itself.
type Conn struct {
	cc *http2.ClientConn
	to http1.Destination
}

// Connect opens a connection; without TLS the peer must speak HTTP/2 by prior
// knowledge. It stays open without streams too: IdleTimeout is not obeyed. Its
// error is a *message.SendError.
func Connect(ctx context.Context, o ClientOptions, d http1.Destination) (*Conn, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, o.ConnectTimeout)
	defer cancel()
	if d.TLS != nil {
		d.TLS = asking(d.TLS)
	}
	cc, err := open(ctx, o.transport(), o.Dial, d)
	if err != nil {
		return nil, err
	}
	return &Conn{cc, d}, nil
}

// Usable is false once the connection takes no further request.
func (c *Conn) Usable() bool { return c.cc.CanTakeNewRequest() }

// Busy tells whether streams are open.
func (c *Conn) Busy() bool { return c.cc.State().StreamsActive > 0 }

// Ping waits for the peer's answer to a ping.
func (c *Conn) Ping(ctx context.Context) error { return c.cc.Ping(ctx) }

// Close ends the connection at once; what is in flight on it fails.
func (c *Conn) Close() { _ = c.cc.Close() }

// Do sends r, with a Client's errors; a wish to switch protocols is not passed on.
func (c *Conn) Do(ctx context.Context, r *message.Request) (*message.Response, error) {
	out, err := outgoing(ctx, r, c.to)
	if err != nil {
		return nil, err
	}
	resp, err := c.cc.RoundTrip(out)
	if err != nil {
		e := failure(ctx, c.to, message.StageAwait, err)
		e.Reused = true
		return nil, e
	}
	return incoming(ctx, r, c.to, resp), nil
}

var errNotHTTP2 = errors.New("the peer does not speak HTTP/2 (ALPN)")

// asking is c with HTTP/2 asked for.
func asking(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.NextProtos = []string{http2.NextProtoTLS}
	return c
}

func open(ctx context.Context, t *http2.Transport, dial func(ctx context.Context, network, address string) (net.Conn, error), to http1.Destination) (*http2.ClientConn, error) {
	nc, err := http1.Connect(ctx, dial, to)
	if err != nil {
		return nil, err
	}
	at := message.StageHandshake
	if s, ok := nc.(*tls.Conn); ok && s.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		err = errNotHTTP2
	}
	var cc *http2.ClientConn
	if err == nil {
		at = message.StageConnect
		cc, err = t.NewClientConn(nc)
	}
	if err != nil {
		_ = nc.Close() // nothing was said on it
		return nil, &message.SendError{Stage: at, Address: to.Address, Unprocessed: true, Err: err}
	}
	return cc, nil
}

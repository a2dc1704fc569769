package http2

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"

	"golang.org/x/net/http2"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/message"
)

// Conn is one connection outside the client's pool, for who keeps its own and
// pings it.
type Conn struct {
	cc *http2.ClientConn
	to http1.Destination
}

// Connect opens a connection of its own. The peer must speak HTTP/2: by ALPN
// with TLS, by prior knowledge without. Its error is a *message.SendError.
func (c *Client) Connect(ctx context.Context, d http1.Destination) (*Conn, error) {
	asked := d
	if d.TLS != nil {
		asked.TLS = d.TLS.Clone()
		asked.TLS.NextProtos = []string{http2.NextProtoTLS}
	}
	nc, err := http1.Connect(ctx, c.pool.opt.Dial, asked)
	if err != nil {
		return nil, err
	}
	fail := func(at message.Stage, err error) error {
		nc.Close()
		return &message.SendError{Stage: at, Address: d.Address, Unprocessed: true, Err: err}
	}
	if t, ok := nc.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		return nil, fail(message.StageHandshake, errNotHTTP2)
	}
	cc, err := c.transport.NewClientConn(nc)
	if err != nil {
		return nil, fail(message.StageConnect, err)
	}
	return &Conn{cc, d}, nil
}

// Do sends r as the client's Do does, on this connection.
func (c *Conn) Do(ctx context.Context, r *message.Request) (*message.Response, error) {
	if err := checkRequest(r); err != nil {
		return nil, &message.SendError{Stage: message.StageSend, Address: c.to.Address, Unprocessed: true, Err: err}
	}
	resp, err := c.cc.RoundTrip(outgoing(ctx, r, c.to))
	if err != nil {
		e := failure(ctx, c.to, message.StageAwait, err)
		e.Reused = true
		e.Unprocessed = e.Unprocessed || unopened(err)
		return nil, e
	}
	return incoming(ctx, r, c.to, resp), nil
}

// unopened tells whether the library opened no stream, or the peer said that it
// would not look at it. The library exports none of these errors.
func unopened(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		text := err.Error()
		if strings.Contains(text, "client conn not usable") || strings.Contains(text, "graceful shutdown GOAWAY") {
			return true
		}
	}
	return false
}

// Usable tells whether the connection takes another request.
func (c *Conn) Usable() bool { return c.cc.CanTakeNewRequest() }

// Ping waits for the peer's answer to a PING frame.
func (c *Conn) Ping(ctx context.Context) error { return c.cc.Ping(ctx) }

// Close ends the connection at once; what is in flight on it fails.
func (c *Conn) Close() error { return c.cc.Close() }

package link

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// conn is one HTTP/2 connection that its owner pings and closes; an engine's
// pool would keep both to itself.
type conn struct {
	cc      *http2.ClientConn
	address string
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// newTransport makes what all of a client's connections share.
func newTransport() *http2.Transport {
	return &http2.Transport{
		DisableCompression: true, MaxHeaderListSize: uint32(parse.Default.Head), WriteByteTimeout: 5 * time.Second,
	}
}

var errNotHTTP2 = errors.New("the peer does not speak HTTP/2")

// connect opens a connection. Its error is a *message.SendError.
func connect(ctx context.Context, t *http2.Transport, dial dialFunc, address string, config *tls.Config) (*conn, error) {
	nc, err := http1.Connect(ctx, dial, http1.Destination{Address: address, TLS: config})
	if err != nil {
		return nil, err
	}
	if s, ok := nc.(*tls.Conn); ok && s.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		err = errNotHTTP2
	}
	var cc *http2.ClientConn
	if err == nil {
		cc, err = t.NewClientConn(nc)
	}
	if err != nil {
		_ = nc.Close() // nothing was said on it
		return nil, &message.SendError{Stage: message.StageHandshake, Address: address, Unprocessed: true, Err: err}
	}
	return &conn{cc, address}, nil
}

func (c *conn) usable() bool                   { return c.cc.CanTakeNewRequest() }
func (c *conn) busy() bool                     { return c.cc.State().StreamsActive > 0 }
func (c *conn) ping(ctx context.Context) error { return c.cc.Ping(ctx) }

// close ends the connection at once; what is in flight on it fails.
func (c *conn) close() { _ = c.cc.Close() }

// do sends r and gives the head of its answer. Errors, the body's included, are
// *message.SendError.
func (c *conn) do(ctx context.Context, r *message.Request) (*message.Response, error) {
	resp, err := c.cc.RoundTrip(c.outgoing(ctx, r))
	if err != nil {
		return nil, c.failure(ctx, message.StageAwait, err)
	}
	out := &message.Response{Status: resp.StatusCode, ContentLength: resp.ContentLength, Protocol: message.HTTP2}
	fill(&out.Header, resp.Header)
	if resp.ContentLength == 0 || r.Method == http.MethodHead || resp.StatusCode == 204 || resp.StatusCode == 304 {
		_ = resp.Body.Close() // it is empty
		return out, nil
	}
	out.Body = &body{c, ctx, resp, out}
	return out, nil
}

func (c *conn) outgoing(ctx context.Context, r *message.Request) *http.Request {
	u := &url.URL{Scheme: "https", Host: r.Authority, Opaque: r.Path, RawQuery: r.Query, ForceQuery: r.HasQuery}
	if u.Host == "" {
		u.Host = c.address
	}
	if strings.HasPrefix(r.Path, "//") {
		u.Opaque = "//" + u.Host + r.Path // which the library cuts to the path again
	}
	out := &http.Request{Method: r.Method, URL: u, Host: u.Host, Header: make(http.Header, r.Header.Len())}
	for f := range r.Header.All() {
		if !parse.Engine(f.Name) {
			name := http.CanonicalHeaderKey(f.Name)
			out.Header[name] = append(out.Header[name], f.Value)
		}
	}
	if r.Header.Get("TE") == "trailers" {
		out.Header["Te"] = []string{"trailers"}
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // else the library sends its own
	}
	if r.Body != nil && r.ContentLength != 0 {
		out.Trailer = announced(&r.Header)
		delete(out.Header, "Trailer")
		out.Body, out.ContentLength = &source{r, out.Trailer}, r.ContentLength
	}
	return out.WithContext(ctx)
}

// announced are the names in h's Trailer fields.
func announced(h *message.Header) http.Header {
	var t http.Header
	for list := range h.Values("Trailer") {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); parse.Token(name) && !parse.Engine(name) {
				if t == nil {
					t = http.Header{}
				}
				t[http.CanonicalHeaderKey(name)] = nil
			}
		}
	}
	return t
}

// fill adds the fields of a library's header, sorted, since a map keeps no order.
func fill(h *message.Header, from http.Header) {
	names := make([]string, 0, len(from))
	for name := range from {
		if !parse.Engine(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range from[name] {
			h.Add(name, v)
		}
	}
}

// source is the request's body for the library.
type source struct {
	r       *message.Request
	trailer http.Header // the announced names, to be filled at the body's end
}

// sourceError is a failure of the request's own body.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Body.Read(p)
	switch {
	case err == io.EOF:
		for f := range s.r.Trailer.All() {
			name := http.CanonicalHeaderKey(f.Name)
			if _, ok := s.trailer[name]; ok {
				s.trailer[name] = append(s.trailer[name], f.Value)
			}
		}
	case err != nil:
		err = &sourceError{err}
	}
	return n, err
}

func (s *source) Close() error {
	if c, ok := s.r.Body.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// body reads the answer, then hands the trailers over.
type body struct {
	conn     *conn
	ctx      context.Context
	from     *http.Response
	response *message.Response
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Body.Read(p)
	switch {
	case err == io.EOF:
		if b.response.Trailer.Len() == 0 {
			fill(&b.response.Trailer, b.from.Trailer)
		}
	case err != nil:
		err = b.conn.failure(b.ctx, message.StageBody, err)
	}
	return n, err
}

func (b *body) Close() error { return b.from.Body.Close() }

func (c *conn) failure(ctx context.Context, at message.Stage, err error) *message.SendError {
	e := &message.SendError{Stage: at, Address: c.address, Reused: true, Err: err}
	var own *sourceError
	var stream http2.StreamError
	switch {
	case ctx.Err() != nil:
		e.Err = ctx.Err()
		e.Timeout = errors.Is(e.Err, context.DeadlineExceeded)
	case errors.As(err, &own):
		e.Stage, e.Err = message.StageSource, own.err
	case at == message.StageBody:
	case errors.As(err, &stream):
		e.Unprocessed = stream.Code == http2.ErrCodeRefusedStream
	default:
		e.Unprocessed = unopened(err)
	}
	return e
}

// unopened tells whether the library opened no stream, or the peer said that it
// would not look at it. The library exports neither error.
func unopened(err error) bool {
	text := err.Error()
	return strings.Contains(text, "client conn not usable") || strings.Contains(text, "graceful shutdown GOAWAY")
}

package http2

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/navehq/nave/proxy/http1"
	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// ClientOptions of a Client. Zero values mean the defaults in brackets.
type ClientOptions struct {
	// Dial opens connections [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Connected is told of each connection that was made and how long it took,
	// the TLS handshake included [nobody].
	Connected func(secure bool, took time.Duration)
	// ConnectTimeout bounds dialing and the TLS handshake together [10 s].
	ConnectTimeout time.Duration
	// IdleTimeout is how long a connection without streams is kept [55 s].
	IdleTimeout time.Duration
	// KeepAlive is the silence on a connection in use after which it is pinged
	// [15 s], KeepAliveLimit how long the answer may take before the connection
	// is given up [5 s]: so a half-open one is found.
	KeepAlive, KeepAliveLimit time.Duration
	// MaxHeader bounds an answer's header, decoded [64 KiB].
	MaxHeader uint32
}

func (o ClientOptions) withDefaults() ClientOptions {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Connected == nil {
		o.Connected = func(bool, time.Duration) {}
	}
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 55*time.Second)
	o.KeepAlive = cmp.Or(o.KeepAlive, 15*time.Second)
	o.KeepAliveLimit = cmp.Or(o.KeepAliveLimit, 5*time.Second)
	o.MaxHeader = cmp.Or(o.MaxHeader, uint32(parse.Default.Head))
	return o
}

func (o ClientOptions) transport() *http2.Transport {
	return &http2.Transport{
		AllowHTTP: true, DisableCompression: true, ReadIdleTimeout: o.KeepAlive, PingTimeout: o.KeepAliveLimit,
		WriteByteTimeout: o.KeepAlive + o.KeepAliveLimit, MaxHeaderListSize: o.MaxHeader,
	}
}

// Client sends requests over shared connections, one or more per destination.
type Client struct {
	transport *http2.Transport
	pool      *pool
}

// NewClient makes a client. Close ends its idle connections.
func NewClient(o ClientOptions) *Client {
	o = o.withDefaults()
	t := o.transport()
	t.IdleConnTimeout = o.IdleTimeout
	p := newPool(o, t)
	t.ConnPool = p
	return &Client{transport: t, pool: p}
}

// Close closes connections as they become idle and makes no more.
func (c *Client) Close() error {
	c.pool.close()
	return nil
}

// errRefused stands for a failure after which the peer has surely not acted: the
// library asks to send again, and is told this instead.
var errRefused = errors.New("the peer refused the stream or was closing the connection")

// attempt travels in a request's context to the pool.
type attempt struct {
	to     http1.Destination
	taken  bool
	reused bool // the connection was there before
}

type attemptKey struct{}

// Do sends r as http1's Client does, with the same errors. Without TLS the peer
// must speak HTTP/2 by prior knowledge. A request without a body that the peer
// refused unseen is sent once more, on another connection if need be.
func (c *Client) Do(ctx context.Context, r *message.Request, d http1.Destination) (*message.Response, error) {
	d.Network = cmp.Or(d.Network, "tcp")
	resp, err := c.try(ctx, r, d)
	if errors.Is(err, errRefused) && r.Body == nil && ctx.Err() == nil {
		resp, err = c.try(ctx, r, d)
	}
	return resp, err
}

func (c *Client) try(ctx context.Context, r *message.Request, d http1.Destination) (*message.Response, error) {
	if r.Upgrade != "" {
		return nil, &message.SendError{Stage: message.StageSend, Address: d.Address, Unprocessed: true, Err: errNoSwitch}
	}
	a := &attempt{to: d}
	out, err := outgoing(context.WithValue(ctx, attemptKey{}, a), r, d)
	if err != nil {
		return nil, err
	}
	resp, err := c.transport.RoundTrip(out)
	if err != nil {
		e := failure(ctx, d, message.StageAwait, err)
		e.Reused = a.reused
		return nil, e
	}
	return incoming(ctx, r, d, resp), nil
}

func checkRequest(r *message.Request) error {
	if !parse.Token(r.Method) || !parse.Target(r.Path) || r.Query != "" && !parse.Target(r.Query) ||
		r.Authority != "" && !parse.Host(r.Authority) {
		return errors.New("writing a request: method, target or host holds bytes that none may hold")
	}
	return checkFields(&r.Header)
}

func informer(r *message.Request) func(int, textproto.MIMEHeader) error {
	return func(status int, from textproto.MIMEHeader) error {
		if status != 100 {
			var h message.Header
			fill(&h, http.Header(from))
			r.Inform(status, &h)
		}
		return nil
	}
}

// outgoing is r as the library wants it.
func outgoing(ctx context.Context, r *message.Request, d http1.Destination) (*http.Request, error) {
	if err := checkRequest(r); err != nil {
		return nil, &message.SendError{Stage: message.StageSend, Address: d.Address, Unprocessed: true, Err: err}
	}
	if r.Inform != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: informer(r)})
	}
	u := &url.URL{Scheme: "http", Host: cmp.Or(r.Authority, d.Address), Opaque: r.Path, RawQuery: r.Query, ForceQuery: r.HasQuery}
	if d.TLS != nil {
		u.Scheme = "https"
	}
	if strings.HasPrefix(r.Path, "//") {
		u.Opaque = "//" + u.Host + r.Path // which the library cuts to the path again
	}
	out := &http.Request{Method: r.Method, URL: u, Host: u.Host, Header: make(http.Header, r.Header.Len())}
	spread(out.Header, &r.Header)
	if r.Header.Get("TE") == "trailers" {
		out.Header["Te"] = []string{"trailers"}
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // else the library sends its own
	}
	if r.Body != nil && r.ContentLength != 0 {
		out.Trailer = announced(&r.Header)
		for f := range r.Trailer.All() {
			if out.Trailer == nil {
				out.Trailer = http.Header{}
			}
			out.Trailer[http.CanonicalHeaderKey(f.Name)] = nil
		}
		delete(out.Header, "Trailer")
		out.Body, out.ContentLength = &source{r, out.Trailer}, r.ContentLength
		out.GetBody = func() (io.ReadCloser, error) { return nil, errRefused }
	}
	return out.WithContext(ctx), nil
}

// source is the request's body for the library.
type source struct {
	r       *message.Request
	trailer http.Header // the announced names, to be filled at the body's end
}

// sourceError is a failure of the request's own body.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

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

// incoming is the library's answer as a message.
func incoming(ctx context.Context, r *message.Request, d http1.Destination, from *http.Response) *message.Response {
	resp := &message.Response{Status: from.StatusCode, ContentLength: from.ContentLength, Protocol: message.HTTP2}
	fill(&resp.Header, from.Header)
	if len(from.Trailer) > 0 {
		resp.Header.Add("Trailer", names(from.Trailer))
	}
	if r.Method == http.MethodHead || from.StatusCode == 204 || from.StatusCode == 304 {
		from.Body.Close()
		return resp
	}
	resp.Body = &responseBody{ctx: ctx, to: d, from: from, response: resp}
	return resp
}

// responseBody reads the stream, then hands the trailers over.
type responseBody struct {
	ctx      context.Context
	to       http1.Destination
	from     *http.Response
	response *message.Response
}

func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.from.Body.Read(p)
	switch {
	case err == io.EOF:
		if b.response.Trailer.Len() == 0 {
			fill(&b.response.Trailer, b.from.Trailer)
		}
	case err != nil:
		err = failure(b.ctx, b.to, message.StageBody, err)
	}
	return n, err
}

// Close gives the stream up, if it was not read to its end.
func (b *responseBody) Close() error { return b.from.Body.Close() }

// failure says in message's terms what the library's error means.
func failure(ctx context.Context, d http1.Destination, at message.Stage, err error) *message.SendError {
	var told *message.SendError
	if errors.As(err, &told) {
		return told
	}
	e := &message.SendError{Stage: at, Address: d.Address, Err: err}
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

// unopened tells whether no stream was opened, or the peer said that it would not
// look at it. The library exports neither error.
func unopened(err error) bool {
	text := err.Error()
	return errors.Is(err, errRefused) || strings.Contains(text, "client conn not usable") || strings.Contains(text, "graceful shutdown GOAWAY")
}

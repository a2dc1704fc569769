// Package message holds the request and the answer as the request's life sees
// them: independent of the HTTP engine behind them and of net/http. It decides
// nothing and opens nothing; engines fill and drain these values.
package message

import (
	"context"
	"io"
	"net/netip"
)

// UnknownLength is the ContentLength of a body whose length is not announced.
const UnknownLength = -1

// Protocol is the HTTP version of one side of an exchange.
type Protocol uint8

// The protocols that engines speak.
const (
	HTTP10 Protocol = iota
	HTTP11
	HTTP2
)

func (p Protocol) String() string {
	return [...]string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"}[p]
}

// Request is one HTTP request, received or about to be sent. Path and Query are
// raw, as on the wire, without the '?'; an empty Query with HasQuery means that
// a lone '?' was sent. Header holds neither Host nor pseudo headers
// (Method, Scheme, Authority, Path say it), nor hop-by-hop fields: engines take
// those off and put their own on, with one exception: the Upgrade field stays
// where the request asks for a protocol change (Upgrade is then its value).
type Request struct {
	Method    string
	Scheme    string
	Authority string
	Path      string
	Query     string
	HasQuery  bool
	Protocol  Protocol
	Header    Header
	// Body is nil where the request has none. Reading to io.EOF leaves Trailer
	// filled. Body need not be closed by a handler of a received request. A
	// client engine closes a Body that is an io.Closer when the answer ended
	// before all of it was sent; Close must then end a Read that is waiting.
	Body          io.Reader
	ContentLength int64
	Trailer       Header
	Upgrade       string
	// Inform is set by who sends a request and wants its 1xx answers (100 and
	// 101 excepted). It is called before Do returns; h is valid for the call.
	Inform func(status int, h *Header)
	// Connection facts, set on received requests.
	Remote netip.AddrPort
	Local  netip.AddrPort
	TLS    *TLS
}

// TLS is what the handshake of a received request told.
type TLS struct {
	ServerName string
	ALPN       string
	// PeerURIs are the URI names of the verified client certificate, if there is one.
	PeerURIs []string
}

// Target is the path with the query as it stands in a request line.
func (r *Request) Target() string {
	if !r.HasQuery && r.Query == "" {
		return r.Path
	}
	return r.Path + "?" + r.Query
}

// Response is the head of an answer and its body. On an answer received from
// upstream, Body must be closed; closing early gives the connection up.
type Response struct {
	Status        int
	Header        Header
	Body          io.ReadCloser // nil for none
	ContentLength int64
	// Trailer is filled once Body has returned io.EOF.
	Trailer  Header
	Protocol Protocol
	// Switched is set on a 101 answer: the raw connection behind the upgrade.
	Switched io.ReadWriteCloser
}

// Exchange is one request with the means to answer it, as a server engine hands
// it to a Handler. It is used by one goroutine at a time and not after the
// handler has returned.
type Exchange interface {
	// Context ends when the client is gone (found within a second, also while
	// nothing is read or written), when the exchange ends and when the server's
	// drain runs out.
	Context() context.Context
	Request() *Request
	// Inform sends a 1xx answer ahead of the final one (100, 103).
	Inform(status int, h *Header) error
	// Start sends status and header. length is the exact number of body bytes
	// to follow, or UnknownLength. Where the answer has no body (HEAD, 204,
	// 304), bytes written are swallowed. After Start, Body writes the body.
	Start(status int, h *Header, length int64) error
	// Write writes body bytes; they may wait in a buffer until Flush or Finish.
	Write(p []byte) (int, error)
	Flush() error
	// Finish ends the answer, with trailers where the protocol can carry them
	// and t is not nil. Without Start it is an error. A handler that returns
	// after Start without Finish aborts the answer: the client sees it cut.
	Finish(t *Header) error
	// Switch answers 101 with h and gives the raw connection over, with what was
	// already read ahead. Only for HTTP/1.1 requests with Upgrade set.
	Switch(h *Header) (io.ReadWriteCloser, error)
	// Started tells whether Start or Switch was called.
	Started() bool
}

// Handler serves exchanges. A panic in it ends the connection, not the process.
type Handler interface {
	Serve(Exchange)
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(Exchange)

// Serve calls f.
func (f HandlerFunc) Serve(x Exchange) { f(x) }

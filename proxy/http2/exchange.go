package http2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// exchange is one stream.
type exchange struct {
	w       http.ResponseWriter
	r       *http.Request
	request message.Request

	started  bool
	finished bool
	silent   bool  // the answer has no body: bytes are swallowed
	left     int64 // message.UnknownLength, or what is still to be written
}

var (
	errStarted   = errors.New("writing an answer: it was started before")
	errUnstarted = errors.New("writing an answer: it was not started")
	errFinished  = errors.New("writing an answer: it is finished")
	errStatus    = errors.New("writing an answer: not a status for this place")
	errLength    = errors.New("writing a body: not of the length announced")
	errNoSwitch  = errors.New("switching protocols: HTTP/2 has no upgrade")
)

// begin fills the request. It returns the status of a refusal, or 0. What HTTP/2
// itself forbids the library has refused; the rest is held to http1's rules.
func (x *exchange) begin(a *adapter) int {
	r := x.r
	if r.Method == http.MethodConnect {
		return http.StatusNotImplemented
	}
	path, query, has := strings.Cut(r.RequestURI, "?")
	if !parse.Token(r.Method) || !parse.Host(r.Host) || !parse.Target(path) || query != "" && !parse.Target(query) {
		return http.StatusBadRequest
	}
	x.request = message.Request{
		Method: r.Method, Scheme: "http", Authority: r.Host, Path: path, Query: query, HasQuery: has,
		Protocol: message.HTTP2, ContentLength: r.ContentLength,
		Remote: a.remote, Local: a.local, TLS: a.tls,
	}
	if a.tls != nil {
		x.request.Scheme = "https"
	}
	fill(&x.request.Header, r.Header)
	if len(r.Trailer) > 0 {
		x.request.Header.Add("Trailer", names(r.Trailer))
	}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		x.request.Body = &requestBody{x}
	}
	return 0
}

func names(t http.Header) string {
	all := make([]string, 0, len(t))
	for name := range t {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// requestBody reads the stream, then hands the trailers over.
type requestBody struct{ x *exchange }

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.x.r.Body.Read(p)
	if err == io.EOF && b.x.request.Trailer.Len() == 0 {
		fill(&b.x.request.Trailer, b.x.r.Trailer)
	}
	return n, err
}

// Close ends a read that waits.
func (b *requestBody) Close() error { return b.x.r.Body.Close() }

func (x *exchange) Context() context.Context  { return x.r.Context() }
func (x *exchange) Request() *message.Request { return &x.request }
func (x *exchange) Started() bool             { return x.started }

func checkFields(h *message.Header) error {
	for f := range h.All() {
		if !parse.Token(f.Name) || !parse.Value(f.Value) {
			return fmt.Errorf("writing header %q: name or value holds bytes that no header may hold", f.Name)
		}
	}
	return nil
}

func (x *exchange) Inform(status int, h *message.Header) error {
	switch {
	case status < 100 || status > 199 || status == 101:
		return errStatus
	case x.started:
		return errStarted
	}
	if h != nil {
		if err := checkFields(h); err != nil {
			return err
		}
		spread(x.w.Header(), h)
	}
	x.w.WriteHeader(status)
	clear(x.w.Header())
	return nil
}

func (x *exchange) Start(status int, h *message.Header, length int64) error {
	switch {
	case status < 200 || status > 999:
		return errStatus
	case x.started:
		return errStarted
	}
	if err := checkFields(h); err != nil {
		return err
	}
	to := x.w.Header()
	spread(to, h)
	if _, ok := to["Content-Type"]; !ok {
		to["Content-Type"] = nil // else the library guesses one
	}
	if length >= 0 && status != 204 {
		to["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	x.started, x.left = true, length
	x.silent = x.r.Method == http.MethodHead || status == 204 || status == 304
	x.w.WriteHeader(status)
	return nil
}

func (x *exchange) Write(p []byte) (int, error) {
	switch {
	case !x.started:
		return 0, errUnstarted
	case x.finished:
		return 0, errFinished
	case x.silent:
		return len(p), nil
	case x.left >= 0:
		if int64(len(p)) > x.left {
			return 0, errLength
		}
		x.left -= int64(len(p))
	}
	return x.w.Write(p)
}

func (x *exchange) Flush() error {
	if !x.started {
		return errUnstarted
	}
	return http.NewResponseController(x.w).Flush()
}

// Finish ends the stream; the library sends what waits, and the trailers, when
// the handler has returned.
func (x *exchange) Finish(t *message.Header) error {
	switch {
	case !x.started:
		return errUnstarted
	case x.finished:
		return errFinished
	case !x.silent && x.left > 0:
		return errLength
	}
	if t != nil {
		if err := checkFields(t); err != nil {
			return err
		}
		// With its head sent, an empty answer is not given a length of 0, which
		// would leave no place for trailers on the next hop.
		if x.left < 0 && t.Len() > 0 {
			if err := x.Flush(); err != nil {
				return err
			}
		}
		to := x.w.Header()
		for f := range t.All() {
			if !parse.Engine(f.Name) {
				name := http.TrailerPrefix + http.CanonicalHeaderKey(f.Name)
				to[name] = append(to[name], f.Value)
			}
		}
	}
	x.finished = true
	return nil
}

// Switch is an error: nothing in HTTP/2 asks for it.
func (x *exchange) Switch(*message.Header) (io.ReadWriteCloser, error) { return nil, errNoSwitch }

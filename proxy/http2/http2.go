// Package http2 carries HTTP/2 on both sides over golang.org/x/net/http2, with
// TLS and without (prior knowledge), as the same exchanges and answers that
// http1 carries. It turns one library's values into message's and back; framing
// is the library's, and where a request goes and whether it is sent again is
// never decided here.
package http2

import (
	"net/http"
	"slices"
	"strings"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// fill adds the fields of a library's header to h, sorted by name, since a map
// keeps no order. What only engines write stays out, but for "TE: trailers".
func fill(h *message.Header, from http.Header) {
	names := make([]string, 0, len(from))
	n := 0
	for name, values := range from {
		if !parse.Engine(name) || name == "Te" {
			names = append(names, name)
			n += len(values)
		}
	}
	slices.Sort(names)
	h.Grow(n)
	for _, name := range names {
		for _, v := range from[name] {
			h.Add(name, v)
		}
	}
}

// spread puts h's fields into a library's header.
func spread(to http.Header, h *message.Header) {
	for f := range h.All() {
		if !parse.Engine(f.Name) {
			name := http.CanonicalHeaderKey(f.Name)
			to[name] = append(to[name], f.Value)
		}
	}
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

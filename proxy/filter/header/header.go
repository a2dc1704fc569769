// Package header edits the fields of a request or an answer as a rule's header
// filters say. It decides only which fields a filter may not touch; it never
// reads a body and never sends anything.
package header

import (
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
)

// Request applies an edit to a request. A field named Host stands for the
// authority; fields that frame the message are left alone.
func Request(edit *table.HeaderEdit, r *message.Request) {
	for _, f := range edit.Set {
		if message.EqualFold(f.Name, "host") {
			r.Authority = f.Value
		}
	}
	Apply(edit, &r.Header)
}

// Apply sets, adds and removes, in this order.
func Apply(edit *table.HeaderEdit, h *message.Header) {
	for _, f := range edit.Set {
		if !Framing(f.Name) {
			h.Set(f.Name, f.Value)
		}
	}
	for _, f := range edit.Add {
		if !Framing(f.Name) {
			h.Add(f.Name, f.Value)
		}
	}
	for _, name := range edit.Remove {
		if !Framing(name) {
			h.Del(name)
		}
	}
}

// framing fields say where a message ends, what its connection does next, or
// to whom it goes: engines own them.
var framing = []string{
	"host", "connection", "content-length", "transfer-encoding", "upgrade",
	"te", "trailer", "keep-alive", "proxy-connection", "http2-settings",
}

// Framing tells whether a filter must leave a field of that name to the engines.
func Framing(name string) bool {
	for _, f := range framing {
		if message.EqualFold(f, name) {
			return true
		}
	}
	return false
}

// Package catalog makes one list of many servers' tools, prompts, resources and
// resource templates: what each is called outside, which server a name means,
// how pages and answers to initialize are merged, and what a tool says of
// itself. It holds no session and sends nothing.
package catalog

import "strings"

// The modes of prefixes.
const (
	Conditional = "Conditional" // only with more than one server; also ""
	Always      = "Always"
	Never       = "Never"
)

// Names translates between a server's own names and those that clients see: a
// tool or prompt is <server>_<name>, a resource <server>+<uri>, and
// ui://<server>+<rest> where the scheme is ui.
type Names struct {
	servers  []string
	prefixed bool
}

// NewNames is for the servers in their declared order.
func NewNames(servers []string, mode string) Names {
	return Names{servers, mode == Always || mode != Never && len(servers) > 1}
}

// Servers are the servers in their order.
func (n Names) Servers() []string { return n.servers }

// Telling tells whether a name alone says which server it belongs to; where it
// does not, the lists have to be asked.
func (n Names) Telling() bool { return n.prefixed || len(n.servers) == 1 }

// Outer is what clients call a server's tool or prompt.
func (n Names) Outer(server, own string) string {
	if !n.prefixed {
		return own
	}
	return server + "_" + own
}

// Inner is the server that a name means and the server's own name for it. Of
// several servers that the name may begin with, the longest counts.
func (n Names) Inner(name string) (server, own string, ok bool) {
	return n.inner(name, "_")
}

func (n Names) inner(name, delimiter string) (server, own string, ok bool) {
	if !n.prefixed {
		if len(n.servers) != 1 {
			return "", "", false
		}
		return n.servers[0], name, true
	}
	for _, s := range n.servers {
		rest, has := strings.CutPrefix(name, s+delimiter)
		if has && (!ok || len(s) > len(server)) {
			server, own, ok = s, rest, true
		}
	}
	return server, own, ok
}

const ui = "ui://"

// OuterURI is what clients call a server's resource.
func (n Names) OuterURI(server, uri string) string {
	if !n.prefixed {
		return uri
	}
	if rest, ok := strings.CutPrefix(uri, ui); ok {
		return ui + server + "+" + rest
	}
	return server + "+" + uri
}

// InnerURI is the server that a resource's URI means and its own URI for it.
func (n Names) InnerURI(uri string) (server, own string, ok bool) {
	rest, isUI := strings.CutPrefix(uri, ui)
	if !n.prefixed || !isUI {
		return n.inner(uri, "+")
	}
	server, own, ok = n.inner(rest, "+")
	return server, ui + own, ok
}

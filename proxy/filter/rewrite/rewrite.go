// Package rewrite changes where a request goes before it is forwarded: its
// authority, its whole path, or the prefix of the path that matched. It knows
// the one meaning of both that redirects share; it never touches the query.
package rewrite

import (
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
)

// Apply rewrites a request. prefix is the value of the path match by which the
// rule was chosen, "" where that was not a prefix.
func Apply(w *table.Rewrite, r *message.Request, prefix string) {
	if w.Hostname != "" {
		r.Authority = w.Hostname
	}
	if w.Path != nil {
		r.Path = Path(w.Path, r.Path, prefix)
	}
}

// Path gives the new path. A prefix is replaced by elements: the table in
// HTTPPathModifier of Gateway API is its law, so /foo/bar with /foo replaced by
// "" or "/" is /bar, and /foo with /foo replaced by "" is /.
func Path(edit *table.PathEdit, path, prefix string) string {
	switch {
	case edit.Full != nil:
		return rooted(*edit.Full)
	case edit.Prefix == nil:
		return path
	}
	prefix = strings.TrimSuffix(prefix, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return path
	}
	with := strings.TrimSuffix(*edit.Prefix, "/")
	return rooted(with + rest)
}

func rooted(p string) string {
	if strings.HasPrefix(p, "/") {
		return p
	}
	return "/" + p
}

// Package redirect decides the Location that a redirect filter answers with.
// It never sends the answer and never follows one.
package redirect

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/rewrite"
	"github.com/navehq/nave/proxy/message"
)

// Location gives the absolute URL to answer with. prefix is the path match's
// value where that was a prefix, port the listener's. As HTTPRequestRedirect of
// Gateway API has it: what the filter leaves out stays as in the request; a
// declared scheme without a port takes the scheme's own port; a scheme's own
// port is not written. The query stays.
func Location(d *table.Redirect, r *message.Request, prefix string, port uint16) string {
	scheme := d.Scheme
	if scheme == "" {
		scheme = r.Scheme
	}
	host := d.Hostname
	if host == "" {
		host = Hostname(r.Authority)
	}
	switch {
	case d.Port != 0:
		port = d.Port
	case d.Scheme != "":
		port = own(scheme)
	}
	var b strings.Builder
	b.WriteString(scheme)
	b.WriteString("://")
	b.WriteString(host)
	if port != own(scheme) {
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(int(port)))
	}
	path := r.Path
	if d.Path != nil {
		path = rewrite.Path(d.Path, path, prefix)
	}
	b.WriteString(path)
	if r.HasQuery || r.Query != "" {
		b.WriteByte('?')
		b.WriteString(r.Query)
	}
	return b.String()
}

func own(scheme string) uint16 {
	switch scheme {
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}

// Hostname takes the port off an authority; an IPv6 literal keeps its brackets.
func Hostname(authority string) string {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.HasSuffix(authority, "]") {
		return authority
	}
	if _, err := netip.ParseAddr(authority); err == nil {
		return authority
	}
	return authority[:i]
}

// Package cors decides which origins' scripts may read an answer, by
// HTTPRoute's CORS filter and the Fetch standard. It answers preflights and
// marks answers; it never keeps a request from being served, since the browser
// enforces what it says.
package cors

import (
	"strconv"
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
)

// Preflight tells whether a request asks for permission only, and shall be
// answered 204 with what Permit wrote.
func Preflight(r *message.Request) bool {
	return r.Method == "OPTIONS" && r.Header.Has("Origin") && r.Header.Has("Access-Control-Request-Method")
}

// Permit writes the header of a preflight's answer. An origin that is not
// allowed gets none of the fields that would permit it anything.
func Permit(c *table.CORS, r *message.Request, h *message.Header) {
	h.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	if !origin(c, r.Header.Get("Origin"), h) {
		return
	}
	if v := list(c.AllowMethods, c.AllowCredentials, r.Header.Get("Access-Control-Request-Method")); v != "" {
		h.Set("Access-Control-Allow-Methods", v)
	}
	if v := list(c.AllowHeaders, c.AllowCredentials, r.Header.Get("Access-Control-Request-Headers")); v != "" {
		h.Set("Access-Control-Allow-Headers", v)
	}
	if c.MaxAge > 0 {
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge)))
	}
}

// Mark writes the fields of an actual answer, in place of what the backend
// said about origins.
func Mark(c *table.CORS, requestOrigin string, h *message.Header) {
	for _, name := range []string{
		"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers",
	} {
		h.Del(name)
	}
	h.Add("Vary", "Origin")
	if requestOrigin == "" || !origin(c, requestOrigin, h) {
		return
	}
	if len(c.ExposeHeaders) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(c.ExposeHeaders, ", "))
	}
}

func origin(c *table.CORS, o string, h *message.Header) bool {
	allowed, any := Allowed(c.AllowOrigins, o)
	if !allowed {
		return false
	}
	if any && !c.AllowCredentials {
		o = "*"
	}
	h.Set("Access-Control-Allow-Origin", o)
	if c.AllowCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

// list writes what is allowed. The wildcard means every one only where no
// credentials are sent (Fetch 3.3.5), so with them what was asked for is echoed.
func list(allowed []string, credentials bool, asked string) string {
	for _, v := range allowed {
		if v == "*" {
			if credentials {
				return asked
			}
			return "*"
		}
	}
	return strings.Join(allowed, ", ")
}

// Allowed tells whether an origin is among the patterns, and whether that is by
// the pattern "*". A pattern is scheme://host[:port], where the host may be *
// or *.suffix; letters' case does not count.
func Allowed(patterns []string, origin string) (allowed, any bool) {
	for _, p := range patterns {
		if p == "*" {
			return true, true
		}
		if like(p, origin) {
			allowed = true
		}
	}
	return allowed, false
}

func like(pattern, origin string) bool {
	if strings.EqualFold(pattern, origin) {
		return true
	}
	scheme, host, ok := strings.Cut(pattern, "://")
	oscheme, ohost, ook := strings.Cut(origin, "://")
	if !ok || !ook || !strings.EqualFold(scheme, oscheme) || !strings.HasPrefix(host, "*") {
		return false
	}
	suffix := host[1:]
	cut := len(ohost) - len(suffix)
	return cut > 0 && strings.EqualFold(ohost[cut:], suffix)
}

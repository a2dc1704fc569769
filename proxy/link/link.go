// Package link carries requests between the proxies of a fleet's clusters: over
// HTTP/2 and mutual TLS, kept warm and pinged, so that a path that is gone is
// known within two seconds. It measures round trips. It never chooses who
// serves a request, and never passes on what came to it over a link.
package link

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/message"
)

// What proxies say to each other about a request, in fields that no client can
// send: the entry takes off whatever begins with nave-.
const (
	prefix = "nave-link-"

	headReplica   = prefix + "replica"
	headBackend   = prefix + "backend"
	headMember    = prefix + "member"
	headRoute     = prefix + "route"
	headGateway   = prefix + "gateway"
	headListener  = prefix + "listener"
	headRule      = prefix + "rule"
	headPrincipal = prefix + "principal"
	headAllowed   = prefix + "allowed"
	// headCredential is sent only to instances that are shown clients' own keys.
	headCredential = prefix + "credential"
	headDeadline   = prefix + "deadline" // milliseconds left
	headWord       = prefix + "word"
	headRefused    = prefix + "refused"
)

// write adds a head's fields. Values are escaped: names may hold any bytes.
func write(h *message.Header, d forward.Head, now time.Time) {
	h.Grow(11)
	for _, f := range [...]struct{ name, value string }{
		{headReplica, d.Replica}, {headBackend, d.Backend}, {headMember, d.Member}, {headRoute, d.Route},
		{headGateway, d.Gateway}, {headListener, d.Listener}, {headRule, d.Rule}, {headPrincipal, d.Principal},
		{headAllowed, d.Allowed},
		{headCredential, d.Credential},
	} {
		if f.value != "" {
			h.Add(f.name, escape(f.value))
		}
	}
	h.Add(headWord, strconv.FormatUint(d.Word, 16))
	if !d.Deadline.IsZero() {
		h.Add(headDeadline, strconv.FormatInt(max(0, d.Deadline.Sub(now).Milliseconds()), 10))
	}
}

// read takes the fields off and gives what they say. The peer's cluster and
// tenant are not among them: its certificate tells those.
func read(h *message.Header, now time.Time) (d forward.Head, err error) {
	for _, f := range [...]struct {
		name string
		to   *string
	}{
		{headReplica, &d.Replica}, {headBackend, &d.Backend}, {headMember, &d.Member}, {headRoute, &d.Route},
		{headGateway, &d.Gateway}, {headListener, &d.Listener}, {headRule, &d.Rule}, {headPrincipal, &d.Principal},
		{headAllowed, &d.Allowed},
		{headCredential, &d.Credential},
	} {
		if *f.to, err = unescape(h.Get(f.name)); err != nil {
			return d, fmt.Errorf("reading the link's %s: %w", f.name, err)
		}
	}
	if d.Backend == "" {
		return d, fmt.Errorf("reading the link's head: no %s", headBackend)
	}
	if v := h.Get(headWord); v != "" {
		if d.Word, err = strconv.ParseUint(v, 16, 64); err != nil {
			return d, fmt.Errorf("reading the link's %s: %w", headWord, err)
		}
	}
	if v := h.Get(headDeadline); v != "" {
		left, err := strconv.ParseUint(v, 10, 40)
		if err != nil {
			return d, fmt.Errorf("reading the link's %s: %w", headDeadline, err)
		}
		d.Deadline = now.Add(time.Duration(left) * time.Millisecond)
	}
	strip(h)
	return d, nil
}

// strip takes every field of the link's own off.
func strip(h *message.Header) {
	var names []string
	for f := range h.All() {
		if len(f.Name) > len(prefix) && message.EqualFold(f.Name[:len(prefix)], prefix) {
			names = append(names, f.Name)
		}
	}
	for _, n := range names {
		h.Del(n)
	}
}

// escape writes what a header value cannot hold as %XX.
func escape(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		plain = plain && s[i] > ' ' && s[i] < 0x7f && s[i] != '%' || s[i] == ' ' && i > 0 && i+1 < len(s)
		if !plain {
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// maxValue bounds one field's value.
const maxValue = 4 << 10

func unescape(s string) (string, error) {
	if len(s) > maxValue {
		return "", fmt.Errorf("%d bytes long, at most %d are taken", len(s), maxValue)
	}
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("cut after a %%")
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("no hexadecimal digits after a %%")
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), nil
}

package apikey

import (
	"net/url"
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
)

// find reads the credential at a location. A header without the declared
// prefix shows none; the prefix's letters count without case, as schemes do
// (RFC 9110, 11.1).
func find(at table.Location, r *message.Request) (string, bool) {
	switch {
	case at.Query != "":
		return query(r.Query, at.Query)
	case at.Cookie != "":
		for line := range r.Header.Values("Cookie") {
			for pair := range strings.SplitSeq(line, ";") {
				if name, v, _ := strings.Cut(strings.TrimSpace(pair), "="); name == at.Cookie {
					return v, v != ""
				}
			}
		}
		return "", false
	}
	v := r.Header.Get(at.Header)
	if len(v) < len(at.Prefix) || !strings.EqualFold(v[:len(at.Prefix)], at.Prefix) {
		return "", false
	}
	v = strings.TrimSpace(v[len(at.Prefix):])
	return v, v != ""
}

func query(raw, name string) (string, bool) {
	for pair := range strings.SplitSeq(raw, "&") {
		key, v, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(key); err != nil || plain != name {
			continue
		}
		v, err := url.QueryUnescape(v)
		return v, err == nil && v != ""
	}
	return "", false
}

// strip takes every credential of that name off the request.
func strip(at table.Location, r *message.Request) {
	switch {
	case at.Query != "":
		r.Query = without(r.Query, "&", func(pair string) bool {
			key, _, _ := strings.Cut(pair, "=")
			plain, err := url.QueryUnescape(key)
			return err == nil && plain == at.Query
		})
		r.HasQuery = r.Query != ""
	case at.Cookie != "":
		var lines []string
		for line := range r.Header.Values("Cookie") {
			left := without(line, ";", func(pair string) bool {
				name, _, _ := strings.Cut(strings.TrimSpace(pair), "=")
				return name == at.Cookie
			})
			if left = strings.TrimSpace(left); left != "" {
				lines = append(lines, left)
			}
		}
		r.Header.Del("Cookie")
		for _, line := range lines {
			r.Header.Add("Cookie", line)
		}
	default:
		r.Header.Del(at.Header)
	}
}

func without(list, sep string, drop func(string) bool) string {
	var keep []string
	for part := range strings.SplitSeq(list, sep) {
		if !drop(part) {
			keep = append(keep, part)
		}
	}
	return strings.Join(keep, sep)
}

// Put writes a credential at a location, in place of what is there. undo
// restores the request.
func Put(at table.Location, value string, r *message.Request) (undo func()) {
	fields, raw, has := r.Header.Clone(), r.Query, r.HasQuery
	strip(at, r)
	switch {
	case at.Query != "":
		pair := url.QueryEscape(at.Query) + "=" + url.QueryEscape(value)
		if r.Query != "" {
			pair = r.Query + "&" + pair
		}
		r.Query, r.HasQuery = pair, true
	case at.Cookie != "":
		pair := at.Cookie + "=" + value
		if was := r.Header.Get("Cookie"); was != "" {
			pair = was + "; " + pair
		}
		r.Header.Set("Cookie", pair)
	default:
		r.Header.Set(at.Header, at.Prefix+value)
	}
	return func() { r.Header, r.Query, r.HasQuery = fields, raw, has }
}

package parse

import (
	"strings"

	"github.com/navehq/nave/proxy/message"
)

// Request reads a whole request head, as Scan delimits it, into r: method,
// authority, path, query, protocol, header, upgrade, content length. r's
// strings are parts of head. fields is a hint of how many there are. r.Header
// must be empty.
func Request(head string, fields int, r *message.Request) (Framing, error) {
	line, block := cut(head)
	target, err := requestLine(line, r)
	if err != nil {
		return Framing{}, err
	}
	var c connection
	r.Header.Grow(fields)
	if err := c.fields(block, &r.Header, false); err != nil {
		return Framing{}, err
	}
	if err := place(r, target, &c); err != nil {
		return Framing{}, err
	}
	if err := c.frame(r.Protocol); err != nil {
		return Framing{}, err
	}
	if err := expectation(&c, r); err != nil {
		return Framing{}, err
	}
	if c.upgrades && c.upgrade != "" && r.Protocol == message.HTTP11 && !message.EqualFold(c.upgrade, "h2c") {
		r.Upgrade = c.upgrade
		r.Header.Add("Upgrade", c.upgrade)
	}
	r.ContentLength = c.framing.Length
	return c.framing, nil
}

func requestLine(line string, r *message.Request) (target string, err error) {
	i := strings.IndexByte(line, ' ')
	j := strings.LastIndexByte(line, ' ')
	if i <= 0 || i == j {
		return "", errRequestLine
	}
	r.Method, target = line[:i], line[i+1:j]
	switch v := line[j+1:]; {
	case v == "HTTP/1.1":
		r.Protocol = message.HTTP11
	case v == "HTTP/1.0":
		r.Protocol = message.HTTP10
	case len(v) == 8 && v[:5] == "HTTP/" && digit(v[5]) && v[6] == '.' && digit(v[7]):
		return "", errVersion
	default:
		return "", errRequestLine
	}
	if !Token(r.Method) || len(r.Method) > 64 {
		return "", errMethod
	}
	return target, nil
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// place sets authority, path and query from the target's form and the Host
// field. An absolute target overrides Host, which must be there all the same
// (RFC 9112 part 3.2).
func place(r *message.Request, target string, c *connection) error {
	if !Target(target) {
		return errTarget
	}
	if c.hosts == 0 && r.Protocol == message.HTTP11 {
		return errHostMissing
	}
	if c.hosts > 0 && !Host(c.host) {
		return errHost
	}
	r.Authority = c.host
	switch {
	case r.Method == "CONNECT":
		return errConnect
	case target[0] == '/':
	case target == "*" && r.Method == "OPTIONS":
	default:
		var ok bool
		if r.Authority, target, ok = absolute(target); !ok {
			return errTarget
		}
	}
	r.Path, r.Query, r.HasQuery = strings.Cut(target, "?")
	if r.Path == "" {
		r.Path = "/"
	}
	return nil
}

// absolute splits http://authority/path?query. Its scheme must be one that a
// listener serves; which one it really is, the connection says.
func absolute(target string) (authority, rest string, ok bool) {
	scheme, rest, found := strings.Cut(target, "://")
	if !found || !message.EqualFold(scheme, "http") && !message.EqualFold(scheme, "https") {
		return "", "", false
	}
	i := strings.IndexAny(rest, "/?")
	if i < 0 {
		i = len(rest)
	}
	return rest[:i], rest[i:], Host(rest[:i])
}

// Host tells whether s is a host with an optional port, as in a Host field. A
// user name, a list and an empty host are none.
func Host(s string) bool {
	if s == "" || !all(s, isHost) {
		return false
	}
	var host, port string
	if s[0] == '[' {
		i := strings.IndexByte(s, ']')
		if i < 2 {
			return false
		}
		host, port = s[1:i], s[i+1:]
		if port != "" && port[0] != ':' || !all6(host) {
			return false
		}
		port = strings.TrimPrefix(port, ":")
	} else {
		host, port, _ = strings.Cut(s, ":")
		if host == "" || strings.ContainsAny(host, "[]") {
			return false
		}
	}
	return len(port) <= 5 && strings.Trim(port, "0123456789") == ""
}

// all6 admits what an IPv6 literal is written with; whether it is one, the
// router finds when it looks the host up.
func all6(s string) bool {
	return strings.Trim(s, "0123456789abcdefABCDEF:.") == ""
}

func expectation(c *connection, r *message.Request) error {
	switch {
	case c.expect == "" || r.Protocol == message.HTTP10:
	case message.EqualFold(c.expect, "100-continue"):
		c.framing.Continue = c.framing.Body()
	default:
		return errExpect
	}
	return nil
}

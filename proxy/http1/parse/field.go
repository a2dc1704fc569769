package parse

import (
	"strings"

	"github.com/navehq/nave/proxy/message"
)

// hop is what a header name means to the connection.
type hop uint8

const (
	endToEnd hop = iota
	hopConnection
	hopContentLength
	hopExpect
	hopHost
	hopKeepAlive // Keep-Alive, Proxy-Connection: taken off, nothing else
	hopTE
	hopTransferEncoding
	hopUpgrade
)

func classify(name string) hop {
	switch len(name) {
	case 2:
		return when(name, "te", hopTE)
	case 4:
		return when(name, "host", hopHost)
	case 6:
		return when(name, "expect", hopExpect)
	case 7:
		return when(name, "upgrade", hopUpgrade)
	case 10:
		if h := when(name, "connection", hopConnection); h != endToEnd {
			return h
		}
		return when(name, "keep-alive", hopKeepAlive)
	case 14:
		return when(name, "content-length", hopContentLength)
	case 16:
		return when(name, "proxy-connection", hopKeepAlive)
	case 17:
		return when(name, "transfer-encoding", hopTransferEncoding)
	}
	return endToEnd
}

func when(name, lower string, h hop) hop {
	if message.EqualFold(name, lower) {
		return h
	}
	return endToEnd
}

// Engine tells whether name is a field that the engines write on their own
// account and that nobody else may put on a message: framing and hop-by-hop.
func Engine(name string) bool { return classify(name) != endToEnd }

// field splits a header line, without its line end.
func field(line string) (name, value string, err error) {
	i := 0
	for i < len(line) && class[line[i]]&isToken != 0 {
		i++
	}
	switch {
	case i == len(line) || i == 0 && line[0] == ':':
		return "", "", errFieldColon
	case i == 0 && (line[0] == ' ' || line[0] == '\t'):
		return "", "", errFold
	case line[i] != ':':
		return "", "", errFieldName
	}
	name, value = line[:i], trim(line[i+1:])
	if !Value(value) {
		return "", "", errFieldValue
	}
	return name, value, nil
}

func trim(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// cut takes the first line off s. Scan has seen to it that each line feed
// follows a carriage return.
func cut(s string) (line, rest string) {
	i := strings.IndexByte(s, '\n')
	if i < 1 {
		return "", ""
	}
	return s[:i-1], s[i+1:]
}

// connection gathers what the fields say of message framing and connection.
type connection struct {
	framing   Framing
	hosts     int
	host      string
	lengths   int
	length    int64
	codings   int
	chunked   bool
	badCoding error
	expect    string
	upgrade   string
	close     bool
	keep      bool
	upgrades  bool // Connection: upgrade
	trailers  bool // TE: trailers
	nominated [8]string
	nominees  int
}

// fields reads every field of block, which ends with an empty line: end-to-end
// ones into h, the others into c. repeats admits Content-Length several times
// with one value.
func (c *connection) fields(block string, h *message.Header, repeats bool) error {
	for {
		var line string
		if line, block = cut(block); line == "" {
			c.strip(h)
			return nil
		}
		name, value, err := field(line)
		if err != nil {
			return err
		}
		kind := classify(name)
		if kind == endToEnd {
			h.Add(name, value)
		} else if err := c.note(kind, value, repeats); err != nil {
			return err
		}
	}
}

func (c *connection) note(kind hop, value string, repeats bool) error {
	switch kind {
	case hopConnection:
		return c.options(value)
	case hopContentLength:
		n, ok := number(value)
		if !ok {
			return errLength
		}
		if c.lengths++; c.lengths > 1 && (!repeats || n != c.length) {
			return errLengthTwice
		}
		c.length = n
	case hopExpect:
		c.expect = value
	case hopHost:
		if c.hosts++; c.hosts > 1 {
			return errHostTwice
		}
		c.host = value
	case hopTE:
		c.trailers = c.trailers || listed(value, "trailers")
	case hopTransferEncoding:
		c.coding(value)
	case hopUpgrade:
		if c.upgrade == "" {
			c.upgrade = value
		}
	}
	return nil
}

func (c *connection) coding(value string) {
	c.codings++
	switch {
	case c.codings > 1 || value == "":
		c.badCoding = errCodingTwice
	case message.EqualFold(value, "chunked"):
		c.chunked = true
	case listed(value, "chunked") && !message.EqualFold(lastOf(value), "chunked"):
		c.badCoding = errCodingTwice
	default:
		c.badCoding = errCoding
	}
}

// options reads Connection: known options as flags, names of fields to take off.
func (c *connection) options(value string) error {
	for value != "" {
		var opt string
		opt, value = next(value)
		switch {
		case opt == "":
		case message.EqualFold(opt, "close"):
			c.close = true
		case message.EqualFold(opt, "keep-alive"):
			c.keep = true
		case message.EqualFold(opt, "upgrade"):
			c.upgrades = true
		case Engine(opt):
		case c.nominees == len(c.nominated):
			return errNominations
		default:
			c.nominated[c.nominees] = opt
			c.nominees++
		}
	}
	return nil
}

// strip takes the nominated fields off h and puts back what stays visible.
func (c *connection) strip(h *message.Header) {
	for _, name := range c.nominated[:c.nominees] {
		h.Del(name)
	}
	if c.trailers {
		h.Add("TE", "trailers")
	}
}

// frame is the rule of RFC 9112 part 6.3, less its leniencies.
func (c *connection) frame(p message.Protocol) error {
	switch {
	case c.codings > 0 && c.lengths > 0:
		return errBothFramings
	case c.codings > 0 && p == message.HTTP10:
		return errCodingOld
	case c.badCoding != nil:
		return c.badCoding
	}
	c.framing.Chunked = c.chunked
	c.framing.Length = c.length
	if c.chunked {
		c.framing.Length = message.UnknownLength
	}
	c.framing.Close = c.close || p == message.HTTP10 && !c.keep
	return nil
}

// next takes the first member off a comma list.
func next(list string) (member, rest string) {
	i := strings.IndexByte(list, ',')
	if i < 0 {
		return trim(list), ""
	}
	return trim(list[:i]), list[i+1:]
}

func lastOf(list string) string { return trim(list[strings.LastIndexByte(list, ',')+1:]) }

func listed(list, token string) bool {
	for list != "" {
		var m string
		if m, list = next(list); message.EqualFold(m, token) {
			return true
		}
	}
	return false
}

// number reads 1 to 18 decimal digits: nothing that could overflow or carry a sign.
func number(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// Trailer reads the block after a chunked body, with its empty line, into h.
// Fields that mean something to framing or connection are dropped (RFC 9110
// part 6.5.1 has no place for them there).
func Trailer(block string, h *message.Header) error {
	for {
		var line string
		if line, block = cut(block); line == "" {
			return nil
		}
		name, value, err := field(line)
		if err != nil {
			return err
		}
		if !Engine(name) {
			h.Add(name, value)
		}
	}
}

// Package parse decides what a string of HTTP/1.x bytes says, strictly by RFC
// 9110 and RFC 9112: request heads, answer heads, the chunked coding and
// trailers. Whatever two parsers could read differently is refused, not mended.
// It never reads from a connection and never writes an answer.
package parse

import "fmt"

// Error is a refusal. Status is what a server answers for it; on the client's
// side every refusal makes the answer a bad one.
type Error struct {
	Status int
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("parsing HTTP/1: %s (%d)", e.Reason, e.Status)
}

func bad(reason string) *Error { return &Error{Status: 400, Reason: reason} }

// The refusals, one value each, so that a flood of bad input allocates nothing.
var (
	errBareLF        = bad("line feed without carriage return")
	errGarbage       = bad("not HTTP")
	errRequestLine   = bad("malformed request line")
	errMethod        = bad("method is not a token")
	errTarget        = bad("malformed request target")
	errFold          = bad("folded header line")
	errFieldName     = bad("header name is not a token")
	errFieldColon    = bad("header line without a name and a colon")
	errFieldValue    = bad("control byte in a header value")
	errHostMissing   = bad("no Host header")
	errHostTwice     = bad("several Host headers")
	errHost          = bad("malformed host")
	errLength        = bad("malformed Content-Length")
	errLengthTwice   = bad("several Content-Length headers")
	errBothFramings  = bad("Content-Length together with Transfer-Encoding")
	errCodingTwice   = bad("malformed or repeated transfer coding")
	errCodingOld     = bad("Transfer-Encoding in HTTP/1.0")
	errNominations   = bad("too many names in Connection")
	errChunkSize     = bad("malformed chunk size")
	errChunkOverflow = bad("chunk size out of range")
	errChunkLine     = bad("chunk line too long")
	errChunkExtra    = bad("too much besides data in a chunked body")
	errChunkEnd      = bad("chunk data does not end where its size says")
	errStatusLine    = bad("malformed status line")

	errLineLong = &Error{414, "request line too long"}
	errExpect   = &Error{417, "unknown expectation"}
	errHeadLong = &Error{431, "head too long"}
	errFields   = &Error{431, "too many header fields"}
	errCoding   = &Error{501, "transfer coding other than chunked"}
	errConnect  = &Error{501, "CONNECT is not served"}
	errVersion  = &Error{505, "HTTP version other than 1.0 and 1.1"}
)

// Limits bound a head, in bytes and in fields. They hold for trailers too.
type Limits struct {
	Head   int // whole head
	Line   int // request line or status line
	Fields int
}

// Default limits: 64 KiB, of which 16 KiB the first line; 100 fields.
var Default = Limits{Head: 64 << 10, Line: 16 << 10, Fields: 100}

// OrDefault replaces what is not positive by Default's.
func (l Limits) OrDefault() Limits {
	if l.Head <= 0 {
		l.Head = Default.Head
	}
	if l.Line <= 0 {
		l.Line = Default.Line
	}
	if l.Fields <= 0 {
		l.Fields = Default.Fields
	}
	return l
}

// Framing is what a head says of its message's body and of its connection.
type Framing struct {
	// Chunked, else Length bytes; message.UnknownLength is until the
	// connection ends (answers only).
	Chunked bool
	Length  int64
	// Close: the connection serves nothing after this message.
	Close bool
	// Continue: the client waits for a 100 before it sends its body.
	Continue bool
}

// Body tells whether a body follows the head.
func (f Framing) Body() bool { return f.Chunked || f.Length != 0 }

// byte classes
const (
	isToken = 1 << iota // RFC 9110 tchar
	isValue             // field-vchar, SP, HTAB
	isHost              // reg-name, IPv6 literal, port; without the comma
	isPath              // anything visible but '#', and bytes above ASCII
)

var class = func() (t [256]uint8) {
	for c := 0; c < 256; c++ {
		alnum := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' && c < 0x80
		if alnum || c < 0x80 && has("!#$%&'*+-.^_`|~", byte(c)) {
			t[c] |= isToken
		}
		if c >= 0x20 && c != 0x7f || c == '\t' {
			t[c] |= isValue
		}
		if alnum || c < 0x80 && has("-._~!$&'()*+;=%:[]", byte(c)) {
			t[c] |= isHost
		}
		if c > 0x20 && c != 0x7f && c != '#' {
			t[c] |= isPath
		}
	}
	return t
}()

func has(set string, c byte) bool {
	for i := 0; i < len(set); i++ {
		if set[i] == c {
			return true
		}
	}
	return false
}

func all(s string, bit uint8) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&bit == 0 {
			return false
		}
	}
	return true
}

// Token tells whether s may be a method or a header name.
func Token(s string) bool { return s != "" && all(s, isToken) }

// Value tells whether s may be written as a header value: no control bytes
// besides the tab, hence no line break.
func Value(s string) bool { return all(s, isValue) }

// Target tells whether s may be written as a request target.
func Target(s string) bool { return s != "" && all(s, isPath) }

// Package scan walks JSON text without building values of it: strictly by RFC
// 8259, case-sensitive, in one pass, without recursion and without allocating,
// at most MaxDepth containers deep. It decides whether text is JSON and where
// its values lie; it never decides what they mean.
package scan

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// MaxDepth is how many objects and arrays may lie inside one another.
const MaxDepth = 64

// SyntaxError says where text stops being JSON.
type SyntaxError struct {
	Offset int // bytes from the start
	What   string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("reading JSON at byte %d: %s", e.Offset, e.What)
}

// Cursor stands before a value, or between the parts of a container. Whoever
// uses it descends with Enter, then calls Member (in an object) or Element (in
// an array) until it says no, and after each yes consumes exactly one value, by
// Skip, Text or Enter. The first error stays; from then on everything says no.
type Cursor struct {
	b     []byte
	i     int
	depth int
	objs  uint64 // bit d: the container at depth d+1 is an object
	first bool   // nothing of the current container was read
	err   error
}

// New returns a cursor before the value that b holds.
func New(b []byte) Cursor { return Cursor{b: b} }

// Err is the first error, or nil.
func (c *Cursor) Err() error { return c.err }

// Pos is the offset of the next byte to read.
func (c *Cursor) Pos() int { return c.i }

// Fail records an error of the caller's at the current place, unless there is one.
func (c *Cursor) Fail(what string) {
	if c.err == nil {
		c.err = &SyntaxError{Offset: c.i, What: what}
	}
}

// Kind tells the value ahead by its first byte, one of { [ " t f n, and '0' for
// any number; it is 0 if there is no value.
func (c *Cursor) Kind() byte {
	switch k := c.peek(); k {
	case '{', '[', '"', 't', 'f', 'n':
		return k
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return '0'
	default:
		return 0
	}
}

// peek steps over white space and returns the byte there, 0 at the end.
func (c *Cursor) peek() byte {
	if c.err != nil {
		return 0
	}
	for ; c.i < len(c.b); c.i++ {
		if k := c.b[c.i]; k > ' ' || k != ' ' && k != '\n' && k != '\r' && k != '\t' {
			return k
		}
	}
	return 0
}

// Enter goes into the container ahead, which must begin with kind ('{' or '[').
func (c *Cursor) Enter(kind byte) bool {
	if c.peek() != kind || c.err != nil {
		c.Fail(name(kind) + " is due here")
		return false
	}
	if c.depth == MaxDepth {
		c.Fail(fmt.Sprintf("more than %d levels", MaxDepth))
		return false
	}
	bit := uint64(1) << c.depth
	if kind == '{' {
		c.objs |= bit
	} else {
		c.objs &^= bit
	}
	c.depth++
	c.i++
	c.first = true
	return true
}

func name(kind byte) string {
	if kind == '{' {
		return "an object"
	}
	return "a list"
}

// Member goes on to the next member of the current object and returns its name
// (decoded; a slice of the text where it holds no escapes). At the end of the
// object it leaves it and says no.
func (c *Cursor) Member() (key []byte, ok bool) {
	raw, ok := c.member()
	if !ok {
		return nil, false
	}
	return Unescape(raw), true
}

func (c *Cursor) member() (raw []byte, ok bool) {
	if !c.more('}') {
		return nil, false
	}
	raw, ok = c.text()
	if !ok {
		return nil, false
	}
	if c.peek() != ':' {
		c.Fail("a colon is due here")
		return nil, false
	}
	c.i++
	return raw, true
}

// Element goes on to the next element of the current array. At the end of the
// array it leaves it and says no.
func (c *Cursor) Element() bool { return c.more(']') }

func (c *Cursor) more(end byte) bool {
	k := c.peek()
	if c.err != nil {
		return false
	}
	if k == end {
		c.i++
		c.depth--
		c.first = false
		return false
	}
	if c.first {
		c.first = false
		return true
	}
	if k != ',' {
		c.Fail("a comma or an end is due here")
		return false
	}
	c.i++
	return true
}

// Text consumes a string and returns what stands between its quotes, still
// escaped; ok is false (and an error recorded) if the value is none.
func (c *Cursor) Text() (raw []byte, ok bool) {
	if c.peek() != '"' {
		c.Fail("a string is due here")
		return nil, false
	}
	return c.text()
}

// Skip consumes the value ahead, whatever it is, and returns its text.
func (c *Cursor) Skip() []byte {
	k := c.peek()
	if c.err != nil {
		return nil
	}
	start := c.i
	if k == '{' || k == '[' {
		c.container(k)
	} else {
		c.scalar(k)
	}
	if c.err != nil {
		return nil
	}
	return c.b[start:c.i]
}

// container walks over an object or a list and all that is in it.
func (c *Cursor) container(k byte) {
	base := c.depth
	if !c.Enter(k) {
		return
	}
	for c.err == nil && c.depth > base {
		ok := false
		if c.objs&(1<<(c.depth-1)) != 0 {
			_, ok = c.member()
		} else {
			ok = c.Element()
		}
		if !ok {
			continue
		}
		if k := c.peek(); k == '{' || k == '[' {
			c.Enter(k)
		} else {
			c.scalar(k)
		}
	}
}

func (c *Cursor) scalar(k byte) {
	switch k {
	case '"':
		c.text()
	case 't':
		c.literal("true")
	case 'f':
		c.literal("false")
	case 'n':
		c.literal("null")
	default:
		c.number()
	}
}

func (c *Cursor) literal(word string) {
	if len(c.b)-c.i < len(word) || string(c.b[c.i:c.i+len(word)]) != word {
		c.Fail("no such word")
		return
	}
	c.i += len(word)
}

func (c *Cursor) number() {
	if c.at('-') {
		c.i++
	}
	if c.at('0') {
		c.i++
	} else if !c.digits() {
		c.Fail("a value is due here")
		return
	}
	if c.at('.') {
		c.i++
		if !c.digits() {
			c.Fail("a digit is due here")
			return
		}
	}
	if c.at('e') || c.at('E') {
		c.i++
		if c.at('+') || c.at('-') {
			c.i++
		}
		if !c.digits() {
			c.Fail("a digit is due here")
		}
	}
}

func (c *Cursor) at(k byte) bool { return c.i < len(c.b) && c.b[c.i] == k }

func (c *Cursor) digits() bool {
	start := c.i
	for c.i < len(c.b) && c.b[c.i]-'0' <= 9 {
		c.i++
	}
	return c.i > start
}

// text consumes a string. Eight bytes at a time are looked at for a quote, a
// backslash or a control character.
func (c *Cursor) text() ([]byte, bool) {
	if c.peek() != '"' || c.err != nil {
		c.Fail("a string is due here")
		return nil, false
	}
	start := c.i + 1
	for i := start; ; {
		i += plain(c.b[i:])
		if i >= len(c.b) {
			c.i = len(c.b)
			c.Fail("a string does not end")
			return nil, false
		}
		switch c.b[i] {
		case '"':
			c.i = i + 1
			return c.b[start:i], true
		case '\\':
			n := escape(c.b[i:])
			if n == 0 {
				c.i = i
				c.Fail("no such escape")
				return nil, false
			}
			i += n
		default:
			c.i = i
			c.Fail("a control character in a string")
			return nil, false
		}
	}
}

// plain counts the bytes before the first quote, backslash or control character.
func plain(b []byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		m := ((w - ones*0x20) &^ w) | ((quote - ones) &^ quote) | ((slash - ones) &^ slash)
		if m &= highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(b); i++ {
		if k := b[i]; k < 0x20 || k == '"' || k == '\\' {
			return i
		}
	}
	return i
}

// escape is the length of the escape that b begins with, 0 if it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

// End checks that nothing but white space follows.
func (c *Cursor) End() error {
	if c.peek(); c.err == nil && c.i < len(c.b) {
		c.Fail("something follows the value")
	}
	return c.err
}

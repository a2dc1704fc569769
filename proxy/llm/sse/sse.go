// Package sse cuts a stream of bytes into server-sent events, as the WHATWG
// HTML standard (section 9.2) has them, tolerant of what model servers really
// send. It decides where an event ends and what its fields are; it never reads
// from anything, and knows nothing of what the data means.
package sse

import (
	"bytes"
	"fmt"
)

// DefaultMax is the largest event taken, in bytes with field names and line
// ends, where no other bound is given.
const DefaultMax = 1 << 20

// TooLargeError says that an event outgrew the scanner's bound. The stream
// cannot be followed any further.
type TooLargeError struct{ Max int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("reading an event: longer than %d bytes", e.Max)
}

// Event is one block of the stream, up to and with the blank line that ends it.
// Its slices point into the scanner's or the feeder's memory.
type Event struct {
	// Name is the event field, empty for "message".
	Name []byte
	// ID is the id field.
	ID []byte
	// Data is what follows "data:", several lines joined by '\n'. It is nil in a
	// block without a data field: a comment, a keep-alive, a retry hint.
	Data []byte
	// Raw is the block as it came, without a byte-order mark before it.
	Raw []byte
}

// Whole tells whether the block ends with its blank line; one that End returned
// does not.
func (e *Event) Whole() bool {
	raw, n := e.Raw, len(e.Raw)
	switch {
	case n > 1 && raw[n-1] == '\n' && raw[n-2] == '\r':
		n -= 2
	case n > 0 && (raw[n-1] == '\n' || raw[n-1] == '\r'):
		n--
	default:
		return false
	}
	return n == 0 || raw[n-1] == '\n' || raw[n-1] == '\r'
}

// Scanner cuts a stream. The zero value is ready and bounds events by
// DefaultMax. Use: Feed a piece, call Next until it says no, feed the next;
// after the last piece, End.
//
// Lines end with \n, \r\n or \r. A \r that is the last byte so far waits for the
// byte after it, so that events do not depend on how the stream was cut.
type Scanner struct {
	// Max bounds an event in bytes; 0 means DefaultMax.
	Max int

	win     []byte // unread bytes: the feeder's, or held
	held    []byte // owned copy of an unfinished block
	block   int    // where the current block starts in win
	line    int    // where the line looked at starts in win
	seen    int    // bytes of win searched for the end of that line
	join    []byte // data of an event with several data lines
	started bool   // the byte-order mark, if any, is behind us
	err     error
}

// Reset makes the scanner as new, for another stream, and keeps its memory.
func (s *Scanner) Reset() {
	*s = Scanner{Max: s.Max, held: s.held[:0], join: s.join[:0]}
}

// Feed adds the next piece of the stream. The scanner looks at p itself, not at
// a copy, until Next has said no: until then p must not change.
func (s *Scanner) Feed(p []byte) {
	if len(s.win) == s.block {
		s.win, s.block, s.line, s.seen = p, 0, 0, 0
		return
	}
	s.keep()
	s.held = append(s.held, p...)
	s.win = s.held
}

// keep moves the unfinished block to the scanner's own memory.
func (s *Scanner) keep() {
	rest := s.win[s.block:]
	switch {
	case len(s.held) > 0 && len(s.win) > 0 && &s.held[0] == &s.win[0]:
		if s.block > 0 {
			s.held = s.held[:copy(s.held, rest)]
		}
	default:
		s.held = append(s.held[:0], rest...)
	}
	s.line -= s.block
	s.seen -= s.block
	s.block = 0
	s.win = s.held
}

// Next returns the next whole event. ok is false when more must be fed, and for
// good once err is set. The event is valid until the next call of any method.
func (s *Scanner) Next() (ev Event, ok bool, err error) {
	if s.err != nil {
		return Event{}, false, s.err
	}
	if !s.mark() {
		return s.wait()
	}
	for {
		end, next := s.lineEnd()
		if next < 0 {
			return s.wait()
		}
		blank := end == s.line
		s.line, s.seen = next, next
		if next-s.block > s.max() {
			return s.tooLarge()
		}
		if blank {
			raw := s.win[s.block:next]
			s.block = next
			return s.parse(raw), true, nil
		}
	}
}

// End returns the block that the stream broke off in, if it has any field; its
// Raw then lacks the blank line.
func (s *Scanner) End() (ev Event, ok bool) {
	rest := s.win[s.block:]
	if s.err != nil || len(bytes.TrimRight(rest, "\r\n")) == 0 {
		return Event{}, false
	}
	s.block, s.line, s.seen = len(s.win), len(s.win), len(s.win)
	return s.parse(rest), true
}

func (s *Scanner) wait() (Event, bool, error) {
	if len(s.win)-s.block > s.max() {
		return s.tooLarge()
	}
	if len(s.win) > s.block {
		s.keep()
	}
	return Event{}, false, nil
}

func (s *Scanner) tooLarge() (Event, bool, error) {
	s.err = &TooLargeError{Max: s.max()}
	return Event{}, false, s.err
}

func (s *Scanner) max() int {
	if s.Max > 0 {
		return s.Max
	}
	return DefaultMax
}

const byteOrderMark = "\xef\xbb\xbf"

// mark steps over a byte-order mark at the start of the stream; false means
// that it cannot tell yet.
func (s *Scanner) mark() bool {
	if s.started {
		return true
	}
	head := s.win[s.block:]
	if len(head) < len(byteOrderMark) && bytes.HasPrefix([]byte(byteOrderMark), head) {
		return false
	}
	s.started = true
	if bytes.HasPrefix(head, []byte(byteOrderMark)) {
		s.block += len(byteOrderMark)
		s.line, s.seen = s.block, s.block
	}
	return true
}

// lineEnd finds the end of the current line and the start of the one after it;
// next is -1 when it cannot tell yet.
func (s *Scanner) lineEnd() (end, next int) {
	rest := s.win[s.seen:]
	nl := bytes.IndexByte(rest, '\n')
	if nl >= 0 {
		rest = rest[:nl]
	}
	if cr := bytes.IndexByte(rest, '\r'); cr >= 0 {
		at := s.seen + cr
		switch {
		case at+1 == len(s.win):
			s.seen = at
			return 0, -1
		case s.win[at+1] == '\n':
			return at, at + 2
		}
		return at, at + 1
	}
	if nl < 0 {
		s.seen = len(s.win)
		return 0, -1
	}
	return s.seen + nl, s.seen + nl + 1
}

// parse reads the fields of a whole block.
func (s *Scanner) parse(raw []byte) Event {
	ev := Event{Raw: raw}
	lines := 0
	for rest := raw; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		name, value := cutField(line)
		switch string(name) {
		case "data":
			lines++
			switch lines {
			case 1:
				ev.Data = value
			case 2:
				s.join = append(s.join[:0], ev.Data...)
				fallthrough
			default:
				s.join = append(append(s.join, '\n'), value...)
				ev.Data = s.join
			}
		case "event":
			ev.Name = value
		case "id":
			ev.ID = value
		}
	}
	return ev
}

func cutLine(b []byte) (line, rest []byte) {
	nl := bytes.IndexByte(b, '\n')
	head := b
	if nl >= 0 {
		head = b[:nl]
	}
	cr := bytes.IndexByte(head, '\r')
	switch {
	case cr >= 0 && cr+1 == nl:
		return b[:cr], b[nl+1:]
	case cr >= 0:
		return b[:cr], b[cr+1:]
	case nl >= 0:
		return head, b[nl+1:]
	}
	return b, nil
}

// cutField splits a line at its first colon and takes one space off the value.
// A comment has an empty name. The value is never nil.
func cutField(line []byte) (name, value []byte) {
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return line, line[len(line):]
	}
	value = line[i+1:]
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	return line[:i], value
}

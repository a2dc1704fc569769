package parse

import "bytes"

// Scan finds the end of a head in a buffer that fills bit by bit, looking at
// each byte once. The zero value looks for a request's or an answer's head.
type Scan struct {
	// Trailer: the block may be empty, as the one after a chunked body.
	Trailer bool
	// Lines is the number of full lines before the empty one: 1 + fields for a
	// head, fields for trailers.
	Lines int

	at   int // first byte not looked at
	line int // where the current line begins
}

// Fields is the number of header fields seen.
func (s *Scan) Fields() int {
	if s.Trailer {
		return s.Lines
	}
	return max(0, s.Lines-1)
}

// End looks on in b, which begins with the head and holds at least what it held
// before. It returns the head's length with the empty line, or 0 when more is
// needed.
func (s *Scan) End(b []byte, lim Limits) (int, error) {
	if s.at == 0 && len(b) > 0 && !s.Trailer && class[b[0]]&isToken == 0 {
		return 0, errGarbage
	}
	for {
		i := bytes.IndexByte(b[s.at:], '\n')
		if i < 0 {
			s.at = len(b)
			return 0, s.over(len(b), lim)
		}
		i += s.at
		if i == 0 || b[i-1] != '\r' {
			return 0, errBareLF
		}
		if i-1 == s.line {
			return i + 1, s.over(i+1, lim)
		}
		if err := s.over(i+1, lim); err != nil {
			return 0, err
		}
		s.Lines++
		s.at, s.line = i+1, i+1
	}
}

// over checks the limits for what lies before upto.
func (s *Scan) over(upto int, lim Limits) error {
	switch {
	case !s.Trailer && s.Lines == 0 && upto > lim.Line:
		return errLineLong
	case s.Fields() > lim.Fields:
		return errFields
	case upto > lim.Head:
		return errHeadLong
	}
	return nil
}

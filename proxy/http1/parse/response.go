package parse

import (
	"github.com/navehq/nave/proxy/message"
)

// Response reads a whole answer head, as Scan delimits it, into r: status,
// protocol, header, content length. method is the request's, which says whether
// a body may follow. r's strings are parts of head. fields is a hint.
//
// An answer of unknown length without chunks lasts until the connection ends:
// Framing.Length is message.UnknownLength then. r.ContentLength is what the head
// announces, also where no body follows.
func Response(head string, fields int, method string, r *message.Response) (Framing, error) {
	line, block := cut(head)
	if err := statusLine(line, r); err != nil {
		return Framing{}, err
	}
	var c connection
	r.Header.Grow(fields)
	if err := c.fields(block, &r.Header, true); err != nil {
		return Framing{}, err
	}
	if err := c.frame(r.Protocol); err != nil {
		return Framing{}, err
	}
	f := c.framing
	r.ContentLength = message.UnknownLength
	if c.lengths > 0 {
		r.ContentLength = c.length
	}
	switch {
	case r.Status < 200 || r.Status == 204:
		f.Chunked, f.Length, r.ContentLength = false, 0, 0
	case method == "HEAD" || r.Status == 304:
		f.Chunked, f.Length = false, 0
	case !f.Chunked && c.lengths == 0:
		f.Length, f.Close = message.UnknownLength, true
	}
	if r.Status == 101 && c.upgrade != "" {
		r.Header.Add("Upgrade", c.upgrade)
	}
	return f, nil
}

func statusLine(line string, r *message.Response) error {
	if len(line) < 12 || line[:5] != "HTTP/" || line[8] != ' ' {
		return errStatusLine
	}
	switch line[5:8] {
	case "1.1":
		r.Protocol = message.HTTP11
	case "1.0":
		r.Protocol = message.HTTP10
	default:
		return errVersion
	}
	n, ok := number(line[9:12])
	if !ok || n < 100 || len(line) > 12 && line[12] != ' ' || !Value(line) {
		return errStatusLine
	}
	r.Status = int(n)
	return nil
}

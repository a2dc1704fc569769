package http1

import (
	"fmt"
	"io"
	"strconv"

	"github.com/navehq/nave/proxy/http1/parse"
	"github.com/navehq/nave/proxy/message"
)

// bodyReader takes one body out of an input, by length, by chunks, or to the
// connection's end.
type bodyReader struct {
	in      *input
	lim     parse.Limits
	trailer *message.Header
	chunked bool
	chunks  parse.Chunked
	// left is what is to come where there are no chunks; message.UnknownLength
	// is to the connection's end. With chunks it is 0 once the trailer was read.
	left int64
	err  error // what every further read gives; io.EOF after the whole body
}

func newBodyReader(in *input, f parse.Framing, lim parse.Limits, trailer *message.Header) bodyReader {
	left := f.Length
	if f.Chunked {
		left = message.UnknownLength
	}
	return bodyReader{in: in, lim: lim, trailer: trailer, chunked: f.Chunked, left: left}
}

// whole tells whether the body was read to its end.
func (b *bodyReader) whole() bool { return b.err == io.EOF }

// read gives at least one byte or an error. b.err is set as soon as the end is
// known, which may be with the last bytes.
func (b *bodyReader) read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, err := 0, error(nil)
	if b.chunked {
		n, err = b.readChunks(p)
	} else {
		n, err = b.readPlain(p)
	}
	if err == io.EOF && !b.atEnd() {
		err = io.ErrUnexpectedEOF
	}
	b.err = err
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// atEnd tells whether an end of the connection would be the body's end.
func (b *bodyReader) atEnd() bool {
	return b.left == 0 || !b.chunked && b.left == message.UnknownLength
}

func (b *bodyReader) readPlain(p []byte) (int, error) {
	if b.left == message.UnknownLength {
		return b.in.read(p)
	}
	n, err := b.in.read(p[:min(int64(len(p)), b.left)])
	if b.left -= int64(n); b.left == 0 {
		err = io.EOF
	}
	return n, err
}

// readChunks fills p from as many chunks as are there, reading from the
// connection only while it has nothing to give.
func (b *bodyReader) readChunks(p []byte) (n int, err error) {
	for {
		if err := b.unframe(); err != nil {
			return n, err
		}
		if b.chunks.Done() {
			if n > 0 && !b.trailerBuffered() {
				return n, nil
			}
			return n, b.readTrailer()
		}
		if b.chunks.Left() > 0 && n < len(p) {
			m, err := b.readData(p[n:], n == 0)
			if n += m; err != nil {
				return n, err
			}
			if m > 0 {
				continue
			}
		}
		if n > 0 {
			return n, nil
		}
		if err := b.in.fill(); err != nil {
			return n, err
		}
	}
}

// unframe eats chunk framing that is buffered.
func (b *bodyReader) unframe() error {
	skip, err := b.chunks.Next(b.in.buffered())
	b.in.skip(skip)
	return err
}

// readData takes data of the current chunk: buffered, or where nothing is
// buffered and much is to come, straight from the connection.
func (b *bodyReader) readData(p []byte, wait bool) (int, error) {
	p = p[:min(int64(len(p)), b.chunks.Left())]
	if len(b.in.buffered()) == 0 && (!wait || len(p) < bufferSize/2) {
		return 0, nil
	}
	n, err := b.in.read(p)
	if n > 0 {
		b.chunks.Took(n)
	}
	return n, err
}

// trailerBuffered tells whether the usual empty trailer can be read without
// waiting.
func (b *bodyReader) trailerBuffered() bool {
	t := b.in.buffered()
	return len(t) >= 2 && t[0] == '\r' && t[1] == '\n'
}

func (b *bodyReader) readTrailer() error {
	scan := parse.Scan{Trailer: true}
	block, err := b.in.head(&scan, b.lim)
	if err != nil {
		return err
	}
	if err := parse.Trailer(block, b.trailer); err != nil {
		return err
	}
	b.left = 0
	return io.EOF
}

// bodyWriter frames the body that is written into an output.
type bodyWriter struct {
	out  *output
	mode mode
	left int64 // in modeLength
}

type mode uint8

const (
	modeNone   mode = iota // bytes are swallowed
	modeLength             // exactly left bytes more
	modeChunked
	modeToEnd // until the connection is closed
)

func (w *bodyWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var err error
	switch w.mode {
	case modeNone:
	case modeLength:
		if int64(len(p)) > w.left {
			return 0, errTooLong
		}
		w.left -= int64(len(p))
		err = w.out.write(p)
	case modeChunked:
		err = w.chunk(p)
	case modeToEnd:
		err = w.out.write(p)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *bodyWriter) chunk(p []byte) error {
	w.out.open()
	if room := cap(w.out.buf) - len(w.out.buf); room < 24 {
		if err := w.out.flush(); err != nil {
			return err
		}
		w.out.open()
	}
	w.out.buf = strconv.AppendInt(w.out.buf, int64(len(p)), 16)
	w.out.buf = append(w.out.buf, "\r\n"...)
	if err := w.out.write(p); err != nil {
		return err
	}
	w.out.open()
	w.out.buf = append(w.out.buf, "\r\n"...)
	return nil
}

// end closes the body, with trailers where it has chunks, and flushes.
func (w *bodyWriter) end(t *message.Header) error {
	switch w.mode {
	case modeLength:
		if w.left != 0 {
			return errTooShort
		}
	case modeChunked:
		if t != nil {
			if err := checkFields(t); err != nil {
				return err
			}
		}
		w.out.open()
		w.out.buf = append(w.out.buf, "0\r\n"...)
		if t != nil {
			w.out.fields(t)
		}
		w.out.buf = append(w.out.buf, "\r\n"...)
	}
	return w.out.flush()
}

// checkFields refuses what cannot stand in a header: a value with a line break
// would be a second header, or a second message.
func checkFields(h *message.Header) error {
	for f := range h.All() {
		if !parse.Token(f.Name) || !parse.Value(f.Value) {
			return fmt.Errorf("writing header %q: name or value holds bytes that no header may hold", f.Name)
		}
	}
	return nil
}

// fields writes h, which was checked, without what only an engine may write.
func (o *output) fields(h *message.Header) {
	for f := range h.All() {
		if !parse.Engine(f.Name) {
			o.field(f.Name, f.Value)
		}
	}
}

func (o *output) field(name, value string) {
	b := append(o.buf, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	o.buf = append(b, "\r\n"...)
}

func (o *output) number(name string, n int64) {
	b := append(o.buf, name...)
	b = append(b, ": "...)
	b = strconv.AppendInt(b, n, 10)
	o.buf = append(b, "\r\n"...)
}

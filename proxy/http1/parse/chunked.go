package parse

// chunkLine bounds a chunk's line with its extensions; chunkExtra bounds what a
// body spends on extensions and tiny chunks beyond 16 bytes a chunk, so that no
// sender makes us read much for little.
const (
	chunkLine  = 256
	chunkExtra = 16 << 10
)

type chunkState uint8

const (
	chunkStart chunkState = iota // before the first digit of a size
	chunkDigits
	chunkExt
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkDone
)

// Chunked decodes the chunked coding up to the end of the last chunk's line;
// the trailer block that follows is Scan's and Trailer's. The zero value begins
// a body. After an error it must not be used on.
type Chunked struct {
	state chunkState
	line  int   // bytes of the current chunk line
	extra int   // bytes beyond data, less an allowance per chunk
	left  int64 // size being read, then bytes of data still to come
}

// Done tells whether the last chunk was read.
func (c *Chunked) Done() bool { return c.state == chunkDone }

// Left is the number of data bytes that come next, before any framing.
func (c *Chunked) Left() int64 {
	if c.state != chunkData {
		return 0
	}
	return c.left
}

// Took tells that n bytes of data, at most Left, were taken.
func (c *Chunked) Took(n int) {
	if c.left -= int64(n); c.left == 0 {
		c.state = chunkDataCR
	}
}

// Next eats the framing at the start of src: all of src where it holds nothing
// else, otherwise up to the data (Left is then positive) or up to the end of
// the last chunk's line (Done).
func (c *Chunked) Next(src []byte) (skip int, err error) {
	for i, b := range src {
		if c.state == chunkData || c.state == chunkDone {
			return i, nil
		}
		if err := c.step(b); err != nil {
			return i, err
		}
	}
	return len(src), nil
}

func (c *Chunked) step(b byte) error {
	switch c.state {
	case chunkStart, chunkDigits:
		return c.size(b)
	case chunkExt:
		if b == '\r' {
			c.state = chunkSizeLF
		} else if class[b]&isValue == 0 {
			return errChunkSize
		}
		return c.count()
	case chunkSizeLF:
		if b != '\n' {
			return errChunkSize
		}
		return c.lineEnd()
	case chunkDataCR:
		if b != '\r' {
			return errChunkEnd
		}
		c.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return errChunkEnd
		}
		c.state, c.line = chunkStart, 0
	}
	return nil
}

func (c *Chunked) size(b byte) error {
	digit, ok := hex(b)
	switch {
	case ok:
		if c.left > (1<<62)>>4 {
			return errChunkOverflow
		}
		c.left, c.state = c.left<<4|int64(digit), chunkDigits
	case c.state == chunkStart:
		return errChunkSize
	case b == ';':
		c.state = chunkExt
	case b == '\r':
		c.state = chunkSizeLF
	default:
		return errChunkSize
	}
	return c.count()
}

func (c *Chunked) count() error {
	if c.line++; c.line > chunkLine {
		return errChunkLine
	}
	return nil
}

func (c *Chunked) lineEnd() error {
	if c.left == 0 {
		c.state = chunkDone
		return nil
	}
	// As net/http counts: a line of 16 bytes and half of the data's size are free.
	free := 16 + int(min(c.left/2, chunkExtra))
	if c.extra = max(0, c.extra+c.line+3-free); c.extra > chunkExtra {
		return errChunkExtra
	}
	c.state = chunkData
	return nil
}

func hex(b byte) (byte, bool) {
	switch {
	case b >= '0' && b <= '9':
		return b - '0', true
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10, true
	case b >= 'A' && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}

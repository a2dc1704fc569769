package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// errTooLong is the cause where a line is no entry by its length alone.
var errTooLong = fmt.Errorf("is longer than %d bytes", maxLine)

// lines reads whole lines of bounded length.
type lines struct {
	from *bufio.Reader
	// read is how many bytes the whole lines were.
	read int64
}

func newLines(r io.Reader) *lines { return &lines{from: bufio.NewReaderSize(r, maxLine)} }

// next gives a line, valid until the next call; errTooLong skips one, and io.EOF
// is the end, where what has no newline is left out.
func (l *lines) next() ([]byte, error) {
	text, err := l.from.ReadSlice('\n')
	if err == nil {
		l.read += int64(len(text))
		return text, nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	skipped := int64(len(text))
	for errors.Is(err, bufio.ErrBufferFull) {
		text, err = l.from.ReadSlice('\n')
		skipped += int64(len(text))
	}
	if err != nil {
		return nil, err
	}
	l.read += skipped
	return nil, errTooLong
}

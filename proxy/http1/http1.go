// Package http1 carries HTTP/1.1 on both sides: a server that hands exchanges to
// a handler, and a client that sends requests over kept connections. Each
// request is read, handled and sent on upstream on one goroutine, with buffers
// from pools. What the bytes mean is parse's decision; where a request goes,
// whether it is sent again and what is logged is never decided here.
package http1

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/navehq/nave/proxy/http1/parse"
)

// bufferSize is what a connection reads and writes through; a head beyond it
// gets a buffer of its own, up to the limit.
const bufferSize = 4 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func getBuffer() []byte { return buffers.Get().(*[bufferSize]byte)[:] }

// putBuffer takes back what getBuffer gave; a buffer that has grown is left to
// the collector.
func putBuffer(b []byte) {
	if cap(b) == bufferSize {
		buffers.Put((*[bufferSize]byte)(b[:bufferSize]))
	}
}

// input is the reading half of a connection: a buffer that exists while it
// holds something or is being filled.
type input struct {
	src  io.Reader
	buf  []byte
	r, w int
}

func (in *input) buffered() []byte { return in.buf[in.r:in.w] }

// skip takes n buffered bytes; an empty buffer starts again at its beginning.
func (in *input) skip(n int) {
	if in.r += n; in.r == in.w {
		in.r, in.w = 0, 0
	}
}

// release gives the buffer back if nothing is in it.
func (in *input) release() {
	if in.r == in.w && in.buf != nil {
		putBuffer(in.buf)
		in.buf, in.r, in.w = nil, 0, 0
	}
}

// fill reads once, behind what is buffered, making room first.
func (in *input) fill() error {
	if in.buf == nil {
		in.buf = getBuffer()
	}
	if in.w == len(in.buf) {
		in.makeRoom()
	}
	n, err := in.src.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (in *input) makeRoom() {
	old := in.buf
	if in.r == 0 {
		in.buf = make([]byte, 2*len(old))
	}
	in.w = copy(in.buf, old[in.r:in.w])
	in.r = 0
	if len(in.buf) != len(old) {
		putBuffer(old)
	}
}

// read gives buffered bytes, else reads into p without a detour.
func (in *input) read(p []byte) (int, error) {
	if in.r < in.w {
		n := copy(p, in.buffered())
		in.skip(n)
		return n, nil
	}
	return in.src.Read(p)
}

// head reads up to the end that scan finds, and copies it: one allocation for a
// whole head, for which its strings stay good for ever, whoever keeps one.
func (in *input) head(scan *parse.Scan, lim parse.Limits) (string, error) {
	for {
		n, err := scan.End(in.buffered(), lim)
		if err != nil {
			return "", err
		}
		if n > 0 {
			head := string(in.buffered()[:n])
			in.skip(n)
			return head, nil
		}
		if err := in.fill(); err != nil {
			return "", err
		}
	}
}

// output is the writing half: small pieces gather in a pooled buffer, large
// ones pass by it.
type output struct {
	dst io.Writer
	buf []byte
	vec net.Buffers
	arr [2][]byte

	wrote  int64 // bytes that the connection took
	failed bool  // a write to the connection failed
}

func (o *output) open() {
	if o.buf == nil {
		o.buf = getBuffer()[:0]
	}
}

func (o *output) release() {
	if o.buf != nil {
		putBuffer(o.buf)
		o.buf = nil
	}
}

// flush writes what has gathered and gives the buffer back.
func (o *output) flush() error {
	var err error
	if len(o.buf) > 0 {
		err = o.direct(o.buf)
	}
	o.release()
	return err
}

// write keeps p for later if it fits, else sends the buffer and p together.
func (o *output) write(p []byte) error {
	if len(o.buf)+len(p) <= max(cap(o.buf), bufferSize) {
		o.open()
		o.buf = append(o.buf, p...)
		return nil
	}
	if len(p) > pieceSize {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if len(o.buf) == 0 {
		return o.direct(p)
	}
	return o.both(p)
}

func (o *output) direct(p []byte) error {
	n, err := o.dst.Write(p)
	o.wrote += int64(n)
	o.failed = o.failed || err != nil
	return err
}

// vectored is a connection that writes several buffers in one call.
type vectored interface {
	writeBuffers(*net.Buffers) (int64, error)
}

// both sends the buffer and p, in one call where the connection can.
func (o *output) both(p []byte) (err error) {
	o.arr = [2][]byte{o.buf, p}
	o.vec = o.arr[:]
	var n int64
	if v, ok := o.dst.(vectored); ok {
		n, err = v.writeBuffers(&o.vec)
	} else {
		n, err = o.vec.WriteTo(o.dst)
	}
	o.arr = [2][]byte{}
	o.wrote += n
	o.failed = o.failed || err != nil
	o.release()
	return err
}

// The errors of a handler or caller that does not keep to the protocol.
var (
	errStarted   = errors.New("writing an answer: it was started before")
	errUnstarted = errors.New("writing an answer: it was not started")
	errFinished  = errors.New("writing an answer: it is finished")
	errTooLong   = errors.New("writing a body: longer than announced")
	errTooShort  = errors.New("writing a body: shorter than announced")
	errStatus    = errors.New("writing an answer: not a final status")
	errInform    = errors.New("writing an answer: not an informational status")
)

package plain

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/navehq/nave/proxy/message"
)

// copySize is what is read of an answer at a time.
const copySize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// answer sends the answer to the client. What ends in the middle is cut, so
// that the client can see it.
func (t *trip) answer(ctx context.Context, resp *message.Response) {
	if resp.Switched != nil {
		t.tunnel(resp)
		return
	}
	c := t.call
	c.Record.Reason = "Upstream"
	length := resp.ContentLength
	if resp.Body == nil && length < 0 {
		length = 0
	}
	if err := c.Start(resp.Status, &resp.Header, length); err != nil {
		t.cut(err)
		if resp.Body != nil {
			_ = resp.Body.Close() // given up
		}
		return
	}
	if resp.Body != nil {
		err := t.copy(resp.Body, length < 0)
		_ = resp.Body.Close() // was read to its end, or is given up
		if err != nil {
			if ctx.Err() != nil && c.Exchange.Context().Err() == nil {
				c.Record.Reason = "Timeout"
			}
			t.cut(err)
			return
		}
	}
	var trailer *message.Header
	if resp.Trailer.Len() > 0 {
		trailer = &resp.Trailer
	}
	if err := c.Exchange.Finish(trailer); err != nil {
		t.cut(err)
	}
}

// cut records why an answer did not come to its end.
func (t *trip) cut(err error) {
	if t.call.Record.Error == "" {
		t.call.Record.Error = err.Error()
	}
	if t.call.Record.Reason == "Upstream" {
		t.call.Record.Reason = "UpstreamFailure"
	}
}

// copy streams a body: one whose length is unknown is sent on as it comes.
func (t *trip) copy(body io.Reader, flush bool) error {
	p := buffers.Get().(*[copySize]byte)
	defer buffers.Put(p)
	x := t.call.Exchange
	for {
		n, err := body.Read(p[:])
		if n > 0 {
			if _, err := x.Write(p[:n]); err != nil {
				return err
			}
			if flush && err == nil {
				if err := x.Flush(); err != nil {
					return err
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tunnel joins both connections after an upgrade, until both directions have
// ended or either breaks.
func (t *trip) tunnel(resp *message.Response) {
	c := t.call
	c.Record.Reason, c.Record.Status = "Upstream", resp.Status
	up := resp.Switched
	defer func() { _ = up.Close() }()
	down, err := c.Exchange.Switch(&resp.Header)
	if err != nil {
		t.cut(err)
		return
	}
	defer func() { _ = down.Close() }()
	done := make(chan error, 2)
	go func() { done <- half(up, down) }()
	go func() { done <- half(down, up) }()
	for range 2 {
		if err := <-done; err != nil {
			// Either side's failure ends both copies.
			_, _ = up.Close(), down.Close()
			if !errors.Is(err, io.EOF) {
				c.Record.Error = err.Error()
			}
		}
	}
}

// half copies one direction and says its end on.
func half(to io.Writer, from io.Reader) error {
	_, err := io.Copy(to, from)
	if err != nil {
		return err
	}
	if w, ok := to.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return io.EOF
}

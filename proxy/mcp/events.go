package mcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/navehq/nave/proxy/llm/sse"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
)

// heard is one event of a server: a message, an event without data (which
// opens a stream that can be resumed), or a word of an owner.
type heard struct {
	name    string
	id      string
	retry   time.Duration
	data    []byte
	message jsonrpc.Message
	// silent is set where the event holds no message.
	silent bool
}

var errEnough = errors.New("enough")

// listen reads an event stream and hands each event to f until f fails, the
// stream ends (io.EOF) or breaks. tick is called at least every beat while
// nothing comes. The body is closed, and the goroutine that reads it has ended,
// when listen returns.
func (p *Protocol) listen(ctx context.Context, body io.ReadCloser, tick func(), f func(heard) error) error {
	ctx, cancel := context.WithCancel(ctx)
	events, ended := make(chan heard), make(chan error, 1)
	go func() {
		err := errors.New("reading an event stream: a panic was caught")
		defer func() { ended <- err }()
		defer p.caught("reading an event stream")
		err = p.scan(body, func(h heard) error {
			select {
			case events <- h:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	timer := time.NewTicker(p.limits.Heartbeat)
	defer timer.Stop()
	var err error
	for done := false; !done; {
		select {
		case h := <-events:
			if err = f(h); err != nil {
				done = true
			}
		case err = <-ended:
			cancel()
			body.Close()
			return err
		case <-timer.C:
			if tick != nil {
				tick()
			}
		case <-ctx.Done():
			err, done = ctx.Err(), true
		}
	}
	cancel()
	body.Close()
	<-ended
	return err
}

// scan cuts a stream into events on the caller's goroutine.
func (p *Protocol) scan(body io.Reader, f func(heard) error) error {
	s := sse.Scanner{Max: p.limits.Answer}
	buffer := make([]byte, 16<<10)
	for {
		n, err := body.Read(buffer)
		s.Feed(buffer[:n])
		for {
			e, ok, bad := s.Next()
			if bad != nil {
				return bad
			}
			if !ok {
				break
			}
			if err := p.deliver(e, f); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

func (p *Protocol) deliver(e sse.Event, f func(heard) error) error {
	if e.Data == nil && e.ID == nil {
		return nil // a comment
	}
	h := heard{name: string(e.Name), id: string(e.ID), retry: retry(e.Raw)}
	if len(e.Data) == 0 || h.name != "" && h.name != "message" {
		h.silent, h.data = true, bytes.Clone(e.Data)
		return f(h)
	}
	messages, _, err := jsonrpc.Parse(bytes.Clone(e.Data), p.answer())
	if err != nil {
		return nil // not a message: nothing that a client could be told
	}
	for _, m := range messages {
		h.message = m
		if err := f(h); err != nil {
			return err
		}
	}
	return nil
}

// retry is the event's word on when to come back, at most a minute.
func retry(raw []byte) time.Duration {
	for line := range bytes.Lines(raw) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "retry:"); ok {
			ms, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			if err == nil {
				return min(time.Duration(ms)*time.Millisecond, time.Minute)
			}
		}
	}
	return 0
}

// pause waits, shorter where ctx ends.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

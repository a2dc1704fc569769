package llm

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/sse"
	"github.com/navehq/nave/proxy/message"
)

// maxHeld bounds what is held back before a stream's first meaningful event.
const maxHeld = 256 << 10

// keptHeaders go from a provider's answer to the client.
var keptHeaders = []string{
	"x-request-id", "request-id", "apim-request-id", "openai-processing-ms", "x-ms-region",
	"x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens",
	"x-ratelimit-reset-requests", "x-ratelimit-reset-tokens",
}

func head(from *message.Response, kind string) message.Header {
	var h message.Header
	h.Add("Content-Type", kind)
	for _, name := range keptHeaders {
		if v, ok := from.Header.Lookup(name); ok {
			h.Add(name, v)
		}
	}
	return h
}

// whole takes an answer of one piece. Nothing reaches the client before all of
// it is here, so one that breaks off goes to the next candidate.
func (a *attempt) whole(ctx context.Context, resp *message.Response) (table.Trigger, bool) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("reading the answer: larger than 64 MiB")
	}
	if err != nil {
		return a.unsent(ctx, err)
	}
	a.first = a.m.opts.Now().Sub(a.start)
	if a.exchange == nil {
		return a.pass(resp, body)
	}
	answer, err := a.exchange.Answer(body, a.m.opts.Now())
	if err != nil {
		return a.rejected(err)
	}
	a.m.opts.Sender.Done(a.call, a.to, forward.Outcome{Status: resp.Status, FirstByte: a.first})
	a.account(answer.Summary)
	h := head(resp, "application/json")
	return a.send(resp.Status, &h, answer.Body)
}

// pass hands an answer on that no dialect reads: the list of models.
func (a *attempt) pass(resp *message.Response, body []byte) (table.Trigger, bool) {
	a.m.opts.Sender.Done(a.call, a.to, forward.Outcome{Status: resp.Status, FirstByte: a.first})
	h := head(resp, "application/json")
	return a.send(resp.Status, &h, body)
}

func (a *attempt) send(status int, h *message.Header, body []byte) (table.Trigger, bool) {
	a.call.Record.Reason = "Upstream"
	a.call.Record.Error = ""
	if a.call.Start(status, h, int64(len(body))) != nil {
		return "", true
	}
	if _, err := a.call.Exchange.Write(body); err == nil {
		a.finish()
	}
	return "", true
}

// rejected is a success status with no answer behind it, or an error.
func (a *attempt) rejected(err error) (table.Trigger, bool) {
	e := &chat.Error{Class: chat.Transient, Status: 502, Type: "api_error", Code: chat.CodeBadAnswer, Message: "the provider's answer could not be read"}
	var known *chat.Error
	if errors.As(err, &known) {
		e = known
	}
	a.last = e
	a.call.Record.Error = err.Error()
	why := table.OnServer
	if e.InStream {
		why = triggerOf(e)
	}
	if !e.Class.Moves() {
		a.m.opts.Sender.Done(a.call, a.to, forward.Outcome{Status: e.Status, Err: e})
		a.refuse("Upstream", e)
		return "", true
	}
	a.m.opts.Sender.Done(a.call, a.to, forward.Outcome{Status: e.Status, Failed: why, Quota: a.owner(a.to), RetryAfter: e.RetryAfter})
	return why, false
}

// Bounds of what is read after the end of a stream's answer; a connection that
// is not at its own end by then is given up.
const (
	tailTime = time.Second
	tailSize = 64 << 10
)

// buffers are for reading streams: one read is one turn of the loop.
var buffers = sync.Pool{New: func() any { b := make([]byte, 16<<10); return &b }}

// flow is a streamed answer on its way.
type flow struct {
	*attempt
	resp      *message.Response
	scanner   sse.Scanner
	stream    dialect.Stream
	held      []byte
	committed bool
	done      bool
}

// stream takes a streamed answer. It is held back until the model begins to
// speak; until then every failure goes to the next candidate.
func (a *attempt) stream(ctx context.Context, resp *message.Response) (table.Trigger, bool) {
	f := &flow{attempt: a, resp: resp, stream: a.exchange.Stream(a.m.opts.Now())}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := resp.Body.Read(*buf)
		if n > 0 {
			if failed := f.feed((*buf)[:n]); failed != nil {
				return f.broke(failed)
			}
		}
		if f.done {
			return f.end()
		}
		if err == io.EOF {
			return f.last()
		}
		if err != nil {
			return f.lost(ctx, err)
		}
	}
}

// feed takes what one read brought, and flushes it where the client has begun
// to get the answer.
func (f *flow) feed(p []byte) error {
	f.scanner.Feed(p)
	for {
		ev, ok, err := f.scanner.Next()
		if err != nil {
			return &chat.Error{Class: chat.Transient, Status: 502, Type: "api_error", Code: chat.CodeBadAnswer, InStream: true, Message: "an event of the stream is too large"}
		}
		if !ok {
			break
		}
		if err := f.take(f.stream.Event(ev)); err != nil {
			return err
		}
		if f.done {
			break
		}
	}
	return f.flush()
}

func (f *flow) take(out []byte, n dialect.Note) error {
	if n.Err != nil {
		return n.Err
	}
	f.held = append(f.held, out...)
	f.done = f.done || n.Done
	if !f.committed && (n.Meaningful || n.Done || len(f.held) > maxHeld) {
		return f.commit()
	}
	return nil
}

// errGone is a client that no longer takes the answer.
var errGone = errors.New("writing the answer: the client is gone")

// commit begins the answer: from here on no other candidate is asked.
func (f *flow) commit() error {
	f.committed = true
	if f.patience != nil {
		f.patience.Stop()
	}
	f.first = f.m.opts.Now().Sub(f.start)
	f.call.Record.LLM.FirstToken = f.m.opts.Now().Sub(f.began)
	f.call.Record.Error = ""
	f.m.opts.Sender.Done(f.call, f.to, forward.Outcome{Status: f.resp.Status, FirstByte: f.first})
	h := head(f.resp, "text/event-stream")
	h.Add("Cache-Control", "no-cache")
	if f.call.Start(f.resp.Status, &h, message.UnknownLength) != nil {
		return errGone
	}
	return nil
}

func (f *flow) flush() error {
	if !f.committed || len(f.held) == 0 {
		return nil
	}
	_, err := f.call.Exchange.Write(f.held)
	f.held = f.held[:0]
	if err == nil {
		err = f.call.Exchange.Flush()
	}
	if err != nil {
		return errGone
	}
	return nil
}

// last is the end of the body without the dialect's own end.
func (f *flow) last() (table.Trigger, bool) {
	if ev, ok := f.scanner.End(); ok {
		if err := f.take(f.stream.Event(ev)); err != nil {
			return f.broke(err)
		}
	}
	if !f.done {
		if err := f.take(f.stream.End()); err != nil {
			return f.broke(err)
		}
	}
	if !f.committed {
		if err := f.commit(); err != nil {
			return f.broke(err)
		}
	}
	return f.end()
}

// end finishes a whole answer.
func (f *flow) end() (table.Trigger, bool) {
	f.account(f.stream.Summary())
	f.call.Record.Reason = "Upstream"
	if err := f.flush(); err != nil {
		return f.broke(err)
	}
	f.finish()
	// What the connection still carries (the link's account) is read, if it comes soon.
	defer time.AfterFunc(tailTime, f.cancel).Stop()
	_, _ = io.Copy(io.Discard, io.LimitReader(f.resp.Body, tailSize))
	return "", true
}

// lost is a connection that broke inside the stream.
func (f *flow) lost(ctx context.Context, err error) (table.Trigger, bool) {
	if !f.committed {
		return f.unsent(ctx, err)
	}
	return f.broke(&chat.Error{Class: chat.Transient, Status: 502, Type: "api_error", Code: chat.CodeTruncated, InStream: true, Message: "the provider's stream broke off"})
}

// broke ends a stream that failed: elsewhere before the client got anything,
// with an error in its own dialect after.
func (f *flow) broke(err error) (table.Trigger, bool) {
	if errors.Is(err, errGone) {
		f.account(f.stream.Summary())
		f.call.Record.Reason, f.call.Record.Error = "UpstreamFailure", "the client went away"
		return "", true
	}
	if !f.committed {
		return f.rejected(err)
	}
	var e *chat.Error
	if !errors.As(err, &e) {
		e = &chat.Error{Class: chat.Transient, Status: 502, Type: "api_error", InStream: true, Message: "the provider's stream broke off"}
	}
	f.account(f.stream.Summary())
	f.call.Record.Reason, f.call.Record.Error = "UpstreamFailure", e.Error()
	if e.Class.Moves() {
		f.m.opts.Sender.Done(f.call, f.to, forward.Outcome{Status: f.resp.Status, Failed: table.OnStream})
	}
	f.held = append(f.held, f.stream.Fail(e)...)
	if f.flush() == nil {
		f.finish()
	}
	return "", true
}

// account writes what the answer was into the record.
func (a *attempt) account(s dialect.Summary) {
	r := a.call.Record.LLM
	r.ResponseModel = s.Model
	r.InputTokens, r.OutputTokens, r.Estimated = s.Usage.Input, s.Usage.Output, s.Usage.Estimated
	r.CachedTokens, r.CacheWrite, r.Reasoning = s.Usage.Cached, s.Usage.CacheWrite, s.Usage.Reasoning
	if r.Streaming && s.Usage.Output > 1 && r.FirstToken > 0 {
		r.PerToken = (a.m.opts.Now().Sub(a.began) - r.FirstToken) / timeOf(s.Usage.Output-1)
	}
}

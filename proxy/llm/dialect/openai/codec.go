package openai

import (
	"bytes"
	"time"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/failure"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
	"github.com/navehq/nave/proxy/llm/usage"
)

// Codec carries OpenAI's dialect to itself: bytes pass, but for the model's
// name, a stream's usage, and errors. The zero value is ready.
type Codec struct{}

var _ dialect.Codec = Codec{}

// Serves is true of every operation.
func (Codec) Serves(dialect.Operation) bool { return true }

// Lacks nothing: what a compatible server has not, it says itself.
func (Codec) Lacks(chat.Features, string) chat.Features { return 0 }

// Begin splices the model's name and stream_options into the client's body.
func (Codec) Begin(f *dialect.Facts, body []byte, o dialect.Options) (dialect.Exchange, error) {
	x := &exchange{f: f, body: body}
	if f.Op == dialect.Models {
		return x, nil
	}
	wantUsage := (f.Op == dialect.Chat || f.Op == dialect.Completions) && !o.NoForcedUsage
	var err error
	x.body, err = Splice(body, f, o.Model, wantUsage)
	return x, err
}

type exchange struct {
	f    *dialect.Facts
	body []byte
}

func (x *exchange) Body() []byte      { return x.body }
func (x *exchange) Dropped() []string { return nil }

// Stream follows events of chat completions, completions or responses.
func (x *exchange) Stream(time.Time) dialect.Stream {
	s := stream{includeUsage: x.f.IncludeUsage, inputBytes: x.f.InputBytes}
	if x.f.Op == dialect.Responses {
		return &responses{stream: s}
	}
	return &s
}

// Answer reads model, finish and usage off a whole answer and lets it pass.
func (x *exchange) Answer(body []byte, _ time.Time) (dialect.Answer, error) {
	if x.f.Op == dialect.Models {
		return dialect.Answer{Body: body}, nil
	}
	s := responses{stream: stream{inputBytes: x.f.InputBytes}}
	a := answer{s: &s}
	if err := a.read(body); err != nil {
		return dialect.Answer{}, failure.Broken(chat.CodeBadAnswer, "the provider's answer is not valid: "+err.Error())
	}
	switch {
	case a.failed:
		return dialect.Answer{}, failure.InStream(body)
	case s.begun == 0 && (x.f.Op == dialect.Chat || x.f.Op == dialect.Completions):
		return dialect.Answer{}, failure.Broken(chat.CodeBadAnswer, "the provider's answer has no choices")
	}
	return dialect.Answer{Body: body, Summary: s.Summary()}, nil
}

type answer struct {
	s      *responses
	failed bool
}

func (a *answer) read(body []byte) error {
	c := scan.New(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if !c.Enter('{') {
		return c.Err()
	}
	for {
		key, ok := c.Member()
		if !ok {
			return c.End()
		}
		a.field(string(key), &c)
	}
}

func (a *answer) field(key string, c *scan.Cursor) {
	switch key {
	case "id":
		a.s.once(&a.s.sum.ID, c)
	case "model":
		a.s.once(&a.s.sum.Model, c)
	case "usage":
		if t, ok := usage.ReadOpenAI(c); ok {
			a.s.sum.Usage, a.s.reported = t, true
		}
	case "choices":
		a.choices(c)
	case "output":
		a.s.outBytes += len(c.Skip())
	case "error":
		a.failed = a.failed || c.Kind() != 'n'
		c.Skip()
	case "object":
		raw := c.Skip()
		a.failed = a.failed || string(raw) == `"error"`
	case "status":
		a.status(text(c))
	default:
		c.Skip()
	}
}

// status is a response's.
func (a *answer) status(word string) {
	switch word {
	case "failed":
		a.failed = true
	case "completed":
		a.s.sum.Finish = chat.FinishStop
	case "incomplete":
		a.s.sum.Finish = chat.FinishLength
	}
}

// choices reads whole choices: their message is what a chunk calls delta.
func (a *answer) choices(c *scan.Cursor) {
	if c.Kind() != '[' {
		c.Skip()
		return
	}
	c.Enter('[')
	var k chunk
	for c.Element() {
		if c.Kind() == '{' {
			a.s.choice(c, &k)
		} else {
			c.Skip()
		}
	}
	a.failed = a.failed || k.failed
}

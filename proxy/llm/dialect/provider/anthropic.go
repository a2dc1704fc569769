package provider

import (
	"cmp"
	"time"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/anthropic"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
	"github.com/navehq/nave/proxy/llm/sse"
)

// toAnthropic carries chat completions to Messages.
type toAnthropic struct{}

func (toAnthropic) Serves(op dialect.Operation) bool { return op == dialect.Chat }

func (toAnthropic) Lacks(f chat.Features, model string) chat.Features {
	return anthropic.Lacks(f, model)
}

func (c toAnthropic) Begin(f *dialect.Facts, body []byte, o dialect.Options) (dialect.Exchange, error) {
	model := cmp.Or(o.Model, f.Model)
	if !c.Serves(f.Op) {
		return nil, &chat.UnsupportedError{Dialect: anthropic.Name, What: "it does not know the operation " + f.Op.String()}
	}
	if lacks := c.Lacks(f.Features, model); lacks != 0 {
		return nil, &chat.UnsupportedError{Dialect: anthropic.Name, Features: lacks}
	}
	if len(f.State) > 0 {
		return nil, &chat.UnsupportedError{Dialect: anthropic.Name, What: "it does not hold the " + f.State[0].Kind + " that the request names"}
	}
	r, err := openai.Decode(body, anthropic.Name)
	if err != nil {
		return nil, err
	}
	plan, err := anthropic.Encode(r, model, o.MaxTokens)
	if err != nil {
		return nil, err
	}
	return &anthropicExchange{f: f, plan: plan, model: model}, nil
}

type anthropicExchange struct {
	f     *dialect.Facts
	plan  anthropic.Plan
	model string
}

func (x *anthropicExchange) Body() []byte      { return x.plan.Body }
func (x *anthropicExchange) Dropped() []string { return x.plan.Dropped }

func (x *anthropicExchange) Answer(body []byte, now time.Time) (dialect.Answer, error) {
	r, err := anthropic.Decode(body, x.plan.FormatTool)
	if err != nil {
		return dialect.Answer{}, err
	}
	r.Model = cmp.Or(r.Model, x.model)
	if r.Usage.Zero() {
		said := 0
		for i := range r.Parts {
			said += len(r.Parts[i].Text) + len(r.Parts[i].Input)
		}
		r.Usage = r.Usage.Fill(x.f.InputBytes, said)
	}
	return dialect.Answer{
		Body:    openai.AppendResponse(nil, r, now),
		Summary: dialect.Summary{ID: r.ID, Model: r.Model, Finish: r.Finish, Usage: r.Usage},
	}, nil
}

func (x *anthropicExchange) Stream(now time.Time) dialect.Stream {
	return &anthropicStream{
		x: x, w: openai.NewWriter(now, x.f.IncludeUsage),
		events: anthropic.Events{FormatTool: x.plan.FormatTool},
		sum:    dialect.Summary{Model: x.model},
	}
}

// anthropicStream writes what Anthropic's events say as completion chunks.
type anthropicStream struct {
	x      *anthropicExchange
	w      openai.Writer
	events anthropic.Events
	sum    dialect.Summary
	said   int // bytes that the model wrote
	out    []byte
}

func (s *anthropicStream) Event(ev sse.Event) ([]byte, dialect.Note) {
	chunks, err := s.events.Next(ev)
	return s.write(chunks, err)
}

func (s *anthropicStream) End() ([]byte, dialect.Note) {
	chunks, err := s.events.Close()
	return s.write(chunks, err)
}

func (s *anthropicStream) write(chunks []chat.Chunk, err *chat.Error) (out []byte, n dialect.Note) {
	if err != nil {
		return nil, dialect.Note{Err: err}
	}
	s.out = s.out[:0]
	for i := range chunks {
		c := &chunks[i]
		switch c.Kind {
		case chat.ChunkStart:
			c.Model = cmp.Or(c.Model, s.sum.Model)
			s.sum.ID, s.sum.Model = c.ID, c.Model
		case chat.ChunkEnd:
			c.Usage = s.Summary().Usage
		}
		s.said += len(c.Text)
		n.Meaningful = n.Meaningful || c.Meaningful()
		s.out = s.w.Append(s.out, c)
	}
	n.Done = s.events.Ended()
	return s.out, n
}

func (s *anthropicStream) Fail(e *chat.Error) []byte {
	return openai.AppendStreamError(nil, e)
}

// Summary estimates what was not reported. The first event already reports a
// token or two of output, the last all of it: a stream that is cut in between
// counts by what was said.
func (s *anthropicStream) Summary() dialect.Summary {
	sum := s.sum
	sum.Finish = s.events.Finish()
	sum.Usage = s.events.Usage()
	switch {
	case sum.Finish == "":
		sum.Usage = sum.Usage.FillCut(s.x.f.InputBytes, s.said)
	case sum.Usage.Zero():
		sum.Usage = sum.Usage.Fill(s.x.f.InputBytes, s.said)
	}
	return sum
}

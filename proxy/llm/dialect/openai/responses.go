package openai

import (
	"bytes"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/failure"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
	"github.com/navehq/nave/proxy/llm/sse"
	"github.com/navehq/nave/proxy/llm/usage"
)

// responses follows the events of a streamed response and lets them pass.
type responses struct {
	stream
	// next is the number of the event that comes after those that have passed.
	next int64
}

func (s *responses) Event(ev sse.Event) (out []byte, n dialect.Note) {
	switch {
	case s.done:
		return nil, n
	case ev.Data == nil:
		return ev.Raw, n
	}
	data := bytes.TrimSpace(ev.Data)
	if string(data) == "[DONE]" {
		// Some compatible servers send it; it ends nothing here.
		return nil, n
	}
	number := s.next
	kind, meaningful, err := s.readEvent(data)
	if err != nil {
		s.next = number
		return nil, dialect.Note{Err: failure.BrokenEvent(ev.Whole(), err)}
	}
	if kind == "" {
		kind = string(ev.Name)
	}
	switch kind {
	case "error", "response.failed", "":
		s.next = number
		return nil, dialect.Note{Err: failure.InStream(data)}
	case "response.completed", "response.incomplete":
		s.done = true
		if kind == "response.incomplete" {
			s.sum.Finish = chat.FinishLength
		} else {
			s.sum.Finish = chat.FinishStop
		}
	case "response.output_item.done":
		meaningful = true
	}
	s.next++
	return s.pass(ev), dialect.Note{Meaningful: meaningful, Done: s.done}
}

// readEvent returns the event's type and whether it is a delta with something
// in it.
func (s *responses) readEvent(data []byte) (kind string, meaningful bool, err error) {
	c := scan.New(data)
	if !c.Enter('{') {
		return "", false, c.Err()
	}
	for {
		key, ok := c.Member()
		if !ok {
			return kind, meaningful, c.End()
		}
		switch string(key) {
		case "type":
			kind = text(&c)
		case "delta":
			var k chunk
			s.said(&c, &k)
			meaningful = k.meaningful
		case "response":
			s.response(&c)
		case "sequence_number":
			if n, ok := scan.Int(c.Skip()); ok {
				s.next = n
			}
		default:
			c.Skip()
		}
	}
}

func (s *responses) Fail(e *chat.Error) []byte { return AppendResponsesError(nil, e, s.next) }

// response reads the response object that the first and last events hold.
func (s *responses) response(c *scan.Cursor) {
	if c.Kind() != '{' {
		c.Skip()
		return
	}
	c.Enter('{')
	for {
		key, ok := c.Member()
		if !ok {
			return
		}
		switch string(key) {
		case "id":
			s.once(&s.sum.ID, c)
		case "model":
			s.once(&s.sum.Model, c)
		case "usage":
			if t, ok := usage.ReadOpenAI(c); ok {
				s.sum.Usage, s.reported = s.sum.Usage.Latest(t), true
			}
		default:
			c.Skip()
		}
	}
}

func (s *responses) End() ([]byte, dialect.Note) {
	if s.done {
		return nil, dialect.Note{Done: true}
	}
	return nil, dialect.Note{Err: failure.Broken(chat.CodeTruncated, "the provider's stream ended before its answer did")}
}

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

// stream follows a chat completion's or a completion's events and lets them
// pass as they are, but for a usage that the client did not ask for.
type stream struct {
	includeUsage bool
	inputBytes   int

	sum      dialect.Summary
	reported bool
	outBytes int
	begun    uint64 // bit i: choice i was seen; the last bit stands for all beyond
	ended    uint64 // bit i: choice i has its finish_reason
	done     bool
	out      []byte
}

// chunk is what one event says.
type chunk struct {
	meaningful bool
	choices    int
	usage      bool
	failed     bool
}

func (s *stream) Event(ev sse.Event) (out []byte, n dialect.Note) {
	switch {
	case s.done:
		return nil, n
	case ev.Data == nil:
		return ev.Raw, n
	}
	data := bytes.TrimSpace(ev.Data)
	if string(data) == "[DONE]" {
		if s.begun == 0 {
			return nil, dialect.Note{Err: failure.Broken(chat.CodeBadAnswer, "the provider's stream held no answer")}
		}
		s.done = true
		return s.pass(ev), dialect.Note{Done: true}
	}
	k, err := s.read(data)
	switch {
	case err != nil:
		return nil, dialect.Note{Err: failure.BrokenEvent(ev.Whole(), err)}
	case k.failed || string(ev.Name) == "error":
		return nil, dialect.Note{Err: failure.InStream(data)}
	case k.usage && k.choices == 0 && !s.includeUsage:
		return nil, n
	}
	return s.pass(ev), dialect.Note{Meaningful: k.meaningful}
}

// pass returns the event as it came, ended by a blank line if it was cut off
// before one.
func (s *stream) pass(ev sse.Event) []byte {
	if ev.Whole() {
		return ev.Raw
	}
	s.out = append(append(s.out[:0], bytes.TrimRight(ev.Raw, "\r\n")...), "\n\n"...)
	return s.out
}

func (s *stream) End() ([]byte, dialect.Note) {
	switch {
	case s.done:
		return nil, dialect.Note{Done: true}
	case s.begun != 0 && s.begun == s.ended:
		s.done = true
		return []byte(done), dialect.Note{Done: true}
	}
	return nil, dialect.Note{Err: failure.Broken(chat.CodeTruncated, "the provider's stream ended before its answer did")}
}

func (s *stream) Fail(e *chat.Error) []byte { return AppendStreamError(nil, e) }

func (s *stream) Summary() dialect.Summary {
	sum := s.sum
	if !s.reported {
		sum.Usage = sum.Usage.Fill(s.inputBytes, s.outBytes)
	}
	return sum
}

// read follows one chunk.
func (s *stream) read(data []byte) (k chunk, err error) {
	c := scan.New(data)
	if !c.Enter('{') {
		return k, c.Err()
	}
	for {
		key, ok := c.Member()
		if !ok {
			break
		}
		switch string(key) {
		case "choices":
			s.choices(&c, &k)
		case "usage":
			if t, ok := usage.ReadOpenAI(&c); ok {
				s.sum.Usage = s.sum.Usage.Latest(t)
				s.reported, k.usage = true, true
			}
		case "error":
			k.failed = k.failed || c.Kind() != 'n'
			c.Skip()
		case "object":
			raw := c.Skip()
			k.failed = k.failed || string(raw) == `"error"`
		case "id":
			s.once(&s.sum.ID, &c)
		case "model":
			s.once(&s.sum.Model, &c)
		default:
			c.Skip()
		}
	}
	return k, c.End()
}

// once reads a string that every chunk repeats the first time only.
func (s *stream) once(to *string, c *scan.Cursor) {
	if *to != "" {
		c.Skip()
		return
	}
	*to = text(c)
}

func (s *stream) choices(c *scan.Cursor, k *chunk) {
	if c.Kind() != '[' {
		c.Skip()
		return
	}
	c.Enter('[')
	for c.Element() {
		k.choices++
		if c.Kind() == '{' {
			s.choice(c, k)
		} else {
			c.Skip()
		}
	}
}

func (s *stream) choice(c *scan.Cursor, k *chunk) {
	var index int64
	finished := false
	c.Enter('{')
	for {
		key, ok := c.Member()
		if !ok {
			break
		}
		switch string(key) {
		case "delta", "message":
			s.delta(c, k)
		case "text":
			s.said(c, k)
		case "finish_reason":
			if c.Kind() != '"' {
				c.Skip()
				continue
			}
			raw, _ := c.Text()
			finished = len(raw) > 0
			k.failed = k.failed || string(raw) == "error"
			if s.sum.Finish == "" {
				s.sum.Finish = chat.Finish(raw)
			}
		case "index":
			index, _ = scan.Int(c.Skip())
		default:
			c.Skip()
		}
	}
	bit := uint64(1) << min(uint64(index), 63)
	s.begun |= bit
	if finished {
		s.ended |= bit
	}
}

// delta reads what a chunk adds to a message. Role, empty texts and anything
// unknown mean nothing.
func (s *stream) delta(c *scan.Cursor, k *chunk) {
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
		case "content", "refusal", "reasoning_content", "reasoning":
			s.said(c, k)
		case "tool_calls", "function_call", "audio", "reasoning_details":
			raw := c.Skip()
			if filled(raw) {
				k.meaningful = true
				s.outBytes += len(raw)
			}
		default:
			c.Skip()
		}
	}
}

func (s *stream) said(c *scan.Cursor, k *chunk) {
	if c.Kind() != '"' {
		k.meaningful = filled(c.Skip()) || k.meaningful
		return
	}
	raw, _ := c.Text()
	s.outBytes += len(raw)
	k.meaningful = k.meaningful || len(raw) > 0
}

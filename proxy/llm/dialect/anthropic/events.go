package anthropic

import (
	"bytes"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/failure"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
	"github.com/navehq/nave/proxy/llm/sse"
	"github.com/navehq/nave/proxy/llm/usage"
)

// Events follows the events of a streamed answer and turns each into chunks.
type Events struct {
	// FormatTool is Plan.FormatTool of the request.
	FormatTool bool

	chunks  []chat.Chunk
	started bool
	ended   bool
	finish  chat.Finish
	use     usage.Tokens
	tools   int // calls begun
	block   blockKind
	input   bool // the current call has said anything of its arguments
}

type blockKind uint8

const (
	otherBlock blockKind = iota
	textBlock
	thinkingBlock
	toolBlock
	formatBlock // a tool's call whose input is the answer's text
)

// event is what one event says, of all the fields that any of them has.
type event struct {
	kind, blockType, id, model, name, stop string
	delta                                  string
	text                                   []byte // still escaped
	input                                  []byte // of a call that comes at once
}

// Next turns an event into chunks, valid until the next call; their texts point
// into the event. An error ends the stream.
func (s *Events) Next(ev sse.Event) ([]chat.Chunk, *chat.Error) {
	s.chunks = s.chunks[:0]
	data := bytes.TrimSpace(ev.Data)
	if len(data) == 0 || s.ended {
		return nil, nil
	}
	var e event
	c := scan.New(data)
	if err := s.read(&c, &e); err != nil {
		return nil, failure.BrokenEvent(ev.Whole(), err)
	}
	switch e.kind {
	case "error", "":
		return nil, failure.InStream(data)
	case "message_start":
		s.start(&e)
	case "content_block_start":
		s.begin(&e)
	case "content_block_delta":
		s.delta(&e)
	case "content_block_stop":
		s.end()
	case "message_delta":
		s.stop(&e)
	case "message_stop":
		s.stop(&event{})
		s.ended = true
		s.add(chat.Chunk{Kind: chat.ChunkEnd, Usage: s.use})
	}
	return s.chunks, nil
}

// Ended tells whether the answer is whole.
func (s *Events) Ended() bool { return s.ended }

// Finish is why the answer ended; empty until that is said.
func (s *Events) Finish() chat.Finish { return s.finish }

// Usage is what was reported until now.
func (s *Events) Usage() usage.Tokens { return s.use }

// Close is for a stream that broke off: if the model had said why it ended, the
// answer is whole and the last chunks are returned, else it is an error.
func (s *Events) Close() ([]chat.Chunk, *chat.Error) {
	s.chunks = s.chunks[:0]
	if s.ended {
		return nil, nil
	}
	if s.finish == "" {
		return nil, failure.Broken(chat.CodeTruncated, "the provider's stream ended before its answer did")
	}
	s.ended = true
	s.add(chat.Chunk{Kind: chat.ChunkEnd, Usage: s.use})
	return s.chunks, nil
}

func (s *Events) add(c chat.Chunk) { s.chunks = append(s.chunks, c) }

func (s *Events) start(e *event) {
	if s.started {
		return
	}
	s.started = true
	s.add(chat.Chunk{Kind: chat.ChunkStart, ID: e.id, Model: e.model})
}

func (s *Events) begin(e *event) {
	s.start(e)
	s.block, s.input = otherBlock, false
	switch e.blockType {
	case "text":
		s.block = textBlock
		if len(e.text) > 0 {
			s.add(chat.Chunk{Kind: chat.ChunkText, Text: e.text})
		}
	case "thinking":
		s.block = thinkingBlock
		if len(e.text) > 0 {
			s.add(chat.Chunk{Kind: chat.ChunkThinking, Text: e.text})
		}
	case "tool_use":
		if s.FormatTool && e.name == formatTool {
			s.block = formatBlock
			return
		}
		s.block = toolBlock
		s.add(chat.Chunk{Kind: chat.ChunkTool, Tool: s.tools, ID: e.id, Name: e.name})
		s.tools++
		if e.input != nil {
			s.input = true
			s.add(chat.Chunk{Kind: chat.ChunkToolInput, Tool: s.tools - 1, Text: e.input})
		}
	}
}

func (s *Events) delta(e *event) {
	if len(e.text) == 0 {
		return
	}
	switch {
	case e.delta == "text_delta" && s.block == textBlock,
		e.delta == "input_json_delta" && s.block == formatBlock:
		s.input = true
		s.add(chat.Chunk{Kind: chat.ChunkText, Text: e.text})
	case e.delta == "thinking_delta" && s.block == thinkingBlock:
		s.add(chat.Chunk{Kind: chat.ChunkThinking, Text: e.text})
	case e.delta == "input_json_delta" && s.block == toolBlock:
		s.input = true
		s.add(chat.Chunk{Kind: chat.ChunkToolInput, Tool: s.tools - 1, Text: e.text})
	}
}

var noInput = []byte("{}")

// end closes a block. A call without arguments never said so: clients parse
// what they gathered, so it gets an empty object.
func (s *Events) end() {
	switch {
	case s.input:
	case s.block == toolBlock:
		s.add(chat.Chunk{Kind: chat.ChunkToolInput, Tool: s.tools - 1, Text: noInput})
	case s.block == formatBlock:
		s.add(chat.Chunk{Kind: chat.ChunkText, Text: noInput})
	}
	s.block, s.input = otherBlock, false
}

// stop takes the reason for the answer's end, once; an answer whose end is not
// explained stopped by itself.
func (s *Events) stop(e *event) {
	if s.finish != "" || e.kind != "" && e.stop == "" {
		return
	}
	s.finish = finish(e.stop)
	if s.finish == "" || s.FormatTool && s.finish == chat.FinishTools {
		s.finish = chat.FinishStop
	}
	s.start(e)
	s.add(chat.Chunk{Kind: chat.ChunkFinish, Finish: s.finish})
}

// read reads an event and, since usage is cumulative, merges what it reports.
func (s *Events) read(c *scan.Cursor, e *event) error {
	if !c.Enter('{') {
		return c.Err()
	}
	for {
		key, ok := c.Member()
		if !ok {
			return c.End()
		}
		switch string(key) {
		case "type":
			e.kind = word(c)
		case "message":
			s.message(c, e)
		case "content_block":
			s.contentBlock(c, e)
		case "delta":
			s.readDelta(c, e)
		case "usage":
			s.usage(c)
		default:
			c.Skip()
		}
	}
}

func (s *Events) usage(c *scan.Cursor) {
	if t, ok := usage.ReadAnthropic(c); ok {
		s.use = s.use.Latest(t)
	}
}

func (s *Events) message(c *scan.Cursor, e *event) {
	each(c, func(key string) {
		switch key {
		case "id":
			e.id = word(c)
		case "model":
			e.model = word(c)
		case "usage":
			s.usage(c)
		default:
			c.Skip()
		}
	})
}

func (s *Events) contentBlock(c *scan.Cursor, e *event) {
	each(c, func(key string) {
		switch key {
		case "type":
			e.blockType = word(c)
		case "id":
			e.id = word(c)
		case "name":
			e.name = word(c)
		case "text", "thinking":
			e.text = escaped(c)
		case "input":
			if raw := compact(c.Skip()); len(raw) > len(noInput) {
				e.input = scan.AppendEscaped(nil, string(raw))
			}
		default:
			c.Skip()
		}
	})
}

func (s *Events) readDelta(c *scan.Cursor, e *event) {
	each(c, func(key string) {
		switch key {
		case "type":
			e.delta = word(c)
		case "text", "thinking", "partial_json":
			e.text = escaped(c)
		case "stop_reason":
			e.stop = word(c)
		default:
			c.Skip()
		}
	})
}

func each(c *scan.Cursor, member func(key string)) {
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
		member(string(key))
	}
}

// words are those that almost every event holds, so that they cost no memory.
var words = [...]string{
	"content_block_delta", "text_delta", "input_json_delta", "thinking_delta", "content_block_start", "content_block_stop", "text", "ping",
}

func word(c *scan.Cursor) string {
	raw := escaped(c)
	for _, w := range words {
		if string(raw) == w {
			return w
		}
	}
	return string(scan.Unescape(raw))
}

func escaped(c *scan.Cursor) []byte {
	if c.Kind() != '"' {
		c.Skip()
		return nil
	}
	raw, _ := c.Text()
	return raw
}

package openai

import (
	"strconv"
	"time"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
)

// done is the event that ends a stream.
const done = "data: [DONE]\n\n"

// Writer writes the pieces of an answer as chat completion chunks.
type Writer struct {
	created      time.Time
	includeUsage bool
	head         []byte // of every chunk, up to its choices
}

// NewWriter returns a writer of chunks created at the given time. With
// includeUsage the last chunk before the terminator has the usage.
func NewWriter(created time.Time, includeUsage bool) Writer {
	return Writer{created: created, includeUsage: includeUsage}
}

// Append writes one piece. A ChunkStart has to come first.
func (w *Writer) Append(dst []byte, c *chat.Chunk) []byte {
	switch c.Kind {
	case chat.ChunkStart:
		w.start(c)
		return w.delta(dst, `"role":"assistant","content":""`, nil, "")
	case chat.ChunkText:
		return w.delta(dst, `"content":"`, c.Text, `"`)
	case chat.ChunkRefusal:
		return w.delta(dst, `"refusal":"`, c.Text, `"`)
	case chat.ChunkThinking:
		return w.delta(dst, `"reasoning_content":"`, c.Text, `"`)
	case chat.ChunkTool:
		return w.tool(dst, c)
	case chat.ChunkToolInput:
		dst = append(dst, w.head...)
		dst = append(dst, `{"index":0,"delta":{"tool_calls":[{"index":`...)
		dst = strconv.AppendInt(dst, int64(c.Tool), 10)
		dst = append(dst, `,"function":{"arguments":"`...)
		dst = append(dst, c.Text...)
		return w.close(append(dst, `"}}]},"logprobs":null,"finish_reason":null}]`...))
	case chat.ChunkFinish:
		dst = append(dst, w.head...)
		dst = append(dst, `{"index":0,"delta":{},"logprobs":null,"finish_reason":`...)
		dst = scan.AppendQuoted(dst, string(c.Finish))
		return w.close(append(dst, `}]`...))
	case chat.ChunkEnd:
		if w.includeUsage {
			dst = append(dst, w.head...)
			dst = append(dst, `],"usage":`...)
			dst = append(appendUsage(dst, c.Usage), "}\n\n"...)
		}
		return append(dst, done...)
	}
	return dst
}

func (w *Writer) start(c *chat.Chunk) {
	h := append(w.head[:0], `data: {"id":`...)
	h = scan.AppendQuoted(h, c.ID)
	h = append(h, `,"object":"chat.completion.chunk","created":`...)
	h = strconv.AppendInt(h, w.created.Unix(), 10)
	h = append(h, `,"model":`...)
	h = scan.AppendQuoted(h, c.Model)
	w.head = append(h, `,"choices":[`...)
}

func (w *Writer) delta(dst []byte, before string, text []byte, after string) []byte {
	dst = append(dst, w.head...)
	dst = append(dst, `{"index":0,"delta":{`...)
	dst = append(dst, before...)
	dst = append(dst, text...)
	dst = append(dst, after...)
	return w.close(append(dst, `},"logprobs":null,"finish_reason":null}]`...))
}

func (w *Writer) tool(dst []byte, c *chat.Chunk) []byte {
	dst = append(dst, w.head...)
	dst = append(dst, `{"index":0,"delta":{"tool_calls":[{"index":`...)
	dst = strconv.AppendInt(dst, int64(c.Tool), 10)
	dst = append(dst, `,"id":`...)
	dst = scan.AppendQuoted(dst, c.ID)
	dst = append(dst, `,"type":"function","function":{"name":`...)
	dst = scan.AppendQuoted(dst, c.Name)
	return w.close(append(dst, `,"arguments":""}}]},"logprobs":null,"finish_reason":null}]`...))
}

// close ends a chunk that is not the last. Where usage was asked for, every
// other chunk has it as null.
func (w *Writer) close(dst []byte) []byte {
	if w.includeUsage {
		return append(dst, ",\"usage\":null}\n\n"...)
	}
	return append(dst, "}\n\n"...)
}

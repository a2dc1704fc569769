package anthropic

import (
	"bytes"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/failure"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
	"github.com/navehq/nave/proxy/llm/usage"
)

// Decode reads a whole answer. formatTool says that its text was asked for as
// the input of a tool (Plan.FormatTool). The error is a *chat.Error.
func Decode(body []byte, formatTool bool) (*chat.Response, error) {
	d := decoder{c: scan.New(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))), formatTool: formatTool}
	kind, content := "", false
	d.object(func(key string) {
		switch key {
		case "type":
			kind = d.text()
		case "id":
			d.r.ID = d.text()
		case "model":
			d.r.Model = d.text()
		case "stop_reason":
			d.r.Finish = finish(d.text())
		case "usage":
			d.r.Usage, _ = usage.ReadAnthropic(&d.c)
		case "content":
			content = d.content()
		default:
			d.c.Skip()
		}
	})
	if err := d.c.End(); err != nil {
		return nil, failure.Broken(chat.CodeBadAnswer, "the provider's answer is not valid: "+err.Error())
	}
	switch {
	case kind == "error":
		return nil, failure.InStream(body)
	case !content:
		return nil, failure.Broken(chat.CodeBadAnswer, "the provider's answer has no content")
	}
	if formatTool && d.r.Finish == chat.FinishTools {
		d.r.Finish = chat.FinishStop
	}
	return &d.r, nil
}

// finish translates a stop_reason.
func finish(reason string) chat.Finish {
	switch reason {
	case "":
		return ""
	case "max_tokens", "model_context_window_exceeded":
		return chat.FinishLength
	case "tool_use":
		return chat.FinishTools
	case "refusal":
		return chat.FinishFilter
	}
	// end_turn, stop_sequence, pause_turn, and what is yet to be invented.
	return chat.FinishStop
}

type decoder struct {
	c          scan.Cursor
	r          chat.Response
	formatTool bool
}

func (d *decoder) object(member func(key string)) {
	if d.c.Kind() != '{' {
		d.c.Skip()
		return
	}
	d.c.Enter('{')
	for {
		key, ok := d.c.Member()
		if !ok {
			return
		}
		member(string(key))
	}
}

func (d *decoder) text() string {
	if d.c.Kind() != '"' {
		d.c.Skip()
		return ""
	}
	raw, _ := d.c.Text()
	return string(scan.Unescape(raw))
}

func (d *decoder) content() bool {
	if d.c.Kind() != '[' {
		d.c.Skip()
		return false
	}
	d.c.Enter('[')
	for d.c.Element() {
		d.block()
	}
	return true
}

// block reads a block of content. Those of the provider's own tools, and
// thoughts that it sealed, have no place in other dialects and are left out.
func (d *decoder) block() {
	var p chat.Part
	kind := ""
	d.object(func(key string) {
		switch key {
		case "type":
			kind = d.text()
		case "text", "thinking":
			p.Text = d.text()
		case "signature":
			p.Signature = d.text()
		case "id":
			p.ID = d.text()
		case "name":
			p.Name = d.text()
		case "input":
			p.Input = compact(d.c.Skip())
		default:
			d.c.Skip()
		}
	})
	switch kind {
	case "text":
		p.Kind = chat.Text
	case "thinking":
		p.Kind = chat.Thinking
	case "tool_use":
		p.Kind = chat.ToolUse
		if len(p.Input) == 0 {
			p.Input = []byte("{}")
		}
		if d.formatTool && p.Name == formatTool {
			p = chat.Part{Kind: chat.Text, Text: string(p.Input)}
		}
	default:
		return
	}
	d.r.Parts = append(d.r.Parts, p)
}

// compact takes the white space between the tokens of JSON text away.
func compact(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	inString := false
	for i := 0; i < len(raw); i++ {
		k := raw[i]
		switch {
		case inString && k == '\\' && i+1 < len(raw):
			out = append(out, k)
			i++
			k = raw[i]
		case k == '"':
			inString = !inString
		case !inString && (k == ' ' || k == '\n' || k == '\r' || k == '\t'):
			continue
		}
		out = append(out, k)
	}
	return out
}

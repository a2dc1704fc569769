package openai

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
)

// Decode reads the body of a chat completion whole, for a provider of another
// dialect. Inspect must have taken it. Top-level fields that chat.Request has no
// place for are kept in Unknown. What an OpenAI-shaped server may know and this
// does not, is a *chat.UnsupportedError that names the dialect it was meant for.
func Decode(body []byte, meantFor string) (*chat.Request, error) {
	d := decoder{c: scan.New(body), meantFor: meantFor}
	d.object(d.field)
	if d.err == nil {
		if err := d.c.End(); err != nil {
			return nil, dialect.Fault("", err.Error())
		}
	}
	if d.err == nil && len(d.r.Messages) == 0 {
		d.fault("messages", "there are no messages")
	}
	if d.err != nil {
		return nil, d.err
	}
	return &d.r, nil
}

type decoder struct {
	c        scan.Cursor
	r        chat.Request
	meantFor string
	err      error
}

func (d *decoder) fault(param, format string, args ...any) {
	if d.err == nil {
		d.err = &chat.UnsupportedError{Dialect: d.meantFor, Param: param, What: fmt.Sprintf(format, args...)}
	}
}

// object consumes a value and calls member for each of its members if it is an
// object; member must consume the member's value.
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

// list consumes a value and calls element for each of its elements if it is a
// list; element must consume the element.
func (d *decoder) list(element func(i int)) {
	if d.c.Kind() != '[' {
		d.c.Skip()
		return
	}
	d.c.Enter('[')
	for i := 0; d.c.Element(); i++ {
		element(i)
	}
}

func (d *decoder) field(key string) {
	switch key {
	case "model":
		d.r.Model = text(&d.c)
	case "messages":
		d.list(d.message)
	case "tools":
		d.list(d.tool)
	case "tool_choice":
		d.choice()
	case "parallel_tool_calls":
		d.r.ParallelTools = d.boolean(key)
	case "response_format":
		d.object(d.format)
	case "max_completion_tokens":
		d.r.MaxTokens = d.whole(key)
	case "max_tokens":
		if n := d.whole(key); d.r.MaxTokens == nil {
			d.r.MaxTokens = n
		}
	case "stop":
		d.stop()
	case "temperature":
		d.r.Sampling.Temperature = d.number(key)
	case "top_p":
		d.r.Sampling.TopP = d.number(key)
	case "stream":
		d.r.Stream = string(d.c.Skip()) == "true"
	case "stream_options":
		d.c.Skip()
	case "user":
		d.r.User = text(&d.c)
	default:
		d.r.Unknown = append(d.r.Unknown, chat.Field{Name: key, Raw: bytes.Clone(d.c.Skip())})
	}
}

func (d *decoder) boolean(param string) *bool {
	v := false
	switch string(d.c.Skip()) {
	case "true":
		v = true
	case "false":
	case "null":
		return nil
	default:
		d.fault(param, "%s is neither true nor false", param)
	}
	return &v
}

func (d *decoder) whole(param string) *int64 {
	raw := d.c.Skip()
	if string(raw) == "null" {
		return nil
	}
	n, ok := scan.Int(raw)
	if !ok || n < 0 {
		d.fault(param, "%s is no whole number", param)
	}
	return &n
}

func (d *decoder) number(param string) *float64 {
	raw := d.c.Skip()
	if string(raw) == "null" {
		return nil
	}
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		d.fault(param, "%s is no number", param)
	}
	return &v
}

func (d *decoder) stop() {
	if d.c.Kind() == '"' {
		d.r.Stop = []string{text(&d.c)}
		return
	}
	d.list(func(int) { d.r.Stop = append(d.r.Stop, text(&d.c)) })
}

func (d *decoder) tool(i int) {
	var t chat.Tool
	kind := "function"
	d.object(func(key string) {
		switch key {
		case "type":
			kind = text(&d.c)
		case "function":
			d.object(func(key string) { d.function(&t, key) })
		default:
			d.c.Skip()
		}
	})
	if kind != "function" || t.Name == "" {
		d.fault("tools", "tools[%d] is no function with a name", i)
	}
	d.r.Tools = append(d.r.Tools, t)
}

func (d *decoder) function(t *chat.Tool, key string) {
	switch key {
	case "name":
		t.Name = text(&d.c)
	case "description":
		t.Description = text(&d.c)
	case "parameters":
		if d.c.Kind() == '{' {
			t.Schema = bytes.Clone(d.c.Skip())
		} else {
			d.c.Skip()
		}
	case "strict":
		t.Strict = string(d.c.Skip()) == "true"
	default:
		d.c.Skip()
	}
}

func (d *decoder) choice() {
	if d.c.Kind() == '"' {
		switch word := text(&d.c); word {
		case "auto":
			d.r.Choice.Mode = chat.ChoiceAuto
		case "none":
			d.r.Choice.Mode = chat.ChoiceNone
		case "required":
			d.r.Choice.Mode = chat.ChoiceRequired
		default:
			d.fault("tool_choice", "tool_choice %q is not known", word)
		}
		return
	}
	d.object(func(key string) {
		if key != "function" {
			d.c.Skip()
			return
		}
		d.r.Choice = chat.ToolChoice{Mode: chat.ChoiceNamed, Name: member(&d.c, "name")}
	})
}

func (d *decoder) format(key string) {
	f := &d.r.Format
	switch key {
	case "type":
		switch kind := text(&d.c); kind {
		case "text":
		case "json_object":
			f.Kind = chat.FormatObject
		case "json_schema":
			f.Kind = chat.FormatSchema
		default:
			d.fault("response_format", "response_format %q is not known", kind)
		}
	case "json_schema":
		d.object(func(key string) {
			switch key {
			case "name":
				f.Name = text(&d.c)
			case "description":
				f.Description = text(&d.c)
			case "schema":
				f.Schema = bytes.Clone(d.c.Skip())
			case "strict":
				f.Strict = string(d.c.Skip()) == "true"
			default:
				d.c.Skip()
			}
		})
	default:
		d.c.Skip()
	}
}

// raw is a message as it is read, before its role gives its fields their meaning.
type rawMessage struct {
	role, name, callID string
	parts, calls       []chat.Part
	cache              []byte
}

func (d *decoder) message(i int) {
	var m rawMessage
	d.object(func(key string) {
		switch key {
		case "role":
			m.role = text(&d.c)
		case "name":
			m.name = text(&d.c)
		case "tool_call_id":
			m.callID = text(&d.c)
		case "content":
			m.parts = append(m.parts, d.content(i)...)
		case "refusal":
			if t := text(&d.c); t != "" {
				m.parts = append(m.parts, chat.Part{Kind: chat.Refusal, Text: t})
			}
		case "tool_calls":
			d.list(func(k int) { m.calls = append(m.calls, d.call(i, k)) })
		case "cache_control":
			m.cache = bytes.Clone(d.c.Skip())
		case "function_call":
			if string(d.c.Skip()) != "null" {
				d.fault("messages", "messages[%d] holds a function_call, which has no translation", i)
			}
		default:
			d.c.Skip()
		}
	})
	d.r.Messages = append(d.r.Messages, d.turn(i, m))
}

// turn gives a message its role.
func (d *decoder) turn(i int, m rawMessage) chat.Message {
	out := chat.Message{Name: m.name, Parts: append(m.parts, m.calls...)}
	if n := len(m.parts); n > 0 && m.cache != nil && out.Parts[n-1].Cache == nil {
		out.Parts[n-1].Cache = m.cache
	}
	switch m.role {
	case "system", "developer":
		out.Role = chat.RoleSystem
		d.textOnly(i, m)
	case "user":
		out.Role = chat.RoleUser
	case "assistant":
		out.Role = chat.RoleAssistant
	case "tool":
		out.Role = chat.RoleTool
		d.textOnly(i, m)
		var said strings.Builder
		for _, p := range m.parts {
			said.WriteString(p.Text)
		}
		if m.callID == "" {
			d.fault("messages", "messages[%d] is a tool's and has no tool_call_id", i)
		}
		out.Parts = []chat.Part{{Kind: chat.ToolResult, ID: m.callID, Text: said.String(), Cache: m.cache}}
	default:
		d.fault("messages", "messages[%d] has the unknown role %q", i, m.role)
	}
	return out
}

func (d *decoder) textOnly(i int, m rawMessage) {
	for _, p := range m.parts {
		if p.Kind != chat.Text {
			d.fault("messages", "messages[%d] of role %q holds more than text", i, m.role)
		}
	}
}

func (d *decoder) call(i, k int) chat.Part {
	p := chat.Part{Kind: chat.ToolUse}
	var arguments string
	d.object(func(key string) {
		switch key {
		case "id":
			p.ID = text(&d.c)
		case "function":
			d.object(func(key string) {
				switch key {
				case "name":
					p.Name = text(&d.c)
				case "arguments":
					arguments = text(&d.c)
				default:
					d.c.Skip()
				}
			})
		default:
			d.c.Skip()
		}
	})
	if p.Name == "" {
		d.fault("messages", "messages[%d].tool_calls[%d] is no call of a named function", i, k)
	}
	p.Input = []byte(strings.TrimSpace(arguments))
	if len(p.Input) == 0 {
		p.Input = []byte("{}")
	}
	c := scan.New(p.Input)
	isObject := c.Kind() == '{'
	c.Skip()
	if c.End() != nil || !isObject {
		d.fault("messages", "messages[%d].tool_calls[%d].function.arguments is not a JSON object", i, k)
	}
	return p
}

func (d *decoder) content(i int) []chat.Part {
	switch d.c.Kind() {
	case '"':
		return []chat.Part{{Text: text(&d.c)}}
	case '[':
		var parts []chat.Part
		d.list(func(k int) { parts = append(parts, d.part(i, k)) })
		return parts
	}
	d.c.Skip()
	return nil
}

package openai

import (
	"strings"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
)

// messages reads a chat's turns: how long their texts are, and what else they
// hold.
func (in *inspector) messages() error {
	c := &in.c
	if c.Kind() != '[' {
		return dialect.Fault("messages", "field \"messages\" is not a list")
	}
	c.Enter('[')
	for c.Element() {
		if c.Kind() != '{' {
			return dialect.Fault("messages", "an element of \"messages\" is not an object")
		}
		c.Enter('{')
		for {
			key, ok := c.Member()
			if !ok {
				break
			}
			switch string(key) {
			case "content":
				in.content()
			case "tool_calls", "function_call":
				in.f.InputBytes += len(c.Skip())
			case "audio":
				in.state("audio", member(c, "id"))
			default:
				c.Skip()
			}
		}
	}
	return nil
}

// content reads a message's content: a string, or parts. The parts of chat
// completions and of responses have names in common only where they mean the
// same.
func (in *inspector) content() {
	c := &in.c
	switch c.Kind() {
	case '"':
		raw, _ := c.Text()
		in.f.InputBytes += len(raw)
	case '[':
		c.Enter('[')
		for c.Element() {
			in.part()
		}
	default:
		c.Skip()
	}
}

func (in *inspector) part() {
	c := &in.c
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
		case "text", "refusal":
			if c.Kind() == '"' {
				raw, _ := c.Text()
				in.f.InputBytes += len(raw)
				continue
			}
			c.Skip()
		case "image_url":
			in.f.Features |= chat.FeatureImages
			c.Skip()
		case "input_audio":
			in.f.Features |= chat.FeatureAudioInput
			c.Skip()
		case "file":
			in.f.Features |= chat.FeatureFiles
			in.state("file", member(c, "file_id"))
		case "file_data", "file_url":
			in.f.Features |= chat.FeatureFiles
			c.Skip()
		case "file_id":
			in.state("file", text(c))
		default:
			c.Skip()
		}
	}
}

// prompt is the text of a legacy completion, or the Responses API's reference
// to a stored prompt.
func (in *inspector) prompt() {
	c := &in.c
	if c.Kind() == '{' {
		in.state("prompt", member(c, "id"))
		return
	}
	in.f.InputBytes += len(c.Skip())
}

// input is what is to be embedded, or the items of a response.
func (in *inspector) input() {
	c := &in.c
	if in.f.Op != dialect.Responses || c.Kind() != '[' {
		in.f.InputBytes += len(c.Skip())
		return
	}
	c.Enter('[')
	for c.Element() {
		if c.Kind() == '{' {
			in.item()
		} else {
			c.Skip()
		}
	}
}

func (in *inspector) item() {
	c := &in.c
	var kind, id string
	sealed, said := false, false
	c.Enter('{')
	for {
		key, ok := c.Member()
		if !ok {
			break
		}
		switch string(key) {
		case "type":
			kind = text(c)
		case "id":
			id = text(c)
		case "content":
			said = true
			in.content()
		case "output":
			if c.Kind() == '[' {
				in.content()
			} else {
				in.f.InputBytes += len(c.Skip())
			}
		case "arguments":
			in.f.InputBytes += len(c.Skip())
		case "encrypted_content":
			sealed = hasText(c.Skip())
		default:
			c.Skip()
		}
	}
	switch {
	case kind == "item_reference" || kind == "" && !said:
		in.state("item", id)
	case kind == "reasoning" && (sealed || id != ""):
		if id == "" {
			id = "encrypted"
		}
		in.state("reasoning", id)
	}
}

// hasText tells whether a value is a string that is not empty.
func hasText(raw []byte) bool { return len(raw) > 2 && raw[0] == '"' }

func (in *inspector) tools() {
	c := &in.c
	if c.Kind() != '[' {
		c.Skip()
		return
	}
	start := c.Pos()
	c.Enter('[')
	for c.Element() {
		if c.Kind() == '{' {
			in.tool()
		} else {
			c.Skip()
		}
	}
	in.f.InputBytes += c.Pos() - start - len("[]")
}

func (in *inspector) tool() {
	c := &in.c
	kind := "function"
	c.Enter('{')
	for {
		key, ok := c.Member()
		if !ok {
			break
		}
		switch string(key) {
		case "type":
			kind = text(c)
		case "vector_store_ids":
			in.vectorStores()
		case "container":
			if c.Kind() == '"' {
				in.state("container", text(c))
			} else {
				c.Skip()
			}
		default:
			c.Skip()
		}
	}
	switch {
	case kind == "function":
		in.f.Features |= chat.FeatureTools
	case kind == "custom":
		in.f.Features |= chat.FeatureTools | chat.FeatureCustomTools
	case strings.HasPrefix(kind, "web_search"):
		in.f.Features |= chat.FeatureHostedTools | chat.FeatureWebSearch
	default:
		in.f.Features |= chat.FeatureHostedTools
	}
}

func (in *inspector) vectorStores() {
	c := &in.c
	if c.Kind() != '[' {
		c.Skip()
		return
	}
	c.Enter('[')
	for c.Element() {
		in.state("vector_store", text(c))
	}
}

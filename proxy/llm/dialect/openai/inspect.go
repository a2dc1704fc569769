// Package openai speaks OpenAI's dialect: chat completions, completions,
// embeddings, responses and the list of models, on the client's side and, for
// every host that is compatible with it, on the provider's. It reads facts off
// requests and events without decoding them, changes bodies by splicing, and
// writes answers that were given in other dialects. It never does I/O.
package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
)

// Inspect reads the facts off a request's body. The body must be one JSON
// object in UTF-8, at most scan.MaxDepth levels deep; a field that decides
// something may not stand in it twice, nor beside a spelling that differs only
// in case, which some servers would obey. Everything else may be anything. The
// error is a *chat.Error of class Caller.
func Inspect(op dialect.Operation, body []byte) (dialect.Facts, error) {
	in := inspector{c: scan.New(body)}
	in.f.Op = op
	in.f.Edits.Size = len(body)
	if in.c.Kind() != '{' {
		return dialect.Facts{}, dialect.Fault("", "the request's body is not a JSON object")
	}
	if !utf8.Valid(body) {
		return dialect.Facts{}, dialect.Fault("", "the request's body is not UTF-8")
	}
	in.c.Enter('{')
	in.f.Edits.Open = in.c.Pos()
	for {
		key, ok := in.c.Member()
		if !ok {
			break
		}
		if err := in.field(key); err != nil {
			return dialect.Facts{}, err
		}
	}
	if err := in.c.End(); err != nil {
		return dialect.Facts{}, dialect.Fault("", "the request's body is not valid: "+err.Error())
	}
	return in.f, nil
}

type inspector struct {
	c    scan.Cursor
	f    dialect.Facts
	seen uint32
}

// decisive are the fields whose second coming or other spelling could make a
// server obey something else than was inspected.
var decisive = [...]string{
	"model", "stream", "messages", "stream_options", "input", "prompt", "tools", "n", "max_tokens",
	"max_completion_tokens", "max_output_tokens", "previous_response_id", "conversation", "response_format", "instructions", "background",
}

// once refuses a second field of a name, and other spellings of names that decide.
func (in *inspector) once(key []byte) error {
	for i, name := range decisive {
		if len(key) < len(name) || len(key) > 2*len(name)+2 || !bytes.EqualFold(key, []byte(name)) {
			continue
		}
		if string(key) != name {
			return dialect.Fault(name, fmt.Sprintf("field %q differs from %q only in case", key, name))
		}
		if in.seen&(1<<i) != 0 {
			return dialect.Fault(name, fmt.Sprintf("field %q stands twice", name))
		}
		in.seen |= 1 << i
		return nil
	}
	return nil
}

func (in *inspector) field(key []byte) error {
	if err := in.once(key); err != nil {
		return err
	}
	c := &in.c
	switch string(key) {
	case "model":
		return in.model()
	case "stream":
		return in.stream()
	case "stream_options":
		return in.streamOptions()
	case "messages":
		return in.messages()
	case "max_tokens", "max_completion_tokens", "max_output_tokens":
		raw := c.Skip()
		n, _ := scan.Int(raw)
		in.f.MaxTokens = max(in.f.MaxTokens, n)
		in.f.Asked.MaxTokens = number(raw)
	case "input":
		in.input()
	case "prompt":
		in.prompt()
	case "instructions":
		in.f.InputBytes += len(c.Skip())
	case "tools":
		in.tools()
	default:
		in.option(key)
	}
	return nil
}

func (in *inspector) model() error {
	if in.c.Kind() != '"' {
		return dialect.Fault("model", "field \"model\" is not a string")
	}
	raw, ok := in.c.Text()
	if ok {
		in.f.Edits.Model = dialect.Span{From: in.c.Pos() - len(raw) - 2, To: in.c.Pos()}
		in.f.Model = string(scan.Unescape(raw))
	}
	return nil
}

func (in *inspector) stream() error {
	switch raw := in.c.Skip(); string(raw) {
	case "true":
		in.f.Stream = true
	case "false", "null", "":
	default:
		return dialect.Fault("stream", "field \"stream\" is neither true nor false")
	}
	return nil
}

func (in *inspector) streamOptions() error {
	c := &in.c
	k := c.Kind()
	start := c.Pos()
	switch k {
	case 'n':
		c.Skip()
	case '{':
		c.Enter('{')
		for {
			key, ok := c.Member()
			if !ok {
				break
			}
			if !bytes.EqualFold(key, []byte("include_usage")) {
				c.Skip()
				continue
			}
			if in.f.Edits.IncludeUsage.Known() || string(key) != "include_usage" {
				return dialect.Fault("stream_options", "field \"include_usage\" stands twice or in another case")
			}
			raw := c.Skip()
			in.f.IncludeUsage = string(raw) == "true"
			in.f.Edits.IncludeUsage = dialect.Span{From: c.Pos() - len(raw), To: c.Pos()}
		}
	default:
		return dialect.Fault("stream_options", "field \"stream_options\" is not an object")
	}
	in.f.Edits.StreamOptions = dialect.Span{From: start, To: c.Pos()}
	return nil
}

// option reads the fields that only tell which features are used.
func (in *inspector) option(key []byte) {
	c := &in.c
	switch string(key) {
	case "tool_choice":
		in.uses(chat.FeatureAllowedTools, member(c, "type") == "allowed_tools")
	case "functions":
		in.uses(chat.FeatureLegacyFunctions, filled(c.Skip()))
	case "response_format":
		in.format()
	case "text":
		in.text()
	case "n":
		n, _ := scan.Int(c.Skip())
		in.uses(chat.FeatureChoices, n > 1)
	case "logprobs":
		raw := string(c.Skip())
		in.uses(chat.FeatureLogProbs, raw != "false" && raw != "null")
	case "top_logprobs":
		n, _ := scan.Int(c.Skip())
		in.uses(chat.FeatureLogProbs, n > 0)
	case "logit_bias":
		in.uses(chat.FeatureLogitBias, filled(c.Skip()))
	case "modalities":
		in.uses(chat.FeatureAudioOutput, bytes.Contains(c.Skip(), []byte(`"audio"`)))
	case "web_search_options":
		in.uses(chat.FeatureWebSearch, c.Kind() == '{')
		c.Skip()
	case "temperature":
		in.f.Asked.Temperature = number(c.Skip())
	case "top_p":
		in.f.Asked.TopP = number(c.Skip())
	case "frequency_penalty":
		in.f.Asked.FrequencyPenalty = number(c.Skip())
	case "presence_penalty":
		in.f.Asked.PresencePenalty = number(c.Skip())
	case "seed":
		in.f.Asked.Seed = number(c.Skip())
	case "dimensions":
		in.f.Asked.Dimensions = number(c.Skip())
	case "encoding_format":
		if format := text(c); format == "float" || format == "base64" {
			in.f.Asked.Encoding = format
		}
	case "background":
		in.uses(chat.FeatureBackground, string(c.Skip()) == "true")
	case "previous_response_id":
		in.state("response", text(c))
	case "conversation":
		if c.Kind() == '{' {
			in.state("conversation", member(c, "id"))
		} else {
			in.state("conversation", text(c))
		}
	default:
		c.Skip()
	}
}

// number is a value as it was written, if it is a number of sensible length.
func number(raw []byte) string {
	if len(raw) == 0 || len(raw) > 32 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') || !json.Valid(raw) {
		return ""
	}
	return string(raw)
}

func (in *inspector) uses(f chat.Features, yes bool) {
	if yes {
		in.f.Features |= f
	}
}

func (in *inspector) state(kind, id string) {
	if id != "" {
		in.f.State = append(in.f.State, dialect.State{Kind: kind, ID: id})
	}
}

func (in *inspector) format() {
	switch member(&in.c, "type") {
	case "json_object":
		in.f.Features |= chat.FeatureJSONObject
	case "json_schema":
		in.f.Features |= chat.FeatureJSONSchema
	}
}

// text reads the Responses API's {"format":{"type":…}}.
func (in *inspector) text() {
	c := &in.c
	if c.Kind() != '{' {
		c.Skip()
		return
	}
	c.Enter('{')
	for {
		key, ok := c.Member()
		switch {
		case !ok:
			return
		case string(key) == "format":
			in.format()
		default:
			c.Skip()
		}
	}
}

// filled tells whether a list or object has anything in it.
func filled(raw []byte) bool {
	if len(raw) < 2 || raw[0] != '{' && raw[0] != '[' {
		return false
	}
	return len(bytes.TrimSpace(raw[1:len(raw)-1])) > 0
}

// text consumes a value and returns it if it is a string.
func text(c *scan.Cursor) string {
	if c.Kind() != '"' {
		c.Skip()
		return ""
	}
	raw, _ := c.Text()
	return string(scan.Unescape(raw))
}

// member consumes a value and returns the string that it has, being an object,
// under a name.
func member(c *scan.Cursor, name string) (value string) {
	if c.Kind() != '{' {
		c.Skip()
		return ""
	}
	c.Enter('{')
	for {
		key, ok := c.Member()
		switch {
		case !ok:
			return value
		case string(key) == name:
			value = text(c)
		default:
			c.Skip()
		}
	}
}

// Package anthropic speaks Anthropic's Messages dialect on the provider's side:
// it writes requests, and reads answers, streams of events and usage, to and
// from the forms of package chat. It never does I/O.
package anthropic

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
)

// Name is the dialect's name in errors.
const Name = "anthropic"

// DefaultMaxTokens bounds answers where neither the client nor the candidate
// does: Messages demands a bound, and every model takes this one.
const DefaultMaxTokens = 4096

// lacking are the features that Messages has no way to serve with what a chat
// completion promises about them.
const lacking = chat.FeatureAudioInput | chat.FeatureAudioOutput | chat.FeatureJSONObject | chat.FeatureChoices |
	chat.FeatureLogProbs | chat.FeatureLogitBias | chat.FeatureLegacyFunctions | chat.FeatureCustomTools |
	chat.FeatureAllowedTools | chat.FeatureWebSearch | chat.FeatureHostedTools | chat.FeatureBackground

// Lacks returns which of the features a model cannot be asked for. An answer by
// a schema beside tools needs output_config, which the models before 4.1 and
// Sonnet 4.5 do not have.
func Lacks(f chat.Features, model string) chat.Features {
	out := f & lacking
	if f.Has(chat.FeatureJSONSchema|chat.FeatureTools) && !formats(model) {
		out |= chat.FeatureJSONSchema
	}
	return out
}

// before are the models without output_config; the past does not grow.
var before = []string{
	"claude-instant", "claude-2", "claude-3", "claude-v",
	"claude-opus-4-0", "claude-opus-4-2025", "claude-sonnet-4-0", "claude-sonnet-4-2025",
}

func formats(model string) bool {
	for _, p := range before {
		if strings.HasPrefix(model, p) {
			return false
		}
	}
	return true
}

// formatTool is the tool that a model is made to call where an answer by a
// schema is wanted of one that knows schemas for tools only. Its input is then
// the answer.
const formatTool = "answer_in_the_required_format"

// Plan is a request in Anthropic's dialect and what reading its answer needs.
type Plan struct {
	Body []byte
	// FormatTool: the answer's text will come as the input of a tool.
	FormatTool bool
	// Dropped names hints that have no word here.
	Dropped []string
}

// Encode writes a request for the given model. maxTokens is used if the request
// has no bound. The error is a *chat.UnsupportedError.
func Encode(r *chat.Request, model string, maxTokens int64) (Plan, error) {
	e := encoder{r: r, model: model}
	if err := e.plan(); err != nil {
		return Plan{}, err
	}
	e.b = append(e.b, `{"model":`...)
	e.b = scan.AppendQuoted(e.b, model)
	e.bound(maxTokens)
	if r.Stream {
		e.b = append(e.b, `,"stream":true`...)
	}
	e.system()
	if err := e.messages(); err != nil {
		return Plan{}, err
	}
	e.tools()
	e.format()
	e.sampling()
	e.rest()
	e.b = append(e.b, '}')
	return Plan{Body: e.b, FormatTool: e.asTool, Dropped: e.dropped}, nil
}

type encoder struct {
	b       []byte
	r       *chat.Request
	model   string
	asTool  bool // the format is asked for by a tool
	dropped []string
}

// plan decides how the answer's form is asked for: by output_config where the
// model has it and the schema claims to be strict (it refuses loose ones), else
// by a tool that must be called, else by output_config whatever the schema.
func (e *encoder) plan() error {
	switch e.r.Format.Kind {
	case chat.FormatText:
		return nil
	case chat.FormatObject:
		return &chat.UnsupportedError{Dialect: Name, Features: chat.FeatureJSONObject, Param: "response_format"}
	}
	switch {
	case formats(e.model) && (e.r.Format.Strict || len(e.r.Tools) > 0):
	case len(e.r.Tools) > 0:
		return &chat.UnsupportedError{Dialect: Name, Features: chat.FeatureJSONSchema, Param: "response_format"}
	default:
		e.asTool = true
	}
	return nil
}

func (e *encoder) bound(maxTokens int64) {
	n := int64(DefaultMaxTokens)
	switch {
	case e.r.MaxTokens != nil && *e.r.MaxTokens > 0:
		n = *e.r.MaxTokens
	case maxTokens > 0:
		n = maxTokens
	}
	e.b = append(e.b, `,"max_tokens":`...)
	e.b = strconv.AppendInt(e.b, n, 10)
}

// system gathers every system message, wherever it stands, as one: Messages has
// one place for them, ahead of the turns.
func (e *encoder) system() {
	n := 0
	for _, m := range e.r.Messages {
		if m.Role != chat.RoleSystem {
			continue
		}
		for i := range m.Parts {
			p := &m.Parts[i]
			if strings.TrimSpace(p.Text) == "" {
				continue
			}
			if n++; n == 1 {
				e.b = append(e.b, `,"system":[`...)
			} else {
				e.b = append(e.b, ',')
			}
			e.text(p)
		}
	}
	if n > 0 {
		e.b = append(e.b, ']')
	}
}

// messages writes the turns; neighbours of one role become one, so that the
// results of parallel calls come in one turn.
func (e *encoder) messages() error {
	e.b = append(e.b, `,"messages":[`...)
	last := ""
	for i, m := range e.r.Messages {
		role := "user"
		switch m.Role {
		case chat.RoleSystem:
			continue
		case chat.RoleAssistant:
			role = "assistant"
		}
		for k := range m.Parts {
			p := &m.Parts[k]
			if empty(p) {
				continue
			}
			switch {
			case role == last:
				e.b = append(e.b, ',')
			case last != "":
				e.b = append(e.b, `]},`...)
				fallthrough
			default:
				e.b = append(append(append(e.b, `{"role":"`...), role...), `","content":[`...)
				last = role
			}
			if err := e.part(p, i, role); err != nil {
				return err
			}
		}
	}
	if last == "" {
		return &chat.UnsupportedError{Dialect: Name, Param: "messages", What: "there is no message of the user's with anything in it"}
	}
	e.b = append(e.b, `]}]`...)
	return nil
}

// empty tells whether a part says nothing: empty texts are refused there.
func empty(p *chat.Part) bool {
	switch p.Kind {
	case chat.Text, chat.Refusal:
		return strings.TrimSpace(p.Text) == ""
	case chat.Thinking:
		return p.Signature == ""
	}
	return false
}

func (e *encoder) part(p *chat.Part, i int, role string) error {
	unsupported := func(what string) error {
		return &chat.UnsupportedError{Dialect: Name, Param: "messages", What: fmt.Sprintf("messages[%d] holds %s", i, what)}
	}
	switch p.Kind {
	case chat.Text, chat.Refusal:
		e.text(p)
	case chat.Thinking:
		e.object("thinking", "thinking", p.Text, "signature", p.Signature)
		e.b = append(e.b, '}')
	case chat.Image:
		if role != "user" {
			return unsupported("an image of the assistant's")
		}
		return e.image(p, unsupported)
	case chat.File:
		return e.file(p, unsupported)
	case chat.ToolUse:
		e.object("tool_use", "id", callID(p.ID), "name", p.Name)
		e.b = append(append(e.b, `,"input":`...), p.Input...)
		e.close(p)
	case chat.ToolResult:
		e.object("tool_result", "tool_use_id", callID(p.ID))
		if p.Text != "" {
			e.b = scan.AppendQuoted(append(e.b, `,"content":`...), p.Text)
		}
		if p.Failed {
			e.b = append(e.b, `,"is_error":true`...)
		}
		e.close(p)
	}
	return nil
}

// object begins a block of a type with members that are strings.
func (e *encoder) object(kind string, members ...string) {
	e.b = append(append(append(e.b, `{"type":"`...), kind...), '"')
	for i := 0; i+1 < len(members); i += 2 {
		e.b = append(append(append(e.b, `,"`...), members[i]...), `":`...)
		e.b = scan.AppendQuoted(e.b, members[i+1])
	}
}

// close ends a block, with its cache marker.
func (e *encoder) close(p *chat.Part) {
	if p.Cache != nil {
		e.b = append(append(e.b, `,"cache_control":`...), p.Cache...)
	}
	e.b = append(e.b, '}')
}

func (e *encoder) text(p *chat.Part) {
	e.object("text", "text", p.Text)
	e.close(p)
}

func (e *encoder) image(p *chat.Part, unsupported func(string) error) error {
	e.object("image")
	if p.URL != "" {
		e.b = scan.AppendQuoted(append(e.b, `,"source":{"type":"url","url":`...), p.URL)
	} else {
		switch p.MediaType {
		case "image/jpeg", "image/png", "image/gif", "image/webp":
		case "image/jpg":
			p.MediaType = "image/jpeg"
		default:
			return unsupported("an image of type " + strconv.Quote(p.MediaType))
		}
		e.base64(p)
	}
	e.b = append(e.b, '}')
	e.close(p)
	return nil
}

func (e *encoder) base64(p *chat.Part) {
	e.b = scan.AppendQuoted(append(e.b, `,"source":{"type":"base64","media_type":`...), p.MediaType)
	e.b = scan.AppendQuoted(append(e.b, `,"data":`...), p.Data)
}

func (e *encoder) file(p *chat.Part, unsupported func(string) error) error {
	if p.MediaType != "application/pdf" {
		return unsupported("a file of type " + strconv.Quote(p.MediaType))
	}
	e.object("document")
	e.base64(p)
	e.b = append(e.b, '}')
	if p.Name != "" {
		e.b = scan.AppendQuoted(append(e.b, `,"title":`...), p.Name)
	}
	e.close(p)
	return nil
}

// callID keeps an id of letters, digits, '_' and '-'; any other becomes one, the
// same one each time.
func callID(id string) string {
	for i := 0; i < len(id); i++ {
		k := id[i]
		if !(k|0x20 >= 'a' && k|0x20 <= 'z' || k-'0' <= 9 || k == '_' || k == '-') {
			return hashed(id)
		}
	}
	if id == "" || len(id) > 128 {
		return hashed(id)
	}
	return id
}

func hashed(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "call_" + hex.EncodeToString(sum[:12])
}

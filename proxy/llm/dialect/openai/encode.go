package openai

import (
	"cmp"
	"strconv"
	"time"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
	"github.com/navehq/nave/proxy/llm/usage"
)

// AppendResponse writes a whole answer as a chat completion, created at the
// given time. Thoughts go into reasoning_content, as compatible servers have it.
func AppendResponse(dst []byte, r *chat.Response, created time.Time) []byte {
	dst = append(dst, `{"id":`...)
	dst = scan.AppendQuoted(dst, r.ID)
	dst = append(dst, `,"object":"chat.completion","created":`...)
	dst = strconv.AppendInt(dst, created.Unix(), 10)
	dst = append(dst, `,"model":`...)
	dst = scan.AppendQuoted(dst, r.Model)
	dst = append(dst, `,"choices":[{"index":0,"message":`...)
	dst = appendMessage(dst, r.Parts)
	dst = append(dst, `,"logprobs":null,"finish_reason":`...)
	dst = scan.AppendQuoted(dst, string(cmp.Or(r.Finish, chat.FinishStop)))
	dst = append(dst, `}],"usage":`...)
	dst = appendUsage(dst, r.Usage)
	return append(dst, '}')
}

func appendMessage(dst []byte, parts []chat.Part) []byte {
	dst = append(dst, `{"role":"assistant","content":`...)
	dst = appendJoined(dst, parts, chat.Text)
	dst = append(dst, `,"refusal":`...)
	dst = appendJoined(dst, parts, chat.Refusal)
	if hasKind(parts, chat.Thinking) {
		dst = append(dst, `,"reasoning_content":`...)
		dst = appendJoined(dst, parts, chat.Thinking)
	}
	n := 0
	for i := range parts {
		p := &parts[i]
		if p.Kind != chat.ToolUse {
			continue
		}
		if n++; n == 1 {
			dst = append(dst, `,"tool_calls":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = scan.AppendQuoted(dst, p.ID)
		dst = append(dst, `,"type":"function","function":{"name":`...)
		dst = scan.AppendQuoted(dst, p.Name)
		dst = append(dst, `,"arguments":`...)
		dst = scan.AppendQuoted(dst, string(p.Input))
		dst = append(dst, `}}`...)
	}
	if n > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func hasKind(parts []chat.Part, kind chat.PartKind) bool {
	for i := range parts {
		if parts[i].Kind == kind {
			return true
		}
	}
	return false
}

// appendJoined writes the texts of one kind as one string, null for none.
func appendJoined(dst []byte, parts []chat.Part, kind chat.PartKind) []byte {
	if !hasKind(parts, kind) {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	for i := range parts {
		if parts[i].Kind == kind {
			dst = scan.AppendEscaped(dst, parts[i].Text)
		}
	}
	return append(dst, '"')
}

func appendUsage(dst []byte, u usage.Tokens) []byte {
	dst = append(dst, `{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, u.Input, 10)
	dst = append(dst, `,"completion_tokens":`...)
	dst = strconv.AppendInt(dst, u.Output, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, u.Total, 10)
	dst = append(dst, `,"prompt_tokens_details":{"cached_tokens":`...)
	dst = strconv.AppendInt(dst, u.Cached, 10)
	dst = append(dst, `},"completion_tokens_details":{"reasoning_tokens":`...)
	dst = strconv.AppendInt(dst, u.Reasoning, 10)
	return append(dst, `}}`...)
}

// AppendError writes the body of an error answer; its status is
// e.ClientStatus().
func AppendError(dst []byte, e *chat.Error) []byte {
	dst = append(dst, `{"error":`...)
	dst = appendErrorObject(dst, e)
	return append(dst, '}')
}

func appendErrorObject(dst []byte, e *chat.Error) []byte {
	dst = append(dst, `{"message":`...)
	dst = scan.AppendQuoted(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = scan.AppendQuoted(dst, errorType(e))
	dst = append(dst, `,"param":`...)
	dst = appendOrNull(dst, e.Param)
	dst = append(dst, `,"code":`...)
	dst = appendOrNull(dst, errorCode(e))
	return append(dst, '}')
}

func appendOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return scan.AppendQuoted(dst, s)
}

// errorType says the class in OpenAI's words: other providers' words for types
// mean nothing to its clients.
func errorType(e *chat.Error) string {
	switch e.Class {
	case chat.RateLimit:
		return "rate_limit_error"
	case chat.Quota:
		return "insufficient_quota"
	case chat.ModelGone, chat.Caller:
		return "invalid_request_error"
	}
	return "server_error"
}

func errorCode(e *chat.Error) string {
	switch e.Class {
	case chat.RateLimit:
		return cmp.Or(e.Code, "rate_limit_exceeded")
	case chat.Quota:
		return "insufficient_quota"
	case chat.Credential:
		// The provider's own code (invalid_api_key) would blame the client's key.
		return "upstream_credential_refused"
	case chat.ModelGone:
		return chat.CodeModelNotFound
	case chat.Transient:
		if e.Status == 529 || e.Type == "overloaded_error" {
			return cmp.Or(e.Code, "overloaded")
		}
	}
	return e.Code
}

// AppendStreamError writes the event that ends a begun stream of completions
// with an error.
func AppendStreamError(dst []byte, e *chat.Error) []byte {
	dst = append(dst, "data: "...)
	return append(AppendError(dst, e), "\n\n"...)
}

// AppendResponsesError writes the event, by its number in the stream, that ends
// a begun response with an error.
func AppendResponsesError(dst []byte, e *chat.Error, number int64) []byte {
	dst = append(dst, "event: error\ndata: {\"type\":\"error\",\"code\":"...)
	dst = appendOrNull(dst, cmp.Or(errorCode(e), errorType(e)))
	dst = append(dst, `,"message":`...)
	dst = scan.AppendQuoted(dst, e.Message)
	dst = append(dst, `,"param":`...)
	dst = appendOrNull(dst, e.Param)
	dst = append(dst, `,"sequence_number":`...)
	dst = strconv.AppendInt(dst, number, 10)
	return append(dst, "}\n\n"...)
}

// Model is an entry of the list of models.
type Model struct {
	ID      string
	OwnedBy string
	Created time.Time
}

// AppendModels writes a list of models.
func AppendModels(dst []byte, models []Model) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i, m := range models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = scan.AppendQuoted(dst, m.ID)
		dst = append(dst, `,"object":"model","created":`...)
		dst = strconv.AppendInt(dst, max(m.Created.Unix(), 0), 10)
		dst = append(dst, `,"owned_by":`...)
		dst = scan.AppendQuoted(dst, m.OwnedBy)
		dst = append(dst, '}')
	}
	return append(dst, `]}`...)
}

// Package failure reads what model providers say when they fail, in whichever
// shape they say it, and decides the class of the failure, how long to wait,
// and the words that may go on to a client: never those that look like a key.
// It never decides whether to try again.
package failure

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
)

// MaxBody is how much of an error's body is looked at.
const MaxBody = 64 << 10

// Header is the view of an answer's header that classifying needs; names are
// compared without case.
type Header interface {
	Get(name string) string
}

// Answer classifies an answer whose status is no success. now serves dates in
// Retry-After and reset headers.
func Answer(status int, h Header, body []byte, now time.Time) *chat.Error {
	d := read(body)
	if d.Message == "" {
		d.Message = plain(status, h, body)
	}
	e := d.failure(status)
	e.RetryAfter = RetryAfter(h, now)
	if e.RetryAfter == 0 {
		e.RetryAfter = d.wait()
	}
	return e
}

// InStream classifies the JSON of an error that came after a 200: the whole
// event or answer ({"error":{…}}, {"type":"error",…}) or the error object alone.
func InStream(body []byte) *chat.Error {
	d := read(body)
	e := d.failure(d.status)
	e.InStream = true
	e.RetryAfter = d.wait()
	if e.Message == "" {
		e.Message = "the provider reported an error without words"
	}
	return e
}

// Broken is the error for an answer that is no answer: cut, not JSON, empty.
func Broken(code, message string) *chat.Error {
	return &chat.Error{Class: chat.Transient, InStream: true, Type: "server_error", Code: code, Message: message}
}

// BrokenEvent is the error for an event that could not be read. One that is not
// whole, its blank line missing, was cut.
func BrokenEvent(whole bool, cause error) *chat.Error {
	if !whole {
		return Broken(chat.CodeTruncated, "the provider's stream was cut inside an event")
	}
	return Broken(chat.CodeBadAnswer, "the provider's stream held an event that is not valid: "+cause.Error())
}

// plain makes a message out of a body that is not JSON.
func plain(status int, h Header, body []byte) string {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	text := strings.TrimSpace(string(body[:min(len(body), maxMessage)]))
	switch {
	case text == "", text == "null", text == "{}", text == "[]":
		return fmt.Sprintf("the provider answered %d", status)
	case strings.HasPrefix(text, "<"):
		if kind != "" {
			return fmt.Sprintf("the provider answered %d with %s", status, Mask(kind))
		}
		return fmt.Sprintf("the provider answered %d with markup", status)
	}
	return text
}

// detail is what a body says, in the provider's words.
type detail struct {
	Type, Code, Param, Message string
	status                     int
	retry                      time.Duration
}

// wait is how long the body asks to wait, in a field or in its words.
func (d *detail) wait() time.Duration {
	if d.retry > 0 {
		return d.retry
	}
	return spoken(d.Message)
}

func (d *detail) failure(status int) *chat.Error {
	e := &chat.Error{
		Class: d.class(status), Status: status,
		Type: Mask(clip(d.Type, maxWord)), Code: Mask(clip(d.Code, maxWord)), Param: Mask(clip(d.Param, maxWord)),
		Message: Mask(clip(d.Message, maxMessage)),
	}
	d.normalize(e)
	return e
}

// normalize gives the codes that matter across dialects their one name.
func (d *detail) normalize(e *chat.Error) {
	switch words := d.words(); {
	case e.Class == chat.Caller && contains(words, contextPhrases):
		e.Code = chat.CodeContextLength
	case e.Class == chat.Caller && contains(words, filterPhrases):
		e.Code = chat.CodeContentFilter
	case e.Class == chat.ModelGone && e.Code == "":
		e.Code = chat.CodeModelNotFound
	}
}

const (
	maxMessage = 2 << 10
	maxWord    = 128
)

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// words is all that classifying by phrases looks at.
func (d *detail) words() string {
	return strings.ToLower(clip(d.Type+" "+d.Code+" "+d.Message, maxMessage))
}

var (
	quotaPhrases = []string{
		"insufficient_quota", "your credit balance", "billing_hard_limit", "exceeded your current quota",
		"insufficient balance", "insufficient credits", "billing_not_active", "account_deactivated", "payment required",
		"billing_error",
	}
	ratePhrases = []string{
		"rate limit", "rate_limit", "ratelimit", "too many requests", "too_many_requests", "throttl", "resource_exhausted",
		"tokens per min", "requests per min", "tokens_per_minute", "requests_per_minute", "quota exceeded", "concurrency limit",
		"capacity exceeded for your tier",
	}
	keyPhrases = []string{
		"api key not valid", "invalid_api_key", "incorrect api key", "invalid api key", "invalid x-api-key", "authentication_error",
		"unrecognizedclientexception", "expiredtoken", "invalidsignatureexception", "accessdeniedexception",
	}
	gonePhrases = []string{
		"model_not_found", "deploymentnotfound", "model_not_available", "model_decommissioned", "model_deprecated",
		"unsupported_country", "unsupported country", "not available in your region", "not supported in your region",
		"user location is not supported", "does not have access to model", "operationnotsupported",
	}
	overloadPhrases = []string{"overloaded", "server_error", "internal_error", "api_error", "service_unavailable",
		"service unavailable", "timeout_error", "bad_gateway", "internalservererror", "engine is currently", "server had an error"}
	contextPhrases = []string{"context_length_exceeded", "context length", "maximum context", "prompt is too long", "context window"}
	filterPhrases  = []string{"content_filter", "content management policy", "responsibleaipolicyviolation", "content_policy"}
	callerPhrases  = []string{"invalid_request", "invalid_parameter", "invalid_value", "request_too_large", "not_found_error",
		"badrequest", "invalid_argument", "validationexception", "failed_precondition"}
)

func contains(words string, phrases []string) bool {
	for _, p := range phrases {
		if strings.Contains(words, p) {
			return true
		}
	}
	return false
}

// quotes tells whether an error is about the request, so that its message may
// quote whatever the caller wrote.
func (d *detail) quotes(status int) bool {
	if status == 0 {
		return contains(strings.ToLower(d.Type+" "+d.Code), callerPhrases)
	}
	return status >= 400 && status < 500 && status != 402 && status != 429
}

// says tells whether the provider itself says one of the phrases. Where it may
// quote the caller, only the message's beginning is surely its own.
func (d *detail) says(status int, phrases []string) bool {
	if !d.quotes(status) {
		return contains(d.words(), phrases)
	}
	message := strings.ToLower(clip(d.Message, maxWord))
	return contains(strings.ToLower(d.Type+" "+d.Code), phrases) ||
		slices.ContainsFunc(phrases, func(p string) bool { return strings.HasPrefix(message, p) })
}

// class decides. Quota comes before rate limit, since providers report both by
// 429; a filter or the context's length before phrases that they may quote.
func (d *detail) class(status int) chat.Class {
	w := d.words()
	switch {
	case status == 402 || d.says(status, quotaPhrases):
		return chat.Quota
	case status == 429:
		return chat.RateLimit
	case status < 500 && (contains(w, contextPhrases) || contains(w, filterPhrases)):
		return chat.Caller
	case d.says(status, ratePhrases):
		return chat.RateLimit
	case d.says(status, gonePhrases):
		return chat.ModelGone
	case status == 401 || status < 500 && d.says(status, keyPhrases):
		return chat.Credential
	}
	return byStatus(status, w)
}

func byStatus(status int, w string) chat.Class {
	switch {
	case status == 403:
		return chat.Credential
	case status == 404 || status == 410:
		// A model that is not there, a path that this host does not know: either
		// way another candidate may have it.
		return chat.ModelGone
	case status == 408 || status == 425 || status >= 500:
		return chat.Transient
	case status >= 400:
		return chat.Caller
	case contains(w, overloadPhrases):
		return chat.Transient
	case contains(w, callerPhrases):
		return chat.Caller
	}
	return chat.Transient
}

// read finds the words in OpenAI's {"error":{message,type,param,code}} and
// {"error":"…"}, Anthropic's {"type":"error","error":{…}}, the Responses API's
// {"type":"error","code","message"} and {"response":{"error":{…}}}, Google's
// status and details (also inside a list), AWS's {"message"} and FastAPI's
// {"detail"}. What is no JSON has none.
func read(body []byte) detail {
	body = body[:min(len(body), MaxBody)]
	var d detail
	c := scan.New(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if c.Kind() == '[' {
		c.Enter('[')
		if !c.Element() {
			return d
		}
	}
	if c.Kind() == '{' {
		d.object(&c, 0)
	}
	return d
}

// nested bounds how deep errors are looked for inside errors.
const nested = 3

func (d *detail) object(c *scan.Cursor, depth int) {
	c.Enter('{')
	for {
		key, ok := c.Member()
		if !ok {
			return
		}
		switch string(key) {
		case "error", "response", "detail", "innererror", "inner_error":
			d.inside(c, string(key), depth)
		case "message", "msg", "Message", "error_description":
			d.Message = cmp.Or(d.Message, word(c))
		case "type", "__type":
			if t := word(c); t != "error" && !strings.HasPrefix(t, "response.") {
				d.Type = cmp.Or(d.Type, t)
			}
		case "code":
			d.codeWord(c)
		case "status":
			d.Type = cmp.Or(d.Type, word(c))
		case "param":
			d.Param = cmp.Or(d.Param, word(c))
		case "retryDelay":
			d.retry, _ = time.ParseDuration(word(c))
			d.retry = bound(d.retry)
		case "details":
			d.list(c, depth)
		default:
			c.Skip()
		}
	}
}

// inside reads what an error holds; the words of the inner one win, except for
// an innererror's, which only explains.
func (d *detail) inside(c *scan.Cursor, key string, depth int) {
	switch {
	case c.Kind() == '"':
		text := word(c)
		d.Message = cmp.Or(d.Message, text)
	case c.Kind() == '[':
		d.list(c, depth)
	case c.Kind() == '{' && depth < nested:
		var in detail
		in.object(c, depth+1)
		if strings.HasPrefix(key, "inner") {
			*d = d.or(in)
		} else {
			*d = in.or(*d)
		}
	default:
		c.Skip()
	}
}

func (d *detail) list(c *scan.Cursor, depth int) {
	if c.Kind() != '[' || depth >= nested {
		c.Skip()
		return
	}
	c.Enter('[')
	for c.Element() {
		if c.Kind() != '{' {
			c.Skip()
			continue
		}
		var in detail
		in.object(c, depth+1)
		*d = d.or(detail{Message: in.Message, retry: in.retry})
	}
}

func (d detail) or(o detail) detail {
	return detail{
		Type: cmp.Or(d.Type, o.Type), Code: cmp.Or(d.Code, o.Code), Param: cmp.Or(d.Param, o.Param),
		Message: cmp.Or(d.Message, o.Message), status: cmp.Or(d.status, o.status), retry: cmp.Or(d.retry, o.retry),
	}
}

// codeWord reads a code that is a word or, with some, an HTTP status in digits.
func (d *detail) codeWord(c *scan.Cursor) {
	raw := c.Skip()
	n, isNumber := scan.Int(bytes.Trim(raw, `"`))
	switch {
	case isNumber && n >= 400 && n < 600:
		d.status = int(n)
	case len(raw) > 2 && raw[0] == '"':
		d.Code = cmp.Or(d.Code, string(scan.Unescape(raw[1:len(raw)-1])))
	}
}

// word consumes a value and returns it if it is a string.
func word(c *scan.Cursor) string {
	if c.Kind() != '"' {
		c.Skip()
		return ""
	}
	raw, _ := c.Text()
	return string(scan.Unescape(raw))
}

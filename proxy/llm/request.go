package llm

import (
	"bytes"
	"errors"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
	"github.com/navehq/nave/proxy/message"
)

// The values of policies.ai.routes that are served.
var served = map[string]dialect.Operation{
	"Completions": dialect.Chat, "Embeddings": dialect.Embeddings, "Responses": dialect.Responses, "Models": dialect.Models,
}

// operation says what a call asks for: by the backend's routes where it has
// some, else by the path, else a chat completion, as the API has it for a
// backend that says nothing.
func operation(call *forward.Call) (dialect.Operation, bool) {
	r := call.Request
	if routes := routesOf(call.Backend); len(routes) > 0 {
		name, ok := longest(routes, r.Path)
		if !ok {
			return 0, false
		}
		op, ok := served[name]
		return op, ok
	}
	if op, ok := openai.Operation(r.Method, r.Path); ok {
		return op, true
	}
	return dialect.Chat, r.Method == "POST"
}

func routesOf(b *table.Backend) map[string]string {
	for _, group := range b.Groups {
		for i := range group {
			if m := group[i].Model; m != nil && len(m.Routes) > 0 {
				return m.Routes
			}
		}
	}
	return nil
}

// longest finds the longest suffix of path; "*" is the last resort.
func longest(routes map[string]string, path string) (string, bool) {
	suffixes := make([]string, 0, len(routes))
	for s := range routes {
		if s != "*" {
			suffixes = append(suffixes, s)
		}
	}
	sort.Slice(suffixes, func(i, j int) bool { return len(suffixes[i]) > len(suffixes[j]) })
	for _, s := range suffixes {
		if strings.HasSuffix(path, s) {
			return routes[s], true
		}
	}
	v, ok := routes["*"]
	return v, ok
}

// read takes the body in, once, and reads the facts off it.
func (t *turn) read(op dialect.Operation) *chat.Error {
	r := t.call.Request
	t.facts.Op = op
	if op == dialect.Models {
		return nil
	}
	if c := r.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return caller(415, "content-encoding "+strconv.Quote(c)+" is not taken; send the body as it is")
	}
	if r.Body == nil {
		return caller(400, "the request has no body")
	}
	if r.ContentLength > maxRequest {
		return caller(413, "the body is larger than 32 MiB")
	}
	body, err := readAll(r.Body, r.ContentLength)
	if err != nil {
		return caller(400, "the body could not be read")
	}
	if len(body) > maxRequest {
		return caller(413, "the body is larger than 32 MiB")
	}
	t.body = body
	t.call.Record.RequestBytes = int64(len(body))
	facts, err := openai.Inspect(op, body)
	if err != nil {
		var e *chat.Error
		if errors.As(err, &e) {
			return e
		}
		return caller(400, err.Error())
	}
	t.facts = facts
	return nil
}

func caller(status int, message string) *chat.Error {
	return &chat.Error{Class: chat.Caller, Status: status, Type: "invalid_request_error", Message: message}
}

// roomAtFirst is made for a body whose length is announced: announcing costs
// a client nothing, so that more is made only as bytes come.
const roomAtFirst = 64 << 10

func readAll(r io.Reader, length int64) ([]byte, error) {
	if length <= 0 {
		return io.ReadAll(io.LimitReader(r, maxRequest+1))
	}
	body := bytes.NewBuffer(make([]byte, 0, min(length, roomAtFirst)+bytes.MinRead))
	n, err := body.ReadFrom(io.LimitReader(r, length))
	if err == nil && n < length {
		err = io.ErrUnexpectedEOF
	}
	return body.Bytes(), err
}

// list answers what models there are from what is declared; where nothing is,
// the provider is asked.
func (t *turn) list() bool {
	names := map[string]bool{}
	for _, group := range t.call.Backend.Groups {
		for i := range group {
			m := group[i].Model
			if m == nil {
				continue
			}
			for alias := range m.Aliases {
				if !strings.Contains(alias, "*") {
					names[alias] = true
				}
			}
			if name := firstOf(m.Model, m.Deployment); name != "" {
				names[name] = true
			}
		}
	}
	if len(names) == 0 {
		return false
	}
	var models []openai.Model
	for name := range names {
		models = append(models, openai.Model{ID: name, OwnedBy: "nave"})
	}
	sort.Slice(models, func(i, j int) bool { return models[i].ID < models[j].ID })
	body := openai.AppendModels(nil, models)
	var h message.Header
	h.Add("Content-Type", "application/json")
	t.call.Record.Reason = "DirectResponse"
	if t.call.Start(200, &h, int64(len(body))) != nil {
		return true
	}
	if _, err := t.call.Exchange.Write(body); err == nil {
		t.finish()
	}
	return true
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// model is the provider's name for the model that the client asks for.
func (t *turn) model(m *table.Model) string {
	if m.Model != "" {
		return m.Model
	}
	if to, ok := m.Aliases[t.facts.Model]; ok {
		return to
	}
	best, target := -1, ""
	for pattern, to := range m.Aliases {
		if before, after, wild := strings.Cut(pattern, "*"); wild && len(pattern) > best &&
			len(t.facts.Model) >= len(before)+len(after) && strings.HasPrefix(t.facts.Model, before) && strings.HasSuffix(t.facts.Model, after) {
			best, target = len(pattern), to
		}
	}
	return target
}

// named is the model that a provider is asked for, by a deployment's name where
// nothing else tells.
func (t *turn) named(m *table.Model) string { return firstOf(t.model(m), m.Deployment, t.facts.Model) }

// space is the model whose embeddings the declaration promises: its first one's.
// Vectors of different models cannot be compared.
func (t *turn) space() string {
	for _, group := range t.call.Backend.Groups {
		for i := range group {
			if m := group[i].Model; m != nil && kindOf(m).Codec().Serves(dialect.Embeddings) {
				return t.named(m)
			}
		}
	}
	return t.facts.Model
}

func join(names []string) string { return strings.Join(names, ", ") }

// seconds writes a wait as Retry-After has it, rounded up.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

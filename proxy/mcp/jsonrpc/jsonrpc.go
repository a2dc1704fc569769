// Package jsonrpc reads and writes the messages of JSON-RPC 2.0 as MCP uses
// them, so strictly that two readers cannot understand one message in two ways:
// names of members are compared exactly, one that stands twice or that differs
// only in case is refused, and what is sent on is written anew, with the values
// of params and result as they came. It decides what a message is; it never
// knows what a method means.
package jsonrpc

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// The codes of JSON-RPC 2.0, section 5.1.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
)

// Kind is what a message is.
type Kind uint8

// The kinds of messages.
const (
	Request Kind = iota
	Notification
	Result
	Failure
)

func (k Kind) String() string {
	return [...]string{"request", "notification", "result", "failure"}[k]
}

// ID is a message's id, kept exactly: a string, an integer, null, or, in the
// zero value, none. IDs are comparable: two that a JSON reader takes for the
// same string are equal however they were escaped.
type ID struct {
	kind byte // 0 none, 's' string, 'i' integer, 'n' null
	text string
}

// StringID is the id that is that string.
func StringID(s string) ID { return ID{'s', s} }

// IntID is the id that is that integer.
func IntID(n int64) ID { return ID{'i', strconv.FormatInt(n, 10)} }

// NullID is the id of a failure that answers nothing in particular.
func NullID() ID { return ID{kind: 'n'} }

// IsZero tells whether there is no id.
func (id ID) IsZero() bool { return id.kind == 0 }

// IsNull tells whether the id is null.
func (id ID) IsNull() bool { return id.kind == 'n' }

// Text is the string of a string id.
func (id ID) Text() (string, bool) { return id.text, id.kind == 's' }

// Append writes the id as JSON.
func (id ID) Append(dst []byte) []byte {
	switch id.kind {
	case 's':
		return appendString(dst, id.text)
	case 'i':
		return append(dst, id.text...)
	}
	return append(dst, "null"...)
}

func (id ID) String() string { return string(id.Append(nil)) }

// ParseID reads an id from its JSON: a string, an integer without fraction and
// exponent of at most 20 digits, or null.
func ParseID(raw []byte) (ID, error) {
	v := jsontext.Value(raw)
	switch v.Kind() {
	case jsontext.KindString:
		text, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return ID{}, fmt.Errorf("reading an id: %w", err)
		}
		return ID{'s', string(text)}, nil
	case jsontext.KindNumber:
		return parseInt(string(raw))
	case jsontext.KindNull:
		return NullID(), nil
	}
	return ID{}, fmt.Errorf("reading an id: neither string nor integer")
}

func parseInt(text string) (ID, error) {
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 20 {
		return ID{}, fmt.Errorf("reading an id: integer of more than 20 digits")
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return ID{}, fmt.Errorf("reading an id: number that is no integer")
		}
	}
	if text == "-0" {
		text = "0"
	}
	return ID{'i', text}, nil
}

// Message is one message. Params, Result and Error are raw JSON and nil where
// the member is absent.
type Message struct {
	ID     ID
	Method string
	Params jsontext.Value
	Result jsontext.Value
	Error  jsontext.Value
}

// Kind tells what the message is.
func (m *Message) Kind() Kind {
	switch {
	case m.Method != "" && !m.ID.IsZero():
		return Request
	case m.Method != "":
		return Notification
	case m.Error != nil:
		return Failure
	}
	return Result
}

// Answers tells whether the message is a result or a failure.
func (m *Message) Answers() bool { return m.Method == "" }

// Append writes the canonical envelope: known members only, in a fixed order,
// on one line where the values are.
func (m *Message) Append(dst []byte) []byte {
	dst = append(dst, `{"jsonrpc":"2.0"`...)
	if !m.ID.IsZero() {
		dst = m.ID.Append(append(dst, `,"id":`...))
	}
	if m.Method != "" {
		dst = appendString(append(dst, `,"method":`...), m.Method)
	}
	for _, part := range []struct {
		name  string
		value jsontext.Value
	}{{"params", m.Params}, {"result", m.Result}, {"error", m.Error}} {
		if part.value != nil {
			dst = append(append(append(append(dst, `,"`...), part.name...), `":`...), part.value...)
		}
	}
	return append(dst, '}')
}

// Bytes is the message as Append writes it.
func (m *Message) Bytes() []byte { return m.Append(nil) }

// Fail is the failure that answers id; data is JSON or nil.
func Fail(id ID, code int, text string, data []byte) Message {
	raw := append([]byte(`{"code":`), strconv.Itoa(code)...)
	raw = appendString(append(raw, `,"message":`...), text)
	if data != nil {
		raw = append(append(raw, `,"data":`...), data...)
	}
	if id.IsZero() {
		id = NullID()
	}
	return Message{ID: id, Error: append(raw, '}')}
}

// Reply is the result that answers id.
func Reply(id ID, result []byte) Message { return Message{ID: id, Result: result} }

// Text reads a JSON string; ok is false for anything else.
func Text(v jsontext.Value) (text string, ok bool) {
	if v == nil || v.Kind() != jsontext.KindString {
		return "", false
	}
	b, err := jsontext.AppendUnquote(nil, v)
	return string(b), err == nil
}

// Quote is s as JSON. Bytes that are not UTF-8 become U+FFFD.
func Quote(s string) jsontext.Value { return appendString(nil, s) }

func appendString(dst []byte, s string) []byte {
	out, err := jsontext.AppendQuote(dst, s)
	if err != nil { // not UTF-8: out holds it with U+FFFD in its place
		return out
	}
	return out
}

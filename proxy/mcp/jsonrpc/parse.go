package jsonrpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits bound what Parse takes.
type Limits struct {
	// Bytes of the whole text; Depth of nested objects and arrays; Batch, the
	// number of messages in an array, 0 for none at all.
	Bytes, Depth, Batch int
	// Lenient leaves members out that JSON-RPC does not know, as it is right for
	// what a server sends; otherwise they are refused.
	Lenient bool
}

// Fault is why a text is not taken, with the code to answer with.
type Fault struct {
	Code int
	Text string
}

func (f *Fault) Error() string { return "reading a JSON-RPC message: " + f.Text }

func invalid(format string, a ...any) error {
	return &Fault{CodeInvalidRequest, fmt.Sprintf(format, a...)}
}

// Parse reads one message, or a batch of them where the limits allow batches.
// The values in it point into data. Its error is a *Fault.
func Parse(data []byte, l Limits) (messages []Message, batch bool, err error) {
	if len(data) > l.Bytes {
		return nil, false, invalid("longer than %d bytes", l.Bytes)
	}
	if depth(data) > l.Depth {
		return nil, false, &Fault{CodeParse, fmt.Sprintf("nested deeper than %d", l.Depth)}
	}
	v := jsontext.Value(bytes.TrimSpace(data))
	if !v.IsValid() {
		return nil, false, &Fault{CodeParse, "not JSON, or a name stands twice in one object"}
	}
	if v.Kind() != jsontext.KindBeginArray {
		m, err := parseOne(v, l.Lenient)
		return []Message{m}, false, err
	}
	if l.Batch == 0 {
		return nil, true, invalid("batches are not taken in this protocol version")
	}
	err = Elements(v, func(e jsontext.Value) error {
		if len(messages) == l.Batch {
			return invalid("a batch of more than %d messages", l.Batch)
		}
		m, err := parseOne(e, l.Lenient)
		messages = append(messages, m)
		return err
	})
	if err == nil && len(messages) == 0 {
		err = invalid("an empty batch")
	}
	return messages, true, err
}

var members = []string{"jsonrpc", "id", "method", "params", "result", "error"}

// parseOne reads a value that is known to be valid JSON without names that
// stand twice.
func parseOne(v jsontext.Value, lenient bool) (m Message, err error) {
	if v.Kind() != jsontext.KindBeginObject {
		return m, invalid("not an object")
	}
	var version string
	err = Members(v, func(name string, value jsontext.Value) error {
		switch name {
		case "jsonrpc":
			version, _ = Text(value)
		case "id":
			m.ID, err = ParseID(value)
			if err != nil {
				return invalid("%v", err)
			}
		case "method":
			text, ok := Text(value)
			if !ok || text == "" || len(text) > 256 {
				return invalid("method is not a string of 1 to 256 bytes")
			}
			m.Method = text
		case "params":
			m.Params = value
		case "result":
			m.Result = value
		case "error":
			m.Error = value
		default:
			if fold := Folded(name, members...); fold != "" || !lenient {
				return invalid("unknown member %q", name)
			}
		}
		return nil
	})
	if err == nil && version != "2.0" {
		err = invalid("jsonrpc is not 2.0")
	}
	if err == nil {
		err = m.check()
	}
	return m, err
}

func (m *Message) check() error {
	kind := m.Params.Kind()
	switch {
	case m.Method != "" && (m.Result != nil || m.Error != nil):
		return invalid("both method and result or error")
	case m.Method != "" && m.ID.IsNull():
		return invalid("a request whose id is null")
	case m.Method != "" && m.Params != nil && kind != jsontext.KindBeginObject:
		return invalid("params is not an object")
	case m.Method != "":
		return nil
	case m.Params != nil:
		return invalid("params without method")
	case (m.Result == nil) == (m.Error == nil):
		return invalid("neither request nor answer")
	case m.ID.IsZero() && m.Error == nil, m.ID.IsNull() && m.Error == nil:
		return invalid("a result without an id")
	case m.Error != nil && m.Error.Kind() != jsontext.KindBeginObject:
		return invalid("error is not an object")
	}
	return nil
}

// Folded returns the one of names that name equals but for the case of its
// letters (Unicode's simple folding), "" where it equals one exactly or none.
func Folded(name string, names ...string) string {
	found := ""
	for _, n := range names {
		if n == name {
			return ""
		}
		if strings.EqualFold(n, name) {
			found = n
		}
	}
	return found
}

// depth is how deep objects and arrays nest, found without recursion and
// without judging whether data is JSON.
func depth(data []byte) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// Members calls f for each member of an object in order; an error of f ends it.
// The value points into object.
func Members(object jsontext.Value, f func(name string, value jsontext.Value) error) error {
	d, err := open(object, jsontext.KindBeginObject)
	if err != nil {
		return err
	}
	for d.PeekKind() != jsontext.KindEndObject {
		name, err := d.ReadToken()
		if err != nil {
			return fmt.Errorf("reading an object: %w", err)
		}
		key := name.String()
		value, err := read(d, object)
		if err != nil {
			return err
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// Elements calls f for each element of an array in order.
func Elements(array jsontext.Value, f func(jsontext.Value) error) error {
	d, err := open(array, jsontext.KindBeginArray)
	if err != nil {
		return err
	}
	for d.PeekKind() != jsontext.KindEndArray {
		value, err := read(d, array)
		if err != nil {
			return err
		}
		if err := f(value); err != nil {
			return err
		}
	}
	return nil
}

var errShape = errors.New("another kind of JSON value than expected")

func open(v jsontext.Value, want jsontext.Kind) (*jsontext.Decoder, error) {
	if v.Kind() != want {
		return nil, errShape
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := d.ReadToken(); err != nil {
		return nil, fmt.Errorf("reading a value: %w", err)
	}
	return d, nil
}

// read takes the next value as a slice of whole, which the decoder reads.
func read(d *jsontext.Decoder, whole jsontext.Value) (jsontext.Value, error) {
	v, err := d.ReadValue()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading a value: %w", err)
	}
	end := int(d.InputOffset())
	return whole[end-len(v) : end : end], nil
}

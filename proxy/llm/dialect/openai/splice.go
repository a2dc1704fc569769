package openai

import (
	"bytes"
	"fmt"

	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
)

// Splice returns the body with the model's name and, if includeUsage and the
// request streams, with stream_options.include_usage true; every other byte stays. An empty
// model leaves the client's. f must have been read off this body. Where nothing
// is to be changed, the body itself is returned.
func Splice(body []byte, f *dialect.Facts, model string, includeUsage bool) ([]byte, error) {
	if f.Edits.Size != len(body) {
		return nil, fmt.Errorf("splicing a request: its facts are of a body of %d bytes, it has %d", f.Edits.Size, len(body))
	}
	var both [2]edit
	edits := both[:0]
	if model != "" && (model != f.Model || !f.Edits.Model.Known()) {
		edits = append(edits, modelEdit(body, f, model))
	}
	if includeUsage && f.Stream && !f.IncludeUsage {
		edits = append(edits, usageEdit(body, f))
	}
	switch len(edits) {
	case 0:
		return body, nil
	case 2:
		if edits[0].at.From > edits[1].at.From {
			edits[0], edits[1] = edits[1], edits[0]
		}
	}
	size := len(body)
	for _, e := range edits {
		size += len(e.text)
	}
	out, from := make([]byte, 0, size), 0
	for _, e := range edits {
		out = append(append(out, body[from:e.at.From]...), e.text...)
		from = e.at.To
	}
	return append(out, body[from:]...), nil
}

// SetModel returns the body with another model, every other byte untouched.
func SetModel(op dialect.Operation, body []byte, model string) ([]byte, error) {
	f, err := Inspect(op, body)
	if err != nil {
		return nil, err
	}
	return Splice(body, &f, model, false)
}

// ForceIncludeUsage returns a streaming request's body with
// stream_options.include_usage set, every other byte untouched. A request that
// does not stream is returned as it is.
func ForceIncludeUsage(op dialect.Operation, body []byte) ([]byte, error) {
	f, err := Inspect(op, body)
	if err != nil {
		return nil, err
	}
	return Splice(body, &f, "", true)
}

type edit struct {
	at   dialect.Span
	text []byte
}

func modelEdit(body []byte, f *dialect.Facts, model string) edit {
	if f.Edits.Model.Known() {
		return edit{f.Edits.Model, scan.AppendQuoted(nil, model)}
	}
	return insert(body, f.Edits.Open, scan.AppendQuoted([]byte(`"model":`), model))
}

func usageEdit(body []byte, f *dialect.Facts) edit {
	options := f.Edits.StreamOptions
	switch {
	case f.Edits.IncludeUsage.Known():
		return edit{f.Edits.IncludeUsage, []byte("true")}
	case !options.Known():
		return insert(body, f.Edits.Open, []byte(`"stream_options":{"include_usage":true}`))
	case body[options.From] == '{':
		return insert(body, options.From+1, []byte(`"include_usage":true`))
	}
	return edit{options, []byte(`{"include_usage":true}`)}
}

// insert puts a member first into the object whose brace is before at.
func insert(body []byte, at int, member []byte) edit {
	if rest := bytes.TrimLeft(body[at:], " \t\r\n"); len(rest) > 0 && rest[0] != '}' {
		member = append(member, ',')
	}
	return edit{dialect.Span{From: at, To: at}, member}
}

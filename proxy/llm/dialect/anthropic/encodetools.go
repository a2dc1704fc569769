package anthropic

import (
	"slices"
	"strconv"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect/scan"
)

const anyObject = `{"type":"object","properties":{}}`

func (e *encoder) tools() {
	if e.asTool {
		e.formatTool()
		return
	}
	if len(e.r.Tools) == 0 {
		return
	}
	e.b = append(e.b, `,"tools":[`...)
	for i := range e.r.Tools {
		t := &e.r.Tools[i]
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.tool(t.Name, t.Description, t.Schema)
		if t.Strict {
			e.drop("tools.strict")
		}
	}
	e.b = append(e.b, ']')
	e.choice()
}

func (e *encoder) tool(name, description string, schema []byte) {
	e.b = scan.AppendQuoted(append(e.b, `{"name":`...), name)
	if description != "" {
		e.b = scan.AppendQuoted(append(e.b, `,"description":`...), description)
	}
	e.b = append(e.b, `,"input_schema":`...)
	if schema == nil {
		e.b = append(e.b, anyObject...)
	} else {
		e.b = append(e.b, schema...)
	}
	e.b = append(e.b, '}')
}

func (e *encoder) choice() {
	mode := ""
	switch e.r.Choice.Mode {
	case chat.ChoiceAuto:
		mode = "auto"
	case chat.ChoiceNone:
		mode = "none"
	case chat.ChoiceRequired:
		mode = "any"
	case chat.ChoiceNamed:
		mode = "tool"
	}
	alone := e.r.ParallelTools != nil && !*e.r.ParallelTools && mode != "none"
	if mode == "" && alone {
		mode = "auto"
	}
	if mode == "" {
		return
	}
	e.b = append(e.b, `,"tool_choice":`...)
	if mode == "tool" {
		e.object(mode, "name", e.r.Choice.Name)
	} else {
		e.object(mode)
	}
	if alone {
		e.b = append(e.b, `,"disable_parallel_tool_use":true`...)
	}
	e.b = append(e.b, '}')
}

func (e *encoder) formatTool() {
	schema := e.r.Format.Schema
	if c := scan.New(schema); c.Kind() != '{' {
		schema = []byte(anyObject)
	}
	e.b = append(e.b, `,"tools":[`...)
	description := e.r.Format.Description
	if description == "" {
		description = "Gives the answer in the form that was asked for."
	}
	e.tool(formatTool, description, schema)
	e.b = append(e.b, `],"tool_choice":{"type":"tool","name":"`+formatTool+`"}`...)
}

// format asks for a form by output_config.
func (e *encoder) format() {
	if e.r.Format.Kind != chat.FormatSchema || e.asTool {
		return
	}
	e.b = append(e.b, `,"output_config":{"format":{"type":"json_schema","schema":`...)
	if e.r.Format.Schema == nil {
		e.b = append(e.b, anyObject...)
	} else {
		e.b = append(e.b, e.r.Format.Schema...)
	}
	e.b = append(e.b, `}}`...)
}

// sampling writes temperature, at most 1 there, and top_p only alone, since
// newer models refuse both at once.
func (e *encoder) sampling() {
	s := e.r.Sampling
	if s.Temperature != nil {
		t := *s.Temperature
		if t > 1 {
			t = 1
			e.drop("temperature above 1")
		}
		e.b = strconv.AppendFloat(append(e.b, `,"temperature":`...), t, 'g', -1, 64)
	}
	switch {
	case s.TopP == nil || *s.TopP >= 1:
	case s.Temperature != nil:
		e.drop("top_p beside temperature")
	default:
		e.b = strconv.AppendFloat(append(e.b, `,"top_p":`...), *s.TopP, 'g', -1, 64)
	}
	n := 0
	for _, stop := range e.r.Stop {
		if stop == "" {
			continue
		}
		if n++; n == 1 {
			e.b = append(e.b, `,"stop_sequences":[`...)
		} else {
			e.b = append(e.b, ',')
		}
		e.b = scan.AppendQuoted(e.b, stop)
	}
	if n > 0 {
		e.b = append(e.b, ']')
	}
}

// shared are Anthropic's own fields, which a client may send along.
var shared = []string{"thinking", "top_k"}

// inspected are the fields that either are refused beforehand as features or
// have nothing to say to a provider of another kind.
var inspected = []string{"n", "logprobs", "top_logprobs", "logit_bias", "modalities", "audio", "functions", "function_call", "web_search_options", "metadata", "store"}

// rest writes the user and Anthropic's own fields, and names what is lost.
func (e *encoder) rest() {
	if e.r.User != "" {
		e.b = append(scan.AppendQuoted(append(e.b, `,"metadata":{"user_id":`...), e.r.User), '}')
	}
	var written []string
	for _, f := range e.r.Unknown {
		switch {
		case string(f.Raw) == "null" || slices.Contains(inspected, f.Name):
		case slices.Contains(shared, f.Name) && !slices.Contains(written, f.Name):
			written = append(written, f.Name)
			e.b = append(append(append(append(e.b, `,"`...), f.Name...), `":`...), f.Raw...)
		default:
			e.drop(f.Name)
		}
	}
}

// maxDropped bounds how many lost hints are named.
const maxDropped = 16

func (e *encoder) drop(name string) {
	if len(e.dropped) < maxDropped && !slices.Contains(e.dropped, name) {
		e.dropped = append(e.dropped, name)
	}
}

package catalog

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/jsonrpc"
)

// Versions are the protocol versions that the gateway speaks, oldest first.
// Being dates, they compare as text.
var Versions = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"}

// Latest is the newest of them.
func Latest() string { return Versions[len(Versions)-1] }

// Speaks tells whether the gateway speaks a protocol version.
func Speaks(version string) bool { return slices.Contains(Versions, version) }

// Negotiate is the version to go on with where a client asks for one.
func Negotiate(asked string) string {
	if Speaks(asked) {
		return asked
	}
	return Latest()
}

// Greeting is the merged answer to initialize, and the version that it names:
// the lowest of what the client asked for and what the servers answered.
type Greeting struct {
	Version string
	Result  jsontext.Value
}

// Greet merges the servers' answers to initialize, given in the servers' order:
// capabilities are united, instructions joined under their servers' names, and
// serverInfo is the gateway's own, {"name", "version"}.
func (n Names) Greet(asked string, pages []Page, name, version string) Greeting {
	lowest := Negotiate(asked)
	capabilities := map[string]any{}
	var instructions []string
	for _, p := range pages {
		if v, ok := jsonrpc.Text(jsonrpc.Get(p.Result, "protocolVersion")); ok && Speaks(v) {
			lowest = min(lowest, v)
		}
		var own map[string]any
		if json.Unmarshal(jsonrpc.Get(p.Result, "capabilities"), &own) == nil {
			unite(capabilities, own)
		}
		if text, ok := jsonrpc.Text(jsonrpc.Get(p.Result, "instructions")); ok && text != "" {
			if n.prefixed {
				text = p.Server + ": " + text
			}
			instructions = append(instructions, text)
		}
	}
	if len(n.servers) > 1 {
		// Their ids are the servers' own and say nothing of which server they mean.
		delete(capabilities, "tasks")
	}
	result := map[string]any{
		"protocolVersion": lowest,
		"capabilities":    capabilities,
		"serverInfo":      map[string]string{"name": name, "version": version},
	}
	if len(instructions) > 0 {
		result["instructions"] = strings.Join(instructions, "\n\n")
	}
	return Greeting{lowest, marshal(result)}
}

// marshal writes values that came from JSON, map keys sorted; it cannot fail.
func marshal(v any) jsontext.Value {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return jsontext.Value("{}")
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// unite adds what from can do to into: objects member by member, true over
// false, otherwise the first word stays.
func unite(into, from map[string]any) {
	for key, theirs := range from {
		ours, has := into[key]
		if !has {
			into[key] = theirs
			continue
		}
		a, isObject := ours.(map[string]any)
		if b, ok := theirs.(map[string]any); ok && isObject {
			unite(a, b)
		} else if theirs == true {
			into[key] = true
		}
	}
}

// Hello is the params of an initialize request.
func Hello(version string, capabilities, client jsontext.Value) jsontext.Value {
	if capabilities == nil {
		capabilities = jsontext.Value("{}")
	}
	if client == nil {
		client = jsontext.Value(`{"name":"nave","version":"1"}`)
	}
	out := append(jsontext.Value(`{"protocolVersion":`), jsonrpc.Quote(version)...)
	out = append(append(out, `,"capabilities":`...), capabilities...)
	return append(append(append(out, `,"clientInfo":`...), client...), '}')
}

package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/navehq/nave/proxy/mcp/jsonrpc"
)

// Repeatable reads from a server's answer to tools/list which of its tools may
// be called again although they may have been carried out: those that say
// readOnlyHint or idempotentHint. The keys are the server's own names of all
// tools in the answer.
func Repeatable(result jsontext.Value) map[string]bool {
	tools := map[string]bool{}
	_ = jsonrpc.Elements(jsonrpc.Get(result, "tools"), func(tool jsontext.Value) error {
		if name, ok := jsonrpc.Text(jsonrpc.Get(tool, "name")); ok {
			hints := jsonrpc.Get(tool, "annotations")
			tools[name] = isTrue(hints, "readOnlyHint") || isTrue(hints, "idempotentHint")
		}
		return nil
	})
	return tools
}

func isTrue(object jsontext.Value, member string) bool {
	return string(jsonrpc.Get(object, member)) == "true"
}

// Digest is a short hash of a server's answer to tools/list that does not
// depend on the order of tools or members, "" for an answer without tools.
func Digest(result jsontext.Value) string {
	var tools []string
	err := jsonrpc.Elements(jsonrpc.Get(result, "tools"), func(tool jsontext.Value) error {
		c := tool.Clone()
		if err := c.Canonicalize(); err != nil {
			return err
		}
		tools = append(tools, string(c))
		return nil
	})
	if err != nil {
		return ""
	}
	slices.Sort(tools)
	sum := sha256.Sum256([]byte(strings.Join(tools, "\n")))
	return hex.EncodeToString(sum[:8])
}

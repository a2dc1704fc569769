package openai

import (
	"strings"

	"github.com/navehq/nave/proxy/llm/dialect"
)

// suffixes end the paths of the operations under whatever base; an earlier one
// wins.
var suffixes = [...]struct {
	op     dialect.Operation
	method string
	suffix string
}{
	{dialect.Chat, "POST", "/chat/completions"},
	{dialect.Completions, "POST", "/completions"},
	{dialect.Embeddings, "POST", "/embeddings"},
	{dialect.Responses, "POST", "/responses"},
	{dialect.Models, "GET", "/models"},
}

// Operation tells what a client asks for by method and path.
func Operation(method, path string) (dialect.Operation, bool) {
	for _, s := range suffixes {
		if method == s.method && strings.HasSuffix(path, s.suffix) {
			return s.op, true
		}
	}
	return 0, false
}

// Suffix is the operation's path below its base.
func Suffix(op dialect.Operation) (method, path string) {
	for _, s := range suffixes {
		if s.op == op {
			return s.method, s.suffix
		}
	}
	return "", ""
}

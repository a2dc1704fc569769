package translate

import "strings"

// Built tells whether a field of a kind's spec is built, by its dotted path below
// spec without positions; known is false for kinds of which every field is.
func Built(kind, path string) (is, known bool) {
	tree, known := map[string]fields{
		kindRoute: builtRoute, kindGateway: builtGateway, kindPolicy: builtPolicy, kindBackend: builtBackend, "AgentgatewayParameters": builtParameters,
	}[kind]
	if !known {
		return true, false
	}
	for step := range strings.SplitSeq(path, ".") {
		below, ok := tree[step]
		if !ok {
			return false, true
		}
		if len(below) == 0 {
			return true, true
		}
		tree = below
	}
	return true, true
}

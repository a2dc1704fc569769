package expr

import (
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
)

// variable is a fact by its path, or an object that holds further ones.
type variable struct {
	name   string
	fields []variable
	// typ is the type of a fact; objects have none of their own.
	typ *cel.Type
	// about is what it says, for the reference.
	about string
}

func (v variable) celType() *cel.Type {
	if v.fields != nil {
		return cel.ObjectType(typePrefix + v.name)
	}
	return v.typ
}

const typePrefix = "nave."

// roots are the variables that are built. Names below a root are full paths.
var roots = []variable{
	{name: "request", fields: []variable{
		{name: "request.method", typ: cel.StringType, about: "method, in capitals"},
		{name: "request.uri", typ: cel.StringType, about: "scheme, host, path and query"},
		{name: "request.host", typ: cel.StringType, about: "host and, where given, port"},
		{name: "request.scheme", typ: cel.StringType, about: "http or https, as the client connected"},
		{name: "request.path", typ: cel.StringType, about: "path without query"},
		{name: "request.pathAndQuery", typ: cel.StringType, about: "path and query"},
		{name: "request.version", typ: cel.StringType, about: "HTTP/1.1, HTTP/2.0"},
		{name: "request.headers", typ: headersType, about: "header by name in any case; several values are joined by commas"},
	}},
	{name: "source", fields: []variable{
		{name: "source.address", typ: cel.StringType, about: "IP address of the client's end of the connection"},
		{name: "source.port", typ: cel.IntType, about: "its port"},
	}},
	{name: "apiKey", typ: cel.MapType(cel.StringType, cel.DynType), about: "metadata of the API key that the client was authenticated by"},
	{name: "llm", fields: []variable{
		{name: "llm.requestModel", typ: cel.StringType, about: "model that the client asks for"},
		{name: "llm.streaming", typ: cel.BoolType, about: "whether the client asks for a stream"},
	}},
	{name: "mcp", fields: []variable{
		{name: "mcp.methodName", typ: cel.StringType, about: "JSON-RPC method"},
		{name: "mcp.tool", fields: []variable{
			{name: "mcp.tool.name", typ: cel.StringType, about: "tool, without the target's prefix"},
			{name: "mcp.tool.target", typ: cel.StringType, about: "target that has the tool"},
			{name: "mcp.tool.arguments", typ: cel.MapType(cel.StringType, cel.DynType), about: "arguments of the call"},
		}},
		{name: "mcp.prompt", fields: []variable{
			{name: "mcp.prompt.name", typ: cel.StringType, about: "prompt"},
			{name: "mcp.prompt.target", typ: cel.StringType, about: "target that has it"},
		}},
		{name: "mcp.resource", fields: []variable{
			{name: "mcp.resource.name", typ: cel.StringType, about: "resource's URI"},
			{name: "mcp.resource.target", typ: cel.StringType, about: "target that has it"},
		}},
	}},
	{name: "proxy", fields: []variable{
		{name: "proxy.gateway", fields: []variable{
			{name: "proxy.gateway.namespace", typ: cel.StringType, about: "the Gateway's namespace"},
			{name: "proxy.gateway.name", typ: cel.StringType, about: "the Gateway's name"},
		}},
		{name: "proxy.listener", fields: []variable{
			{name: "proxy.listener.name", typ: cel.StringType, about: "listener's name"},
		}},
		{name: "proxy.route", fields: []variable{
			{name: "proxy.route.namespace", typ: cel.StringType, about: "the route's namespace"},
			{name: "proxy.route.name", typ: cel.StringType, about: "the route's name"},
			{name: "proxy.route.kind", typ: cel.StringType, about: "the route's kind"},
			{name: "proxy.route.rule", typ: cel.StringType, about: "the rule's name, where it has one"},
		}},
	}},
}

// Variable is one fact that expressions may ask for.
type Variable struct{ Name, Type, About string }

// Variables lists every fact, for the reference and for those who provide them.
func Variables() []Variable {
	var out []Variable
	var walk func([]variable)
	walk = func(list []variable) {
		for _, v := range list {
			if v.fields != nil {
				walk(v.fields)
				continue
			}
			out = append(out, Variable{v.name, v.typ.String(), v.about})
		}
	}
	walk(roots)
	return out
}

// unbuiltVariables are agentgateway's that are not built, with all below them.
var unbuiltVariables = []string{
	"request.body", "request.bodyPrefix", "request.startTime", "request.endTime",
	"response", "env", "jwt", "basicAuth", "llmRequest", "destination", "backend",
	"extauthz", "extproc", "mcpGuardrails", "metadata", "apiKey.key",
	"proxy.bind", "proxy.requestProcessingDuration", "proxy.upstreamDuration", "proxy.responseProcessingDuration",
	"source.rawAddress", "source.rawPort", "source.identity", "source.spiffeId", "source.subjectAltNames",
	"source.issuer", "source.subject", "source.subjectCn", "source.certificate", "source.unverifiedWorkload", "source.connectHeaders",
	"llm.responseModel", "llm.provider", "llm.inputTokens", "llm.providerInputTokens", "llm.inputImageTokens",
	"llm.inputTextTokens", "llm.inputAudioTokens", "llm.cachedInputTokens", "llm.cacheCreationInputTokens",
	"llm.outputTokens", "llm.outputImageTokens", "llm.outputTextTokens", "llm.outputAudioTokens", "llm.reasoningTokens",
	"llm.totalTokens", "llm.providerTotalTokens", "llm.serviceTier", "llm.timeToFirstToken", "llm.timePerOutputToken",
	"llm.countTokens", "llm.prompt", "llm.completion", "llm.toolCalls", "llm.params", "llm.cost", "llm.costRates",
	"mcp.sessionId", "mcp.tool.result", "mcp.tool.error", "mcp.task",
}

// unbuiltFunctions are agentgateway's that are not built.
var unbuiltFunctions = []string{
	"json", "toJson", "unvalidatedJwtPayload", "with", "variables", "mapValues", "filterKeys", "merge",
	"flatten", "flattenRecursive", "url.encode", "url.decode", "form.encode", "form.decode",
	"sha1.encode", "sha256.encode", "md5.encode", "random", "default", "coalesce", "regexReplace",
	"fail", "uuid", "unredacted",
}

// notBuilt is the first name that is not built, or "".
func notBuilt(names []name) string {
	for _, n := range names {
		if n.call {
			if slices.Contains(unbuiltFunctions, n.text) {
				return "function " + n.text
			}
			continue
		}
		for _, v := range unbuiltVariables {
			if n.text == v || strings.HasPrefix(n.text, v+".") {
				return "variable " + v
			}
		}
	}
	return ""
}

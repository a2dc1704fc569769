package translate

import "slices"

// The fields of an AgentgatewayBackend that are built, put together from parts
// that stand in several places.
var builtBackend = built(slices.Concat(
	under("ai.provider", providerFields),
	under("ai.groups.providers", providerFields, []string{"name"}, under("policies", policyFields, aiFields)),
	under("mcp", []string{"sessionRouting", "failureMode", "prefixMode", "targets.name"}),
	under("mcp.targets.static", []string{"host", "port", "path", "protocol", "backendRef.name"}, under("policies", policyFields)),
	[]string{"static.host", "static.port"},
	under("policies", policyFields, aiFields),
)...)

var secretFields = []string{"name", "key", "group", "kind"}

// providerAuthFields are the short ways of writing a credential.
var providerAuthFields = slices.Concat(under("apiKey.secretRef", secretFields), under("secretRef", secretFields))

var authFields = slices.Concat(
	[]string{"key", "passthrough", "location", "azure.managedIdentity", "azure.workloadIdentity"},
	under("secretRef", secretFields), under("azure.secretRef", secretFields),
)

var tlsFields = []string{"mtlsCertificateRef", "caCertificateRefs", "insecureSkipVerify", "sni", "verifySubjectAltNames", "alpnProtocols"}

var policyFields = slices.Concat(
	under("auth", authFields), under("tls", tlsFields),
	[]string{"http.version", "http.requestTimeout", "tcp.connectTimeout"},
)

var aiFields = []string{"ai.modelAliases", "ai.routes"}

var providerFields = slices.Concat(
	[]string{"host", "port", "path", "pathPrefix", "openai.model", "anthropic.model", "custom.model", "custom.formats", "custom.backendRef",
		"azureopenai.endpoint", "azureopenai.deploymentName", "azureopenai.apiVersion",
		"azure.resourceName", "azure.resourceType", "azure.projectName", "azure.apiVersion", "azure.model"},
	under("auth", providerAuthFields), under("openai.auth", providerAuthFields), under("anthropic.auth", providerAuthFields),
	under("custom.auth", providerAuthFields), under("azureopenai.auth", providerAuthFields), under("azure.auth", providerAuthFields),
)

func under(prefix string, lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		for _, path := range list {
			out = append(out, prefix+"."+path)
		}
	}
	return out
}

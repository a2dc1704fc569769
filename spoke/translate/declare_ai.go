package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// onlyProvider names the provider of a backend that has one without a name.
const onlyProvider = "provider"

func (d *declaration) declareAI(ai *agentgateway.AIBackend, policies *agentgateway.BackendPolicies) {
	if (ai.Provider == nil) == (len(ai.Groups) == 0) {
		d.fault("spec.ai", "needs exactly one of provider and groups", "set one of them")
	}
	if ai.Provider != nil {
		m := declareProvider(ai.Provider, onlyProvider, "spec.ai.provider")
		m.apply(&policies.Connection, policies.AI, policies.Auth, "spec.policies")
		d.groups = append(d.groups, []declaredMember{m})
	}
	for i, g := range ai.Groups {
		path := fmt.Sprintf("spec.ai.groups[%d].providers", i)
		if len(g.Providers) == 0 {
			d.fault(path, "is empty", "name a provider")
		}
		var members []declaredMember
		for j := range g.Providers {
			p := &g.Providers[j]
			at := fmt.Sprintf("%s[%d]", path, j)
			if slices.ContainsFunc(members, func(m declaredMember) bool { return m.member.Name == string(p.Name) }) {
				d.fault(at+".name", fmt.Sprintf("provider name %q is used twice in its group", p.Name), "give each its own name")
			}
			if p.Name == "" {
				d.fault(at+".name", "is missing", "name the provider")
			}
			m := declareProvider(&p.LLMProvider, string(p.Name), at)
			own := p.Policies
			if own == nil {
				own = &agentgateway.ProviderPolicies{}
			}
			if own.Auth != nil && m.aliased {
				m.refuse(at+".policies.auth", "is a second credential", "keep one of the two")
			}
			m.apply(&own.Connection, own.AI, own.Auth, at+".policies")
			m.apply(&policies.Connection, policies.AI, policies.Auth, "spec.policies")
			members = append(members, m)
		}
		d.groups = append(d.groups, members)
	}
}

// declareProvider reads one provider and where it is.
func declareProvider(p *agentgateway.LLMProvider, name, path string) declaredMember {
	m := declaredMember{member: table.Member{Name: name, Model: &table.Model{}}, path: path}
	model := m.member.Model
	kinds := 0
	known := func(kind string, provider table.Provider, set bool, read func()) {
		if set {
			kinds, m.kind, model.Provider = kinds+1, kind, provider
			read()
		}
	}
	known("openai", table.OpenAI, p.OpenAI != nil, func() {
		m.host, model.Model = "api.openai.com", string(p.OpenAI.Model)
	})
	known("anthropic", table.Anthropic, p.Anthropic != nil, func() {
		m.host, model.Model = "api.anthropic.com", string(p.Anthropic.Model)
	})
	known("azureopenai", table.Azure, p.AzureOpenAI != nil, func() {
		a := p.AzureOpenAI
		m.host, m.ambient = strings.TrimSuffix(strings.TrimPrefix(string(a.Endpoint), "https://"), "/"), true
		if strings.Contains(m.host, "/") {
			m.refuse(path+".azureopenai.endpoint", fmt.Sprintf("%q is no host name", a.Endpoint), "name the resource's host, such as NAME.openai.azure.com")
		}
		model.Deployment, model.APIVersion = string(a.DeploymentName), string(a.APIVersion)
		if a.APIVersion != "" && a.APIVersion != "v1" && a.DeploymentName == "" {
			m.refuse(path+".azureopenai.deploymentName", "is needed with this apiVersion", "set it")
		}
	})
	known("azure", table.Azure, p.Azure != nil, func() { m.azure(p.Azure, path+".azure") })
	known("custom", table.OpenAI, p.Custom != nil, func() { m.custom(p, path+".custom") })
	for kind, set := range map[string]bool{"gemini": p.Gemini != nil, "vertexai": p.VertexAI != nil, "bedrock": p.Bedrock != nil} {
		if set {
			kinds, m.kind = kinds+1, kind
		}
	}
	if kinds != 1 {
		m.refuse(path, fmt.Sprintf("names %d providers", kinds), "name exactly one")
	}
	m.locate(p, path)
	for i, a := range p.AliasAuths() {
		if i > 0 {
			m.refuse(path+"."+a.Path, "is a second credential", "keep one of the two")
		}
		m.auth, m.authPath, m.aliased = &agentgateway.BackendAuth{SecretRef: &a.Ref}, path+"."+a.Path, true
	}
	return m
}

// locate applies host, port and path. A host of its own means plaintext unless
// TLS is asked for, and the client's path as it is.
func (m *declaredMember) locate(p *agentgateway.LLMProvider, path string) {
	model := m.member.Model
	model.Path, model.PathPrefix = cmp.Or(p.Path, m.chatPath), p.PathPrefix
	if (p.Host == "") != (p.Port == 0) {
		m.refuse(path, "host and port belong together", "set both")
	}
	if p.Port < 0 || p.Port > 65535 {
		m.refuse(path+".port", fmt.Sprintf("%d is no port", p.Port), "give one from 1 to 65535")
	}
	if p.Path != "" && p.PathPrefix != "" {
		m.refuse(path, "path and pathPrefix exclude each other", "set one of them")
	}
	switch {
	case p.Host != "":
		m.host, m.port, model.HostOverride = string(p.Host), int(p.Port), true
	case m.service != nil:
		model.HostOverride = true
	default:
		m.port, m.tls = 443, &agentgateway.BackendTLS{}
	}
	if m.host == "" && m.service == nil && len(m.faults) == 0 && m.kind != "gemini" && m.kind != "vertexai" && m.kind != "bedrock" {
		m.refuse(path, "has no host", "set one")
	}
	m.host = strings.ToLower(strings.TrimSuffix(m.host, "."))
}

func (m *declaredMember) azure(a *agentgateway.AzureProvider, path string) {
	model := m.member.Model
	m.ambient, model.APIVersion, model.Model, model.Project = true, string(a.APIVersion), string(a.Model), string(a.ProjectName)
	switch a.ResourceType {
	case "OpenAI":
		m.host = string(a.ResourceName) + ".openai.azure.com"
	case "Foundry":
		m.host = string(a.ResourceName) + ".services.ai.azure.com"
		if a.ProjectName == "" {
			m.refuse(path+".projectName", "is needed for Foundry", "set it")
		}
	default:
		m.refuse(path+".resourceType", fmt.Sprintf("%q is no type of resource", a.ResourceType), "use OpenAI or Foundry")
	}
}

// custom reads a provider that is known by the APIs it speaks: OpenAI's, or,
// where that is all it has, Anthropic's messages.
func (m *declaredMember) custom(p *agentgateway.LLMProvider, path string) {
	c, model := p.Custom, m.member.Model
	model.Model = string(c.Model)
	speaks := map[string]agentgateway.ProviderFormat{}
	for i, f := range c.Formats {
		speaks[string(f.Type)] = f
		switch agentgateway.RouteType(f.Type) {
		case agentgateway.RouteCompletions, agentgateway.RouteEmbeddings, agentgateway.RouteResponses, agentgateway.RouteMessages:
		default:
			m.unbuilt(fmt.Sprintf("%s.formats[%d].type", path, i), fmt.Sprintf("format %s is not built yet", f.Type), "remove it")
		}
	}
	chat, ok := speaks[string(agentgateway.RouteCompletions)]
	if messages, only := speaks[string(agentgateway.RouteMessages)]; !ok && only {
		chat, ok, model.Provider = messages, true, table.Anthropic
	}
	if !ok {
		m.refuse(path+".formats", "has neither Completions nor Messages", "name one of them")
	}
	for _, t := range slices.Sorted(maps.Keys(speaks)) {
		if f := speaks[t]; f.Path != "" && f.Type != chat.Type {
			m.unbuilt(path+".formats", fmt.Sprintf("a path of its own for %s is not built yet", f.Type), "remove it")
		}
	}
	m.chatPath = chat.Path
	if b := c.BackendRef; b != nil {
		if b.Group != "" || b.Kind != "" && b.Kind != kindService {
			m.unbuilt(path+".backendRef.kind", "kind "+b.Kind+" is not built yet", "use a Service")
		}
		m.service, m.port = serviceKey(b.Name), int(b.Port)
	}
}

// apply puts policies on a member, each where none is yet: the more specific
// level comes first.
func (m *declaredMember) apply(c *agentgateway.Connection, ai *agentgateway.BackendAI, auth *agentgateway.BackendAuth, path string) {
	if c.TLS != nil && !m.tlsDeclared {
		m.tls, m.tlsDeclared = c.TLS, true
	}
	if c.HTTP != nil {
		m.applyHTTP(c.HTTP, path+".http")
	}
	if c.TCP != nil && m.connectTimeout == 0 {
		m.connectTimeout = m.duration(c.TCP.ConnectTimeout, path+".tcp.connectTimeout")
	}
	if auth != nil && credentials(auth) > 1 {
		m.refuse(path+".auth", "names several kinds of credential", "keep one of them")
	}
	if m.auth == nil && auth != nil {
		m.auth, m.authPath = auth, path+".auth"
		if auth.SecretRef != nil {
			m.authPath += ".secretRef"
		}
	}
	if ai != nil && m.member.Model != nil {
		m.applyAI(ai, path+".ai")
	}
}

func (m *declaredMember) applyHTTP(h *agentgateway.BackendHTTP, path string) {
	if h.Version != "" && h.Version != agentgateway.HTTP1 && h.Version != agentgateway.HTTP2 {
		m.refuse(path+".version", fmt.Sprintf("there is no version %q", h.Version), "use HTTP1 or HTTP2")
	}
	m.httpVersion = cmp.Or(m.httpVersion, h.Version)
	if timeout := m.duration(h.RequestTimeout, path+".requestTimeout"); m.requestTimeout == 0 {
		m.requestTimeout = timeout
	}
}

func (m *declaredMember) applyAI(ai *agentgateway.BackendAI, path string) {
	for _, suffix := range slices.Sorted(maps.Keys(ai.Routes)) {
		at := fmt.Sprintf("%s.routes[%q]", path, suffix)
		switch t := ai.Routes[suffix]; t {
		case agentgateway.RouteCompletions, agentgateway.RouteEmbeddings, agentgateway.RouteResponses, agentgateway.RouteModels:
		case agentgateway.RouteMessages, agentgateway.RoutePassthrough, agentgateway.RouteDetect, agentgateway.RouteRealtime,
			agentgateway.RouteAnthropicTokenCount, agentgateway.RouteRerank, agentgateway.RouteGenerateContent, agentgateway.RouteGeminiCountTokens:
			m.partial = append(m.partial, fault{at, v1alpha1.ReasonUnsupportedField, fmt.Sprintf("calls of kind %s are refused, since they are not built yet", t), "remove it"})
		default:
			m.refuse(at, fmt.Sprintf("there is no kind of call %q", t), "use Completions, Embeddings, Responses or Models")
		}
	}
	model := m.member.Model
	if model.Aliases == nil {
		model.Aliases = maps.Clone(ai.ModelAliases)
	}
	if model.Routes == nil {
		for suffix, t := range ai.Routes {
			model.Routes = with(model.Routes, suffix, string(t))
		}
	}
}

// credentials counts the kinds of credential that are named.
func credentials(a *agentgateway.BackendAuth) int {
	n := 0
	for _, set := range []bool{
		a.Key != "", a.SecretRef != nil, a.Passthrough != nil, a.AWS != nil, a.Azure != nil, a.GCP != nil,
		a.OAuthTokenExchange != nil, a.CrossAppAccess != nil, a.JWTSign != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

func (m *declaredMember) duration(d agentgateway.Duration, path string) table.Duration {
	v, err := d.Or(0)
	if err != nil {
		m.refuse(path, fmt.Sprintf("%q is no duration", string(d)), "write it like 1m30s")
	}
	return table.Duration(v.Round(time.Millisecond))
}

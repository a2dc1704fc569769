package agentgateway

// AliasAuth is a provider's credential where it was not written under policies.
type AliasAuth struct {
	// Path says where the credential stands below the provider, such as
	// openai.auth.apiKey.secretRef.
	Path string
	// Ref is the credential.
	Ref CredentialRefWithKey
}

// AliasAuths returns the credentials that are written at the provider itself or in
// its block. More than one, or one beside policies.auth, is a contradiction that
// an API server refuses; whoever reads a folder must.
func (p *LLMProvider) AliasAuths() []AliasAuth {
	var found []AliasAuth
	add := func(path string, a *ProviderAuth) {
		if a == nil {
			return
		}
		if a.APIKey != nil {
			found = append(found, AliasAuth{Path: path + ".apiKey.secretRef", Ref: a.APIKey.SecretRef})
		}
		if a.SecretRef != nil {
			found = append(found, AliasAuth{Path: path + ".secretRef", Ref: *a.SecretRef})
		}
	}
	add("auth", p.Auth)
	if p.OpenAI != nil {
		add("openai.auth", p.OpenAI.Auth)
	}
	if p.AzureOpenAI != nil {
		add("azureopenai.auth", p.AzureOpenAI.Auth)
	}
	if p.Azure != nil {
		add("azure.auth", p.Azure.Auth)
	}
	if p.Anthropic != nil {
		add("anthropic.auth", p.Anthropic.Auth)
	}
	if p.Gemini != nil {
		add("gemini.auth", p.Gemini.Auth)
	}
	if p.VertexAI != nil {
		add("vertexai.auth", p.VertexAI.Auth)
	}
	if p.Bedrock != nil {
		add("bedrock.auth", p.Bedrock.Auth)
	}
	if p.Custom != nil {
		add("custom.auth", p.Custom.Auth)
	}
	return found
}

// Backend returns the same policies in the shape that a whole backend's have, for
// merging; nil if there are none.
func (p *ProviderPolicies) Backend() *BackendPolicies {
	if p == nil {
		return nil
	}
	return &BackendPolicies{Connection: p.Connection, Auth: p.Auth, AI: p.AI, Transformation: p.Transformation, Health: p.Health}
}

// Backend returns the same policies in the shape that a whole backend's have, for
// merging; nil if there are none.
func (p *MCPTargetPolicies) Backend() *BackendPolicies {
	if p == nil {
		return nil
	}
	return &BackendPolicies{Connection: p.Connection, Auth: p.Auth, AI: p.AI, MCP: p.MCP, Transformation: p.Transformation, Health: p.Health}
}

package agentgateway

// JWTAuthentication validates clients' tokens.
//
// +kubebuilder:validation:XValidation:rule="!has(self.mcp) || size(self.providers) == 1",message="jwtAuthentication.mcp requires exactly one provider"
// +kubebuilder:validation:XValidation:rule="!has(self.mcp) || !has(self.mode) || self.mode == 'Strict'",message="jwtAuthentication.mcp requires mode Strict"
type JWTAuthentication struct {
	// What becomes of requests without a valid token.
	// +kubebuilder:default=Strict
	Mode AuthenticationMode `json:"mode,omitempty"`
	// Issuers that are trusted.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Providers []JWTProvider `json:"providers"`
	// Where the token is read; the bearer token if unset.
	Location *ExtractLocation `json:"location,omitempty"`
	// OAuth metadata for MCP clients.
	MCP *JWTMCP `json:"mcp,omitempty"`
}

// JWTProvider is an issuer of tokens.
type JWTProvider struct {
	// Issuer.
	Issuer ShortString `json:"issuer"`
	// Audiences, of which a token must name one; any if unset.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Audiences []string `json:"audiences,omitempty"`
	// Keys.
	JWKS JWKS `json:"jwks"`
}

// JWKS is a key set, fetched or written here.
//
// +kubebuilder:validation:ExactlyOneOf=remote;inline
type JWKS struct {
	// Fetched.
	Remote *RemoteJWKS `json:"remote,omitempty"`
	// Written here: public keys only.
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=65536
	Inline string `json:"inline,omitempty"`
}

// JWTMCP serves the OAuth metadata that MCP clients look for.
type JWTMCP struct {
	// Identity provider.
	Provider IdentityProvider `json:"provider,omitempty"`
	// Fields of the protected-resource metadata.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	ResourceMetadata map[string]JSON `json:"resourceMetadata,omitempty"`
	// Client id handed out in place of a dynamic registration.
	ClientID string `json:"clientId,omitempty"`
}

// BasicAuthentication validates clients' passwords.
//
// +kubebuilder:validation:ExactlyOneOf=users;secretRef
type BasicAuthentication struct {
	// What becomes of requests without a valid password.
	// +kubebuilder:default=Strict
	Mode BasicAuthenticationMode `json:"mode,omitempty"`
	// Realm named in a refusal; Restricted if unset.
	Realm string `json:"realm,omitempty"`
	// Users, each a line of an htpasswd file.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Users []string `json:"users,omitempty" nave:"secret"`
	// Where an htpasswd file is kept, entry .htaccess unless named.
	SecretRef *CredentialRefWithKey `json:"secretRef,omitempty"`
	// Where the password is read; Basic authorization if unset.
	Location *ExtractLocation `json:"location,omitempty"`
}

// BasicAuthenticationMode is an AuthenticationMode that passwords may have.
//
// +kubebuilder:validation:Enum=Optional;Strict
type BasicAuthenticationMode string

// APIKeyAuthentication validates clients' API keys.
//
// +kubebuilder:validation:ExactlyOneOf=secretRef;secretSelector;configMapSelector
type APIKeyAuthentication struct {
	// What becomes of requests without a valid key.
	// +kubebuilder:default=Strict
	Mode AuthenticationMode `json:"mode,omitempty"`
	// A Secret of keys. Each entry is one client: the key, or JSON with key or
	// keyHash, and metadata.
	SecretRef *CredentialRef `json:"secretRef,omitempty"`
	// Secrets of keys, by label.
	SecretSelector *MatchLabels `json:"secretSelector,omitempty"`
	// ConfigMaps of hashed keys, by label.
	ConfigMapSelector *MatchLabels `json:"configMapSelector,omitempty"`
	// Where the key is read; the bearer token if unset.
	Location *ExtractLocation `json:"location,omitempty"`
}

// MatchLabels picks objects by label.
type MatchLabels struct {
	// Labels that they all carry.
	MatchLabels map[string]string `json:"matchLabels"`
}

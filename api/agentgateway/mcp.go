package agentgateway

// BackendMCP holds what a backend does to tool traffic.
//
// +kubebuilder:validation:AtLeastOneOf=authentication;authorization;guardrails
type BackendMCP struct {
	// Which tools, prompts and resources a caller may use, by CEL.
	Authorization *Authorization `json:"authorization,omitempty"`
	// Tokens of callers; jwtAuthentication.mcp of a traffic policy says the same.
	Authentication *MCPAuthentication `json:"authentication,omitempty"`
	// Policy servers that judge JSON-RPC calls.
	Guardrails *MCPGuardrails `json:"guardrails,omitempty"`
}

// AuthenticationMode says what becomes of a request whose credential is missing
// or wrong. Strict refuses both, Optional only a wrong one, Permissive neither.
//
// +kubebuilder:validation:Enum=Optional;Permissive;Strict
type AuthenticationMode string

// The modes.
const (
	ModeStrict     AuthenticationMode = "Strict"
	ModeOptional   AuthenticationMode = "Optional"
	ModePermissive AuthenticationMode = "Permissive"
)

// IdentityProvider names a provider whose OAuth quirks the gateway knows.
//
// +kubebuilder:validation:Enum=Auth0;Authentik;Descope;Entra;Keycloak;Okta
type IdentityProvider string

// MCPAuthentication validates callers' tokens as an OAuth resource server.
type MCPAuthentication struct {
	// Issuer of the tokens.
	Issuer ShortString `json:"issuer,omitempty"`
	// Audiences, of which a token must name one; any if unset.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Audiences []string `json:"audiences,omitempty"`
	// Keys.
	JWKS RemoteJWKS `json:"jwks"`
	// What becomes of requests without a valid token.
	// +kubebuilder:default=Strict
	Mode AuthenticationMode `json:"mode,omitempty"`
	// Identity provider.
	Provider IdentityProvider `json:"provider,omitempty"`
	// Fields of the protected-resource metadata.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	ResourceMetadata map[string]JSON `json:"resourceMetadata,omitempty"`
	// Client id handed out in place of a dynamic registration.
	ClientID string `json:"clientId,omitempty"`
	// Its secret, entry clientSecret unless named.
	ClientSecretRef *CredentialRefWithKey `json:"clientSecretRef,omitempty"`
}

// RemoteJWKS is a key set fetched from its issuer.
//
// +kubebuilder:validation:XValidation:rule="!has(self.backendRef) || has(self.jwksPath)",message="jwksPath is required when backendRef is set"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || !has(self.jwksPath)",message="jwksPath may not be set when url is set"
// +kubebuilder:validation:ExactlyOneOf=backendRef;url
type RemoteJWKS struct {
	// The issuer as a backend.
	BackendRef *PolicyBackendRef `json:"backendRef,omitempty"`
	// The key set's URL.
	URL URL `json:"url,omitempty"`
	// Path of the key set at the backend.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	JWKSPath string `json:"jwksPath,omitempty"`
	// Time a fetched key set is used.
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5m')",message="cacheDuration must be at least 5m."
	CacheDuration Duration `json:"cacheDuration,omitempty"`
}

// MCPGuardrails lists policy servers.
type MCPGuardrails struct {
	// The servers, in order.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Processors []MCPProcessor `json:"processors"`
}

// MCPProcessor sends some methods to a policy server.
//
// +kubebuilder:validation:ExactlyOneOf=remote
type MCPProcessor struct {
	// The server.
	Remote *MCPPolicyServer `json:"remote,omitempty"`
	// Methods, with * at one end if wanted, and what of them is sent.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.contains('*') || k == '*' || (k.endsWith('/*') && k.indexOf('*') == size(k) - 1) || (k.startsWith('*/') && k.lastIndexOf('*') == 0))",message="method wildcards must be '*', a prefix like 'tools/*', or a suffix like '*/list'"
	Methods map[string]MCPGuardPhase `json:"methods"`
}

// MCPGuardPhase says what of a call a policy server sees.
//
// +kubebuilder:validation:Enum=Full;Off;Request;Response
type MCPGuardPhase string

// MCPPolicyServer is a gRPC policy server.
//
// +kubebuilder:validation:XValidation:rule="!has(self.url) || self.url.matches('^https?://[^/]+/?$')",message="url must not include a path"
// +kubebuilder:validation:ExactlyOneOf=backendRef;url
type MCPPolicyServer struct {
	// The server as a backend.
	BackendRef *PolicyBackendRef `json:"backendRef,omitempty"`
	// The server as a URL.
	URL URL `json:"url,omitempty"`
	// What happens without an answer.
	FailureMode FailureMode `json:"failureMode,omitempty"`
	// Context sent along, as CEL.
	// +kubebuilder:validation:MaxProperties=64
	Metadata map[string]CELExpression `json:"metadata,omitempty"`
	// Headers of the request that are sent on.
	// +kubebuilder:validation:MaxItems=64
	AllowedRequestHeaders []AnyHeaderName `json:"allowedRequestHeaders,omitempty"`
	// Headers that never are.
	// +kubebuilder:validation:MaxItems=64
	DisallowedRequestHeaders []AnyHeaderName `json:"disallowedRequestHeaders,omitempty"`
}

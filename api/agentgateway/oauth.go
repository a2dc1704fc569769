package agentgateway

// OAuthTokenExchange trades the client's token for one of the destination's
// (RFC 8693, or RFC 7523 with grant type JwtBearer).
//
// +kubebuilder:validation:XValidation:rule="!has(self.actorToken) || !has(self.grantType) || self.grantType == 'TokenExchange'",message="actorToken is only valid with TokenExchange grantType"
// +kubebuilder:validation:XValidation:rule="!has(self.requestedTokenType) || !has(self.grantType) || self.grantType == 'TokenExchange'",message="requestedTokenType is only valid with TokenExchange grantType"
// +kubebuilder:validation:XValidation:rule="!has(self.requestedTokenType) || self.requestedTokenType != 'IdJag'",message="requestedTokenType IdJag is only supported by crossAppAccess"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || !has(self.path)",message="path may not be set when url is set"
// +kubebuilder:validation:ExactlyOneOf=backendRef;url
type OAuthTokenExchange struct {
	// The token endpoint as a backend.
	BackendRef *PolicyBackendRef `json:"backendRef,omitempty"`
	// The token endpoint as a URL.
	URL URL `json:"url,omitempty"`
	// Path of the endpoint; / if unset.
	// +kubebuilder:validation:Pattern=`^/`
	Path string `json:"path,omitempty"`
	// TokenExchange if unset.
	// +kubebuilder:validation:Enum=JwtBearer;TokenExchange
	GrantType string `json:"grantType,omitempty"`
	// How the gateway proves itself; not at all if unset.
	ClientAuth *OAuthClientAuth `json:"clientAuth,omitempty"`
	// The token traded in; the bearer token, an access token, if unset.
	SubjectToken *SubjectToken `json:"subjectToken,omitempty"`
	// The actor's token, for delegation.
	ActorToken *ActorToken `json:"actorToken,omitempty"`
	// The type of token asked for.
	// +kubebuilder:validation:Enum=AccessToken;Jwt;IdToken;IdJag
	RequestedTokenType string `json:"requestedTokenType,omitempty"`
	// Audiences asked for.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Audiences []ShortString `json:"audiences,omitempty"`
	// Resources asked for.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Resources []string `json:"resources,omitempty"`
	// Scopes asked for.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Scopes []string `json:"scopes,omitempty"`
	// More form parameters, as CEL over the request.
	// +kubebuilder:validation:MaxProperties=64
	AdditionalParams map[string]CELExpression `json:"additionalParams,omitempty"`
	// How answers are kept.
	Cache *TokenCache `json:"cache,omitempty"`
	// Where the token goes; header Authorization, prefix "Bearer ", if unset.
	Location *InsertLocation `json:"location,omitempty"`
}

// TokenCache says how token answers are kept.
type TokenCache struct {
	// In the proxy's memory.
	InMemory *InMemoryTokenCache `json:"inMemory,omitempty"`
}

// InMemoryTokenCache bounds the cache in a proxy's memory.
type InMemoryTokenCache struct {
	// Entries kept; 8192 if unset, 0 switches the cache off.
	MaxEntries *int32 `json:"maxEntries,omitempty"`
	// Life of a token whose answer has no expires_in.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="defaultTtl must be at least 1 second"
	DefaultTTL Duration `json:"defaultTtl,omitempty"`
}

// SubjectToken says which token is traded in.
type SubjectToken struct {
	// Where it is read.
	Source *ExtractLocation `json:"source,omitempty"`
	// AccessToken if empty; any absolute URI otherwise.
	TokenType string `json:"tokenType,omitempty"`
}

// ActorToken says which token names the actor.
//
// +kubebuilder:validation:XValidation:rule="!has(self.mayAct) || (has(self.tokenType) && self.tokenType == 'Jwt')",message="mayAct Required requires tokenType Jwt"
type ActorToken struct {
	// Where it is read.
	Source ExtractLocation `json:"source"`
	// AccessToken if empty; any absolute URI otherwise.
	TokenType string `json:"tokenType,omitempty"`
	// Whether the may_act claim is enforced.
	// +kubebuilder:validation:Enum=Required
	MayAct string `json:"mayAct,omitempty"`
}

// OAuthClientAuth says how the gateway proves itself to a token endpoint.
//
// +kubebuilder:validation:XValidation:rule="has(self.privateKeyJwt) == (has(self.method) && self.method == 'PrivateKeyJwt')",message="privateKeyJwt settings require method PrivateKeyJwt"
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || !has(self.method) || self.method != 'PrivateKeyJwt'",message="secretRef is not valid with method PrivateKeyJwt"
// +kubebuilder:validation:XValidation:rule="has(self.secretRef) || (has(self.method) && self.method in ['ClientSecretPost', 'PrivateKeyJwt'])",message="clientAuth without secretRef requires method ClientSecretPost or PrivateKeyJwt"
type OAuthClientAuth struct {
	// Client id.
	// +kubebuilder:validation:MinLength=1
	ClientID string `json:"clientId"`
	// ClientSecretBasic if unset.
	// +kubebuilder:validation:Enum=ClientSecretBasic;ClientSecretPost;PrivateKeyJwt
	Method string `json:"method,omitempty"`
	// Client secret, entry clientSecret unless named.
	SecretRef *CredentialRefWithKey `json:"secretRef,omitempty"`
	// Client assertion.
	PrivateKeyJWT *PrivateKeyJWT `json:"privateKeyJwt,omitempty"`
}

// PrivateKeyJWT holds the settings of a client assertion.
//
// +kubebuilder:validation:XValidation:rule="has(self.certificateRef) == has(self.certificateHeader)",message="certificateRef and certificateHeader must be set together"
type PrivateKeyJWT struct {
	// Private key in PEM, entry signingKey unless named.
	SigningKeyRef CredentialRefWithKey `json:"signingKeyRef"`
	// Audience of the assertion, as a rule the endpoint's URL.
	// +kubebuilder:validation:MinLength=1
	AssertionAudience string `json:"assertionAudience"`
	// Algorithm; RS256 if unset.
	Alg SigningAlgorithm `json:"alg,omitempty"`
	// Key id in the header.
	KID string `json:"kid,omitempty"`
	// Certificate chain in PEM, entry certificate unless named.
	CertificateRef *CredentialRefWithKey `json:"certificateRef,omitempty"`
	// Header that carries the certificate.
	// +kubebuilder:validation:Enum=x5c;"x5t#S256"
	CertificateHeader string `json:"certificateHeader,omitempty"`
}

// OAuthTokenEndpoint is a token endpoint and how the gateway proves itself there.
//
// +kubebuilder:validation:XValidation:rule="!has(self.url) || !has(self.path)",message="path may not be set when url is set"
// +kubebuilder:validation:ExactlyOneOf=backendRef;url
type OAuthTokenEndpoint struct {
	// The endpoint as a backend.
	BackendRef *PolicyBackendRef `json:"backendRef,omitempty"`
	// The endpoint as a URL.
	URL URL `json:"url,omitempty"`
	// Path of the endpoint; / if unset.
	// +kubebuilder:validation:Pattern=`^/`
	Path string `json:"path,omitempty"`
	// How the gateway proves itself.
	ClientAuth OAuthClientAuth `json:"clientAuth"`
}

// CrossAppAccess trades the user's identity token for an assertion (ID-JAG), and
// that for an access token of the resource's own authorization server.
type CrossAppAccess struct {
	// The user's identity provider.
	IdentityProvider OAuthTokenEndpoint `json:"identityProvider"`
	// The resource's authorization server.
	ResourceAuthorizationServer OAuthTokenEndpoint `json:"resourceAuthorizationServer"`
	// Identifier of that server.
	Audience ShortString `json:"audience"`
	// Scopes of the assertion.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Scopes []string `json:"scopes,omitempty"`
	// Scopes of the access token; those of the assertion if unset.
	// +kubebuilder:validation:MaxItems=64
	AccessTokenScopes []string `json:"accessTokenScopes,omitempty"`
	// Resources asked for.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Resources []string `json:"resources,omitempty"`
	// The token traded in; the bearer token, an id token, if unset.
	// +kubebuilder:validation:XValidation:rule="!has(self.tokenType) || self.tokenType != 'IdJag'",message="tokenType IdJag is not supported by crossAppAccess"
	SubjectToken *SubjectToken `json:"subjectToken,omitempty"`
	// How answers are kept.
	Cache *TokenCache `json:"cache,omitempty"`
}

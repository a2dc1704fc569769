package agentgateway

// BackendAuth says which credential a request to a destination carries: at most
// one primary way, and more credentials beside it.
//
// +kubebuilder:validation:XValidation:rule="has(self.credentials) || has(self.key) || has(self.secretRef) || has(self.passthrough) || has(self.aws) || has(self.azure) || has(self.gcp) || has(self.oauthTokenExchange) || has(self.crossAppAccess) || has(self.jwtSign)",message="must specify credentials, or at most one of key/secretRef/passthrough/aws/azure/gcp/oauthTokenExchange/crossAppAccess/jwtSign (credentials may be combined with a primary auth kind)"
// +kubebuilder:validation:XValidation:rule="!has(self.location) || has(self.key) || has(self.secretRef) || has(self.passthrough)",message="location may only be set for key, secretRef, or passthrough auth"
// +kubebuilder:validation:AtMostOneOf=key;secretRef;passthrough;aws;azure;gcp;oauthTokenExchange;crossAppAccess;jwtSign
type BackendAuth struct {
	// The credential itself.
	// +kubebuilder:validation:MaxLength=2048
	Key string `json:"key,omitempty" nave:"secret"`
	// Where the credential is kept; entry Authorization unless named.
	SecretRef *CredentialRefWithKey `json:"secretRef,omitempty"`
	// Send on the client's token that another policy has validated.
	Passthrough *Passthrough `json:"passthrough,omitempty"`
	// AWS request signing.
	AWS *AWSAuth `json:"aws,omitempty"`
	// Azure tokens.
	Azure *AzureAuth `json:"azure,omitempty"`
	// Google tokens.
	GCP *GCPAuth `json:"gcp,omitempty"`
	// OAuth token exchange.
	OAuthTokenExchange *OAuthTokenExchange `json:"oauthTokenExchange,omitempty"`
	// Cross App Access (ID-JAG).
	CrossAppAccess *CrossAppAccess `json:"crossAppAccess,omitempty"`
	// A token signed for each request.
	JWTSign *JWTSign `json:"jwtSign,omitempty"`
	// Where the credential goes; header Authorization, prefix "Bearer ", if unset.
	Location *InsertLocation `json:"location,omitempty"`
	// Further credentials.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Credentials []ExtraCredential `json:"credentials,omitempty"`
}

// Passthrough sends on the client's validated token; it has no settings.
type Passthrough struct{}

// ExtraCredential is one more credential and its place.
type ExtraCredential struct {
	// Where it goes.
	Location InsertLocation `json:"location"`
	// Where it is kept.
	SecretRef CredentialRefWithKey `json:"secretRef"`
}

// AWSAuth signs requests by SigV4. Unset throughout means the ambient credentials.
//
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || !has(self.assumeRole)",message="secretRef and assumeRole are mutually exclusive"
type AWSAuth struct {
	// Signing name of the service, such as bedrock.
	ServiceName ShortString `json:"serviceName,omitempty"`
	// Signing region.
	Region ShortString `json:"region,omitempty"`
	// Entries accessKey, secretKey and, if there is one, sessionToken.
	SecretRef *CredentialRef `json:"secretRef,omitempty"`
	// Role to assume first.
	AssumeRole *AssumeRole `json:"assumeRole,omitempty"`
}

// AssumeRole holds what is asked of STS.
//
// +kubebuilder:validation:AtMostOneOf=sessionName;sessionNameExpression
type AssumeRole struct {
	// ARN of the role.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$`
	RoleARN string `json:"roleArn"`
	// Session name.
	// +kubebuilder:validation:Pattern=`^[\w+=,.@-]{2,64}$`
	SessionName string `json:"sessionName,omitempty"`
	// Session name as CEL over the request.
	SessionNameExpression CELExpression `json:"sessionNameExpression,omitempty"`
	// Session tags.
	// +kubebuilder:validation:MaxItems=50
	// +listType=map
	// +listMapKey=key
	Tags []SessionTag `json:"tags,omitempty"`
}

// SessionTag is a tag on an assumed session.
//
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.expression)",message="exactly one of value or expression must be set"
type SessionTag struct {
	// Tag key.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Key string `json:"key"`
	// Fixed value.
	// +kubebuilder:validation:MaxLength=256
	Value *string `json:"value,omitempty"`
	// Value as CEL over the request.
	Expression CELExpression `json:"expression,omitempty"`
}

// AzureAuth gets tokens from Entra ID; unset throughout means the ambient chain.
//
// +kubebuilder:validation:AtMostOneOf=secretRef;managedIdentity;workloadIdentity
type AzureAuth struct {
	// Entries clientID, tenantID and clientSecret.
	SecretRef *CredentialRef `json:"secretRef,omitempty"`
	// A managed identity, asked of the instance's metadata service.
	ManagedIdentity *ManagedIdentity `json:"managedIdentity,omitempty"`
	// The pod's federated token.
	WorkloadIdentity *WorkloadIdentity `json:"workloadIdentity,omitempty"`
}

// ManagedIdentity picks a user-assigned identity; {} is the system-assigned one.
//
// +kubebuilder:validation:AtMostOneOf=clientId;objectId;resourceId
type ManagedIdentity struct {
	// By client id.
	ClientID string `json:"clientId,omitempty"`
	// By object id.
	ObjectID string `json:"objectId,omitempty"`
	// By resource id.
	ResourceID string `json:"resourceId,omitempty"`
}

// WorkloadIdentity uses the projected service-account token; it has no settings.
type WorkloadIdentity struct{}

// GCPAuth gets Google tokens; unset throughout means the ambient credentials.
//
// +kubebuilder:validation:XValidation:rule="!has(self.audience) || (has(self.type) && self.type == 'IdToken')",message="audience is only valid with IdToken"
type GCPAuth struct {
	// Kind of token; AccessToken if unset.
	// +kubebuilder:validation:Enum=AccessToken;IdToken
	Type string `json:"type,omitempty"`
	// Audience of an id token; the host's if unset.
	Audience ShortString `json:"audience,omitempty"`
	// Entry credentials.json unless named.
	SecretRef *CredentialRefWithKey `json:"secretRef,omitempty"`
}

// JWTSign signs a short-lived token for each request.
type JWTSign struct {
	// Private key in PEM, entry signingKey.
	SigningKeyRef CredentialRef `json:"signingKeyRef"`
	// Algorithm; RS256 if unset.
	Alg SigningAlgorithm `json:"alg,omitempty"`
	// Key id in the header.
	KID string `json:"kid,omitempty"`
	// Claims added to every token.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Claims map[string]JSON `json:"claims,omitempty"`
	// Life of a token; 300s if unset.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="ttl must be at least 1 second"
	TTL Duration `json:"ttl,omitempty"`
	// Where the token goes; header Authorization, prefix "Bearer ", if unset.
	Location *InsertLocation `json:"location,omitempty"`
}

// SigningAlgorithm is a JWS algorithm.
//
// +kubebuilder:validation:Enum=ES256;ES384;PS256;RS256;RS384;RS512
type SigningAlgorithm string

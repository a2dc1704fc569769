package agentgateway

// PromptGuard guards prompts and answers.
//
// +kubebuilder:validation:AtLeastOneOf=request;response
type PromptGuard struct {
	// Over what the client sends, in order.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Request []RequestGuard `json:"request,omitempty"`
	// Over what the provider answers, in order.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Response []ResponseGuard `json:"response,omitempty"`
	// Whether streamed answers and realtime messages are guarded too.
	// +kubebuilder:validation:Enum=Enabled
	Streaming string `json:"streaming,omitempty"`
}

// RequestGuard is one guard over prompts.
//
// +kubebuilder:validation:XValidation:rule="!has(self.scope) || has(self.regex) || has(self.bedrockGuardrails) || (size(self.scope) == 2 && 'SystemPrompt' in self.scope && 'Messages' in self.scope)",message="scope: only regex and bedrockGuardrails guards support a non-default scope; other guard kinds always inspect the default (SystemPrompt + Messages)"
// +kubebuilder:validation:ExactlyOneOf=regex;webhook;openAIModeration;bedrockGuardrails;googleModelArmor
type RequestGuard struct {
	// By patterns.
	Regex *RegexGuard `json:"regex,omitempty"`
	// By a webhook.
	Webhook *WebhookGuard `json:"webhook,omitempty"`
	// By OpenAI's moderation endpoint.
	OpenAIModeration *OpenAIModeration `json:"openAIModeration,omitempty"`
	// By Bedrock Guardrails.
	BedrockGuardrails *BedrockGuardrails `json:"bedrockGuardrails,omitempty"`
	// By Model Armor.
	GoogleModelArmor *ModelArmor `json:"googleModelArmor,omitempty"`
	// Answer to a refused prompt.
	Response *Refusal `json:"response,omitempty"`
	// Parts that are looked at; SystemPrompt and Messages if unset.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Scope []GuardScope `json:"scope,omitempty"`
}

// ResponseGuard is one guard over answers.
//
// +kubebuilder:validation:ExactlyOneOf=regex;webhook;bedrockGuardrails;googleModelArmor
type ResponseGuard struct {
	// By patterns.
	Regex *RegexGuard `json:"regex,omitempty"`
	// By a webhook.
	Webhook *WebhookGuard `json:"webhook,omitempty"`
	// By Bedrock Guardrails.
	BedrockGuardrails *BedrockGuardrails `json:"bedrockGuardrails,omitempty"`
	// By Model Armor.
	GoogleModelArmor *ModelArmor `json:"googleModelArmor,omitempty"`
	// What is said in place of a refused answer.
	Response *Refusal `json:"response,omitempty"`
}

// GuardScope is a part of a request.
//
// +kubebuilder:validation:Enum=Messages;SystemPrompt;ToolInput;ToolOutput
type GuardScope string

// Refusal is what is answered in place of what a guard refused.
//
// +kubebuilder:validation:AtLeastOneOf=message;statusCode
type Refusal struct {
	// Text.
	// +kubebuilder:default="The request was rejected due to inappropriate content"
	Message string `json:"message,omitempty"`
	// Status code.
	// +kubebuilder:default=403
	// +kubebuilder:validation:Minimum=200
	// +kubebuilder:validation:Maximum=599
	StatusCode int32 `json:"statusCode,omitempty"`
}

// RegexGuard masks or refuses what patterns find.
type RegexGuard struct {
	// What happens on a match.
	// +kubebuilder:default=Mask
	// +kubebuilder:validation:Enum=Mask;Reject
	Action string `json:"action,omitempty"`
	// Patterns of one's own.
	Matches []RegexPattern `json:"matches,omitempty"`
	// Patterns that come with the gateway.
	Builtins []RegexBuiltin `json:"builtins,omitempty"`
}

// RegexPattern is a regular expression.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
type RegexPattern string

// RegexBuiltin names a pattern that comes with the gateway.
//
// +kubebuilder:validation:Enum=CaSin;CreditCard;Email;PhoneNumber;Ssn
type RegexBuiltin string

// WebhookGuard asks a server.
type WebhookGuard struct {
	// The server.
	BackendRef PolicyBackendRef `json:"backendRef"`
	// Headers added to what is asked, as CEL.
	// +kubebuilder:validation:MaxProperties=64
	Headers map[string]CELExpression `json:"headers,omitempty"`
	// Headers of the client's request that are sent on.
	ForwardHeaderMatches []HeaderMatch `json:"forwardHeaderMatches,omitempty"`
	// What happens without an answer.
	FailureMode FailureMode `json:"failureMode,omitempty"`
}

// HeaderMatch picks headers by name and value.
type HeaderMatch struct {
	// How the value is compared.
	// +kubebuilder:default=Exact
	// +kubebuilder:validation:Enum=Exact;RegularExpression
	Type string `json:"type,omitempty"`
	// Name of the header.
	Name HeaderName `json:"name"`
	// Value to compare with.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value"`
}

// OpenAIModeration asks OpenAI's moderation endpoint.
type OpenAIModeration struct {
	// Moderation model.
	Model string `json:"model,omitempty"`
	// How the endpoint is reached.
	Policies *ModerationPolicies `json:"policies,omitempty"`
}

// ModerationPolicies says how the moderation endpoint is reached.
//
// +kubebuilder:validation:AtLeastOneOf=auth;http;tcp;tls;tunnel
type ModerationPolicies struct {
	Connection `json:",inline"`
	// Credential.
	Auth *ModerationAuth `json:"auth,omitempty"`
}

// ModerationAuth is the credential for the moderation endpoint.
//
// +kubebuilder:validation:ExactlyOneOf=key;secretRef
type ModerationAuth struct {
	// The key itself.
	// +kubebuilder:validation:MaxLength=2048
	Key string `json:"key,omitempty" nave:"secret"`
	// Where the key is kept.
	SecretRef *CredentialRefWithKey `json:"secretRef,omitempty"`
	// Where the key goes.
	Location *InsertLocation `json:"location,omitempty"`
}

// BedrockGuardrails asks AWS Bedrock Guardrails.
type BedrockGuardrails struct {
	// Guardrail.
	Identifier ShortString `json:"identifier"`
	// Its version.
	Version ShortString `json:"version"`
	// Its region.
	Region ShortString `json:"region"`
	// How it is reached.
	Policies *BedrockGuardPolicies `json:"policies,omitempty"`
}

// BedrockGuardPolicies says how Bedrock Guardrails is reached.
//
// +kubebuilder:validation:AtLeastOneOf=auth;http;tcp;tls;tunnel
type BedrockGuardPolicies struct {
	Connection `json:",inline"`
	// Credential.
	Auth *BedrockGuardAuth `json:"auth,omitempty"`
}

// BedrockGuardAuth is the credential for Bedrock Guardrails.
//
// +kubebuilder:validation:XValidation:rule="!has(self.location) || has(self.key) || has(self.secretRef)",message="location may only be set for key or secretRef auth"
// +kubebuilder:validation:ExactlyOneOf=key;secretRef;aws
type BedrockGuardAuth struct {
	// The key itself.
	// +kubebuilder:validation:MaxLength=2048
	Key string `json:"key,omitempty" nave:"secret"`
	// Where the key is kept.
	SecretRef *CredentialRefWithKey `json:"secretRef,omitempty"`
	// AWS request signing.
	AWS *AWSAuth `json:"aws,omitempty"`
	// Where the key goes.
	Location *InsertLocation `json:"location,omitempty"`
}

// ModelArmor asks Google Model Armor.
type ModelArmor struct {
	// Template.
	TemplateID ShortString `json:"templateId"`
	// Project.
	ProjectID ShortString `json:"projectId"`
	// Location.
	// +kubebuilder:default="us-central1"
	Location ShortString `json:"location,omitempty"`
	// How it is reached.
	Policies *ModelArmorPolicies `json:"policies,omitempty"`
}

// ModelArmorPolicies says how Model Armor is reached.
//
// +kubebuilder:validation:AtLeastOneOf=auth;http;tcp;tls;tunnel
type ModelArmorPolicies struct {
	Connection `json:",inline"`
	// Credential.
	Auth *ModelArmorAuth `json:"auth,omitempty"`
}

// ModelArmorAuth is the credential for Model Armor.
//
// +kubebuilder:validation:ExactlyOneOf=gcp
type ModelArmorAuth struct {
	// Google tokens.
	GCP *GCPAuth `json:"gcp,omitempty"`
}

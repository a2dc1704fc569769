package agentgateway

// LLMProvider is one model provider and how it is reached.
//
// +kubebuilder:validation:XValidation:rule="has(self.host) == has(self.port)",message="both host and port must be set together"
// +kubebuilder:validation:XValidation:rule="!has(self.custom) || has(self.custom.backendRef) != has(self.host)",message="custom providers must specify exactly one of backendRef or host and port"
// +kubebuilder:validation:XValidation:rule="!has(self.path) || !has(self.pathPrefix)",message="path and pathPrefix are mutually exclusive"
// +kubebuilder:validation:XValidation:rule="!has(self.custom) || !self.custom.formats.exists(f, has(f.path)) || (!has(self.path) && !has(self.pathPrefix))",message="path, pathPrefix, and custom format paths are mutually exclusive"
// +kubebuilder:validation:XValidation:rule="!has(self.pathPrefix) || has(self.host)",message="pathPrefix requires host to be set"
// +kubebuilder:validation:XValidation:rule="[has(self.auth), has(self.openai) && has(self.openai.auth), has(self.azureopenai) && has(self.azureopenai.auth), has(self.azure) && has(self.azure.auth), has(self.anthropic) && has(self.anthropic.auth), has(self.gemini) && has(self.gemini.auth), has(self.vertexai) && has(self.vertexai.auth), has(self.bedrock) && has(self.bedrock.auth), has(self.custom) && has(self.custom.auth)].filter(x, x).size() <= 1",message="a provider's auth may be written in one place only"
// +kubebuilder:validation:ExactlyOneOf=openai;azureopenai;azure;anthropic;gemini;vertexai;bedrock;custom
type LLMProvider struct {
	// OpenAI, or any server that speaks its API.
	OpenAI *OpenAIProvider `json:"openai,omitempty"`
	// Azure OpenAI or Foundry by endpoint.
	AzureOpenAI *AzureOpenAIProvider `json:"azureopenai,omitempty"`
	// Azure OpenAI or Foundry by resource.
	Azure *AzureProvider `json:"azure,omitempty"`
	// Anthropic.
	Anthropic *AnthropicProvider `json:"anthropic,omitempty"`
	// Gemini.
	Gemini *GeminiProvider `json:"gemini,omitempty"`
	// Vertex AI.
	VertexAI *VertexAIProvider `json:"vertexai,omitempty"`
	// Bedrock.
	Bedrock *BedrockProvider `json:"bedrock,omitempty"`
	// Any other server, by the APIs it speaks.
	Custom *CustomProvider `json:"custom,omitempty"`
	// Host in place of the provider's own.
	Host ShortString `json:"host,omitempty"`
	// Port at that host.
	Port Port `json:"port,omitempty"`
	// Whole path in place of the provider's own.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`
	// Beginning of the path in place of the provider's own, such as /v1.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	PathPrefix string `json:"pathPrefix,omitempty"`
	// Credential, written here instead of under policies.
	Auth *ProviderAuth `json:"auth,omitempty"`
}

// ProviderAuth is the short way of naming a provider's credential.
//
// +kubebuilder:validation:ExactlyOneOf=apiKey;secretRef
type ProviderAuth struct {
	// An API key.
	APIKey *APIKeyAuth `json:"apiKey,omitempty"`
	// Where the key is kept.
	SecretRef *CredentialRefWithKey `json:"secretRef,omitempty"`
}

// APIKeyAuth is an API key kept in a Secret.
type APIKeyAuth struct {
	// Where the key is kept.
	SecretRef CredentialRefWithKey `json:"secretRef"`
}

// ModelName is the name of a model; unset, the request's own is used.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
type ModelName string

// OpenAIProvider is OpenAI.
type OpenAIProvider struct {
	// Model in place of the request's.
	Model ModelName `json:"model,omitempty"`
	// Moderation that OpenAI does within the call.
	Moderation *InlineModeration `json:"moderation,omitempty"`
	// Credential, written here instead of under policies.
	Auth *ProviderAuth `json:"auth,omitempty"`
}

// InlineModeration is moderation within a call to OpenAI.
type InlineModeration struct {
	// Moderation model.
	// +kubebuilder:default=omni-moderation-latest
	Model ShortString `json:"model,omitempty"`
	// What is moderated.
	Policy *ModerationPolicy `json:"policy,omitempty"`
}

// ModerationPolicy says what is moderated and how.
type ModerationPolicy struct {
	// The prompt.
	Input *ModerationMode `json:"input,omitempty"`
	// The answer.
	Output *ModerationMode `json:"output,omitempty"`
}

// ModerationMode says what a flag leads to.
type ModerationMode struct {
	// Scores only, or refusal.
	// +kubebuilder:validation:Enum=Block;Score
	Mode string `json:"mode"`
}

// AzureOpenAIProvider is Azure OpenAI or Foundry by its endpoint's host name.
//
// +kubebuilder:validation:XValidation:rule="!has(self.apiVersion) || self.apiVersion == 'v1' || has(self.deploymentName)",message="deploymentName is required for this apiVersion"
type AzureOpenAIProvider struct {
	// Host name of the endpoint.
	Endpoint ShortString `json:"endpoint"`
	// Deployment; with apiVersion, the deployments path is used.
	DeploymentName ShortString `json:"deploymentName,omitempty"`
	// API version; v1 if unset.
	APIVersion TinyString `json:"apiVersion,omitempty"`
	// Credential, written here instead of under policies.
	Auth *ProviderAuth `json:"auth,omitempty"`
}

// AzureProvider is Azure OpenAI or Foundry by its resource.
//
// +kubebuilder:validation:XValidation:rule="self.resourceType != 'Foundry' || has(self.projectName)",message="projectName is required when resourceType is Foundry"
type AzureProvider struct {
	// Resource, the first label of the host name.
	ResourceName ShortString `json:"resourceName"`
	// Kind of endpoint.
	// +kubebuilder:validation:Enum=Foundry;OpenAI
	ResourceType string `json:"resourceType"`
	// Foundry project.
	ProjectName ShortString `json:"projectName,omitempty"`
	// API version; v1 if unset.
	APIVersion TinyString `json:"apiVersion,omitempty"`
	// Model in place of the request's.
	Model ModelName `json:"model,omitempty"`
	// Credential, written here instead of under policies.
	Auth *ProviderAuth `json:"auth,omitempty"`
}

// AnthropicProvider is Anthropic.
type AnthropicProvider struct {
	// Model in place of the request's.
	Model ModelName `json:"model,omitempty"`
	// Credential, written here instead of under policies.
	Auth *ProviderAuth `json:"auth,omitempty"`
}

// GeminiProvider is Google Gemini.
type GeminiProvider struct {
	// Model in place of the request's.
	Model ModelName `json:"model,omitempty"`
	// Credential, written here instead of under policies.
	Auth *ProviderAuth `json:"auth,omitempty"`
}

// VertexAIProvider is Google Vertex AI.
type VertexAIProvider struct {
	// Project.
	ProjectID TinyString `json:"projectId"`
	// Region.
	// +kubebuilder:default=global
	Region TinyString `json:"region,omitempty"`
	// Model in place of the request's.
	Model ModelName `json:"model,omitempty"`
	// Credential, written here instead of under policies.
	Auth *ProviderAuth `json:"auth,omitempty"`
}

// BedrockProvider is AWS Bedrock.
type BedrockProvider struct {
	// Region.
	// +kubebuilder:default="us-east-1"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9-]+$`
	Region string `json:"region,omitempty"`
	// Model in place of the request's.
	Model ModelName `json:"model,omitempty"`
	// Guardrail applied by Bedrock within the call.
	Guardrail *BedrockGuardrail `json:"guardrail,omitempty"`
	// Credential, written here instead of under policies.
	Auth *ProviderAuth `json:"auth,omitempty"`
}

// BedrockGuardrail names a guardrail.
type BedrockGuardrail struct {
	// Guardrail.
	Identifier ShortString `json:"identifier"`
	// Its version.
	Version ShortString `json:"version"`
}

// CustomProvider is a server known by the APIs it speaks.
//
// +kubebuilder:validation:XValidation:rule="!has(self.backendRef) || (size(self.backendRef.group) == 0 && self.backendRef.kind == 'Service') || (self.backendRef.group == 'inference.networking.k8s.io' && self.backendRef.kind == 'InferencePool')",message="custom provider backendRef may target only Service or InferencePool"
type CustomProvider struct {
	// Model in place of the request's.
	Model ModelName `json:"model,omitempty"`
	// APIs it speaks.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	// +listType=map
	// +listMapKey=type
	Formats []ProviderFormat `json:"formats"`
	// The server as a Service or InferencePool of the same namespace.
	BackendRef *LocalBackendRef `json:"backendRef,omitempty"`
	// Credential, written here instead of under policies.
	Auth *ProviderAuth `json:"auth,omitempty"`
}

// ProviderFormat is an API that a custom provider speaks.
//
// +kubebuilder:validation:XValidation:rule="!has(self.path) || self.path.startsWith('/')",message="path must start with /"
type ProviderFormat struct {
	// The API.
	Type ProviderAPI `json:"type"`
	// Path in place of the API's own.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`
}

// ProviderAPI is an API that a custom provider may speak: those kinds of calls
// that are a provider's own, under the same names as RouteType's.
//
// +kubebuilder:validation:Enum=AnthropicTokenCount;Completions;Embeddings;Messages;Realtime;Rerank;Responses
type ProviderAPI string

// LocalBackendRef points at a server in the same namespace.
//
// +kubebuilder:validation:XValidation:rule="(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true",message="Must have port for Service reference"
type LocalBackendRef struct {
	// API group; empty is the core group.
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Group string `json:"group,omitempty"`
	// Kind; Service unless said otherwise.
	// +kubebuilder:default=Service
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`
	Kind string `json:"kind,omitempty"`
	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Port; a Service needs one.
	Port Port `json:"port,omitempty"`
}

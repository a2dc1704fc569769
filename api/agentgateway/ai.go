package agentgateway

// BackendAI holds what a backend does to model traffic.
//
// +kubebuilder:validation:AtLeastOneOf=defaults;finalTransformations;modelAliases;overrides;prompt;promptCaching;promptGuard;routes;transformations
type BackendAI struct {
	// Messages put around the client's.
	Prompt *PromptEnrichment `json:"prompt,omitempty"`
	// Guards over prompts and answers.
	PromptGuard *PromptGuard `json:"promptGuard,omitempty"`
	// Body fields set where the client left them out.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Defaults []FieldValue `json:"defaults,omitempty"`
	// Body fields set whatever the client wrote.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Overrides []FieldValue `json:"overrides,omitempty"`
	// Body fields computed from the client's request.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Transformations []FieldTransform `json:"transformations,omitempty"`
	// Body fields computed after the request is in the provider's dialect.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	FinalTransformations []FieldTransform `json:"finalTransformations,omitempty"`
	// Model names clients may use, and the provider's; * stands for any text.
	// +kubebuilder:validation:MaxProperties=64
	ModelAliases map[string]string `json:"modelAliases,omitempty"`
	// Cache points set for the provider.
	PromptCaching *PromptCaching `json:"promptCaching,omitempty"`
	// Path suffix to kind of call, longest first and * last; Completions if unset.
	Routes map[string]RouteType `json:"routes,omitempty"`
}

// RouteType is a kind of call to a model provider.
//
// +kubebuilder:validation:Enum=AnthropicTokenCount;Completions;Detect;Embeddings;GeminiCountTokens;GenerateContent;Messages;Models;Passthrough;Realtime;Rerank;Responses
type RouteType string

// The kinds of calls.
const (
	RouteCompletions         RouteType = "Completions"
	RouteMessages            RouteType = "Messages"
	RouteModels              RouteType = "Models"
	RoutePassthrough         RouteType = "Passthrough"
	RouteDetect              RouteType = "Detect"
	RouteResponses           RouteType = "Responses"
	RouteEmbeddings          RouteType = "Embeddings"
	RouteRealtime            RouteType = "Realtime"
	RouteAnthropicTokenCount RouteType = "AnthropicTokenCount"
	RouteRerank              RouteType = "Rerank"
	RouteGenerateContent     RouteType = "GenerateContent"
	RouteGeminiCountTokens   RouteType = "GeminiCountTokens"
)

// FieldValue gives a body field a fixed value.
type FieldValue struct {
	// Name of the field.
	Field ShortString `json:"field"`
	// Its value.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Value JSON `json:"value"`
}

// FieldTransform gives a body field a computed value.
type FieldTransform struct {
	// Name of the field.
	Field ShortString `json:"field"`
	// Its value, as CEL.
	Expression CELExpression `json:"expression"`
}

// PromptEnrichment puts messages around the client's.
type PromptEnrichment struct {
	// Before them.
	Prepend []Message `json:"prepend,omitempty"`
	// After them.
	Append []Message `json:"append,omitempty"`
}

// Message is one message of a prompt.
type Message struct {
	// Role, as the provider names it.
	Role string `json:"role"`
	// Text.
	Content string `json:"content"`
}

// PromptCaching sets cache points, for providers that want them set (Bedrock).
type PromptCaching struct {
	// After the system prompt.
	// +kubebuilder:default=true
	CacheSystem *bool `json:"cacheSystem,omitempty"`
	// In the conversation.
	// +kubebuilder:default=true
	CacheMessages *bool `json:"cacheMessages,omitempty"`
	// After the tools.
	// +kubebuilder:default=false
	CacheTools *bool `json:"cacheTools,omitempty"`
	// Tokens, as estimated, from which caching is worth it.
	// +kubebuilder:default=1024
	// +kubebuilder:validation:Minimum=0
	MinTokens *int `json:"minTokens,omitempty"`
	// Messages by which the point in the conversation is moved back.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	CacheMessageOffset *int `json:"cacheMessageOffset,omitempty"`
}

package agentgateway

// ExtProcServer sends requests and answers through a processing server.
type ExtProcServer struct {
	// The server as a backend.
	BackendRef *PolicyBackendRef `json:"backendRef,omitempty"`
	// The server as a URL.
	URL URL `json:"url,omitempty"`
	// What happens without an answer.
	FailureMode FailureMode `json:"failureMode,omitempty"`
	// Filter metadata sent along, as CEL.
	// +kubebuilder:validation:MaxProperties=64
	MetadataContext map[string]map[string]CELExpression `json:"metadataContext,omitempty"`
	// Attributes of the request sent along, as CEL.
	// +kubebuilder:validation:MaxProperties=64
	RequestAttributes map[string]CELExpression `json:"requestAttributes,omitempty"`
	// Attributes of the answer sent along, as CEL.
	// +kubebuilder:validation:MaxProperties=64
	ResponseAttributes map[string]CELExpression `json:"responseAttributes,omitempty"`
	// Which parts are sent.
	ProcessingOptions *ProcessingOptions `json:"processingOptions,omitempty"`
}

// ExtProc is external processing, as it stands or by conditions.
//
// +kubebuilder:validation:XValidation:rule="has(self.conditional) || has(self.backendRef) != has(self.url)",message="exactly one of backendRef or url must be set unless conditional is set"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || self.url.matches('^https?://[^/]+/?$')",message="url must not include a path"
// +kubebuilder:validation:XValidation:rule="!has(self.conditional) || !(has(self.backendRef) || has(self.url) || has(self.failureMode) || has(self.metadataContext) || has(self.requestAttributes) || has(self.responseAttributes) || has(self.processingOptions))",message="conditional cannot be set with any other field"
type ExtProc struct {
	ExtProcServer `json:",inline"`
	// Servers by condition, the first that holds.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.filter(e, !has(e.condition)).size() <= 1 && (self.all(e, has(e.condition)) || !has(self[size(self) - 1].condition))",message="conditional entries without condition must be last"
	Conditional []ExtProcCase `json:"conditional,omitempty"`
}

// ConditionalExtProc is external processing under a condition.
//
// +kubebuilder:validation:XValidation:rule="has(self.backendRef) != has(self.url)",message="exactly one of backendRef or url is required"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || self.url.matches('^https?://[^/]+/?$')",message="url must not include a path"
type ConditionalExtProc struct {
	ExtProcServer `json:",inline"`
}

// ExtProcCase is a policy and its condition.
type ExtProcCase struct {
	// CEL over the request; always, and last, if unset.
	Condition CELExpression `json:"condition,omitempty"`
	// What holds then.
	Policy ConditionalExtProc `json:"policy"`
}

// ProcessingOptions says which parts of an exchange the server sees.
type ProcessingOptions struct {
	// Request headers.
	// +kubebuilder:default=Send
	RequestHeaderMode SendMode `json:"requestHeaderMode,omitempty"`
	// Headers of the answer.
	// +kubebuilder:default=Send
	ResponseHeaderMode SendMode `json:"responseHeaderMode,omitempty"`
	// Request trailers.
	// +kubebuilder:default=Send
	RequestTrailerMode SendMode `json:"requestTrailerMode,omitempty"`
	// Trailers of the answer.
	// +kubebuilder:default=Send
	ResponseTrailerMode SendMode `json:"responseTrailerMode,omitempty"`
	// Request body.
	// +kubebuilder:default=FullDuplexStreamed
	RequestBodyMode BodyMode `json:"requestBodyMode,omitempty"`
	// Body of the answer.
	// +kubebuilder:default=FullDuplexStreamed
	ResponseBodyMode BodyMode `json:"responseBodyMode,omitempty"`
	// Whether the server may change these for the rest of an exchange.
	// +kubebuilder:default=false
	AllowModeOverride bool `json:"allowModeOverride,omitempty"`
}

// SendMode says whether a part is sent.
//
// +kubebuilder:validation:Enum=Send;Skip
type SendMode string

// BodyMode says how a body is sent.
//
// +kubebuilder:validation:Enum=Buffered;BufferedPartial;FullDuplexStreamed;None
type BodyMode string

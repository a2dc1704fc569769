package agentgateway

import "k8s.io/apimachinery/pkg/api/resource"

// ExtAuthServer asks a server whether a request may pass.
type ExtAuthServer struct {
	// The server as a backend.
	BackendRef *PolicyBackendRef `json:"backendRef,omitempty"`
	// The server as a URL.
	URL URL `json:"url,omitempty"`
	// Asked by Envoy's gRPC protocol.
	GRPC *ExtAuthGRPC `json:"grpc,omitempty"`
	// Asked by HTTP.
	HTTP *ExtAuthHTTP `json:"http,omitempty"`
	// Whether the body is sent too.
	ForwardBody *ForwardBody `json:"forwardBody,omitempty"`
	// What happens without an answer.
	FailureMode FailureMode `json:"failureMode,omitempty"`
	// How answers are kept.
	Cache *ExtAuthCache `json:"cache,omitempty"`
}

// BackendExtAuth is external authorization of what a backend is sent.
//
// +kubebuilder:validation:XValidation:rule="has(self.backendRef) != has(self.url)",message="exactly one of backendRef or url must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.forwardBody) || !has(self.http) || !has(self.http.body)",message="forwardBody cannot be used with http.body"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || has(self.http) || self.url.matches('^https?://[^/]+/?$')",message="url path is only valid with http"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || !has(self.http) || !has(self.http.path) || self.url.matches('^https?://[^/]+/?$')",message="http.path may not be set when url includes a path"
type BackendExtAuth struct {
	ExtAuthServer `json:",inline"`
}

// ConditionalExtAuth is external authorization under a condition.
//
// +kubebuilder:validation:XValidation:rule="has(self.backendRef) != has(self.url)",message="exactly one of backendRef or url is required"
// +kubebuilder:validation:ExactlyOneOf=grpc;http
// +kubebuilder:validation:XValidation:rule="!has(self.forwardBody) || !has(self.http) || !has(self.http.body)",message="forwardBody cannot be used with http.body"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || has(self.http) || self.url.matches('^https?://[^/]+/?$')",message="url path is only valid with http"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || !has(self.http) || !has(self.http.path) || self.url.matches('^https?://[^/]+/?$')",message="http.path may not be set when url includes a path"
type ConditionalExtAuth struct {
	ExtAuthServer `json:",inline"`
}

// ExtAuth is external authorization of traffic, as it stands or by conditions.
//
// +kubebuilder:validation:XValidation:rule="has(self.conditional) || has(self.backendRef) != has(self.url)",message="exactly one of backendRef or url must be set unless conditional is set"
// +kubebuilder:validation:XValidation:rule="has(self.conditional) || has(self.grpc) != has(self.http)",message="exactly one of the fields in [grpc http] must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.forwardBody) || !has(self.http) || !has(self.http.body)",message="forwardBody cannot be used with http.body"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || has(self.http) || self.url.matches('^https?://[^/]+/?$')",message="url path is only valid with http"
// +kubebuilder:validation:XValidation:rule="!has(self.url) || !has(self.http) || !has(self.http.path) || self.url.matches('^https?://[^/]+/?$')",message="http.path may not be set when url includes a path"
// +kubebuilder:validation:XValidation:rule="!has(self.conditional) || !(has(self.backendRef) || has(self.url) || has(self.grpc) || has(self.http) || has(self.forwardBody) || has(self.failureMode) || has(self.cache))",message="conditional cannot be set with any other field"
type ExtAuth struct {
	ExtAuthServer `json:",inline"`
	// Servers by condition, the first that holds.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.filter(e, !has(e.condition)).size() <= 1 && (self.all(e, has(e.condition)) || !has(self[size(self) - 1].condition))",message="conditional entries without condition must be last"
	Conditional []ExtAuthCase `json:"conditional,omitempty"`
}

// ExtAuthCase is external authorization and its condition.
type ExtAuthCase struct {
	// CEL over the request; always, and last, if unset.
	Condition CELExpression `json:"condition,omitempty"`
	// What holds then.
	Policy ConditionalExtAuth `json:"policy"`
}

// ExtAuthGRPC holds what Envoy's protocol carries besides the request.
type ExtAuthGRPC struct {
	// Fixed context.
	// +kubebuilder:validation:MaxProperties=64
	ContextExtensions map[string]string `json:"contextExtensions,omitempty"`
	// Metadata, as CEL.
	// +kubebuilder:validation:MaxProperties=64
	RequestMetadata map[string]CELExpression `json:"requestMetadata,omitempty"`
}

// ExtAuthHTTP holds what the server is asked over HTTP.
type ExtAuthHTTP struct {
	// Path, as CEL; the request's if unset.
	Path CELExpression `json:"path,omitempty"`
	// Where a refused client is redirected, as CEL.
	Redirect CELExpression `json:"redirect,omitempty"`
	// Body, as CEL.
	Body CELExpression `json:"body,omitempty"`
	// Client's headers that are sent on; Authorization if unset.
	// +kubebuilder:validation:MaxItems=64
	AllowedRequestHeaders []ShortString `json:"allowedRequestHeaders,omitempty"`
	// Headers added, as CEL.
	// +kubebuilder:validation:MaxProperties=64
	AddRequestHeaders map[string]CELExpression `json:"addRequestHeaders,omitempty"`
	// The server's headers that the backend gets.
	// +kubebuilder:validation:MaxItems=64
	AllowedResponseHeaders []ShortString `json:"allowedResponseHeaders,omitempty"`
	// Metadata made of the server's answer, as CEL.
	// +kubebuilder:validation:MaxProperties=64
	ResponseMetadata map[string]CELExpression `json:"responseMetadata,omitempty"`
}

// ForwardBody sends the body to the server.
type ForwardBody struct {
	// Largest body sent, in bytes.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? (self >= 1 && self <= 4294967295) : (isQuantity(self) && quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('4294967295')) <= 0)",message="value must be at least 1 byte and fit within uint32"
	MaxSize resource.Quantity `json:"maxSize"`
}

// ExtAuthCache keeps a server's answers.
type ExtAuthCache struct {
	// What tells requests apart, as CEL.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Key []CELExpression `json:"key"`
	// Time an answer is kept: a duration, or CEL that gives a duration or a time.
	TTL CELExpression `json:"ttl"`
	// Answers kept; 10000 if unset.
	// +kubebuilder:validation:Minimum=1
	MaxEntries int32 `json:"maxEntries,omitempty"`
}

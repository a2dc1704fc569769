package agentgateway

import (
	"k8s.io/apimachinery/pkg/api/resource"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Traffic holds what is done with requests.
//
// +kubebuilder:validation:XValidation:rule="!has(self.phase) || self.phase != 'PreRouting' || !(has(self.buffer) || has(self.csrf) || has(self.delay) || has(self.directResponse) || has(self.headerModifiers) || has(self.hostRewrite) || has(self.rateLimit) || has(self.retry) || has(self.timeouts))",message="phase PreRouting only supports extAuth, authorization, transformation, extProc, jwtAuthentication, basicAuthentication, apiKeyAuthentication and cors"
type Traffic struct {
	// Before or after a route is chosen; after if unset.
	// +kubebuilder:validation:Enum=PostRouting;PreRouting
	Phase string `json:"phase,omitempty"`
	// Rewriting of requests and answers.
	Transformation *TrafficTransformation `json:"transformation,omitempty"`
	// External processing.
	ExtProc *ExtProc `json:"extProc,omitempty"`
	// External authorization.
	ExtAuth *ExtAuth `json:"extAuth,omitempty"`
	// Rate limits.
	RateLimit *RateLimit `json:"rateLimit,omitempty"`
	// CORS.
	CORS *gwv1.HTTPCORSFilter `json:"cors,omitempty"`
	// Refusal of requests forged across sites.
	CSRF *CSRF `json:"csrf,omitempty"`
	// Headers set, added and taken away.
	HeaderModifiers *HeaderModifiers `json:"headerModifiers,omitempty"`
	// The Host header that backends see.
	HostRewrite *HostRewrite `json:"hostRewrite,omitempty"`
	// Timeouts.
	Timeouts *Timeouts `json:"timeouts,omitempty"`
	// Retries.
	Retry *Retry `json:"retry,omitempty"`
	// Who may do what, by CEL.
	Authorization *Authorization `json:"authorization,omitempty"`
	// Clients' tokens.
	JWTAuthentication *JWTAuthentication `json:"jwtAuthentication,omitempty"`
	// Clients' passwords.
	BasicAuthentication *BasicAuthentication `json:"basicAuthentication,omitempty"`
	// Clients' API keys.
	APIKeyAuthentication *APIKeyAuthentication `json:"apiKeyAuthentication,omitempty"`
	// An answer without a backend.
	DirectResponse *DirectResponse `json:"directResponse,omitempty"`
	// Bodies held until they are complete.
	Buffer *Buffer `json:"buffer,omitempty"`
	// Latency injected.
	Delay *Delay `json:"delay,omitempty"`
}

// The phases of Traffic.
const (
	PhasePreRouting  = "PreRouting"
	PhasePostRouting = "PostRouting"
)

// TrafficTransformation rewrites requests and answers, as it stands or by conditions.
//
// +kubebuilder:validation:AtLeastOneOf=conditional;request;response
// +kubebuilder:validation:XValidation:rule="!has(self.conditional) || !(has(self.request) || has(self.response))",message="conditional cannot be set with any other field"
type TrafficTransformation struct {
	// Of the request.
	Request *HeaderBodyTransform `json:"request,omitempty"`
	// Of the answer.
	Response *HeaderBodyTransform `json:"response,omitempty"`
	// Rewriting by condition, the first that holds.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.filter(e, !has(e.condition)).size() <= 1 && (self.all(e, has(e.condition)) || !has(self[size(self) - 1].condition))",message="conditional entries without condition must be last"
	Conditional []TransformationCase `json:"conditional,omitempty"`
}

// TransformationCase is a policy and its condition.
type TransformationCase struct {
	// CEL over the request; always, and last, if unset.
	Condition CELExpression `json:"condition,omitempty"`
	// What holds then.
	Policy Transformation `json:"policy"`
}

// CSRF refuses requests forged across sites.
type CSRF struct {
	// Origins allowed besides the destination's own.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	AdditionalOrigins []ShortString `json:"additionalOrigins,omitempty"`
}

// HeaderModifiers sets, adds and takes away headers.
//
// +kubebuilder:validation:AtLeastOneOf=request;response
type HeaderModifiers struct {
	// Of the request.
	Request *gwv1.HTTPHeaderFilter `json:"request,omitempty"`
	// Of the answer.
	Response *gwv1.HTTPHeaderFilter `json:"response,omitempty"`
}

// HostRewrite says which Host header backends see.
type HostRewrite struct {
	// Auto: the destination's. None: the client's.
	// +kubebuilder:validation:Enum=Auto;None
	Mode string `json:"mode"`
}

// Timeouts bounds a request.
//
// +kubebuilder:validation:AtLeastOneOf=request
type Timeouts struct {
	// Time for the whole request.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1ms')",message="request must be at least 1ms"
	Request Duration `json:"request,omitempty"`
}

// Retry says which requests are tried again.
type Retry struct {
	// Status codes.
	Codes []RetryCode `json:"codes,omitempty"`
	// Further attempts.
	// +kubebuilder:validation:Minimum=1
	Attempts *int `json:"attempts,omitempty"`
	// Least time between attempts.
	Backoff gwv1.Duration `json:"backoff,omitempty"`
	// CEL over the answer.
	Condition CELExpression `json:"condition,omitempty"`
	// CEL over the request, before the first attempt.
	Precondition CELExpression `json:"precondition,omitempty"`
}

// RetryCode is a status code that is tried again.
//
// +kubebuilder:validation:Minimum=400
// +kubebuilder:validation:Maximum=599
type RetryCode int

// DirectAnswer is an answer without a backend.
type DirectAnswer struct {
	// Status code.
	// +kubebuilder:validation:Minimum=200
	// +kubebuilder:validation:Maximum=599
	Status int32 `json:"status,omitempty"`
	// Body.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Body string `json:"body,omitempty"`
	// Body, as CEL.
	BodyExpression CELExpression `json:"bodyExpression,omitempty"`
	// Headers.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	Headers []ResponseHeader `json:"headers,omitempty"`
}

// ResponseHeader is a header of a direct answer.
type ResponseHeader struct {
	// Name.
	Name HeaderName `json:"name"`
	// Value, as CEL.
	Value CELExpression `json:"value"`
}

// DirectResponse answers without a backend, as it stands or by conditions.
//
// +kubebuilder:validation:XValidation:rule="!has(self.body) || !has(self.bodyExpression)",message="body and bodyExpression may not both be set"
// +kubebuilder:validation:XValidation:rule="has(self.conditional) || has(self.status)",message="status: Required value"
// +kubebuilder:validation:XValidation:rule="!has(self.conditional) || !(has(self.status) || has(self.body) || has(self.bodyExpression) || has(self.headers))",message="conditional cannot be set with any other field"
type DirectResponse struct {
	DirectAnswer `json:",inline"`
	// Answers by condition, the first that holds.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.filter(e, !has(e.condition)).size() <= 1 && (self.all(e, has(e.condition)) || !has(self[size(self) - 1].condition))",message="conditional entries without condition must be last"
	Conditional []DirectResponseCase `json:"conditional,omitempty"`
}

// ConditionalDirectResponse is an answer under a condition.
//
// +kubebuilder:validation:XValidation:rule="has(self.status)",message="status is required"
// +kubebuilder:validation:XValidation:rule="!has(self.body) || !has(self.bodyExpression)",message="body and bodyExpression may not both be set"
type ConditionalDirectResponse struct {
	DirectAnswer `json:",inline"`
}

// DirectResponseCase is a policy and its condition.
type DirectResponseCase struct {
	// CEL over the request; always, and last, if unset.
	Condition CELExpression `json:"condition,omitempty"`
	// What holds then.
	Policy ConditionalDirectResponse `json:"policy"`
}

// Buffer holds bodies until they are complete.
//
// +kubebuilder:validation:AtLeastOneOf=request;response
type Buffer struct {
	// Of the request.
	Request *BodyBuffer `json:"request,omitempty"`
	// Of the answer.
	Response *BodyBuffer `json:"response,omitempty"`
}

// BodyBuffer bounds the body that is held.
type BodyBuffer struct {
	// Largest body; the frontend's maxBufferSize if unset.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? (self >= 1 && self <= 4294967295) : (isQuantity(self) && quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('4294967295')) <= 0)",message="value must be at least 1 byte and fit within uint32"
	MaxBytes *resource.Quantity `json:"maxBytes,omitempty"`
	// What becomes of a larger one.
	FailureMode FailureMode `json:"failureMode,omitempty"`
}

// Delay injects latency.
type Delay struct {
	// A duration, or CEL that gives one.
	Duration CELExpression `json:"duration"`
}

package agentgateway

// RateLimits are limits of each proxy and of a limit service.
//
// +kubebuilder:validation:AtLeastOneOf=global;local
type RateLimits struct {
	// Limits that each proxy keeps by itself.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Local []LocalRateLimit `json:"local,omitempty"`
	// Limits kept by a service.
	Global *GlobalRateLimit `json:"global,omitempty"`
}

// RateLimit is limits, as they stand or by conditions.
//
// +kubebuilder:validation:AtLeastOneOf=conditional;global;local
// +kubebuilder:validation:XValidation:rule="!has(self.conditional) || !(has(self.global) || has(self.local))",message="conditional cannot be set with any other field"
type RateLimit struct {
	// Limits that each proxy keeps by itself.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Local []LocalRateLimit `json:"local,omitempty"`
	// Limits kept by a service.
	Global *GlobalRateLimit `json:"global,omitempty"`
	// Limits by condition, the first that holds.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.filter(e, !has(e.condition)).size() <= 1 && (self.all(e, has(e.condition)) || !has(self[size(self) - 1].condition))",message="conditional entries without condition must be last"
	Conditional []RateLimitCase `json:"conditional,omitempty"`
}

// RateLimitCase is a policy and its condition.
type RateLimitCase struct {
	// CEL over the request; always, and last, if unset.
	Condition CELExpression `json:"condition,omitempty"`
	// What holds then.
	Policy RateLimits `json:"policy"`
}

// LocalRateLimit is a token bucket in each proxy.
//
// +kubebuilder:validation:ExactlyOneOf=requests;tokens
type LocalRateLimit struct {
	// Requests in each unit of time.
	// +kubebuilder:validation:Minimum=1
	Requests *int32 `json:"requests,omitempty"`
	// Model tokens in each unit of time.
	// +kubebuilder:validation:Minimum=1
	Tokens *int32 `json:"tokens,omitempty"`
	// The unit of time.
	// +kubebuilder:validation:Enum=Hours;Minutes;Seconds
	Unit string `json:"unit"`
	// What may come at once beyond that.
	// +kubebuilder:validation:Minimum=0
	Burst *int32 `json:"burst,omitempty"`
}

// The units of LocalRateLimit.
const (
	UnitSeconds = "Seconds"
	UnitMinutes = "Minutes"
	UnitHours   = "Hours"
)

// GlobalRateLimit asks a limit service by Envoy's protocol.
//
// +kubebuilder:validation:XValidation:rule="!has(self.url) || self.url.matches('^https?://[^/]+/?$')",message="url must not include a path"
// +kubebuilder:validation:ExactlyOneOf=backendRef;url
type GlobalRateLimit struct {
	// The service as a backend.
	BackendRef *PolicyBackendRef `json:"backendRef,omitempty"`
	// The service as a URL.
	URL URL `json:"url,omitempty"`
	// Domain of the limits.
	Domain ShortString `json:"domain"`
	// What is counted.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Descriptors []RateLimitDescriptor `json:"descriptors"`
	// What happens without an answer.
	FailureMode FailureMode `json:"failureMode,omitempty"`
}

// RateLimitDescriptor is one thing that is counted.
type RateLimitDescriptor struct {
	// Its parts.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Entries []DescriptorEntry `json:"entries"`
	// Requests or model tokens; requests if unset.
	// +kubebuilder:validation:Enum=Requests;Tokens
	Unit string `json:"unit,omitempty"`
	// What a request counts for, as CEL; 1 or its tokens if unset.
	Cost CELExpression `json:"cost,omitempty"`
	// A limit in place of the service's, as CEL.
	LimitOverride CELExpression `json:"limitOverride,omitempty"`
}

// DescriptorEntry is one part of a descriptor.
type DescriptorEntry struct {
	// Name.
	Name TinyString `json:"name"`
	// Value, as CEL.
	Expression CELExpression `json:"expression"`
}

package agentgateway

// Health says when a destination counts as unhealthy and what follows.
type Health struct {
	// CEL over the answer; any 5xx, a gRPC error or a failed connection if unset.
	UnhealthyCondition CELExpression `json:"unhealthyCondition,omitempty"`
	// How an unhealthy destination is set aside.
	Eviction *Eviction `json:"eviction,omitempty"`
}

// Eviction says how an unhealthy destination is set aside.
type Eviction struct {
	// Time it is set aside, to begin with.
	// +kubebuilder:default="3s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="duration must be at least 1 second"
	Duration Duration `json:"duration,omitempty"`
	// Failures in a row that it takes.
	// +kubebuilder:validation:Minimum=0
	ConsecutiveFailures *int32 `json:"consecutiveFailures,omitempty"`
	// Moving average of health, 0 to 100, below which it happens.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	HealthThreshold *int32 `json:"healthThreshold,omitempty"`
	// Health given on return, 0 to 100; what it was if unset.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	RestoreHealth *int32 `json:"restoreHealth,omitempty"`
}

// Transformation rewrites requests and answers.
//
// +kubebuilder:validation:AtLeastOneOf=request;response
type Transformation struct {
	// Of the request.
	Request *HeaderBodyTransform `json:"request,omitempty"`
	// Of the answer.
	Response *HeaderBodyTransform `json:"response,omitempty"`
}

// HeaderBodyTransform rewrites one message.
//
// +kubebuilder:validation:AtLeastOneOf=add;body;metadata;remove;set
type HeaderBodyTransform struct {
	// Headers set, whatever they were.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	Set []HeaderTransform `json:"set,omitempty"`
	// Headers added.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	Add []HeaderTransform `json:"add,omitempty"`
	// Headers taken away.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Remove []AnyHeaderName `json:"remove,omitempty"`
	// The body, as CEL.
	Body CELExpression `json:"body,omitempty"`
	// Values that later expressions see as metadata.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	Metadata map[string]CELExpression `json:"metadata,omitempty"`
}

// HeaderTransform gives one header a computed value.
type HeaderTransform struct {
	// Name of the header.
	Name AnyHeaderName `json:"name"`
	// Its value, as CEL.
	Value CELExpression `json:"value"`
}

// Authorization allows or denies by CEL.
type Authorization struct {
	// What a match means.
	// +kubebuilder:default=Allow
	Action AuthorizationAction `json:"action,omitempty"`
	// The expressions.
	Policy AuthorizationRule `json:"policy"`
}

// AuthorizationAction is what a matching rule does. Allow: one matching Allow
// rule is needed where there is any. Deny: a match refuses. Require: each such
// rule must match.
//
// +kubebuilder:validation:Enum=Allow;Deny;Require
type AuthorizationAction string

// The actions.
const (
	ActionAllow   AuthorizationAction = "Allow"
	ActionDeny    AuthorizationAction = "Deny"
	ActionRequire AuthorizationAction = "Require"
)

// AuthorizationRule matches if all its expressions are true.
type AuthorizationRule struct {
	// CEL expressions, each a boolean.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	MatchExpressions []CELExpression `json:"matchExpressions"`
}

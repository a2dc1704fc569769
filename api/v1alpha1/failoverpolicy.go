package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// FailoverPolicy says where traffic goes when something fails, and when it comes
// back. In a spoke it holds for its targets; in the hub, in namespace
// tenant-<name> and without targets, it is that tenant's default.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=failoverpolicies,shortName=nfp,categories=nave
// +kubebuilder:metadata:labels={"gateway.networking.k8s.io/policy=Direct"}
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Order",type=string,JSONPath=`.spec.order.by`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type FailoverPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// Where traffic goes.
	Spec FailoverPolicySpec `json:"spec"`
	// What became of the policy, by ancestor.
	// +optional
	Status gwv1.PolicyStatus `json:"status,omitzero"`
}

// FailoverPolicyList is a list of policies.
//
// +kubebuilder:object:root=true
type FailoverPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// The policies.
	Items []FailoverPolicy `json:"items"`
}

// FailoverPolicySpec says where traffic goes, and for which targets.
type FailoverPolicySpec struct {
	// Backends, Services, routes or Gateways of the policy's namespace; none in the
	// hub. The more specific policy wins: backend, rule, route, listener, Gateway,
	// tenant, fleet. What it leaves unset the next decides.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(r, (r.group == 'agentgateway.dev' && r.kind == 'AgentgatewayBackend') || (size(r.group) == 0 && r.kind == 'Service') || (r.group == 'gateway.networking.k8s.io' && r.kind in ['HTTPRoute', 'Gateway']))",message="targetRefs may only reference AgentgatewayBackend, Service, HTTPRoute or Gateway"
	// +listType=atomic
	TargetRefs []FailoverTargetRef `json:"targetRefs,omitempty"`

	FailoverRules `json:",inline"`

	// Regions that candidates may be in; those the tenant allows if empty. Limits of
	// several policies all hold.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	AllowedRegions []Region `json:"allowedRegions,omitempty"`
	// What Nave cannot know of providers by itself.
	// +kubebuilder:validation:MaxItems=128
	// +listType=map
	// +listMapKey=name
	Providers []FailoverProvider `json:"providers,omitempty"`
	// Where provider keys are used: only where they are declared, or sealed to the
	// other permitted clusters.
	// +kubebuilder:default=Local
	// +kubebuilder:validation:Enum=Local;Sealed
	Credentials CredentialsMode `json:"credentials,omitempty"`
	// Whether instances whose restricting policies differ may stand in for each other.
	// +kubebuilder:default=Deny
	// +kubebuilder:validation:Enum=Deny;Allow
	PolicyDrift PolicyDrift `json:"policyDrift,omitempty"`
	// Whether the hub moves these targets by itself.
	// +kubebuilder:default=Enabled
	// +kubebuilder:validation:Enum=Enabled;Disabled
	Automation Automation `json:"automation,omitempty"`
}

// FailoverTargetRef is what a policy holds for.
type FailoverTargetRef struct {
	// API group; empty is the core group.
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group"`
	// Kind.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// Name.
	Name Name `json:"name"`
	// A Gateway's listener, or a route's rule.
	SectionName Name `json:"sectionName,omitempty"`
}

// FailoverRules are what a policy, a tenant's default and the fleet's defaults all
// may say; what one leaves unset the next decides.
type FailoverRules struct {
	// Which candidate comes first.
	Order *FailoverOrder `json:"order,omitempty"`
	// What makes a request go to the next candidate; all if empty.
	// +kubebuilder:validation:MaxItems=16
	// +listType=set
	Triggers []Trigger `json:"triggers,omitempty"`
	// How requests are tried again.
	Retry *FailoverRetry `json:"retry,omitempty"`
	// Whether a slow request is sent a second time.
	Hedging *Hedging `json:"hedging,omitempty"`
	// When traffic comes back.
	Failback *Failback `json:"failback,omitempty"`
}

// FailoverOrder says which candidate comes first, within the groups and weights
// that the backend declares.
//
// +kubebuilder:validation:XValidation:rule="self.by != 'Region' || has(self.regions)",message="order by Region needs regions"
// +kubebuilder:validation:XValidation:rule="self.by == 'Region' || !has(self.regions)",message="regions are for order by Region"
type FailoverOrder struct {
	// The key.
	By OrderBy `json:"by"`
	// Regions, the preferred first. Those left out come after, by latency.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	Regions []Region `json:"regions,omitempty"`
	// Latency beyond the fastest candidate's that still counts as equal.
	LatencyMargin Duration `json:"latencyMargin,omitempty"`
}

// OrderBy is what candidates are ordered by.
//
// +kubebuilder:validation:Enum=Region;Latency;Cost;Static
type OrderBy string

// The orders. Static is the order of the declaration.
const (
	OrderByRegion  OrderBy = "Region"
	OrderByLatency OrderBy = "Latency"
	OrderByCost    OrderBy = "Cost"
	OrderByStatic  OrderBy = "Static"
)

// Trigger is a failure that makes a request go to the next candidate.
//
// +kubebuilder:validation:Enum=ConnectError;Timeout;ServerError;RateLimited;Overloaded;InStreamError;DNSError
type Trigger string

// The triggers.
const (
	// TriggerConnectError: no connection, or one that broke before an answer.
	TriggerConnectError Trigger = "ConnectError"
	// TriggerTimeout: no answer within the attempt's time.
	TriggerTimeout Trigger = "Timeout"
	// TriggerServerError: an answer of 500 to 599, but for 529.
	TriggerServerError Trigger = "ServerError"
	// TriggerRateLimited: an answer of 429.
	TriggerRateLimited Trigger = "RateLimited"
	// TriggerOverloaded: an answer of 529.
	TriggerOverloaded Trigger = "Overloaded"
	// TriggerInStreamError: an error in a 200 stream before its first event that
	// means anything.
	TriggerInStreamError Trigger = "InStreamError"
	// TriggerDNSError: no address for the candidate's name.
	TriggerDNSError Trigger = "DNSError"
)

// Triggers returns every trigger, which is also what model traffic has by default.
func Triggers() []Trigger {
	return []Trigger{
		TriggerConnectError, TriggerTimeout, TriggerServerError, TriggerRateLimited,
		TriggerOverloaded, TriggerInStreamError, TriggerDNSError,
	}
}

// FailoverRetry says how requests are tried again.
type FailoverRetry struct {
	// Candidates tried, the first counted; 1 is no failover within a request.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Attempts *int32 `json:"attempts,omitempty"`
	// Time one attempt has until its answer begins.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10ms')",message="perAttemptTimeout must be at least 10ms"
	PerAttemptTimeout Duration `json:"perAttemptTimeout,omitempty"`
	// Further attempts at once, as a share of requests in flight.
	BudgetPercent *Percent `json:"budgetPercent,omitempty"`
	// Largest request kept for another attempt; larger ones are sent once.
	MaxBodySize *resource.Quantity `json:"maxBodySize,omitempty"`
	// Whether requests that may have had an effect are sent again.
	ReplayUnsafe bool `json:"replayUnsafe,omitempty"`
}

// Hedging sends a slow request to a second candidate as well, and takes the first
// answer.
type Hedging struct {
	// Time until the second is sent.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1ms')",message="after must be at least 1ms"
	After Duration `json:"after"`
	// Second requests at once, as a share of requests in flight.
	// +kubebuilder:default=5
	BudgetPercent *Percent `json:"budgetPercent,omitempty"`
}

// Failback says when traffic comes back to a candidate that is well again.
type Failback struct {
	// Time a candidate must have been well.
	StabilizationWindow Duration `json:"stabilizationWindow,omitempty"`
	// How its share grows.
	Ramp *Ramp `json:"ramp,omitempty"`
	// How much faster a candidate must be to take traffic from another: both hold.
	Margin *Margin `json:"margin,omitempty"`
}

// Ramp says how a returning candidate's share grows.
type Ramp struct {
	// Shares of its traffic in percent, one after the other and rising; 100 follows
	// the last.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(s, s > 0)",message="a step must be more than 0"
	// +kubebuilder:validation:XValidation:rule="self.isSorted() && self.all(s, self.exists_one(t, t == s))",message="steps must rise"
	// +listType=atomic
	Steps []Percent `json:"steps"`
	// Time each lasts.
	StepDuration Duration `json:"stepDuration"`
}

// Margin is a difference that counts.
type Margin struct {
	// In time.
	Absolute Duration `json:"absolute,omitempty"`
	// As a share of the slower one.
	Percent *Percent `json:"percent,omitempty"`
}

// FailoverProvider says what Nave cannot know of a provider by itself.
//
// +kubebuilder:validation:AtLeastOneOf=region;inputCost;outputCost
type FailoverProvider struct {
	// The provider's name in the backend.
	Name Name `json:"name"`
	// Region it serves from.
	Region Region `json:"region,omitempty"`
	// Price of a million input tokens, in the fleet's currency.
	InputCost Decimal `json:"inputCost,omitempty"`
	// Price of a million output tokens, in the fleet's currency.
	OutputCost Decimal `json:"outputCost,omitempty"`
}

// CredentialsMode says where provider keys are used.
type CredentialsMode string

// The credentials modes.
const (
	CredentialsLocal  CredentialsMode = "Local"
	CredentialsSealed CredentialsMode = "Sealed"
)

// PolicyDrift says whether instances with unlike restricting policies may stand in
// for each other.
type PolicyDrift string

// The values of PolicyDrift.
const (
	PolicyDriftDeny  PolicyDrift = "Deny"
	PolicyDriftAllow PolicyDrift = "Allow"
)

// Automation says whether the hub moves traffic by itself.
type Automation string

// The values of Automation.
const (
	AutomationEnabled  Automation = "Enabled"
	AutomationDisabled Automation = "Disabled"
)

// Reasons of FailoverPolicy's condition Accepted, besides those of Gateway API.
const (
	// ReasonConflicted: another policy, older or first by name, holds the target.
	ReasonConflicted = "Conflicted"
	// ReasonTargetNotFound: there is no such target.
	ReasonTargetNotFound = "TargetNotFound"
)

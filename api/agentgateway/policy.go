package agentgateway

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// AgentgatewayPolicy attaches policy to gateways, routes, Services or backends.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=agentgatewaypolicies,shortName=agpol,categories=agentgateway
// +kubebuilder:metadata:labels={"app=agentgateway","gateway.networking.k8s.io/policy=Direct"}
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[*].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AgentgatewayPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// What is attached, and to what.
	Spec AgentgatewayPolicySpec `json:"spec"`
	// What became of it, by ancestor.
	// +optional
	Status gwv1.PolicyStatus `json:"status,omitzero"`
}

// AgentgatewayPolicyList is a list of policies.
//
// +kubebuilder:object:root=true
type AgentgatewayPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// The policies.
	Items []AgentgatewayPolicy `json:"items"`
}

// AgentgatewayPolicySpec says what is attached, and to what.
//
// +kubebuilder:validation:XValidation:rule="has(self.traffic) || has(self.frontend) || has(self.backend)",message="At least one of traffic, frontend, or backend must be provided."
// +kubebuilder:validation:XValidation:rule="!has(self.strategy) || !has(self.strategy.inheritance) || has(self.traffic)",message="strategy.inheritance may only be set on traffic policies"
// +kubebuilder:validation:XValidation:rule="!has(self.backend) || !has(self.backend.mcp) || !has(self.targetRefs) || self.targetRefs.all(r, r.kind != 'Service')",message="backend.mcp may not be used with a Service target"
// +kubebuilder:validation:XValidation:rule="!has(self.backend) || !has(self.backend.mcp) || !has(self.targetSelectors) || self.targetSelectors.all(r, r.kind != 'Service')",message="backend.mcp may not be used with a Service target"
// +kubebuilder:validation:XValidation:rule="!has(self.backend) || !has(self.backend.mcp) || !has(self.targetRefs) || self.targetRefs.all(r, r.kind != 'AgentgatewayBackend' || !has(r.sectionName))",message="backend.mcp may not target an AgentgatewayBackend sectionName"
// +kubebuilder:validation:XValidation:rule="!has(self.backend) || !has(self.backend.mcp) || !has(self.targetSelectors) || self.targetSelectors.all(r, r.kind != 'AgentgatewayBackend' || !has(r.sectionName))",message="backend.mcp may not target an AgentgatewayBackend sectionName"
// +kubebuilder:validation:XValidation:rule="!has(self.backend) || !has(self.backend.ai) || !has(self.targetRefs) || self.targetRefs.all(r, r.kind != 'Service')",message="backend.ai may not be used with a Service target"
// +kubebuilder:validation:XValidation:rule="!has(self.backend) || !has(self.backend.ai) || !has(self.targetSelectors) || self.targetSelectors.all(r, r.kind != 'Service')",message="backend.ai may not be used with a Service target"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || !has(self.traffic.jwtAuthentication) || !has(self.backend) || !has(self.backend.mcp) || !has(self.backend.mcp.authentication)",message="traffic.jwtAuthentication may not be used with backend.mcp.authentication in the same policy"
// +kubebuilder:validation:XValidation:rule="!has(self.frontend) || !has(self.targetRefs) || self.targetRefs.all(r, r.kind == 'Gateway')",message="the 'frontend' field can only target a Gateway"
// +kubebuilder:validation:XValidation:rule="!has(self.frontend) || !has(self.targetSelectors) || self.targetSelectors.all(r, r.kind == 'Gateway')",message="the 'frontend' field can only target a Gateway"
// +kubebuilder:validation:XValidation:rule="!has(self.frontend) || !(has(self.frontend.tcp) || has(self.frontend.networkAuthorization) || has(self.frontend.tls) || has(self.frontend.http) || has(self.frontend.proxyProtocol) || has(self.frontend.connect)) || !has(self.targetRefs) || self.targetRefs.all(r, !has(r.sectionName))",message="frontend tcp, networkAuthorization, tls, http, proxyProtocol, and connect policies may only target a Gateway or port, not a listener (sectionName)"
// +kubebuilder:validation:XValidation:rule="!has(self.frontend) || !(has(self.frontend.tcp) || has(self.frontend.networkAuthorization) || has(self.frontend.tls) || has(self.frontend.http) || has(self.frontend.proxyProtocol) || has(self.frontend.connect)) || !has(self.targetSelectors) || self.targetSelectors.all(r, !has(r.sectionName))",message="frontend tcp, networkAuthorization, tls, http, proxyProtocol, and connect policies may only target a Gateway or port, not a listener (sectionName)"
// +kubebuilder:validation:XValidation:rule="!has(self.targetRefs) || self.targetRefs.all(r, !has(r.port)) || (!has(self.traffic) && !has(self.backend))",message="port may only be set on frontend-only policies (not traffic or backend)"
// +kubebuilder:validation:XValidation:rule="!has(self.targetSelectors) || self.targetSelectors.all(r, !has(r.port)) || (!has(self.traffic) && !has(self.backend))",message="port may only be set on frontend-only policies (not traffic or backend)"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || !has(self.targetRefs) || self.targetRefs.all(r, r.kind in ['Gateway', 'ListenerSet', 'GRPCRoute', 'HTTPRoute', 'InferencePool'])",message="the 'traffic' field can only target a Gateway, ListenerSet, GRPCRoute, HTTPRoute, or InferencePool"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || !has(self.targetSelectors) || self.targetSelectors.all(r, r.kind in ['Gateway', 'ListenerSet', 'GRPCRoute', 'HTTPRoute', 'InferencePool'])",message="the 'traffic' field can only target a Gateway, ListenerSet, GRPCRoute, HTTPRoute, or InferencePool"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || !has(self.traffic.phase) || self.traffic.phase != 'PreRouting' || !has(self.targetRefs) || self.targetRefs.all(r, r.kind in ['Gateway', 'ListenerSet'])",message="the 'traffic.phase=PreRouting' field can only target a Gateway or ListenerSet"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || !has(self.traffic.phase) || self.traffic.phase != 'PreRouting' || !has(self.targetSelectors) || self.targetSelectors.all(r, r.kind in ['Gateway', 'ListenerSet'])",message="the 'traffic.phase=PreRouting' field can only target a Gateway or ListenerSet"
// +kubebuilder:validation:XValidation:rule="!has(self.targetRefs) || self.targetRefs.all(r, r.kind != 'Service' || !has(r.sectionName) || (r.sectionName.matches('^[1-9][0-9]{0,4}$') && int(r.sectionName) <= 65535))",message="Service sectionName must be a numeric port from 1 to 65535"
// +kubebuilder:validation:XValidation:rule="!has(self.targetSelectors) || self.targetSelectors.all(r, r.kind != 'Service' || !has(r.sectionName) || (r.sectionName.matches('^[1-9][0-9]{0,4}$') && int(r.sectionName) <= 65535))",message="Service sectionName must be a numeric port from 1 to 65535"
// +kubebuilder:validation:ExactlyOneOf=targetRefs;targetSelectors
type AgentgatewayPolicySpec struct {
	// Objects by name, in the policy's namespace.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(r, (r.group == '' && r.kind == 'Service') || (r.group == 'agentgateway.dev' && r.kind == 'AgentgatewayBackend') || (r.group == 'gateway.networking.k8s.io' && r.kind in ['Gateway', 'HTTPRoute', 'GRPCRoute', 'ListenerSet']) || (r.group == 'inference.networking.k8s.io' && r.kind == 'InferencePool'))",message="targetRefs may only reference Gateway, HTTPRoute, GRPCRoute, ListenerSet, Service, AgentgatewayBackend, or InferencePool resources"
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.kind == self[0].kind)",message="Only one Kind of targetRef can be set on one policy"
	TargetRefs []PolicyTargetRef `json:"targetRefs,omitempty"`
	// Objects by label, in the policy's namespace.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(r, (r.group == '' && r.kind == 'Service') || (r.group == 'agentgateway.dev' && r.kind == 'AgentgatewayBackend') || (r.group == 'gateway.networking.k8s.io' && r.kind in ['Gateway', 'HTTPRoute', 'GRPCRoute', 'ListenerSet']) || (r.group == 'inference.networking.k8s.io' && r.kind == 'InferencePool'))",message="targetRefs may only reference Gateway, HTTPRoute, GRPCRoute, ListenerSet, Service, AgentgatewayBackend, or InferencePool resources"
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.kind == self[0].kind)",message="Only one Kind of targetRef can be set on one policy"
	TargetSelectors []PolicyTargetSelector `json:"targetSelectors,omitempty"`
	// What holds for connections, before anything is routed.
	Frontend *Frontend `json:"frontend,omitempty"`
	// What holds for requests.
	Traffic *Traffic `json:"traffic,omitempty"`
	// What holds towards destinations.
	Backend *BackendPolicies `json:"backend,omitempty"`
	// How this policy and others combine.
	Strategy *PolicyStrategy `json:"strategy,omitempty"`
}

// PolicyTarget is what targets by name and by label have in common.
type PolicyTarget struct {
	// API group; empty is the core group.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Group string `json:"group"`
	// Kind.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`
	Kind string `json:"kind"`
	// A listener, rule, provider, MCP target or port of it.
	SectionName SectionName `json:"sectionName,omitempty"`
	// A port of it; for frontend policies only.
	Port Port `json:"port,omitempty"`
}

// PolicyTargetRef is a target by name.
//
// +kubebuilder:validation:AtMostOneOf=sectionName;port
type PolicyTargetRef struct {
	PolicyTarget `json:",inline"`
	// Name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// PolicyTargetSelector is targets by label.
//
// +kubebuilder:validation:AtMostOneOf=sectionName;port
type PolicyTargetSelector struct {
	PolicyTarget `json:",inline"`
	// Labels that they all carry.
	MatchLabels map[string]string `json:"matchLabels"`
}

// PolicyStrategy says how policies combine.
type PolicyStrategy struct {
	// Default lets more specific policies override fields; Override does not.
	// +kubebuilder:validation:Enum=Default;Override
	Inheritance string `json:"inheritance,omitempty"`
}

// The values of PolicyStrategy.Inheritance.
const (
	InheritanceDefault  = "Default"
	InheritanceOverride = "Override"
)

// Condition types and reasons of AgentgatewayPolicy that agentgateway has published.
const (
	ConditionAttached    = "Attached"
	ReasonValid          = "Valid"
	ReasonInvalid        = "Invalid"
	ReasonPartiallyValid = "PartiallyValid"
	ReasonPending        = "Pending"
	ReasonAttached       = "Attached"
	ReasonMerged         = "Merged"
	ReasonOverridden     = "Overridden"
)

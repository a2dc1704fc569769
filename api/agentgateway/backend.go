package agentgateway

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AgentgatewayBackend is a destination that is more than a Service: a model
// provider, MCP servers, an agent, or an address of its own.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=agentgatewaybackends,shortName=agbe,categories=agentgateway
// +kubebuilder:metadata:labels={"app=agentgateway"}
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AgentgatewayBackend struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// What the destination is.
	Spec AgentgatewayBackendSpec `json:"spec"`
	// What became of it.
	// +optional
	Status AgentgatewayBackendStatus `json:"status,omitzero"`
}

// AgentgatewayBackendList is a list of backends.
//
// +kubebuilder:object:root=true
type AgentgatewayBackendList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// The backends.
	Items []AgentgatewayBackend `json:"items"`
}

// AgentgatewayBackendSpec says what the destination is and how it is reached.
//
// +kubebuilder:validation:XValidation:rule="!has(self.policies) || !has(self.policies.ai) || has(self.ai)",message="AI policies require AI backend"
// +kubebuilder:validation:XValidation:rule="!has(self.policies) || !has(self.policies.mcp) || has(self.mcp)",message="MCP policies require MCP backend"
// +kubebuilder:validation:ExactlyOneOf=ai;static;dynamicForwardProxy;mcp;aws;a2a
type AgentgatewayBackendSpec struct {
	// Model providers.
	AI *AIBackend `json:"ai,omitempty"`
	// One address.
	Static *StaticBackend `json:"static,omitempty"`
	// Whatever host the request names.
	DynamicForwardProxy *DynamicForwardProxy `json:"dynamicForwardProxy,omitempty"`
	// MCP servers behind one endpoint.
	MCP *MCPBackend `json:"mcp,omitempty"`
	// A service of AWS.
	AWS *AWSBackend `json:"aws,omitempty"`
	// An agent.
	A2A *A2ABackend `json:"a2a,omitempty"`
	// Policies of the whole backend.
	Policies *BackendPolicies `json:"policies,omitempty"`
}

// AIBackend holds model providers, one, or groups of them in order of priority.
//
// +kubebuilder:validation:ExactlyOneOf=provider;groups
type AIBackend struct {
	// The one provider.
	Provider *LLMProvider `json:"provider,omitempty"`
	// Groups, the preferred first.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Groups []ProviderGroup `json:"groups,omitempty"`
}

// ProviderGroup holds providers of equal priority.
type ProviderGroup struct {
	// The providers.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(p1, self.exists_one(p2, p1.name == p2.name))",message="provider names must be unique within a group"
	Providers []NamedLLMProvider `json:"providers"`
}

// NamedLLMProvider is a provider within a group.
//
// +kubebuilder:validation:XValidation:rule="!has(self.policies) || !has(self.policies.auth) || ![has(self.auth), has(self.openai) && has(self.openai.auth), has(self.azureopenai) && has(self.azureopenai.auth), has(self.azure) && has(self.azure.auth), has(self.anthropic) && has(self.anthropic.auth), has(self.gemini) && has(self.gemini.auth), has(self.vertexai) && has(self.vertexai.auth), has(self.bedrock) && has(self.bedrock.auth), has(self.custom) && has(self.custom.auth)].exists(x, x)",message="a provider's auth may be written in one place only"
type NamedLLMProvider struct {
	// Name by which policies target the provider.
	Name        SectionName `json:"name"`
	LLMProvider `json:",inline"`
	// Policies of this provider.
	Policies *ProviderPolicies `json:"policies,omitempty"`
}

// ProviderPolicies are the policies that one provider may have.
//
// +kubebuilder:validation:AtLeastOneOf=ai;auth;health;http;tcp;tls;transformation;tunnel
type ProviderPolicies struct {
	Connection `json:",inline"`
	// Credential.
	Auth *BackendAuth `json:"auth,omitempty"`
	// Model traffic.
	AI *BackendAI `json:"ai,omitempty"`
	// Rewriting of requests and answers.
	Transformation *Transformation `json:"transformation,omitempty"`
	// When it counts as unhealthy.
	Health *Health `json:"health,omitempty"`
}

// BackendPolicies are the policies that a backend may have, in itself or by an
// AgentgatewayPolicy.
//
// +kubebuilder:validation:AtLeastOneOf=ai;auth;extAuth;health;http;mcp;tcp;tls;transformation;tunnel
type BackendPolicies struct {
	Connection `json:",inline"`
	// Credential.
	Auth *BackendAuth `json:"auth,omitempty"`
	// Model traffic.
	AI *BackendAI `json:"ai,omitempty"`
	// Tool traffic.
	MCP *BackendMCP `json:"mcp,omitempty"`
	// Rewriting of requests and answers.
	Transformation *Transformation `json:"transformation,omitempty"`
	// When it counts as unhealthy.
	Health *Health `json:"health,omitempty"`
	// External authorization.
	ExtAuth *BackendExtAuth `json:"extAuth,omitempty"`
}

// DynamicForwardProxy sends a request where its Host header or SNI says.
type DynamicForwardProxy struct{}

// StaticBackend is one address: a host and port, or a socket.
//
// +kubebuilder:validation:XValidation:rule="has(self.unixPath) || (has(self.host) && has(self.port))",message="must specify either unixPath or both host and port"
// +kubebuilder:validation:XValidation:rule="!has(self.unixPath) || (!has(self.host) && !has(self.port))",message="unixPath and host/port are mutually exclusive"
type StaticBackend struct {
	// Host name or address.
	Host ShortString `json:"host,omitempty"`
	// Port.
	Port Port `json:"port,omitempty"`
	// Path of a Unix domain socket.
	// +kubebuilder:validation:MinLength=1
	UnixPath string `json:"unixPath,omitempty"`
}

// A2ABackend is an agent.
type A2ABackend struct {
	// Host name or address.
	Host ShortString `json:"host"`
	// Port.
	Port Port `json:"port"`
}

// AWSBackend is a service of AWS.
//
// +kubebuilder:validation:ExactlyOneOf=agentCore
type AWSBackend struct {
	// Bedrock AgentCore.
	AgentCore *AgentCore `json:"agentCore,omitempty"`
}

// AgentCore is a Bedrock AgentCore runtime.
type AgentCore struct {
	// ARN of the runtime.
	AgentRuntimeARN string `json:"agentRuntimeArn"`
	// Alias or version.
	Qualifier string `json:"qualifier,omitempty"`
}

// MCPBackend is MCP servers behind one endpoint.
type MCPBackend struct {
	// The servers.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +listType=map
	// +listMapKey=name
	Targets []MCPTarget `json:"targets"`
	// Whether sessions are kept; Stateful if unset.
	// +kubebuilder:validation:Enum=Stateful;Stateless
	SessionRouting string `json:"sessionRouting,omitempty"`
	// What becomes of the others when a server is away.
	FailureMode FailureMode `json:"failureMode,omitempty"`
	// When names are prefixed with the target's; Conditional (more than one) if unset.
	// +kubebuilder:validation:Enum=Always;Conditional;Never
	PrefixMode string `json:"prefixMode,omitempty"`
}

// The values of MCPBackend's fields.
const (
	SessionStateful   = "Stateful"
	SessionStateless  = "Stateless"
	PrefixAlways      = "Always"
	PrefixConditional = "Conditional"
	PrefixNever       = "Never"
)

// MCPTarget is one MCP server, or the Services that a selector finds.
//
// +kubebuilder:validation:ExactlyOneOf=selector;static
type MCPTarget struct {
	// Name, and prefix of the target's tools.
	Name SectionName `json:"name"`
	// Services by label.
	Selector *MCPSelector `json:"selector,omitempty"`
	// One server.
	Static *MCPStatic `json:"static,omitempty"`
}

// MCPSelector finds Services by label.
//
// +kubebuilder:validation:AtLeastOneOf=namespaces;services
type MCPSelector struct {
	// Namespaces to look in; the backend's own if unset.
	Namespaces *metav1.LabelSelector `json:"namespaces,omitempty"`
	// Services.
	Services *metav1.LabelSelector `json:"services,omitempty"`
}

// MCPStatic is one MCP server.
//
// +kubebuilder:validation:XValidation:rule="!has(self.backendRef) || !has(self.policies)",message="mcp target policies may not be used with backendRef"
// +kubebuilder:validation:ExactlyOneOf=host;backendRef
type MCPStatic struct {
	// Host name or address.
	Host ShortString `json:"host,omitempty"`
	// Service of the same namespace.
	BackendRef *corev1.LocalObjectReference `json:"backendRef,omitempty"`
	// Port.
	Port Port `json:"port"`
	// Path; /mcp, or /sse for SSE, if unset.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`
	// Transport; StreamableHTTP if unset.
	// +kubebuilder:validation:Enum=SSE;StreamableHTTP
	Protocol string `json:"protocol,omitempty"`
	// Policies of this server.
	Policies *MCPTargetPolicies `json:"policies,omitempty"`
}

// The transports of MCPStatic.
const (
	ProtocolSSE            = "SSE"
	ProtocolStreamableHTTP = "StreamableHTTP"
)

// MCPTargetPolicies are the policies that one MCP server may have. Those below
// auth were published up to 1.1 only.
type MCPTargetPolicies struct {
	Connection `json:",inline"`
	// Credential.
	Auth *BackendAuth `json:"auth,omitempty"`
	// Model traffic.
	AI *BackendAI `json:"ai,omitempty"`
	// Tool traffic.
	MCP *BackendMCP `json:"mcp,omitempty"`
	// Rewriting of requests and answers.
	Transformation *Transformation `json:"transformation,omitempty"`
	// When it counts as unhealthy.
	Health *Health `json:"health,omitempty"`
}

// AgentgatewayBackendStatus says what became of a backend.
type AgentgatewayBackendStatus struct {
	// Conditions.
	// +kubebuilder:validation:MaxItems=8
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Condition type and reasons of AgentgatewayBackend that agentgateway has published.
const (
	ConditionAccepted      = "Accepted"
	ReasonAccepted         = "Accepted"
	ReasonTranslationError = "TranslationError"
)

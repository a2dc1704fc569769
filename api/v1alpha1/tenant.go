package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DefaultTenant is the built-in tenant, owner of every namespace while there is
// no Tenant object.
const DefaultTenant = "default"

// Tenant is a team: the namespaces it owns, and what it may do.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=tenants,categories=nave
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Tenant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// What the tenant owns, and what it may do.
	Spec TenantSpec `json:"spec"`
	// What it uses, and what the hub found wrong.
	// +optional
	Status TenantStatus `json:"status,omitzero"`
}

// TenantList is a list of tenants.
//
// +kubebuilder:object:root=true
type TenantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// The tenants.
	Items []Tenant `json:"items"`
}

// TenantSpec says what a tenant owns, and what it may do.
type TenantSpec struct {
	// Its namespaces. A namespace that two tenants claim is neither's.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	Namespaces []TenantNamespaces `json:"namespaces"`
	// How much it may declare in the whole fleet.
	Limits *TenantLimits `json:"limits,omitempty"`
	// Hostnames its listeners and routes may claim, with *. for a whole domain; any
	// if empty.
	// +kubebuilder:validation:MaxItems=256
	// +listType=set
	AllowedHostnames []HostnamePattern `json:"allowedHostnames,omitempty"`
	// Regions that its traffic, and copies of its data, may touch; all if empty.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	AllowedRegions []Region `json:"allowedRegions,omitempty"`
	// Model providers it may use, by the names of AgentgatewayBackend's provider
	// fields, such as openai; all if empty.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	AllowedProviders []Label `json:"allowedProviders,omitempty"`
	// Who goes first where capacity is short: the higher number.
	// +kubebuilder:validation:Minimum=-1000
	// +kubebuilder:validation:Maximum=1000
	Priority int32 `json:"priority,omitempty"`
	// Placement of its Gateways that say nothing themselves, nor by their class:
	// Local, Fleet, or regions separated by commas.
	// +kubebuilder:validation:MaxLength=1024
	DefaultPlacement string `json:"defaultPlacement,omitempty"`
	// Where its proxies may dial.
	Egress *TenantEgress `json:"egress,omitempty"`
}

// TenantNamespaces are some namespaces of some clusters.
//
// +kubebuilder:validation:ExactlyOneOf=namespaces;selector
type TenantNamespaces struct {
	// Clusters; all if empty.
	// +kubebuilder:validation:MaxItems=256
	// +listType=set
	Clusters []ClusterName `json:"clusters,omitempty"`
	// Namespaces by name.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +listType=set
	Namespaces []Label `json:"namespaces,omitempty"`
	// Namespaces by label.
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// HostnamePattern is a hostname, or *. and a domain.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
type HostnamePattern string

// TenantLimits bounds what a tenant may declare in the whole fleet. What is unset
// has no bound; lowering one evicts nothing that serves.
type TenantLimits struct {
	// Gateways.
	// +kubebuilder:validation:Minimum=0
	Gateways *int32 `json:"gateways,omitempty"`
	// Routes of every kind.
	// +kubebuilder:validation:Minimum=0
	Routes *int32 `json:"routes,omitempty"`
	// AgentgatewayBackends.
	// +kubebuilder:validation:Minimum=0
	Backends *int32 `json:"backends,omitempty"`
	// Proxies, replicas counted.
	// +kubebuilder:validation:Minimum=0
	Proxies *int32 `json:"proxies,omitempty"`
}

// TenantEgress says where a tenant's proxies may dial.
type TenantEgress struct {
	// Ranges that are refused to tenants (loopback, link-local, metadata, nodes, API
	// servers, Nave's own) and that this one may dial all the same.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	AllowedCIDRs []CIDR `json:"allowedCIDRs,omitempty"`
}

// TenantStatus says what a tenant uses, and what the hub found wrong.
type TenantStatus struct {
	// What is admitted in the whole fleet.
	Usage *TenantCounts `json:"usage,omitempty"`
	// The limits, split by cluster.
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=cluster
	Grants []TenantGrant `json:"grants,omitempty"`
	// Conditions.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TenantCounts counts what is admitted.
type TenantCounts struct {
	// Gateways.
	Gateways int32 `json:"gateways"`
	// Routes of every kind.
	Routes int32 `json:"routes"`
	// AgentgatewayBackends.
	Backends int32 `json:"backends"`
	// Proxies, replicas counted.
	Proxies int32 `json:"proxies"`
}

// TenantGrant is what a cluster may admit for a tenant without asking the hub.
type TenantGrant struct {
	// The cluster.
	Cluster ClusterName `json:"cluster"`
	// Its part of the limits.
	TenantLimits `json:",inline"`
}

// Reasons of Tenant's condition Accepted, besides ReasonAccepted.
const (
	// ReasonNamespaceConflict: another tenant claims one of its namespaces.
	ReasonNamespaceConflict = "NamespaceConflict"
	// ReasonHostnameConflict: its hostnames overlap with another tenant's.
	ReasonHostnameConflict = "HostnameConflict"
)

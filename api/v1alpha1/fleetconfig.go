package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// FleetConfigName is the name of the one FleetConfig.
const FleetConfigName = "fleet"

// FleetConfig holds what is set once for the whole fleet.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=fleetconfigs,categories=nave
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Automation",type=string,JSONPath=`.spec.automation`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'fleet'",message="the one FleetConfig is named fleet"
type FleetConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// What is set.
	Spec FleetConfigSpec `json:"spec"`
	// What the hub made of it.
	// +optional
	Status FleetConfigStatus `json:"status,omitzero"`
}

// FleetConfigList is a list of at most one FleetConfig.
//
// +kubebuilder:object:root=true
type FleetConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// The FleetConfig.
	Items []FleetConfig `json:"items"`
}

// FleetConfigSpec is what is set once for the whole fleet.
type FleetConfigSpec struct {
	// Whether the hub moves traffic by itself. Proxies fail over all the same.
	// +kubebuilder:default=Enabled
	// +kubebuilder:validation:Enum=Enabled;Frozen
	Automation FleetAutomation `json:"automation,omitempty"`
	// Tenant of namespaces that no Tenant claims. If unset they are not admitted,
	// once there is a Tenant.
	DefaultTenant Name `json:"defaultTenant,omitempty"`
	// What FailoverPolicies leave unset.
	Failover *FailoverRules `json:"failover,omitempty"`
	// How candidates and paths are measured.
	Probing *Probing `json:"probing,omitempty"`
	// How long certificates live.
	Certificates *CertificateLifetimes `json:"certificates,omitempty"`
	// Gossip between spokes.
	Gossip *GossipConfig `json:"gossip,omitempty"`
}

// FleetAutomation says whether the hub moves traffic by itself.
type FleetAutomation string

// The values of FleetAutomation.
const (
	FleetAutomationEnabled FleetAutomation = "Enabled"
	FleetAutomationFrozen  FleetAutomation = "Frozen"
)

// Probing says how often candidates and paths are measured.
type Probing struct {
	// Time between pings on a link.
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms')",message="linkInterval must be at least 100ms"
	LinkInterval Duration `json:"linkInterval,omitempty"`
	// Time between probes of a candidate without traffic.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="idleInterval must be at least 1s"
	IdleInterval Duration `json:"idleInterval,omitempty"`
	// Time a probe has.
	// +kubebuilder:default="2s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms')",message="timeout must be at least 100ms"
	Timeout Duration `json:"timeout,omitempty"`
}

// CertificateLifetimes says how long certificates live. Each is renewed after two
// thirds of its life.
//
// +kubebuilder:validation:XValidation:rule="!has(self.intermediate) || !has(self.proxy) || duration(self.intermediate) > duration(self.proxy)",message="a spoke's intermediate must outlive its proxies' leaves"
type CertificateLifetimes struct {
	// Of a spoke's intermediate: the longest time the hub may be away.
	// +kubebuilder:default="720h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10m')",message="intermediate must be at least 10m"
	Intermediate Duration `json:"intermediate,omitempty"`
	// Of a proxy's leaf.
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5m')",message="proxy must be at least 5m"
	Proxy Duration `json:"proxy,omitempty"`
	// Time after its intermediate's end in which a known spoke may still renew.
	// +kubebuilder:default="168h"
	RenewalGrace Duration `json:"renewalGrace,omitempty"`
}

// GossipConfig holds the settings of gossip between spokes.
type GossipConfig struct {
	// Time between changes of the key.
	// +kubebuilder:default="168h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10m')",message="keyRotation must be at least 10m"
	KeyRotation Duration `json:"keyRotation,omitempty"`
}

// FleetConfigStatus is what the hub made of the FleetConfig.
type FleetConfigStatus struct {
	// Conditions.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// FleetHeld is a condition of FleetConfig: the hub publishes nothing until a
// person confirms, since its store lacks objects that spokes still hold.
const FleetHeld = "Held"

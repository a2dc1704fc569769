package agentgateway

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AgentgatewayParameters says how the proxies of a Gateway, or of all Gateways of
// a class, are provisioned.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=agentgatewayparameters,shortName=agpar,categories=agentgateway
// +kubebuilder:metadata:labels={"app=agentgateway"}
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AgentgatewayParameters struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// How proxies are provisioned.
	Spec AgentgatewayParametersSpec `json:"spec"`
	// Empty: agentgateway has published no field.
	// +optional
	Status AgentgatewayParametersStatus `json:"status,omitzero"`
}

// AgentgatewayParametersList is a list of parameters.
//
// +kubebuilder:object:root=true
type AgentgatewayParametersList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// The parameters.
	Items []AgentgatewayParameters `json:"items"`
}

// AgentgatewayParametersStatus is empty.
type AgentgatewayParametersStatus struct{}

// AgentgatewayParametersSpec says how proxies are provisioned. A class's fields
// come first, then a Gateway's, then a class's overlays, then a Gateway's.
//
// +kubebuilder:validation:XValidation:rule="!has(self.deployment) || !has(self.workload) || !has(self.workload.kind) || self.workload.kind == 'Deployment'",message="deployment overlays are only valid when workload.kind is Deployment or unset"
// +kubebuilder:validation:XValidation:rule="!has(self.daemonSet) || (has(self.workload) && has(self.workload.kind) && self.workload.kind == 'DaemonSet')",message="daemonSet overlays are only valid when workload.kind is DaemonSet"
// +kubebuilder:validation:XValidation:rule="!has(self.horizontalPodAutoscaler) || !has(self.workload) || !has(self.workload.kind) || self.workload.kind != 'DaemonSet'",message="horizontalPodAutoscaler is not valid when workload.kind is DaemonSet"
type AgentgatewayParametersSpec struct {
	// Kind of workload.
	Workload *Workload `json:"workload,omitempty"`
	// Image of the proxy.
	Image *Image `json:"image,omitempty"`
	// Log of the proxy.
	Logging *Logging `json:"logging,omitempty"`
	// Environment of the proxy.
	Env []corev1.EnvVar `json:"env,omitempty" nave:"secret=value"`
	// Resources of the proxy.
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
	// How long a proxy drains.
	Shutdown *Shutdown `json:"shutdown,omitempty"`
	// agentgateway's own configuration file, merged into the generated one.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	RawConfig *JSON `json:"rawConfig,omitempty" nave:"secret"`
	// Istio.
	Istio *Istio `json:"istio,omitempty"`
	// SPIFFE.
	SPIFFE *SPIFFE `json:"spiffe,omitempty"`
	// Prices of models.
	ModelCatalog *ModelCatalog `json:"modelCatalog,omitempty"`
	// Patch of the Deployment.
	Deployment *Overlay `json:"deployment,omitempty" nave:"secret=env.value"`
	// Patch of the DaemonSet.
	DaemonSet *Overlay `json:"daemonSet,omitempty" nave:"secret=env.value"`
	// Patch of the Service.
	Service *Overlay `json:"service,omitempty" nave:"secret=env.value"`
	// Patch of the ServiceAccount.
	ServiceAccount *Overlay `json:"serviceAccount,omitempty" nave:"secret=env.value"`
	// Patch of the PodDisruptionBudget, which exists only where this is set.
	PodDisruptionBudget *Overlay `json:"podDisruptionBudget,omitempty" nave:"secret=env.value"`
	// Patch of the HorizontalPodAutoscaler, which exists only where this is set.
	HorizontalPodAutoscaler *Overlay `json:"horizontalPodAutoscaler,omitempty" nave:"secret=env.value"`
}

// Workload picks the kind of workload.
type Workload struct {
	// Deployment if unset.
	// +kubebuilder:validation:Enum=DaemonSet;Deployment
	Kind string `json:"kind,omitempty"`
}

// Image names a container image.
type Image struct {
	// Registry.
	Registry string `json:"registry,omitempty"`
	// Repository.
	Repository string `json:"repository,omitempty"`
	// Tag.
	Tag string `json:"tag,omitempty"`
	// Digest, such as sha256:….
	Digest string `json:"digest,omitempty"`
	// Pull policy.
	PullPolicy corev1.PullPolicy `json:"pullPolicy,omitempty"`
}

// Logging says what the proxy logs.
type Logging struct {
	// A level, or levels by module separated by commas.
	Level string `json:"level,omitempty"`
	// Format.
	// +kubebuilder:validation:Enum=json;text
	Format string `json:"format,omitempty"`
}

// Shutdown bounds how long a proxy drains, in seconds.
//
// +kubebuilder:validation:XValidation:rule="self.min <= self.max",message="The 'min' value must be less than or equal to the 'max' value."
type Shutdown struct {
	// At least; 10 where the whole block is unset.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	Min int64 `json:"min"`
	// At most; 60 where the whole block is unset.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	Max int64 `json:"max"`
}

// Istio holds the settings of Istio's ambient mesh.
type Istio struct {
	// On or off; on if the block is there and this is unset.
	Enabled *bool `json:"enabled,omitempty"`
	// Address of the CA.
	CAAddress string `json:"caAddress,omitempty"`
	// Trust domain; cluster.local if unset.
	TrustDomain string `json:"trustDomain,omitempty"`
	// Trust domains accepted besides.
	AdditionalTrustDomains []string `json:"additionalTrustDomains,omitempty"`
	// Cluster; Kubernetes if unset.
	ClusterID string `json:"clusterId,omitempty"`
	// Network.
	Network string `json:"network,omitempty"`
}

// SPIFFE holds the settings of the Workload API.
type SPIFFE struct {
	// On or off; on if the block is there and this is unset.
	Enabled *bool `json:"enabled,omitempty"`
	// Where the socket comes from.
	Source *SPIFFESource `json:"source,omitempty"`
}

// SPIFFESource says where the Workload API's socket comes from.
//
// +kubebuilder:validation:AtMostOneOf=csi;hostPath
type SPIFFESource struct {
	// The CSI driver.
	CSI *SPIFFECSI `json:"csi,omitempty"`
	// A folder of the node.
	HostPath *SPIFFEHostPath `json:"hostPath,omitempty"`
	// Where the folder is mounted; /spiffe-workload-api if unset.
	// +kubebuilder:validation:Pattern=`^/`
	MountPath string `json:"mountPath,omitempty"`
	// Name of the socket in it; spire-agent.sock if unset.
	SocketName string `json:"socketName,omitempty"`
}

// SPIFFECSI names the CSI driver.
type SPIFFECSI struct {
	// Driver; csi.spiffe.io if unset.
	Driver string `json:"driver,omitempty"`
}

// SPIFFEHostPath is a folder of the node.
type SPIFFEHostPath struct {
	// The folder.
	// +kubebuilder:validation:MinLength=1
	Path string `json:"path"`
}

// ModelCatalog says where prices of models come from.
type ModelCatalog struct {
	// Sources.
	Sources []ModelCatalogSource `json:"sources,omitempty"`
}

// ModelCatalogSource is one source of prices.
type ModelCatalogSource struct {
	// A ConfigMap.
	ConfigMap *ModelCatalogConfigMap `json:"configMap,omitempty"`
}

// ModelCatalogConfigMap is a ConfigMap that holds prices.
type ModelCatalogConfigMap struct {
	// Name.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Entry; catalog.json if unset.
	Key string `json:"key,omitempty"`
}

// Overlay is a strategic-merge patch of a provisioned object.
type Overlay struct {
	// Labels and annotations.
	Metadata *OverlayMetadata `json:"metadata,omitempty"`
	// The object's spec.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Spec *JSON `json:"spec,omitempty"`
}

// OverlayMetadata is the part of an object's metadata that may be patched.
type OverlayMetadata struct {
	// Labels.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations.
	Annotations map[string]string `json:"annotations,omitempty"`
}

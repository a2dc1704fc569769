package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Cluster is a registered cluster, one spoke's.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=clusters,categories=nave
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Region",type=string,JSONPath=`.spec.region`
// +kubebuilder:printcolumn:name="Lease",type=string,JSONPath=`.status.lease`
// +kubebuilder:printcolumn:name="Cordoned",type=boolean,JSONPath=`.spec.cordoned`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="a cluster's name must be a DNS label of at most 63 characters"
type Cluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// What the cluster is, and what it may be given.
	Spec ClusterSpec `json:"spec"`
	// What the hub knows of it.
	// +optional
	Status ClusterStatus `json:"status,omitzero"`
}

// ClusterList is a list of clusters.
//
// +kubebuilder:object:root=true
type ClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// The clusters.
	Items []Cluster `json:"items"`
}

// ClusterSpec says what the cluster is, and what it may be given.
type ClusterSpec struct {
	// Region, which residency and the order of regions go by.
	Region Region `json:"region"`
	// Zone within the region.
	Zone Label `json:"zone,omitempty"`
	// What runs the cluster.
	// +kubebuilder:default=kind
	Provider ClusterProvider `json:"provider,omitempty"`
	// Tenants that may use the cluster; all if empty.
	// +kubebuilder:validation:MaxItems=256
	// +listType=set
	Tenants []Name `json:"tenants,omitempty"`
	// What may be put on the cluster.
	Capacity *ClusterCapacity `json:"capacity,omitempty"`
	// No new work comes here; what is here goes on.
	Cordoned bool `json:"cordoned,omitempty"`
	// What is here goes elsewhere too. A drained cluster is cordoned.
	Drained bool `json:"drained,omitempty"`
}

// ClusterProvider is what runs a cluster.
//
// +kubebuilder:validation:Enum=aks;eks;kind;standalone
type ClusterProvider string

// The providers.
const (
	ProviderAKS        ClusterProvider = "aks"
	ProviderEKS        ClusterProvider = "eks"
	ProviderKind       ClusterProvider = "kind"
	ProviderStandalone ClusterProvider = "standalone"
)

// ClusterCapacity bounds what other clusters' work may take here.
type ClusterCapacity struct {
	// Traffic that may be added when another cluster is lost, as a share of what
	// this one carries of its own; without bound if unset. More than 100 is fine.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	HeadroomPercent *int32 `json:"headroomPercent,omitempty"`
}

// ClusterStatus is what the hub knows of a cluster. Ages are not kept here: the
// API and the metrics give them live.
type ClusterStatus struct {
	// Whether its spoke is heard.
	Lease Lease `json:"lease,omitempty"`
	// When the lease last changed.
	LeaseTransitionTime *metav1.Time `json:"leaseTransitionTime,omitempty"`
	// What it runs.
	Versions *ClusterVersions `json:"versions,omitempty"`
	// When its spoke's intermediate certificate ends.
	CertificateExpiry *metav1.Time `json:"certificateExpiry,omitempty"`
	// Where other clusters' proxies reach its link, as host:port.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	LinkAddresses []string `json:"linkAddresses,omitempty"`
	// Where other spokes reach its gossip, as host:port.
	GossipAddress string `json:"gossipAddress,omitempty"`
	// Round trips to other clusters.
	// +kubebuilder:validation:MaxItems=1024
	// +listType=map
	// +listMapKey=to
	// +listMapKey=kind
	RTT []RTT `json:"rtt,omitempty"`
	// Conditions.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Lease says whether a cluster's spoke is heard. A lost lease alone moves no
// traffic.
//
// +kubebuilder:validation:Enum=Connected;Suspect;Lost
type Lease string

// The leases.
const (
	LeaseConnected Lease = "Connected"
	LeaseSuspect   Lease = "Suspect"
	LeaseLost      Lease = "Lost"
)

// ClusterVersions says what a cluster runs.
type ClusterVersions struct {
	// Spoke.
	Spoke string `json:"spoke,omitempty"`
	// Proxies, each version once.
	// +kubebuilder:validation:MaxItems=16
	// +listType=set
	Proxies []string `json:"proxies,omitempty"`
	// Kubernetes; empty standalone.
	Kubernetes string `json:"kubernetes,omitempty"`
}

// RTT is a round trip to another cluster.
type RTT struct {
	// The other cluster.
	To ClusterName `json:"to"`
	// How it was measured.
	Kind RTTKind `json:"kind"`
	// The round trip, as Go prints a duration.
	RTT metav1.Duration `json:"rtt"`
	// When it was measured.
	MeasuredAt metav1.Time `json:"measuredAt"`
}

// RTTKind says how a round trip was measured: by the spokes' gossip, by pings on
// the link itself, or by coordinates where neither has been.
//
// +kubebuilder:validation:Enum=Gossip;Link;Estimated
type RTTKind string

// The kinds of round trips.
const (
	RTTGossip    RTTKind = "Gossip"
	RTTLink      RTTKind = "Link"
	RTTEstimated RTTKind = "Estimated"
)

// Condition types of Cluster.
const (
	// ClusterConnected is true while the lease is Connected, unknown while it is
	// Suspect, false once it is Lost. Its reasons are the leases.
	ClusterConnected = "Connected"
	// ClusterServing is true unless the cluster is cordoned or drained, whether by
	// its spec or by an Operation.
	ClusterServing = "Serving"
	// ClusterInSync is true while the spoke has acknowledged its assignment.
	ClusterInSync = "InSync"
)

// Reasons of Cluster's conditions.
const (
	ReasonServing      = "Serving"
	ReasonCordoned     = "Cordoned"
	ReasonDraining     = "Draining"
	ReasonDrained      = "Drained"
	ReasonAcknowledged = "Acknowledged"
	ReasonRefused      = "Refused"
	ReasonWaiting      = "Waiting"
	ReasonRevoked      = "Revoked"
)

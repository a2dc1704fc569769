package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MaxDeclarationsBytes bounds one Declarations object, as JSON.
const MaxDeclarationsBytes = 256 << 10

// Declarations is one shard of what a spoke pushed of one of its namespaces. The
// hub keeps it, in the namespace tenant-<name>, and never changes a payload.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=declarations,singular=declarations,categories=nave
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.cluster`
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.spec.namespace`
// +kubebuilder:printcolumn:name="Shard",type=integer,JSONPath=`.spec.shard`
type Declarations struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// What was pushed.
	Spec DeclarationsSpec `json:"spec"`
}

// DeclarationsList is a list of shards.
//
// +kubebuilder:object:root=true
type DeclarationsList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// The shards.
	Items []Declarations `json:"items"`
}

// DeclarationsSpec is one shard of what a spoke pushed.
type DeclarationsSpec struct {
	// Cluster it comes from, as the spoke's certificate names it.
	Cluster ClusterName `json:"cluster"`
	// Namespace it was declared in; empty for kinds without one.
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// Number of the shard, from 0.
	// +kubebuilder:validation:Minimum=0
	Shard int32 `json:"shard"`
	// The declarations, by (group, kind, name).
	// +kubebuilder:validation:MaxItems=4096
	// +listType=map
	// +listMapKey=group
	// +listMapKey=kind
	// +listMapKey=name
	Items []Declaration `json:"items,omitempty"`
}

// Declaration is one object as its spoke pushed and signed it, secrets replaced by
// keyed hashes.
type Declaration struct {
	// API group; empty is the core group.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default=""
	Group string `json:"group"`
	// Kind.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// Name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Generation in the cluster it comes from.
	Generation int64 `json:"generation"`
	// Content hash of the payload.
	// +kubebuilder:validation:MaxLength=128
	Hash string `json:"hash"`
	// The spoke's signature.
	Signature []byte `json:"signature"`
	// The object, byte for byte as it was signed.
	Payload []byte `json:"payload"`
	// What was reported back to its spoke, by those who report.
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=from
	Statuses []ReturnedStatus `json:"statuses,omitempty"`
}

// ReturnedStatus is what one cluster, or the hub, reported of a declaration.
type ReturnedStatus struct {
	// Cluster that reports; empty is the hub.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:default=""
	From string `json:"from"`
	// Generation that was really processed.
	ObservedGeneration int64 `json:"observedGeneration"`
	// Conditions.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

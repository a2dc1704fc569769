package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Operation is an order given by a person or by automation, apart from what Git
// declares. The safer of declared and ordered is in force.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=operations,categories=nave
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.kind`
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.cluster`
// +kubebuilder:printcolumn:name="Who",type=string,JSONPath=`.spec.who`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
type Operation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// The order.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf || (self.kind == oldSelf.kind && has(self.cluster) == has(oldSelf.cluster) && (!has(self.cluster) || self.cluster == oldSelf.cluster) && self.who == oldSelf.who)",message="kind, cluster and who of an order do not change"
	Spec OperationSpec `json:"spec"`
	// What came of it.
	// +optional
	Status OperationStatus `json:"status,omitzero"`
}

// OperationList is a list of orders.
//
// +kubebuilder:object:root=true
type OperationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	// The orders.
	Items []Operation `json:"items"`
}

// OperationSpec is an order.
//
// +kubebuilder:validation:XValidation:rule="!(self.kind in ['Cordon', 'Drain']) || has(self.cluster)",message="Cordon and Drain need a cluster"
type OperationSpec struct {
	// What is ordered.
	Kind OperationKind `json:"kind"`
	// For which cluster; the whole fleet if unset.
	Cluster ClusterName `json:"cluster,omitempty"`
	// Who ordered it: a user, an operator key, or a part of Nave.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Who string `json:"who"`
	// Why, for those who read it later.
	// +kubebuilder:validation:MaxLength=1024
	Why string `json:"why,omitempty"`
	// When it ends by itself; never if unset.
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

// OperationKind is what an Operation orders. Cordon: no new work. Drain: no new
// work, and what is there goes elsewhere. Freeze: the hub moves nothing by itself.
// Hold: the hub publishes nothing.
//
// +kubebuilder:validation:Enum=Cordon;Drain;Freeze;Hold
type OperationKind string

// The orders.
const (
	OperationCordon OperationKind = "Cordon"
	OperationDrain  OperationKind = "Drain"
	OperationFreeze OperationKind = "Freeze"
	OperationHold   OperationKind = "Hold"
)

// OperationStatus says what came of an order.
type OperationStatus struct {
	// Conditions.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Condition types of Operation.
const (
	// OperationInForce is true while the order holds.
	OperationInForce = "InForce"
	// OperationComplete is true once what was ordered is done; of a drain, once the
	// cluster serves nothing from elsewhere.
	OperationComplete = "Complete"
)

// Reasons of Operation's conditions.
const (
	ReasonOrdered       = "Ordered"
	ReasonExpired       = "Expired"
	ReasonNoSuchCluster = "NoSuchCluster"
	ReasonInProgress    = "InProgress"
	ReasonDone          = "Done"
)

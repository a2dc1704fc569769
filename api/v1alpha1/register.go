package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind in this package.
const GroupName = "nave.dev"

// The kinds of this package.
const (
	KindCluster        = "Cluster"
	KindTenant         = "Tenant"
	KindFleetConfig    = "FleetConfig"
	KindFailoverPolicy = "FailoverPolicy"
	KindDrill          = "Drill"
	KindOperation      = "Operation"
	KindDeclarations   = "Declarations"
)

// SchemeGroupVersion is the version of this package.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// AddToScheme registers the package's kinds.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&Cluster{}, &ClusterList{},
		&Tenant{}, &TenantList{},
		&FleetConfig{}, &FleetConfigList{},
		&FailoverPolicy{}, &FailoverPolicyList{},
		&Drill{}, &DrillList{},
		&Operation{}, &OperationList{},
		&Declarations{}, &DeclarationsList{},
	)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}

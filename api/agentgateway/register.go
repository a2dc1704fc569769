package agentgateway

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind in this package.
const GroupName = "agentgateway.dev"

// The kinds of this package.
const (
	KindBackend    = "AgentgatewayBackend"
	KindPolicy     = "AgentgatewayPolicy"
	KindParameters = "AgentgatewayParameters"
)

// SchemeGroupVersion is the one version that agentgateway has published.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// AddToScheme registers the package's kinds.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&AgentgatewayBackend{}, &AgentgatewayBackendList{},
		&AgentgatewayPolicy{}, &AgentgatewayPolicyList{},
		&AgentgatewayParameters{}, &AgentgatewayParametersList{},
	)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}

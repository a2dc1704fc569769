package objects

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/v1alpha1"
)

// The groups whose kinds are read.
const (
	GroupGateway      = gwv1.GroupName
	GroupAgentgateway = agentgateway.GroupName
	GroupNave         = v1alpha1.GroupName
	GroupDiscovery    = discoveryv1.GroupName
)

// kind is what is known of a kind.
type kind struct {
	group, name string
	versions    []string
	// blank makes an empty object; nil for kinds that are known and not built.
	blank       func() any
	clusterWide bool
}

func of[T any]() func() any { return func() any { return new(T) } }

var (
	v1           = []string{"v1"}
	v1AndBeta    = []string{"v1", "v1beta1"}
	v1AndAlpha3  = []string{"v1", "v1alpha3"}
	v1AndAlpha   = []string{"v1", "v1alpha2", "v1alpha3"}
	onlyV1alpha1 = []string{"v1alpha1"}
)

// kinds are those that Decode reads. All served versions of a kind have one
// shape, so that each is read as the newest.
var kinds = []kind{
	{GroupGateway, "GatewayClass", v1AndBeta, of[gwv1.GatewayClass](), true},
	{GroupGateway, "Gateway", v1AndBeta, of[gwv1.Gateway](), false},
	{GroupGateway, "HTTPRoute", v1AndBeta, of[gwv1.HTTPRoute](), false},
	{GroupGateway, "ReferenceGrant", v1AndBeta, of[gwv1.ReferenceGrant](), false},
	{GroupGateway, "BackendTLSPolicy", v1AndAlpha3, of[gwv1.BackendTLSPolicy](), false},
	{GroupGateway, "GRPCRoute", v1AndAlpha, nil, false},
	{GroupGateway, "TCPRoute", v1AndAlpha, nil, false},
	{GroupGateway, "TLSRoute", v1AndAlpha, nil, false},
	{GroupGateway, "UDPRoute", v1AndAlpha, nil, false},
	{GroupGateway, "ListenerSet", v1, nil, false},
	{"", "Secret", v1, of[corev1.Secret](), false},
	{"", "ConfigMap", v1, of[corev1.ConfigMap](), false},
	{"", "Service", v1, of[corev1.Service](), false},
	{"", "Namespace", v1, of[corev1.Namespace](), true},
	{GroupDiscovery, "EndpointSlice", v1, of[discoveryv1.EndpointSlice](), false},
	{GroupAgentgateway, agentgateway.KindBackend, onlyV1alpha1, of[agentgateway.AgentgatewayBackend](), false},
	{GroupAgentgateway, agentgateway.KindPolicy, onlyV1alpha1, of[agentgateway.AgentgatewayPolicy](), false},
	{GroupAgentgateway, agentgateway.KindParameters, onlyV1alpha1, of[agentgateway.AgentgatewayParameters](), false},
	{GroupNave, v1alpha1.KindCluster, onlyV1alpha1, of[v1alpha1.Cluster](), true},
	{GroupNave, v1alpha1.KindTenant, onlyV1alpha1, of[v1alpha1.Tenant](), true},
	{GroupNave, v1alpha1.KindFleetConfig, onlyV1alpha1, of[v1alpha1.FleetConfig](), true},
	{GroupNave, v1alpha1.KindFailoverPolicy, onlyV1alpha1, of[v1alpha1.FailoverPolicy](), false},
	{GroupNave, v1alpha1.KindDrill, onlyV1alpha1, of[v1alpha1.Drill](), true},
	{GroupNave, v1alpha1.KindOperation, onlyV1alpha1, of[v1alpha1.Operation](), true},
}

// ours are the groups of which an unknown kind is something to mend; other
// groups' kinds are for a cluster.
var ours = []string{GroupGateway, GroupAgentgateway, GroupNave, "gateway.networking.x-k8s.io"}

func findKind(group, name string) (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.group == group && k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

// New makes an empty object of a kind: its own type, or *unstructured.Unstructured
// where the kind is known and not built. It is nil for a kind that is not read.
func New(group, name string) any {
	k, ok := findKind(group, name)
	switch {
	case !ok:
		return nil
	case k.blank == nil:
		return &unstructured.Unstructured{}
	}
	return k.blank()
}

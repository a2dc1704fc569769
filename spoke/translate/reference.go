package translate

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
)

// reference is who refers to something.
type reference struct {
	cluster, group, kind, namespace string
}

// resolve finds the backend that is referred to, or says why it cannot be used.
func (s *schema) resolve(l *derive.Look, from reference, b gwv1.BackendObjectReference) (backendTarget, *fault) {
	to := backendTarget{key: objects.Key{Group: deref(b.Group, ""), Kind: deref(b.Kind, kindService), Namespace: from.namespace, Name: string(b.Name)}}
	if b.Namespace != nil {
		to.key.Namespace = string(*b.Namespace)
	}
	k := to.key
	service := k.Group == "" && k.Kind == kindService
	if !service && (k.Group != objects.GroupAgentgateway || k.Kind != kindBackend) {
		return to, &fault{reason: string(gwv1.RouteReasonInvalidKind), message: fmt.Sprintf("kind %s of group %q is no backend", k.Kind, k.Group),
			remedy: "refer to a Service or an AgentgatewayBackend"}
	}
	if k.Namespace != from.namespace {
		if f := s.crossing(l, from, k); f != nil {
			return to, f
		}
	}
	if service {
		return s.resolveService(l, from.cluster, to, b.Port)
	}
	if _, ok := s.objects.Get(l, ref{from.cluster, k}); !ok {
		return to, &fault{reason: string(gwv1.RouteReasonBackendNotFound), message: k.String() + " is not found", remedy: "declare it, or correct the name"}
	}
	return to, nil
}

// crossing says why another namespace may not be referred to, or nil.
func (s *schema) crossing(l *derive.Look, from reference, to objects.Key) *fault {
	notPermitted := string(gwv1.RouteReasonRefNotPermitted)
	if !s.granted(l, from.cluster, from.group, from.kind, from.namespace, to) {
		return &fault{reason: notPermitted, message: "no ReferenceGrant permits " + to.String(), remedy: "declare one in namespace " + to.Namespace}
	}
	here, there := s.owners.Get(l, place{from.cluster, from.namespace}), s.owners.Get(l, place{from.cluster, to.Namespace})
	if here.tenant != there.tenant {
		return &fault{reason: notPermitted, message: to.String() + " belongs to another tenant", remedy: "use a backend of your own"}
	}
	return nil
}

func (s *schema) resolveService(l *derive.Look, cluster string, to backendTarget, port *gwv1.PortNumber) (backendTarget, *fault) {
	notFound := string(gwv1.RouteReasonBackendNotFound)
	if port == nil {
		return to, &fault{reason: string(gwv1.RouteReasonUnsupportedValue), message: "a Service needs a port", remedy: "set port"}
	}
	to.port = int(*port)
	_, service, ok := get[*corev1.Service](s, l, ref{cluster, to.key})
	if !ok {
		return to, &fault{reason: notFound, message: to.key.String() + " is not found", remedy: "declare it, or correct the name"}
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return to, &fault{reason: string(gwv1.RouteReasonUnsupportedValue), message: to.key.String() + " is of type ExternalName",
			remedy: "use an AgentgatewayBackend with static.host"}
	}
	p, ok := servicePortOf(service, to.port)
	if !ok {
		return to, &fault{reason: notFound, message: fmt.Sprintf("%s has no port %d", to.key, to.port), remedy: "use one of its ports"}
	}
	if !speaks(p.AppProtocol) {
		return to, &fault{reason: string(gwv1.RouteReasonUnsupportedProtocol),
			message: fmt.Sprintf("%s: appProtocol %q of port %d is not built yet", to.key, *p.AppProtocol, to.port), remedy: "use kubernetes.io/h2c, kubernetes.io/ws, http, or none"}
	}
	return to, nil
}

func servicePortOf(s *corev1.Service, port int) (corev1.ServicePort, bool) {
	for _, p := range s.Spec.Ports {
		if int(p.Port) == port {
			return p, true
		}
	}
	return corev1.ServicePort{}, false
}

// The application protocols that are built; those of TLS come with a
// BackendTLSPolicy.
var applicationProtocols = []string{"", "http", "https", "grpc", "kubernetes.io/h2c", "kubernetes.io/ws", "kubernetes.io/wss"}

func speaks(p *string) bool { return p == nil || slices.Contains(applicationProtocols, *p) }

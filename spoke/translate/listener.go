package translate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// ownPorts are the proxy's own, which no listener can have.
var ownPorts = []gwv1.PortNumber{15000, 15020, 15021, 15443}

// listenerState is one listener as this cluster sees it.
type listenerState struct {
	name     string
	path     string
	hostname string
	port     uint16
	protocol gwv1.ProtocolType
	accepted condition
	// conflicted and resolved are the conditions of these names.
	conflicted, resolved condition
	// serves: it is in the table.
	serves bool
	kinds  []gwv1.RouteGroupKind
	// routes tells that HTTPRoutes may attach.
	routes       bool
	from         gwv1.FromNamespaces
	selector     *metav1.LabelSelector
	certificates []node
	faults       []fault
}

// deriveListeners reads a Gateway's listeners; of two with one name the first
// counts.
func (s *schema) deriveListeners(l *derive.Look, r ref, gw *gwv1.Gateway) (out []listenerState, repeated []fault) {
	for i := range gw.Spec.Listeners {
		x := s.deriveListener(l, r, &gw.Spec.Listeners[i], fmt.Sprintf("spec.listeners[%d]", i))
		if slices.ContainsFunc(out, func(o listenerState) bool { return o.name == x.name }) {
			repeated = append(repeated, fault{x.path + ".name", string(gwv1.ListenerReasonUnsupportedValue),
				fmt.Sprintf("an earlier listener is named %q too, so that this one is not served", x.name), "give each its own name"})
			continue
		}
		out = append(out, x)
	}
	conflicts(gw, out)
	for i := range out {
		out[i].serves = out[i].accepted.status == "True" && (out[i].protocol == gwv1.HTTPProtocolType || len(out[i].certificates) > 0)
	}
	return out, repeated
}

func (s *schema) deriveListener(l *derive.Look, r ref, spec *gwv1.Listener, path string) listenerState {
	x := listenerState{
		name: string(spec.Name), path: path, port: uint16(spec.Port), protocol: spec.Protocol,
		accepted:   yes(v1alpha1.ConditionAccepted, string(gwv1.ListenerReasonAccepted), "is valid"),
		conflicted: no(string(gwv1.ListenerConditionConflicted), string(gwv1.ListenerReasonNoConflicts), "no other listener is like it"),
		resolved:   yes(string(gwv1.ListenerConditionResolvedRefs), string(gwv1.ListenerReasonResolvedRefs), "all references are resolved"),
		from:       gwv1.NamespacesFromSame,
	}
	if spec.Hostname != nil {
		x.hostname = strings.ToLower(string(*spec.Hostname))
	}
	if n := spec.AllowedRoutes; n != nil && n.Namespaces != nil && n.Namespaces.From != nil {
		x.from, x.selector = *n.Namespaces.From, n.Namespaces.Selector
	}
	x.routeKinds(spec, path)
	if f, bad := badListener(spec, path); bad {
		x.refuse(f)
		return x
	}
	if spec.Protocol == gwv1.HTTPSProtocolType {
		s.certify(l, r, spec, path, &x)
	}
	return x
}

func (x *listenerState) refuse(f fault) {
	x.accepted = no(v1alpha1.ConditionAccepted, f.reason, f.String())
	x.faults = append(x.faults, f)
}

func (x *listenerState) unresolved(f fault) {
	if x.resolved.status == metav1.ConditionTrue {
		x.resolved = no(x.resolved.kind, f.reason, f.String())
	}
	x.faults = append(x.faults, f)
}

// routeKinds keeps what of the allowed kinds can attach.
func (x *listenerState) routeKinds(spec *gwv1.Listener, path string) {
	group := gwv1.Group(objects.GroupGateway)
	served := spec.Protocol == gwv1.HTTPProtocolType || spec.Protocol == gwv1.HTTPSProtocolType
	x.kinds = []gwv1.RouteGroupKind{}
	if spec.AllowedRoutes == nil || len(spec.AllowedRoutes.Kinds) == 0 {
		if x.routes = served; served {
			x.kinds = append(x.kinds, gwv1.RouteGroupKind{Group: &group, Kind: kindRoute})
		}
		return
	}
	for i, k := range spec.AllowedRoutes.Kinds {
		if served && k.Kind == kindRoute && (k.Group == nil || *k.Group == group) {
			x.routes = true
			x.kinds = append(x.kinds, gwv1.RouteGroupKind{Group: &group, Kind: kindRoute})
			continue
		}
		x.unresolved(fault{
			field: fmt.Sprintf("%s.allowedRoutes.kinds[%d]", path, i), reason: string(gwv1.ListenerReasonInvalidRouteKinds),
			message: "kind " + string(k.Kind) + " cannot attach to a listener of protocol " + string(spec.Protocol), remedy: "use HTTPRoute",
		})
	}
}

// badListener finds what keeps a listener from being served at all.
func badListener(spec *gwv1.Listener, path string) (fault, bool) {
	unsupported := string(gwv1.ListenerReasonUnsupportedValue)
	switch {
	case spec.Protocol != gwv1.HTTPProtocolType && spec.Protocol != gwv1.HTTPSProtocolType:
		return fault{path + ".protocol", string(gwv1.ListenerReasonUnsupportedProtocol),
			fmt.Sprintf("protocol %q is not built yet", spec.Protocol), "use HTTP or HTTPS"}, true
	case spec.Port < 1 || spec.Port > 65535:
		return fault{path + ".port", unsupported, fmt.Sprintf("%d is no port", spec.Port), "give one from 1 to 65535"}, true
	case slices.Contains(ownPorts, spec.Port):
		return fault{path + ".port", string(gwv1.ListenerReasonPortUnavailable),
			fmt.Sprintf("port %d is one of the proxy's own", spec.Port), "take another one"}, true
	case spec.Hostname != nil && !validHostname(strings.ToLower(string(*spec.Hostname))):
		return fault{path + ".hostname", unsupported, fmt.Sprintf("%q is no host name", *spec.Hostname), "give a name, or *. and a name"}, true
	case spec.Protocol == gwv1.HTTPProtocolType && spec.TLS != nil && len(spec.TLS.CertificateRefs) > 0:
		return fault{path + ".tls", unsupported, "protocol HTTP has no TLS", "use protocol HTTPS, or remove it"}, true
	case spec.AllowedRoutes != nil && !knownNamespaces(spec.AllowedRoutes.Namespaces):
		return fault{path + ".allowedRoutes.namespaces", unsupported, "says nothing that is known of which namespaces are meant",
			"use from: Same, All, None, or Selector with a selector that can be read"}, true
	case spec.TLS != nil && len(spec.TLS.Options) > 0:
		return fault{path + ".tls.options", unsupported, "is not built yet", "remove it"}, true
	case spec.Protocol == gwv1.HTTPSProtocolType && (spec.TLS == nil || len(spec.TLS.CertificateRefs) == 0):
		return fault{path + ".tls.certificateRefs", string(gwv1.ListenerReasonInvalidCertificateRef),
			"HTTPS needs a certificate", "refer to a Secret with tls.crt and tls.key"}, true
	case spec.TLS != nil && spec.TLS.Mode != nil && *spec.TLS.Mode != gwv1.TLSModeTerminate:
		return fault{path + ".tls.mode", unsupported, fmt.Sprintf("mode %q does not go with HTTPS", *spec.TLS.Mode), "use Terminate"}, true
	}
	return fault{}, false
}

func knownNamespaces(n *gwv1.RouteNamespaces) bool {
	if n == nil || n.From == nil {
		return true
	}
	switch *n.From {
	case gwv1.NamespacesFromSame, gwv1.NamespacesFromAll, gwv1.NamespacesFromNone:
		return true
	case gwv1.NamespacesFromSelector:
		_, err := metav1.LabelSelectorAsSelector(n.Selector)
		return err == nil && n.Selector != nil
	}
	return false
}

// validHostname takes a DNS name, perhaps with one wildcard label before it.
func validHostname(h string) bool {
	if isIP(h) {
		return false
	}
	if rest, ok := strings.CutPrefix(h, "*."); ok {
		h = rest
	}
	return len(validation.IsDNS1123Subdomain(h)) == 0
}

func isIP(h string) bool {
	_, err := netip.ParseAddr(h)
	return err == nil
}

// conflicts marks listeners that cannot be told apart. None of them is served:
// the specification forbids choosing a winner within one Gateway.
func conflicts(gw *gwv1.Gateway, list []listenerState) {
	for i := range list {
		for j := range list {
			if i == j || list[i].port != list[j].port || !valid(gw, list[i].name) || !valid(gw, list[j].name) {
				continue
			}
			reason, what := "", ""
			switch {
			case list[i].protocol != list[j].protocol:
				reason, what = string(gwv1.ListenerReasonProtocolConflict), "another protocol"
			case list[i].hostname == list[j].hostname:
				reason, what = string(gwv1.ListenerReasonHostnameConflict), "the same host name"
			default:
				continue
			}
			f := fault{fmt.Sprintf("spec.listeners[%d]", i), reason,
				fmt.Sprintf("listener %q has %s on port %d too, so that neither is served", list[j].name, what, list[i].port), "change one of them"}
			list[i].conflicted = yes(list[i].conflicted.kind, reason, f.message)
			list[i].refuse(f)
			break
		}
	}
}

// valid tells whether a listener was valid before conflicts were looked for.
func valid(gw *gwv1.Gateway, name string) bool {
	for i := range gw.Spec.Listeners {
		if string(gw.Spec.Listeners[i].Name) == name {
			_, bad := badListener(&gw.Spec.Listeners[i], "")
			return !bad
		}
	}
	return false
}

// admits tells whether routes of a namespace may attach.
func (s *schema) admits(l *derive.Look, gateway ref, x *listenerState, namespace string) bool {
	switch x.from {
	case gwv1.NamespacesFromAll:
		return true
	case gwv1.NamespacesFromSelector:
		selector, err := metav1.LabelSelectorAsSelector(x.selector)
		if err != nil {
			return false // refused by badListener
		}
		set := labels.Set{"kubernetes.io/metadata.name": namespace}
		if o, ok := s.objects.Get(l, ref{gateway.cluster, objects.Key{Kind: kindNamespace, Name: namespace}}); ok {
			for k, v := range o.Labels {
				set[k] = v
			}
		}
		return selector.Matches(set)
	}
	return x.from == gwv1.NamespacesFromSame && namespace == gateway.Namespace
}

// taken is the fault that a proxy answers at another port than the listener's;
// elsewhere is where, "" for no such fault.
func (x *listenerState) taken(elsewhere string) []fault {
	if elsewhere == "" {
		return nil
	}
	return []fault{{
		x.path + ".port", "PortUnavailable", fmt.Sprintf("port %d is taken, or a proxy may not open it; it answers at %s instead", x.port, elsewhere),
		"end what has the port and then the proxy, which starts again by itself, or choose another port; one below 1024 may need a right of its own",
	}}
}

func (x *listenerState) status(generation int64, gateway condition, faults []fault) gwv1.ListenerStatus {
	programmed := condition{v1alpha1.ConditionProgrammed, gateway.status, gateway.reason, gateway.message}
	if len(faults) > 0 {
		programmed.message += "; " + join(faults)
	}
	if !x.serves {
		programmed = no(v1alpha1.ConditionProgrammed, string(gwv1.ListenerReasonInvalid), "is not served; see the other conditions")
	}
	return gwv1.ListenerStatus{
		Name: gwv1.SectionName(x.name), SupportedKinds: x.kinds,
		Conditions: at(generation, x.accepted, x.conflicted, x.resolved, programmed),
	}
}

func (s *schema) pieceOfListener(l *derive.Look, n node) piece {
	g := s.gateways.Get(l, ref{n.view, n.key})
	for _, x := range g.listeners {
		if x.name != n.entry || !x.serves {
			continue
		}
		resource := &table.Listener{
			Name: n.id.Name, Gateway: n.key.Namespace + "/" + n.key.Name, Section: x.name,
			Port: x.port, Protocol: table.Protocol(x.protocol), Hostname: x.hostname,
		}
		for _, c := range x.certificates {
			resource.Certificates = append(resource.Certificates, c.id.Name)
		}
		return piece{resource: resource, needs: x.certificates}
	}
	return piece{}
}

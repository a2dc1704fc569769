package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
)

// servicePort is one port of a Service of this cluster.
type servicePort struct {
	key  objects.Key
	port int
}

// deriveEndpoints collects the ready addresses behind a Service's port.
func (s *schema) deriveEndpoints(l *derive.Look, sp servicePort) *table.Endpoints {
	out := &table.Endpoints{Name: backendName(sp.key, sp.port)}
	at := ref{s.options.Cluster, sp.key}
	_, service, ok := get[*corev1.Service](s, l, at)
	if !ok {
		out.Missing = sp.key.String() + " is not found; declare it"
		return out
	}
	port, ok := servicePortOf(service, sp.port)
	if !ok {
		out.Missing = fmt.Sprintf("%s has no port %d; use one of its ports", sp.key, sp.port)
		return out
	}
	found, unready := 0, 0
	for _, r := range s.slicesOf.Get(l, at) {
		_, slice, ok := get[*discoveryv1.EndpointSlice](s, l, r)
		if !ok {
			continue
		}
		found++
		number, ok := slicePort(slice, service, port)
		if !ok || slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				unready += len(e.Addresses)
				continue
			}
			out.Addresses = append(out.Addresses, addresses(e, number)...)
		}
	}
	slices.SortFunc(out.Addresses, func(a, b table.Address) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	out.Addresses = slices.Compact(out.Addresses)
	switch {
	case len(out.Addresses) > 0:
	case found == 0:
		out.Missing = fmt.Sprintf("nobody is behind %s: no EndpointSlice belongs to it; declare one with label %s: %s", sp.key, discoveryv1.LabelServiceName, sp.key.Name)
	case unready > 0:
		out.Missing = fmt.Sprintf("nobody is behind %s: none of %d endpoints is ready", sp.key, unready)
	default:
		out.Missing = fmt.Sprintf("nobody is behind %s: no EndpointSlice has an address for port %d; give it a port named %q", sp.key, sp.port, port.Name)
	}
	return out
}

func addresses(e discoveryv1.Endpoint, port uint16) []table.Address {
	var out []table.Address
	for _, a := range e.Addresses {
		if isIP(a) {
			out = append(out, table.Address{Host: a, Port: port})
		}
	}
	return out
}

// slicePort is the port of a slice that stands for a Service's port: the one of
// its name, else the only one where the Service has only one too.
func slicePort(slice *discoveryv1.EndpointSlice, service *corev1.Service, port corev1.ServicePort) (uint16, bool) {
	for _, p := range slice.Ports {
		if p.Port != nil && deref(p.Name, "") == port.Name {
			return uint16(*p.Port), true
		}
	}
	if len(slice.Ports) == 1 && len(service.Spec.Ports) == 1 && slice.Ports[0].Port != nil {
		return uint16(*slice.Ports[0].Port), true
	}
	return 0, false
}

// serviceDial is how a Service of this cluster is reached: by its endpoints,
// with TLS where a BackendTLSPolicy asks for it.
func (s *schema) serviceDial(l *derive.Look, host string, sp servicePort) (dial *table.Dial, needs []node, closed *fault) {
	_, service, ok := get[*corev1.Service](s, l, ref{s.options.Cluster, sp.key})
	if !ok {
		return nil, nil, &fault{reason: "ServiceNotFound", message: sp.key.String() + " is not found", remedy: "declare it, or correct the host"}
	}
	port, ok := servicePortOf(service, sp.port)
	if !ok {
		return nil, nil, &fault{reason: "ServiceNotFound", message: fmt.Sprintf("%s has no port %d", sp.key, sp.port), remedy: "use one of its ports"}
	}
	n := endpointsNode(sp.key, sp.port)
	dial = &table.Dial{Host: host, Port: uint16(sp.port), Endpoints: n.id.Name}
	needs = []node{n}
	protocol := deref(port.AppProtocol, "")
	dial.HTTP2 = protocol == "kubernetes.io/h2c" || protocol == "grpc"
	tls, more, closed := s.serviceTLS(l, sp.key, port.Name)
	if closed != nil {
		return nil, nil, closed
	}
	if tls == nil && (protocol == "https" || protocol == "kubernetes.io/wss") {
		return nil, nil, &fault{reason: "UnsupportedProtocol", message: fmt.Sprintf("%s: appProtocol %s needs TLS that is told how to verify", sp.key, protocol),
			remedy: "declare a BackendTLSPolicy for it"}
	}
	dial.TLS = tls
	return dial, append(needs, more...), nil
}

// serviceBackend is the piece of a Service's port: the Service here, or over
// the link where another cluster's declaration means it.
func (s *schema) serviceBackend(l *derive.Look, n node) piece {
	whose := s.owners.Get(l, place{n.view, n.key.Namespace})
	i := table.Instance{Cluster: n.view, Region: s.region(l, n.view)}
	out := piece{}
	if n.view == s.options.Cluster {
		dial, needs, closed := s.serviceDial(l, n.key.Name+"."+n.key.Namespace+".svc.cluster.local", servicePort{n.key, n.index})
		i.Dial, out.needs = dial, needs
		if closed != nil {
			i.Closed = closed.reason + ": " + closed.String()
		}
	}
	b := &table.Backend{
		Name: n.id.Name, Kind: table.BackendHTTP, Tenant: whose.tenant,
		Groups: [][]table.Member{{{Name: n.key.Name}}},
	}
	f := s.failoverFor(l, n, table.BackendHTTP)
	b.Failover = f.settings
	b.Closed = f.closed
	s.confine(l, whose.tenant, f, b, &i)
	if b.Closed == "" {
		b.Closed = s.backendPolicies(l, ref{n.view, n.key}).closed
	}
	if out.resource = b; b.Closed != "" {
		b.Groups = nil
		return piece{resource: b}
	}
	b.Groups[0][0].Instances = []table.Instance{i}
	return out
}

package translate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// localInstances are the members of a backend of this cluster as this cluster
// reaches them, by group and position.
type localInstances struct{ groups [][]localInstance }

type localInstance struct {
	instance table.Instance
	needs    []node
	fault    *fault
	// idle says that it is a Service that nobody is behind.
	idle string
}

func (s *schema) deriveInstances(l *derive.Look, r ref) *localInstances {
	d := s.declared.Get(l, r)
	policies := s.backendPolicies(l, r)
	out := &localInstances{}
	for _, g := range d.groups {
		var list []localInstance
		for i := range g {
			list = append(list, s.instance(l, r, d, &g[i], policies))
		}
		out.groups = append(out.groups, list)
	}
	return out
}

func (s *schema) instance(l *derive.Look, r ref, d *declaration, m *declaredMember, policies backendPolicies) localInstance {
	i := localInstance{instance: table.Instance{Cluster: r.cluster, Region: d.region}}
	closed := policies.sections[m.member.Name]
	if len(m.faults) > 0 {
		closed = m.faults[0].reason + ": " + join(m.faults)
	}
	if closed == "" {
		if f := s.reach(l, r, m, policies, &i); f != nil {
			f.field = cmp.Or(f.field, m.path)
			i.fault, closed = f, f.reason+": "+f.String()
		}
	}
	if closed != "" {
		i.instance = table.Instance{Cluster: r.cluster, Region: i.instance.Region, Closed: closed}
		i.needs, i.idle = nil, ""
	}
	return i
}

// reach fills in how a member is dialed and what it is shown.
func (s *schema) reach(l *derive.Look, r ref, m *declaredMember, policies backendPolicies, i *localInstance) *fault {
	service, inside := s.inside(l, r, m)
	host := m.host
	if inside {
		i.instance.Region = s.region(l, r.cluster)
		if s.owners.Get(l, place{r.cluster, service.Namespace}).tenant != s.owners.Get(l, place{r.cluster, r.Namespace}).tenant {
			return &fault{reason: "RefNotPermitted", message: service.String() + " belongs to another tenant", remedy: "use a server of your own"}
		}
		if host == "" {
			host = service.Name + "." + service.Namespace + ".svc.cluster.local"
		}
		dial, needs, f := s.serviceDial(l, host, servicePort{service, m.port})
		if f != nil {
			return f
		}
		i.instance.Dial, i.needs = dial, needs
		i.idle = s.missing.Get(l, servicePort{service, m.port})
	} else {
		if f := s.refusedHost(l, r, m); f != nil {
			return f
		}
		i.instance.Dial = &table.Dial{Host: host, Port: uint16(m.port)}
	}
	dial := i.instance.Dial
	if m.httpVersion != "" {
		dial.HTTP2 = m.httpVersion == agentgateway.HTTP2
	}
	dial.ConnectTimeout, dial.RequestTimeout = m.connectTimeout, m.requestTimeout
	if m.tls != nil {
		tls, needs, f := s.backendTLS(l, r, m.tls, host)
		if f != nil {
			return f
		}
		dial.TLS, i.needs = tls, append(i.needs, needs...)
	}
	auth, owner := m.auth, r
	if auth == nil {
		auth, owner = policies.auth(m.member.Name, r)
	}
	a, needs, f := s.credential(l, owner, m, auth)
	if f != nil {
		if auth == m.auth {
			f.field = cmp.Or(f.field, m.authPath)
		}
		return f
	}
	i.instance.Auth, i.needs = a, uniqueNodes(append(i.needs, needs...))
	return nil
}

// refusedHost tells of an address that no proxy dials unless the platform team
// has named it, and of names that pass by a Service.
func (s *schema) refusedHost(l *derive.Look, r ref, m *declaredMember) *fault {
	if service, is := s.pod(l, r.cluster, m.host); is {
		return &fault{
			reason: "AddressRefused", message: fmt.Sprintf("%q names a pod of %s, and pods are not dialled by name", m.host, service),
			remedy: "name the Service",
		}
	}
	ip, err := netip.ParseAddr(m.host)
	if err != nil || !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !ip.IsUnspecified() {
		return nil
	}
	at := netip.AddrPortFrom(ip, uint16(m.port)).String()
	named := false
	if fleet, ok := s.fleet.Get(l, only); ok {
		named = slices.ContainsFunc(fleet.Hosts, func(h table.Host) bool { return h.Name == at })
	}
	tenant := s.tenant(l, s.owners.Get(l, place{r.cluster, r.Namespace}).tenant)
	if named || slices.ContainsFunc(tenant.AllowedAddresses, func(c string) bool {
		prefix, err := netip.ParsePrefix(c)
		return err == nil && prefix.Contains(ip)
	}) {
		return nil
	}
	return &fault{
		field: m.path, reason: "AddressRefused", message: fmt.Sprintf("%s is an address of the machine itself, which no proxy dials", at),
		remedy: "put a Service with an EndpointSlice before it, or give it a host name and map that in hub/hosts.yaml",
	}
}

// inside tells whether a member is a Service of its own cluster: by reference,
// or by a host name of the form name.namespace.svc.cluster.local, or
// name.namespace where there is such a Service.
func (s *schema) inside(l *derive.Look, r ref, m *declaredMember) (objects.Key, bool) {
	if m.service != nil {
		k := *m.service
		k.Namespace = r.Namespace
		return k, true
	}
	k, certain := serviceHost(m.host)
	if k.Name == "" || certain {
		return k, certain
	}
	_, _, exists := get[*corev1.Service](s, l, ref{r.cluster, k})
	return k, exists
}

// serviceHost reads a host name as a Service's; certain is false where it could
// be any name.
func serviceHost(host string) (k objects.Key, certain bool) {
	name, ok := strings.CutSuffix(host, ".svc.cluster.local")
	if !ok {
		name, ok = strings.CutSuffix(host, ".svc")
	}
	parts := strings.Split(name, ".")
	if len(parts) != 2 || isIP(host) {
		return objects.Key{}, false
	}
	return objects.Key{Kind: kindService, Namespace: parts[1], Name: parts[0]}, ok
}

// pod tells whether a host is a pod's name in its cluster, and whose pod it is: a
// headless Service's, by the labels before the Service's own, or a namespace's.
// Who may be dialled is told by Services, so that such a name would lead past
// the boundary between tenants. A name without a suffix, which the cluster's
// resolver completes, is one where there is such a Service.
func (s *schema) pod(l *derive.Look, cluster, host string) (string, bool) {
	if isIP(host) {
		return "", false
	}
	name, inCluster := strings.CutSuffix(host, ".cluster.local")
	labels := strings.Split(name, ".")
	last := labels[len(labels)-1]
	if last == "pod" && len(labels) > 2 {
		return "namespace " + labels[len(labels)-2], true
	}
	certain := last == "svc"
	if certain {
		labels = labels[:len(labels)-1]
	}
	if len(labels) < 3 {
		return "", false
	}
	k := objects.Key{Kind: kindService, Namespace: labels[len(labels)-1], Name: labels[len(labels)-2]}
	if certain {
		return k.String(), true
	}
	_, service, exists := get[*corev1.Service](s, l, ref{cluster, k})
	return k.String(), exists && !inCluster && service.Spec.ClusterIP == corev1.ClusterIPNone
}

// backendTLS translates the TLS settings towards a destination.
func (s *schema) backendTLS(l *derive.Look, r ref, t *agentgateway.BackendTLS, host string) (*table.TLS, []node, *fault) {
	out := &table.TLS{ServerName: cmp.Or(string(t.SNI), host), Insecure: t.InsecureSkipVerify}
	if out.Insecure != "" && out.Insecure != agentgateway.SkipAll && out.Insecure != agentgateway.SkipHostname {
		return nil, nil, &fault{reason: v1alpha1.ReasonPolicyInvalid, message: fmt.Sprintf("tls.insecureSkipVerify: %q is not among the values", out.Insecure), remedy: "use All or Hostname"}
	}
	for _, n := range t.VerifySubjectAltNames {
		out.SANs = append(out.SANs, string(n))
	}
	for _, p := range t.ALPNProtocols {
		out.ALPN = append(out.ALPN, string(p))
	}
	var needs []node
	if len(t.CACertificateRefs) > 1 || len(t.MTLSCertificateRef) > 1 {
		return nil, nil, &fault{reason: v1alpha1.ReasonPolicyInvalid, message: "tls refers to more than one CA or certificate", remedy: "refer to one"}
	}
	for _, c := range t.CACertificateRefs {
		n, f := s.authority(l, r, objects.Key{Kind: cmp.Or(c.Kind, kindConfigMap), Namespace: r.Namespace, Name: c.Name})
		if f != nil {
			return nil, nil, f
		}
		out.CA, needs = n.id.Name, append(needs, n)
	}
	for _, c := range t.MTLSCertificateRef {
		key, f := secretKey(r, c)
		if f != nil {
			return nil, nil, f
		}
		_, secret, ok := get[*corev1.Secret](s, l, ref{r.cluster, key})
		if !ok {
			return nil, nil, &fault{reason: v1alpha1.ReasonSecretNotFound, message: key.String() + " is not found", remedy: "declare it with tls.crt and tls.key"}
		}
		if err := checkPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]); err != nil {
			return nil, nil, &fault{reason: v1alpha1.ReasonSecretNotFound, message: fmt.Sprintf("%s: %v", key, err), remedy: "put a PEM pair there"}
		}
		n := secretNode(usePair, key, "")
		out.Certificate, needs = n.id.Name, append(needs, n)
	}
	return out, needs, nil
}

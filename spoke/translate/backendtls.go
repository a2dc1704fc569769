package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// tlsState is a BackendTLSPolicy as read.
type tlsState struct {
	tls    *table.TLS
	needs  []node
	faults []fault
	// unresolved are references to CAs that lead nowhere.
	unresolved []fault
}

func (t *tlsState) closed() *fault {
	if len(t.faults) > 0 {
		return &t.faults[0]
	}
	if len(t.unresolved) > 0 && t.tls.CA == "" {
		return &t.unresolved[0]
	}
	return nil
}

func (s *schema) deriveTLSPolicy(l *derive.Look, r ref) *tlsState {
	o, p, ok := get[*gwv1.BackendTLSPolicy](s, l, r)
	if !ok {
		return &tlsState{}
	}
	t := &tlsState{tls: &table.TLS{ServerName: strings.ToLower(string(p.Spec.Validation.Hostname))}, faults: invalid(o)}
	for _, path := range unbuilt(o, built("targetRefs", "validation")) {
		t.faults = append(t.faults, notBuilt(path))
	}
	if !validHostname(t.tls.ServerName) {
		t.faults = append(t.faults, fault{"spec.validation.hostname", "Invalid", fmt.Sprintf("%q is no host name", t.tls.ServerName), "correct it"})
	}
	for i, san := range p.Spec.Validation.SubjectAltNames {
		name := string(san.Hostname)
		if san.Type == gwv1.URISubjectAltNameType {
			name = string(san.URI)
		}
		if name == "" {
			t.faults = append(t.faults, fault{fmt.Sprintf("spec.validation.subjectAltNames[%d]", i), "Invalid", "has no name of its type", "set hostname or uri"})
		}
		t.tls.SANs = append(t.tls.SANs, name)
	}
	system := p.Spec.Validation.WellKnownCACertificates
	switch refs := p.Spec.Validation.CACertificateRefs; {
	case len(refs) > 0:
		s.authorities(l, r, refs, t)
	case system == nil || *system != gwv1.WellKnownCACertificatesSystem:
		t.faults = append(t.faults, fault{"spec.validation", "Invalid", "names no CA", "set caCertificateRefs, or wellKnownCACertificates: System"})
	}
	return t
}

// authorities resolves the CAs of a policy: those that are valid count, as one
// bundle of the policy's own where there are several.
func (s *schema) authorities(l *derive.Look, r ref, refs []gwv1.LocalObjectReference, t *tlsState) {
	for i, c := range refs {
		field := fmt.Sprintf("spec.validation.caCertificateRefs[%d]", i)
		if c.Group != "" || c.Kind != kindConfigMap && c.Kind != kindSecret {
			t.unresolved = append(t.unresolved, fault{field, string(gwv1.BackendTLSPolicyReasonInvalidKind), "kind " + string(c.Kind) + " holds no CA", "use a ConfigMap"})
			continue
		}
		n, f := s.authority(l, r, objects.Key{Kind: string(c.Kind), Namespace: r.Namespace, Name: string(c.Name)})
		if f != nil {
			f.field = field
			t.unresolved = append(t.unresolved, *f)
			continue
		}
		if t.tls.CA != "" {
			n = secretNode(useCA, r.Key, "")
		}
		t.tls.CA, t.needs = n.id.Name, []node{n}
	}
}

// bundle joins the CAs of a policy that are valid.
func (s *schema) bundle(l *derive.Look, r ref) []byte {
	_, p, ok := get[*gwv1.BackendTLSPolicy](s, l, r)
	if !ok {
		return nil
	}
	var out []byte
	for _, c := range p.Spec.Validation.CACertificateRefs {
		o, ok := s.objects.Get(l, ref{r.cluster, objects.Key{Kind: string(c.Kind), Namespace: r.Namespace, Name: string(c.Name)}})
		if ok && c.Group == "" && checkCA(caOf(o)) {
			out = append(append(out, caOf(o)...), '\n')
		}
	}
	return out
}

// authority finds ca.crt in a ConfigMap or Secret.
func (s *schema) authority(l *derive.Look, r ref, key objects.Key) (node, *fault) {
	invalidRef := string(gwv1.BackendTLSPolicyReasonInvalidCACertificateRef)
	o, ok := s.objects.Get(l, ref{r.cluster, key})
	if !ok {
		return node{}, &fault{reason: invalidRef, message: key.String() + " is not found", remedy: "declare it with the entry ca.crt"}
	}
	if !checkCA(caOf(o)) {
		return node{}, &fault{reason: invalidRef, message: key.String() + " has no PEM certificate in ca.crt", remedy: "put one there"}
	}
	return secretNode(useCA, key, ""), nil
}

func caOf(o *objects.Object) []byte {
	switch v := o.Value.(type) {
	case *corev1.ConfigMap:
		return []byte(v.Data["ca.crt"])
	case *corev1.Secret:
		return v.Data["ca.crt"]
	}
	return nil
}

// tlsOrder lists the policies on one Service: the one for the port, then the
// older, then the first by name.
func (s *schema) tlsOrder(l *derive.Look, service objects.Key, portName string) []ref {
	type ranked struct {
		ref
		whole   int
		created int64
	}
	var list []ranked
	for _, r := range s.policiesOn.Get(l, target{kindTLSPolicy, ref{s.options.Cluster, service}}) {
		o, p, ok := get[*gwv1.BackendTLSPolicy](s, l, r)
		if !ok {
			continue
		}
		for _, t := range p.Spec.TargetRefs {
			section := deref(t.SectionName, "")
			if string(t.Name) != service.Name || string(t.Kind) != kindService || section != "" && section != portName {
				continue
			}
			x := ranked{r, 0, unix(o.Created)}
			if section == "" {
				x.whole = 1
			}
			list = append(list, x)
			break
		}
	}
	slices.SortFunc(list, func(a, b ranked) int {
		return cmp.Or(a.whole-b.whole, cmp.Compare(a.created, b.created), compareRef(a.ref, b.ref))
	})
	out := make([]ref, len(list))
	for i, x := range list {
		out[i] = x.ref
	}
	return out
}

// serviceTLS is the TLS that a BackendTLSPolicy asks for; nil is none. An
// invalid policy closes what it protects.
func (s *schema) serviceTLS(l *derive.Look, service objects.Key, portName string) (*table.TLS, []node, *fault) {
	order := s.tlsOrder(l, service, portName)
	if len(order) == 0 {
		return nil, nil, nil
	}
	t := s.tlsPolicies.Get(l, order[0])
	if f := t.closed(); f != nil {
		return nil, nil, &fault{reason: v1alpha1.ReasonPolicyInvalid, message: order[0].Key.String() + ": " + f.String()}
	}
	return t.tls, t.needs, nil
}

// productOfTLSPolicy reports a policy to each Gateway that its Services are
// reached through.
func (s *schema) productOfTLSPolicy(l *derive.Look, r ref, o *objects.Object) product {
	p, ok := o.Value.(*gwv1.BackendTLSPolicy)
	if !ok || r.cluster != s.options.Cluster {
		return product{}
	}
	t := s.tlsPolicies.Get(l, r)
	accepted := yes(v1alpha1.ConditionAccepted, string(gwv1.PolicyReasonAccepted), "is in force")
	resolved := yes(v1alpha1.ConditionResolvedRefs, string(gwv1.BackendTLSPolicyReasonResolvedRefs), "all references are resolved")
	if len(t.unresolved) > 0 {
		resolved = no(resolved.kind, t.unresolved[0].reason, join(t.unresolved))
		if t.tls == nil || t.tls.CA == "" {
			accepted = no(accepted.kind, string(gwv1.BackendTLSPolicyReasonNoValidCACertificate), "no CA is valid, so that its Services are closed")
		}
	}
	if len(t.faults) > 0 {
		accepted = no(accepted.kind, string(gwv1.PolicyReasonInvalid), join(t.faults))
	}
	status := &gwv1.PolicyStatus{Ancestors: []gwv1.PolicyAncestorStatus{}}
	faults := append(slices.Clone(t.faults), t.unresolved...)
	for _, x := range s.tlsTargets(l, r, p) {
		c := accepted
		if x.lost != "" {
			c = no(accepted.kind, string(gwv1.PolicyReasonConflicted), x.lost+" holds the target and was first")
			faults = append(faults, fault{"spec.targetRefs", c.reason, c.message, "remove one of the two"})
		}
		for _, g := range x.gateways {
			status.Ancestors = appendAncestor(status.Ancestors, gatewayRef(g), at(o.Generation, c, resolved))
		}
	}
	return product{status: &objects.Status{Key: r.Key, File: o.File, Generation: o.Generation, Value: status}, problems: s.problems(o, faults)}
}

// tlsTarget is one Service that a policy targets.
type tlsTarget struct {
	// lost names the policy that holds it instead.
	lost     string
	gateways []objects.Key
}

func (s *schema) tlsTargets(l *derive.Look, r ref, p *gwv1.BackendTLSPolicy) []tlsTarget {
	var out []tlsTarget
	for _, t := range p.Spec.TargetRefs {
		service := objects.Key{Kind: kindService, Namespace: r.Namespace, Name: string(t.Name)}
		x := tlsTarget{}
		same := func(o ref) bool { return s.sameSection(l, o, service, deref(t.SectionName, "")) }
		order := slices.DeleteFunc(s.tlsOrder(l, service, deref(t.SectionName, "")), func(o ref) bool { return !same(o) })
		if len(order) > 0 && order[0] != r {
			x.lost = order[0].Key.String()
		}
		for _, route := range s.routesTo.Get(l, ref{r.cluster, service}) {
			for _, parent := range s.attachments.Get(l, route).parents {
				if len(parent.listeners) > 0 && !slices.Contains(x.gateways, parent.gateway.Key) {
					x.gateways = append(x.gateways, parent.gateway.Key)
				}
			}
		}
		slices.SortFunc(x.gateways, objects.Key.Compare)
		out = append(out, x)
	}
	return out
}

// sameSection tells whether a policy targets exactly this section of a Service.
func (s *schema) sameSection(l *derive.Look, r ref, service objects.Key, section string) bool {
	_, p, ok := get[*gwv1.BackendTLSPolicy](s, l, r)
	if !ok {
		return false
	}
	return slices.ContainsFunc(p.Spec.TargetRefs, func(t gwv1.LocalPolicyTargetReferenceWithSectionName) bool {
		return string(t.Name) == service.Name && deref(t.SectionName, "") == section
	})
}

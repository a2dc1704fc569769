package objects

import (
	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/agentgateway"
)

// setDefaults fills in what a Kubernetes API server would by the published
// CRDs, so that an object from a folder reads like one from a cluster.
func setDefaults(value any) {
	switch o := value.(type) {
	case *gwv1.Gateway:
		for i := range o.Spec.Listeners {
			defaultListener(&o.Spec.Listeners[i])
		}
	case *gwv1.HTTPRoute:
		defaultHTTPRoute(&o.Spec)
	case *corev1.Secret:
		mergeSecret(o)
	case *corev1.Service:
		defaultService(&o.Spec)
	case *agentgateway.AgentgatewayPolicy:
		if t := o.Spec.Traffic; t != nil {
			if a := t.APIKeyAuthentication; a != nil {
				fallback(&a.Mode, agentgateway.ModeStrict)
			}
			if a := t.Authorization; a != nil {
				fallback(&a.Action, agentgateway.ActionAllow)
			}
		}
	}
}

func fallback[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func unset[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func defaultListener(l *gwv1.Listener) {
	unset(&l.AllowedRoutes, gwv1.AllowedRoutes{})
	unset(&l.AllowedRoutes.Namespaces, gwv1.RouteNamespaces{})
	unset(&l.AllowedRoutes.Namespaces.From, gwv1.NamespacesFromSame)
	for i := range l.AllowedRoutes.Kinds {
		unset(&l.AllowedRoutes.Kinds[i].Group, gwv1.GroupName)
	}
	if l.TLS == nil {
		return
	}
	unset(&l.TLS.Mode, gwv1.TLSModeTerminate)
	for i := range l.TLS.CertificateRefs {
		unset(&l.TLS.CertificateRefs[i].Group, "")
		unset(&l.TLS.CertificateRefs[i].Kind, "Secret")
	}
}

func defaultHTTPRoute(s *gwv1.HTTPRouteSpec) {
	for i := range s.ParentRefs {
		unset(&s.ParentRefs[i].Group, gwv1.GroupName)
		unset(&s.ParentRefs[i].Kind, "Gateway")
	}
	if len(s.Rules) == 0 {
		s.Rules = []gwv1.HTTPRouteRule{{}}
	}
	for i := range s.Rules {
		defaultRule(&s.Rules[i])
	}
}

func defaultRule(r *gwv1.HTTPRouteRule) {
	if len(r.Matches) == 0 {
		r.Matches = []gwv1.HTTPRouteMatch{{}}
	}
	for i := range r.Matches {
		m := &r.Matches[i]
		unset(&m.Path, gwv1.HTTPPathMatch{})
		unset(&m.Path.Type, gwv1.PathMatchPathPrefix)
		unset(&m.Path.Value, "/")
		for j := range m.Headers {
			unset(&m.Headers[j].Type, gwv1.HeaderMatchExact)
		}
		for j := range m.QueryParams {
			unset(&m.QueryParams[j].Type, gwv1.QueryParamMatchExact)
		}
	}
	defaultFilters(r.Filters)
	for i := range r.BackendRefs {
		b := &r.BackendRefs[i]
		defaultBackend(&b.BackendObjectReference)
		unset(&b.Weight, 1)
		defaultFilters(b.Filters)
	}
}

func defaultBackend(b *gwv1.BackendObjectReference) {
	unset(&b.Group, "")
	unset(&b.Kind, "Service")
}

func defaultFilters(filters []gwv1.HTTPRouteFilter) {
	for i := range filters {
		f := &filters[i]
		if f.RequestRedirect != nil {
			unset(&f.RequestRedirect.StatusCode, 302)
		}
		if f.RequestMirror != nil {
			defaultBackend(&f.RequestMirror.BackendRef)
			if f.RequestMirror.Fraction != nil {
				unset(&f.RequestMirror.Fraction.Denominator, 100)
			}
		}
		if f.CORS != nil && f.CORS.MaxAge == 0 {
			f.CORS.MaxAge = 5
		}
	}
}

func defaultService(s *corev1.ServiceSpec) {
	for i := range s.Ports {
		p := &s.Ports[i]
		fallback(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort.String() == "0" || p.TargetPort.String() == "" {
			p.TargetPort.IntVal = p.Port
		}
	}
	fallback(&s.Type, corev1.ServiceTypeClusterIP)
}

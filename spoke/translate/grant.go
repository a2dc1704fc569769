package translate

import (
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
)

// granted tells whether a ReferenceGrant in the namespace of to permits
// references from a kind in a namespace.
func (s *schema) granted(l *derive.Look, cluster, group, kind, namespace string, to objects.Key) bool {
	for _, r := range s.byKind.Get(l, kindAt{cluster: cluster, kind: kindGrant, namespace: to.Namespace}) {
		o, g, ok := get[*gwv1.ReferenceGrant](s, l, r)
		if ok && len(o.Invalid) == 0 && permits(&g.Spec, group, kind, namespace, to) {
			return true
		}
	}
	return false
}

func permits(g *gwv1.ReferenceGrantSpec, group, kind, namespace string, to objects.Key) bool {
	from := false
	for _, f := range g.From {
		from = from || string(f.Group) == group && string(f.Kind) == kind && string(f.Namespace) == namespace
	}
	if !from {
		return false
	}
	for _, t := range g.To {
		if string(t.Group) == to.Group && string(t.Kind) == to.Kind && (t.Name == nil || *t.Name == "" || string(*t.Name) == to.Name) {
			return true
		}
	}
	return false
}

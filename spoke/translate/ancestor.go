package translate

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
)

// maxAncestors is what a policy's status may hold.
const maxAncestors = 16

// parentReference names an object, with a part of it where section is set.
func parentReference(k objects.Key, section string) gwv1.ParentReference {
	group, kind, namespace := gwv1.Group(k.Group), gwv1.Kind(k.Kind), gwv1.Namespace(k.Namespace)
	out := gwv1.ParentReference{Group: &group, Kind: &kind, Namespace: &namespace, Name: gwv1.ObjectName(k.Name)}
	if section != "" {
		s := gwv1.SectionName(section)
		out.SectionName = &s
	}
	return out
}

func gatewayRef(k objects.Key) gwv1.ParentReference { return parentReference(k, "") }

func sameParent(a, b gwv1.ParentReference) bool {
	return deref(a.Group, "") == deref(b.Group, "") && deref(a.Kind, "") == deref(b.Kind, "") &&
		deref(a.Namespace, "") == deref(b.Namespace, "") && a.Name == b.Name && deref(a.SectionName, "") == deref(b.SectionName, "")
}

// appendAncestor adds an ancestor; where it is there already, conditions that
// are not true win.
func appendAncestor(list []gwv1.PolicyAncestorStatus, p gwv1.ParentReference, conditions []metav1.Condition) []gwv1.PolicyAncestorStatus {
	i := slices.IndexFunc(list, func(a gwv1.PolicyAncestorStatus) bool { return sameParent(a.AncestorRef, p) })
	if i >= 0 {
		for j, c := range conditions {
			if c.Status != metav1.ConditionTrue && j < len(list[i].Conditions) {
				list[i].Conditions[j] = c
			}
		}
		return list
	}
	if len(list) >= maxAncestors {
		return list
	}
	return append(list, gwv1.PolicyAncestorStatus{AncestorRef: p, ControllerName: v1alpha1.ControllerName, Conditions: conditions})
}

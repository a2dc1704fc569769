package objects

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Status is what is owed to one object: typed as the object's own status type
// where it has one (for example *gatewayv1.HTTPRouteStatus), since Gateway API
// nests conditions by parent and listener. Conditions carry the generation that
// was really processed and no times: whoever writes a status sets
// lastTransitionTime where a condition's status changed.
type Status struct {
	Key Key
	// File is where the object is declared: path:line, or "".
	File string
	// Generation is the object's generation that this status speaks of.
	Generation int64
	// Value is the status block: *gatewayv1.GatewayStatus, *gatewayv1.RouteStatus,
	// *Conditions for kinds whose status is a list of conditions, …
	Value any
}

// Conditions is the status of kinds that have nothing but conditions.
type Conditions struct {
	Conditions []metav1.Condition `json:"conditions"`
}

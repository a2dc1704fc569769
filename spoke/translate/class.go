package translate

import (
	"encoding/json"
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/navehq/nave/api/agentgateway"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
)

// classState is whether a GatewayClass is ours, and its parameters.
type classState struct {
	owned      bool
	parameters string
	faults     []fault
}

// owns tells whether a class is ours by its controller, or in a folder by name.
func (s *schema) owns(name, controller string) bool {
	return controller == v1alpha1.ControllerName || s.options.Standalone && slices.Contains(s.options.ClassNames, name)
}

func (s *schema) deriveClass(l *derive.Look, r ref) classState {
	_, class, ok := get[*gwv1.GatewayClass](s, l, r)
	if !ok {
		return classState{owned: s.owns(r.Name, "")}
	}
	c := classState{owned: s.owns(r.Name, string(class.Spec.ControllerName))}
	p := class.Spec.ParametersRef
	if !c.owned || p == nil {
		return c
	}
	namespace := ""
	if p.Namespace != nil {
		namespace = string(*p.Namespace)
	}
	c.parameters, c.faults = s.parameters(l, r.cluster, namespace, string(p.Group), string(p.Kind), p.Name)
	return c
}

// parameters is the spec of an AgentgatewayParameters as declared.
func (s *schema) parameters(l *derive.Look, cluster, namespace, group, kind, name string) (string, []fault) {
	key := objects.Key{Group: group, Kind: kind, Namespace: namespace, Name: name}
	if group != objects.GroupAgentgateway || kind != agentgateway.KindParameters {
		return "", []fault{{field: "spec.parametersRef", reason: "InvalidParameters",
			message: "kind " + kind + " holds no parameters", remedy: "refer to an AgentgatewayParameters"}}
	}
	o, _, ok := get[*agentgateway.AgentgatewayParameters](s, l, ref{cluster, key})
	if !ok || unreadable(o) {
		return "", []fault{{field: "spec.parametersRef", reason: "InvalidParameters",
			message: key.String() + " is not there or not valid", remedy: "declare it"}}
	}
	var parts struct {
		Spec json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(o.JSON, &parts); err != nil {
		return "", nil
	}
	return string(parts.Spec), nil
}

func (s *schema) productOfClass(l *derive.Look, r ref, o *objects.Object) product {
	c := s.classes.Get(l, r)
	if !c.owned {
		return product{}
	}
	accepted := yes(v1alpha1.ConditionAccepted, string(gwv1.GatewayClassReasonAccepted), "Gateways of this class are Nave's")
	faults := append(invalid(o), c.faults...)
	if len(faults) > 0 {
		accepted = no(v1alpha1.ConditionAccepted, string(gwv1.GatewayClassReasonInvalidParameters), join(faults))
	}
	return product{
		status:   &objects.Status{Key: o.Key, File: o.File, Generation: o.Generation, Value: &gwv1.GatewayClassStatus{Conditions: at(o.Generation, accepted)}},
		problems: s.problems(o, c.faults),
	}
}

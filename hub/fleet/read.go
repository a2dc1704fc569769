package fleet

import (
	"encoding/json"
	"fmt"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
)

const gatewayGroup = "gateway.networking.k8s.io"

// peek is what the plan reads of an object, whatever its kind.
type peek struct {
	Metadata struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		GatewayClassName string          `json:"gatewayClassName"`
		ParentRefs       []reference     `json:"parentRefs"`
		TargetRefs       []reference     `json:"targetRefs"`
		AI               json.RawMessage `json:"ai"`
	} `json:"spec"`
}

type reference struct {
	Group     *string `json:"group"`
	Kind      *string `json:"kind"`
	Namespace string  `json:"namespace"`
	Name      string  `json:"name"`
}

func (r reference) key(group, kind, namespace string) objects.Key {
	k := objects.Key{Group: group, Kind: kind, Namespace: namespace, Name: r.Name}
	if r.Group != nil {
		k.Group = *r.Group
	}
	if r.Kind != nil {
		k.Kind = *r.Kind
	}
	if r.Namespace != "" {
		k.Namespace = r.Namespace
	}
	return k
}

// Read takes from a pushed declaration what the plan needs of it. hash is its
// envelope's. An object that cannot be read is an error that names it: the
// spoke that sent it is told.
func Read(body *assignment.Declaration, hash string) (*Declaration, error) {
	d := &Declaration{
		ID:         DeclarationID{Cluster: body.Cluster, Key: body.Key},
		Generation: body.Generation, Hash: hash, Body: body,
	}
	var p peek
	switch body.Key.Kind {
	case "Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute",
		"AgentgatewayBackend", "AgentgatewayPolicy", "FailoverPolicy", "Service":
		if err := json.Unmarshal(body.Object, &p); err != nil {
			return nil, fmt.Errorf("read %s of cluster %q: %w", body.Key, body.Cluster, err)
		}
	default:
		return d, nil
	}
	d.Placement = p.Metadata.Annotations["nave.dev/placement"]
	d.Class = p.Spec.GatewayClassName
	d.Fleet = fleetScoped(body.Key.Kind, p)
	for _, r := range p.Spec.ParentRefs {
		d.Parents = append(d.Parents, r.key(gatewayGroup, "Gateway", body.Key.Namespace))
	}
	for _, r := range p.Spec.TargetRefs {
		d.Targets = append(d.Targets, r.key("", "", body.Key.Namespace))
	}
	return d, nil
}

// fleetScoped tells whether namesakes in other clusters are the same backend:
// by default only model backends are.
func fleetScoped(kind string, p peek) bool {
	if kind != "AgentgatewayBackend" {
		return false
	}
	switch p.Metadata.Annotations["nave.dev/scope"] {
	case "Fleet":
		return true
	case "Cluster":
		return false
	}
	return len(p.Spec.AI) > 0
}

package plan

import (
	"slices"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/hub/fleet"
)

// needed are the kinds that a hosting cluster needs to build a placed Gateway's
// table, besides the Gateway and the routes that attach to it. Endpoints and
// secrets are not among them: they stay in their cluster.
var needed = []string{
	"AgentgatewayBackend", "AgentgatewayPolicy", "AgentgatewayParameters",
	"FailoverPolicy", "BackendTLSPolicy", "ReferenceGrant", "Service", "Namespace",
}

// passDeclaration gives a declaration to those who may and need to see it.
func (s *schema) passDeclaration(l *derive.Look, id fleet.DeclarationID) []Assigned {
	d, _ := s.declarations.Get(l, id)
	var out []Assigned
	for _, cluster := range s.readers(l, d) {
		if cluster == id.Cluster {
			continue
		}
		a := assigned(cluster, d.Body)
		a.Declaration = &id
		out = append(out, a)
	}
	if id.Key.Kind == "Gateway" {
		out = append(out, s.passPlacement(l, id)...)
	}
	return out
}

// readers are the clusters that a declaration concerns: hosts of the Gateways
// that it belongs to, and for what is served fleet-wide every cluster where its
// tenant takes part.
func (s *schema) readers(l *derive.Look, d *fleet.Declaration) []string {
	key := d.ID.Key
	if key.Kind == "GatewayClass" {
		return s.classReaders(l, d.ID)
	}
	namespace := key.Namespace
	if key.Kind == "Namespace" {
		namespace = key.Name
	}
	tenant := s.tenantOf.Get(l, place{d.ID.Cluster, namespace})
	if tenant == "" {
		return nil
	}
	var out []string
	switch {
	case key.Kind == "Gateway":
		out = s.placement.Get(l, d.ID).hosts
	case len(d.Parents) > 0:
		out = s.parentHosts(l, d)
	case slices.Contains(needed, key.Kind):
		out = s.hostsOf.Get(l, owner{d.ID.Cluster, tenant})
	}
	if d.Fleet || s.targetsFleet(l, d) {
		out = append(slices.Clone(out), s.participants.Get(l, tenant)...)
		slices.Sort(out)
		out = slices.Compact(out)
	}
	return out
}

func (s *schema) parentHosts(l *derive.Look, d *fleet.Declaration) []string {
	var out []string
	for _, parent := range d.Parents {
		id := fleet.DeclarationID{Cluster: d.ID.Cluster, Key: parent}
		if _, ok := s.declarations.Get(l, id); ok {
			out = append(out, s.placement.Get(l, id).hosts...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// classReaders are the hosts of placed Gateways of the class's cluster.
func (s *schema) classReaders(l *derive.Look, id fleet.DeclarationID) []string {
	var out []string
	for _, gateway := range s.present.Get(l, kindAt{id.Cluster, "Gateway"}) {
		if d, ok := s.declarations.Get(l, gateway); ok && d.Class == id.Key.Name {
			out = append(out, s.placement.Get(l, gateway).hosts...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// targetsFleet tells whether a policy restricts or steers a backend that other
// clusters may serve: they have to hold theirs against it.
func (s *schema) targetsFleet(l *derive.Look, d *fleet.Declaration) bool {
	return slices.ContainsFunc(d.Targets, func(target objects.Key) bool {
		backend, ok := s.declarations.Get(l, fleet.DeclarationID{Cluster: d.ID.Cluster, Key: target})
		return ok && backend.Fleet
	})
}

package plan

import (
	"slices"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/hub/fleet"
)

// DefaultTenant owns every namespace while no Tenant exists.
const DefaultTenant = "default"

// deriveTenant finds who owns a namespace. Overlapping claims are refused where
// Tenants are read, so the first in order of names is the only one.
func (s *schema) deriveTenant(l *derive.Look, p place) string {
	names := s.tenantNames.Get(l, "")
	if len(names) == 0 {
		return DefaultTenant
	}
	for _, name := range names {
		t, _ := s.tenants.Get(l, name)
		if slices.Contains(t.Namespaces(p.cluster), p.namespace) {
			return name
		}
	}
	settings, _ := s.settings.Get(l, fleetKey)
	return settings.DefaultTenant
}

func (s *schema) passTenant(l *derive.Look, name string) []Assigned {
	t, _ := s.tenants.Get(l, name)
	failover, _ := s.failovers.Get(l, fleetKey)
	clusters := s.clusterNames.Get(l, "")
	var out []Assigned
	for _, cluster := range clusters {
		c, _ := s.clusters.Get(l, cluster)
		if !c.Admits(name) {
			out = append(out, assigned(cluster, &assignment.Tenant{
				Name: name, NotAdmitted: true, Namespaces: t.Namespaces(cluster), Elsewhere: elsewhere(t, cluster, clusters),
			}))
			continue
		}
		out = append(out, assigned(cluster, &assignment.Tenant{
			Name:             name,
			Namespaces:       t.Namespaces(cluster),
			Elsewhere:        elsewhere(t, cluster, clusters),
			AllowedRegions:   t.AllowedRegions,
			AllowedHostnames: t.AllowedHostnames,
			AllowedProviders: t.AllowedProviders,
			AllowedAddresses: t.AllowedAddresses,
			DefaultPlacement: t.DefaultPlacement,
			ServedBy:         t.ServedBy,
			Failover:         failover[name],
		}))
	}
	return out
}

// elsewhere lists a tenant's namespaces in the clusters other than its own.
func elsewhere(t fleet.Tenant, own string, clusters []string) map[string][]string {
	out := map[string][]string{}
	for _, cluster := range clusters {
		if list := t.Namespaces(cluster); cluster != own && len(list) > 0 {
			out[cluster] = list
		}
	}
	return out
}

// passDefaultTenant gives a cluster the built-in tenant while no Tenant exists.
func (s *schema) passDefaultTenant(l *derive.Look, cluster string) []Assigned {
	if len(s.tenantNames.Get(l, "")) > 0 {
		return nil
	}
	failover, _ := s.failovers.Get(l, fleetKey)
	return []Assigned{assigned(cluster, &assignment.Tenant{Name: DefaultTenant, All: true, Failover: failover[DefaultTenant]})}
}

func (s *schema) passSettings(l *derive.Look, _ string) []Assigned {
	settings, _ := s.settings.Get(l, fleetKey)
	var out []Assigned
	for _, cluster := range s.clusterNames.Get(l, "") {
		copied := settings
		out = append(out, assigned(cluster, &copied))
	}
	return out
}

// passSealed carries a secret to its recipient, if that is still a cluster.
func (s *schema) passSealed(l *derive.Look, key string) []Assigned {
	v, _ := s.sealed.Get(l, key)
	if _, ok := s.clusters.Get(l, v.To); !ok {
		return nil
	}
	return []Assigned{assigned(v.To, v)}
}

// passPeer tells every cluster how to reach this one.
func (s *schema) passPeer(l *derive.Look, name string) []Assigned {
	c, _ := s.clusters.Get(l, name)
	facts, _ := s.facts.Get(l, name)
	views, _ := s.views.Get(l, fleetKey)
	var out []Assigned
	for _, viewer := range s.clusterNames.Get(l, "") {
		out = append(out, assigned(viewer, peer(c, facts, viewer, views)))
	}
	return out
}

func peer(c fleet.Cluster, facts *assignment.Facts, viewer string, views []fleet.View) *assignment.Peer {
	p := &assignment.Peer{Cluster: c.Name, Region: c.Region, Zone: c.Zone, State: c.State}
	if facts == nil {
		return p
	}
	if viewer == c.Name {
		views = nil
	}
	p.PublicKey, p.Intermediate = facts.PublicKey, facts.Intermediate
	if facts.Gossip != "" {
		p.Gossip = fleet.Translate(views, viewer, facts.Gossip)
	}
	for _, proxy := range facts.Proxies {
		if !proxy.Ready {
			continue
		}
		link := proxy.LinkProxy
		link.Address = fleet.Translate(views, viewer, link.Address)
		p.Proxies = append(p.Proxies, link)
	}
	return p
}

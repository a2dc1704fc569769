package plan

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/hub/fleet"
)

// The values of nave.dev/placement besides a list of regions.
const (
	placeLocal = "Local"
	placeFleet = "Fleet"
)

// placement is where a Gateway runs.
type placement struct {
	tenant string
	// hosts are the clusters it runs in, sorted; nil where it is Local.
	hosts []string
	// unknown are regions that are named and have no cluster.
	unknown []string
	// lost is the cluster that claimed the name first.
	lost string
}

func (p placement) equal(o placement) bool {
	return p.tenant == o.tenant && p.lost == o.lost &&
		slices.Equal(p.hosts, o.hosts) && slices.Equal(p.unknown, o.unknown)
}

func (s *schema) derivePlacement(l *derive.Look, id fleet.DeclarationID) placement {
	p := placement{tenant: s.tenantOf.Get(l, place{id.Cluster, id.Key.Namespace})}
	d, ok := s.declarations.Get(l, id)
	if !ok || p.tenant == "" {
		return p
	}
	tenant, _ := s.tenants.Get(l, p.tenant)
	where := s.wanted(l, d, tenant)
	if where == "" || where == placeLocal {
		return p
	}
	if holder, claimed := s.claims.Get(l, ClaimName(id.Key)); claimed && holder != id.Cluster {
		p.lost = holder
		return p
	}
	p.hosts, p.unknown = s.chosen(l, where, tenant, p.tenant)
	return p
}

// wanted is the Gateway's own placement, else its class's, else the tenant's.
func (s *schema) wanted(l *derive.Look, d *fleet.Declaration, t fleet.Tenant) string {
	if d.Placement != "" {
		return d.Placement
	}
	class := fleet.DeclarationID{Cluster: d.ID.Cluster, Key: objects.Key{Group: d.ID.Key.Group, Kind: "GatewayClass", Name: d.Class}}
	if c, ok := s.declarations.Get(l, class); ok && c.Placement != "" {
		return c.Placement
	}
	return t.DefaultPlacement
}

func (s *schema) chosen(l *derive.Look, where string, t fleet.Tenant, name string) (hosts, unknown []string) {
	regions := splitList(where)
	found := map[string]bool{}
	for _, cluster := range s.clusterNames.Get(l, "") {
		c, _ := s.clusters.Get(l, cluster)
		if where != placeFleet && !slices.Contains(regions, c.Region) {
			continue
		}
		found[c.Region] = true
		if len(t.AllowedRegions) > 0 && !slices.Contains(t.AllowedRegions, c.Region) {
			continue
		}
		if c.Admits(name) {
			hosts = append(hosts, cluster)
		}
	}
	if where == placeFleet {
		return hosts, nil
	}
	for _, r := range regions {
		if !found[r] {
			unknown = append(unknown, r)
		}
	}
	return hosts, unknown
}

func splitList(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}

// deriveHosts is every cluster that hosts a Gateway which a tenant declares at home.
func (s *schema) deriveHosts(l *derive.Look, o owner) []string {
	var out []string
	for _, id := range s.present.Get(l, kindAt{o.cluster, "Gateway"}) {
		if p := s.placement.Get(l, id); p.tenant == o.tenant {
			out = append(out, p.hosts...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *schema) deriveTakesPart(l *derive.Look, o owner) bool {
	for _, kind := range []string{"Gateway", "AgentgatewayBackend"} {
		for _, id := range s.present.Get(l, kindAt{o.cluster, kind}) {
			if s.tenantOf.Get(l, place{id.Cluster, id.Key.Namespace}) == o.tenant {
				return true
			}
		}
	}
	return false
}

// deriveParticipants is every cluster where a tenant declares or is hosted.
func (s *schema) deriveParticipants(l *derive.Look, tenant string) []string {
	var out []string
	for _, cluster := range s.clusterNames.Get(l, "") {
		if s.takesPart.Get(l, owner{cluster, tenant}) {
			out = append(out, cluster)
		}
		out = append(out, s.hostsOf.Get(l, owner{cluster, tenant})...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *schema) passPlacement(l *derive.Look, id fleet.DeclarationID) []Assigned {
	p := s.placement.Get(l, id)
	verdict := s.judge(l, id, p)
	out := []Assigned{}
	if verdict != nil {
		out = append(out, assigned(id.Cluster, verdict))
	}
	if len(p.hosts) == 0 {
		return out
	}
	placed := &assignment.Placement{Home: id.Cluster, Namespace: id.Key.Namespace, Name: id.Key.Name, Tenant: p.tenant, Hosts: p.hosts}
	targets := p.hosts
	if !slices.Contains(targets, id.Cluster) {
		targets = append(slices.Clone(targets), id.Cluster)
	}
	for _, cluster := range targets {
		out = append(out, assigned(cluster, placed))
	}
	return out
}

// judge says how far a placed Gateway is placed.
func (s *schema) judge(l *derive.Look, id fleet.DeclarationID, p placement) *assignment.Verdict {
	d, _ := s.declarations.Get(l, id)
	v := &assignment.Verdict{Key: id.Key, Generation: d.Generation}
	switch {
	case p.lost != "":
		v.Conditions = []assignment.Condition{placedCondition(metav1.ConditionFalse, "NameTaken",
			fmt.Sprintf("cluster %q claimed this name first; rename this Gateway or give up its placement", p.lost))}
	case len(p.unknown) > 0 && len(p.hosts) == 0:
		v.Conditions = []assignment.Condition{placedCondition(metav1.ConditionFalse, "NoSuchRegion",
			fmt.Sprintf("no cluster is in region %s; see `nave status` for the regions there are", strings.Join(p.unknown, ", ")))}
	case len(p.hosts) == 0:
		return nil
	default:
		s.judgePlaced(l, id, p, v)
	}
	return v
}

func (s *schema) judgePlaced(l *derive.Look, id fleet.DeclarationID, p placement, v *assignment.Verdict) {
	var ready, waiting, addresses []string
	for _, host := range p.hosts {
		urls := s.servedAt(l, host, id)
		if len(urls) == 0 {
			waiting = append(waiting, host)
			continue
		}
		ready = append(ready, host)
		addresses = append(addresses, host+"="+strings.Join(urls, ","))
	}
	message := fmt.Sprintf("%d of %d clusters", len(ready), len(p.hosts))
	status, reason := metav1.ConditionTrue, "Placed"
	if len(waiting) > 0 {
		status, reason = metav1.ConditionFalse, "Pending"
		message += "; waiting for " + strings.Join(waiting, ", ")
	}
	if len(p.unknown) > 0 {
		message += "; no cluster is in region " + strings.Join(p.unknown, ", ")
	}
	v.Conditions = []assignment.Condition{placedCondition(status, reason, message)}
	if len(addresses) > 0 {
		v.Annotations = map[string]string{"nave.dev/addresses": strings.Join(addresses, ";")}
	}
}

// servedAt lists the URLs at which a host's ready proxies serve a Gateway.
func (s *schema) servedAt(l *derive.Look, host string, id fleet.DeclarationID) []string {
	facts, ok := s.facts.Get(l, host)
	if !ok {
		return nil
	}
	var urls []string
	for _, proxy := range facts.Proxies {
		if !proxy.Ready || proxy.Home != id.Cluster || proxy.Gateway != id.Key.Namespace+"/"+id.Key.Name {
			continue
		}
		for _, list := range proxy.Listeners {
			urls = append(urls, list...)
		}
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}

func placedCondition(status metav1.ConditionStatus, reason, message string) assignment.Condition {
	return assignment.Condition{Type: "nave.dev/Placed", Status: status, Reason: reason, Message: message}
}

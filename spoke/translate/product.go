package translate

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// deriveProduct is what one declared object contributes.
func (s *schema) deriveProduct(l *derive.Look, r ref) product {
	o, ok := s.objects.Get(l, r)
	if !ok {
		return product{}
	}
	if _, unread := o.Value.(*unstructured.Unstructured); unread {
		return s.productOfUnbuiltKind(r, o)
	}
	switch r.Kind {
	case kindClass:
		if r.cluster == s.options.Cluster {
			return s.productOfClass(l, r, o)
		}
	case kindGateway:
		return s.productOfGateway(l, r, o)
	case kindRoute:
		return s.productOfRoute(l, r, o)
	case kindBackend:
		return s.productOfBackend(l, r, o)
	case kindPolicy:
		return s.productOfPolicy(l, r, o)
	case kindTLSPolicy:
		return s.productOfTLSPolicy(l, r, o)
	case kindFailover:
		return s.productOfFailover(l, r, o)
	case "AgentgatewayParameters":
		if r.cluster == s.options.Cluster {
			return s.productOfParameters(o)
		}
	}
	return product{}
}

// productOfUnbuiltKind refuses a kind that is known and not built.
func (s *schema) productOfUnbuiltKind(r ref, o *objects.Object) product {
	if r.cluster != s.options.Cluster {
		return product{}
	}
	f := fault{reason: "UnsupportedKind", message: "kind " + r.Kind + " is not built yet", remedy: "remove it"}
	return product{
		status: &objects.Status{Key: r.Key, File: o.File, Generation: o.Generation, Value: &objects.Conditions{
			Conditions: at(o.Generation, no(v1alpha1.ConditionAccepted, f.reason, f.message)),
		}},
		problems: s.problems(o, []fault{f}),
	}
}

// derivePiece is one resource as the tables that need it show it.
func (s *schema) derivePiece(l *derive.Look, n node) piece {
	switch n.id.Kind {
	case table.KindSelf:
		return s.pieceOfSelf(l, n)
	case table.KindListener:
		return s.pieceOfListener(l, n)
	case table.KindRule:
		return s.pieceOfRule(l, n)
	case table.KindPolicy:
		return s.pieceOfPolicy(l, n)
	case table.KindBackend:
		return s.pieceOfBackend(l, n)
	case table.KindEndpoints:
		return piece{resource: s.backings.Get(l, servicePort{n.key, n.index})}
	case table.KindSecret:
		return s.pieceOfSecret(l, n)
	case table.KindPeer:
		return s.pieceOfPeer(l, n)
	case table.KindHost:
		return s.pieceOfHost(l, n)
	}
	return piece{}
}

// pieceOfSelf says whose table it is, and needs what every table holds: peers,
// hosts, session keys, and what this cluster serves for others of the tenant.
func (s *schema) pieceOfSelf(l *derive.Look, n node) piece {
	tenant := n.entry
	self := &table.Self{
		Cluster: s.options.Cluster, Region: s.region(l, s.options.Cluster), Tenant: tenant,
		Standalone: s.options.Standalone, ServedBy: s.tenant(l, tenant).ServedBy,
		AllowedAddresses: s.tenant(l, tenant).AllowedAddresses, Probe: s.options.Probe,
	}
	out := piece{resource: self}
	if n.key.Kind == kindGateway {
		self.Gateway, self.Home = n.key.Namespace+"/"+n.key.Name, n.view
		self.Runtime = s.gateways.Get(l, ref{n.view, n.key}).info.Runtime
		if keys, ok := s.keys.Get(l, n.table); ok && len(keys) > 0 {
			secret := secretNode(useSession, n.key, "")
			secret.table = n.table
			self.SessionKeys, out.needs = secret.id.Name, append(out.needs, secret)
		}
	}
	if fleet, ok := s.fleet.Get(l, only); ok {
		self.AzureName, self.Revoked = fleet.AzureName, fleet.Revoked
		for _, h := range fleet.Hosts {
			out.needs = append(out.needs, node{id: h.ID()})
		}
	}
	for _, name := range s.peerNames.Get(l, only) {
		out.needs = append(out.needs, node{view: tenant, id: table.ID{Kind: table.KindPeer, Name: name}})
	}
	for _, k := range s.exports.Get(l, tenant) {
		view := s.options.Cluster
		if n.view != "" && n.view != view {
			if _, declared := s.objects.Get(l, ref{n.view, k}); declared {
				view = n.view
			}
		}
		out.needs = append(out.needs, backendNode(view, n.table, k, 0))
	}
	out.needs = uniqueNodes(out.needs)
	return out
}

// pieceOfPeer is a cluster as one tenant sees it: only its own proxies there.
func (s *schema) pieceOfPeer(l *derive.Look, n node) piece {
	p, ok := s.peers.Get(l, n.id.Name)
	if !ok {
		return piece{}
	}
	out := &table.Peer{Cluster: p.Cluster, Region: p.Region, State: p.State}
	for _, x := range p.Proxies {
		if x.Tenant == n.view {
			out.Proxies = append(out.Proxies, x)
		}
	}
	return piece{resource: out}
}

func (s *schema) pieceOfHost(l *derive.Look, n node) piece {
	fleet, ok := s.fleet.Get(l, only)
	if !ok {
		return piece{}
	}
	for i := range fleet.Hosts {
		if fleet.Hosts[i].ID() == n.id {
			return piece{resource: &fleet.Hosts[i]}
		}
	}
	return piece{}
}

// derivePlaced is the table of a Gateway that another cluster places here.
func (s *schema) derivePlaced(l *derive.Look, key string) product {
	p, ok := s.placements.Get(l, key)
	if !ok || p.Home == s.options.Cluster || !slices.Contains(p.Hosts, s.options.Cluster) {
		return product{}
	}
	r := ref{p.Home, objects.Key{Group: objects.GroupGateway, Kind: kindGateway, Namespace: p.Namespace, Name: p.Name}}
	g := s.gateways.Get(l, r)
	place := fmt.Sprintf("%s of %s", r.Key, p.Home)
	tell := func(reason, message, remedy string) objects.Problem {
		return objects.Problem{Cluster: s.options.Cluster, Object: place, Reason: reason, Message: message, Remedy: remedy}
	}
	if by, taken := s.nameTaken(l, r); taken {
		return product{problems: []objects.Problem{tell(v1alpha1.ReasonNameTaken, "the name is held here by a Gateway of cluster "+by, "rename one of the two")}}
	}
	if g.table == "" {
		if !g.owned {
			return product{}
		}
		return product{problems: []objects.Problem{tell(g.accepted.reason, g.accepted.message, "see its status at home")}}
	}
	out := product{table: &g.info, roots: s.tableRoots(l, r, g)}
	if g.info.declaresEnv() {
		stays := tell(v1alpha1.ReasonOnlyAtHome, "variables of its AgentgatewayParameters stay at home, so its proxies here have none", "nothing is to be done, or place it Local")
		stays.Severity = objects.SeverityInfo
		out.problems = append(out.problems, stays)
	}
	for _, x := range g.listeners {
		for _, f := range x.faults {
			out.problems = append(out.problems, tell(f.reason, "listener "+x.name+": "+f.message, f.remedy))
		}
	}
	return out
}

// deriveExports lists this cluster's backends that other clusters may ask a
// tenant's proxies here to serve.
func (s *schema) deriveExports(l *derive.Look, tenant string) []objects.Key {
	var out []objects.Key
	for _, r := range s.byKind.Get(l, kindAt{cluster: s.options.Cluster, kind: kindBackend}) {
		if s.declared.Get(l, r).fleet && s.owners.Get(l, place{r.cluster, r.Namespace}).tenant == tenant {
			out = append(out, r.Key)
		}
	}
	return out
}

// deriveTenantTables lists the tables of a tenant: its Gateways', or, where it
// has none and something to serve for others, one without listeners.
func (s *schema) deriveTenantTables(l *derive.Look, tenant string) []string {
	var out []string
	away := false
	gateways := slices.Clone(s.byKind.Get(l, kindAt{cluster: s.options.Cluster, kind: kindGateway}))
	for _, key := range s.placementNames.Get(l, only) {
		p, _ := s.placements.Get(l, key)
		if p.Home != s.options.Cluster {
			gateways = append(gateways, ref{p.Home, objects.Key{Group: objects.GroupGateway, Kind: kindGateway, Namespace: p.Namespace, Name: p.Name}})
		}
	}
	for _, r := range gateways {
		g := s.gateways.Get(l, r)
		if g.tenant != tenant {
			continue
		}
		away = away || g.away
		if g.table != "" {
			out = append(out, g.table)
		}
	}
	if len(out) == 0 && (away || len(s.exports.Get(l, tenant)) > 0) {
		out = append(out, tenantTable(tenant))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func tenantTable(tenant string) string { return "tenant/" + tenant }

func (s *schema) deriveTenantProduct(l *derive.Look, tenant string) product {
	name := tenantTable(tenant)
	if tables := s.tenantTables.Get(l, tenant); len(tables) != 1 || tables[0] != name {
		return product{}
	}
	return product{
		table: &TableInfo{Name: name, Tenant: tenant, Home: s.options.Cluster, Replicas: 1},
		roots: []root{{name, node{table: name, id: (&table.Self{}).ID(), entry: tenant}}},
	}
}

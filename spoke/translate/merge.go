package translate

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// merge is a backend as one view has it: the view's declaration gives kind,
// groups, order, weights and aliases; other clusters' namesakes give instances.
type merge struct {
	backend *table.Backend
	needs   []node
	// clusters that take part; unpaired and conflicts are namesakes' parts that
	// do not.
	clusters, unpaired, conflicts []string
}

func (s *schema) deriveMerge(l *derive.Look, n node) *merge {
	base := ref{n.view, n.key}
	d := s.declared.Get(l, base)
	if !d.exists {
		return &merge{}
	}
	tenant := s.owners.Get(l, place{n.view, n.key.Namespace}).tenant
	f := s.failoverFor(l, n, d.kind)
	m := &merge{backend: &table.Backend{Name: n.id.Name, Kind: d.kind, Tenant: tenant, Fleet: d.fleet, MCP: d.mcp, Failover: f.settings}}
	sites := s.sites(l, base, d, tenant, m)
	for gi, g := range d.groups {
		var members []table.Member
		for i := range g {
			members = append(members, s.mergeMember(l, sites, base, gi, &g[i], f, m))
		}
		m.backend.Groups = append(m.backend.Groups, members)
	}
	m.backend.Closed = d.closed()
	if policies := s.backendPolicies(l, base); m.backend.Closed == "" {
		m.backend.Closed = policies.closed
	}
	if c, is := refused(s.verdict(l, base)); is {
		m.backend.Closed = c.reason + ": " + c.message
	}
	if m.backend.Closed == "" {
		m.backend.Closed = f.closed
	}
	s.provider(l, tenant, d, m.backend)
	s.confine(l, tenant, f, m.backend, everyInstance(m.backend.Groups)...)
	s.serve(l, sites, base, d, f, tenant, m)
	if f := oversize(m.backend); f != nil && m.backend.Closed == "" {
		m.backend.Closed = f.reason + ": " + f.message + "; " + f.remedy
	}
	if m.backend.Closed != "" {
		// Nobody is dialed for a closed backend, over the link neither.
		m.backend.Groups, m.backend.Serves, m.needs = nil, nil, nil
	}
	m.needs = uniqueNodes(m.needs)
	return m
}

func everyInstance(groups [][]table.Member) []*table.Instance {
	var out []*table.Instance
	for _, g := range groups {
		for i := range g {
			for j := range g[i].Instances {
				out = append(out, &g[i].Instances[j])
			}
		}
	}
	return out
}

// sites are the declarations that take part, by cluster, sorted.
func (s *schema) sites(l *derive.Look, base ref, d *declaration, tenant string, m *merge) []ref {
	sites := []ref{base}
	if d.fleet {
		for _, r := range s.namesakes.Get(l, base.Key) {
			other := s.declared.Get(l, r)
			switch {
			case r == base || s.owners.Get(l, place{r.cluster, r.Namespace}).tenant != tenant:
			case !other.fleet:
				m.unpaired = append(m.unpaired, r.cluster+" (its scope is Cluster)")
			case other.kind != d.kind:
				m.conflicts = append(m.conflicts, fmt.Sprintf("%s declares %s, not %s", r.cluster, other.kind, d.kind))
			default:
				sites = append(sites, r)
			}
		}
	}
	slices.SortFunc(sites, compareRef)
	for _, r := range sites {
		m.clusters = append(m.clusters, r.cluster)
		if r != base {
			m.unpaired = append(m.unpaired, unpaired(d, s.declared.Get(l, r), r.cluster)...)
		}
	}
	return sites
}

// unpaired names the members of a namesake that the base does not declare.
func unpaired(base, other *declaration, cluster string) []string {
	var out []string
	for gi, g := range other.groups {
		for _, m := range g {
			if base.member(gi, m.member.Name) == nil {
				out = append(out, fmt.Sprintf("%s: %s of group %d", cluster, m.member.Name, gi))
			}
		}
	}
	return out
}

func (s *schema) mergeMember(l *derive.Look, sites []ref, base ref, group int, m *declaredMember, f failoverChoice, out *merge) table.Member {
	member, closed := m.member, s.backendPolicies(l, base).sections[m.member.Name]
	if len(m.faults) > 0 {
		closed = m.faults[0].reason + ": " + join(m.faults)
	}
	for _, site := range sites {
		d := s.declared.Get(l, site)
		there := d.member(group, m.member.Name)
		if there == nil {
			continue
		}
		i := s.siteInstance(l, site, d, group, there, out)
		if site != base {
			i.Model, i.Server = differing(m, there)
			switch {
			case closed != "":
				// What is not enforced by the declaration here is not got around by
				// asking another cluster.
				i.Closed = closed
			case !f.drift && s.restricts(l, site, there) != s.restricts(l, base, m):
				i.Closed = "PolicyDrift: what restricts this backend differs from cluster " + base.cluster
			}
		}
		if region := f.regions[m.member.Name]; region != "" && i.Region == "" {
			i.Region = region
		}
		if i.Closed != "" {
			i = table.Instance{Cluster: i.Cluster, Region: i.Region, Closed: i.Closed}
		}
		member.Instances = append(member.Instances, i)
	}
	return member
}

// siteInstance is a member at one cluster: dialed here, else over the link.
func (s *schema) siteInstance(l *derive.Look, site ref, d *declaration, group int, m *declaredMember, out *merge) table.Instance {
	if site.cluster == s.options.Cluster {
		for i, x := range d.groups[group] {
			if x.member.Name == m.member.Name {
				here := s.instances.Get(l, site).groups[group][i]
				out.needs = append(out.needs, here.needs...)
				return here.instance
			}
		}
	}
	i := table.Instance{Cluster: site.cluster, Region: d.region}
	if _, inside := s.inside(l, site, m); inside {
		i.Region = s.region(l, site.cluster)
	}
	policies := s.backendPolicies(l, site)
	switch {
	case d.closed() != "":
		i.Closed = d.closed()
	case policies.closed != "":
		i.Closed = policies.closed
	case len(m.faults) > 0:
		i.Closed = m.faults[0].reason + ": " + join(m.faults)
	default:
		i.Closed = policies.sections[m.member.Name]
	}
	auth := m.auth
	if auth == nil {
		auth, _ = policies.auth(m.member.Name, site)
	}
	if auth != nil && auth.Passthrough != nil {
		i.Auth = &table.Auth{Kind: table.AuthPassthrough}
	}
	return i
}

// differing is what a namesake's member declares of where and how it is served,
// where that is not the base's; names that clients use stay the base's.
func differing(base, there *declaredMember) (*table.Model, *table.Server) {
	var server *table.Server
	if !reflect.DeepEqual(base.member.Server, there.member.Server) {
		server = there.member.Server
	}
	if base.member.Model == nil || there.member.Model == nil {
		return nil, server
	}
	model := *there.member.Model
	model.Routes = base.member.Model.Routes
	model.Aliases = base.member.Model.Aliases
	if model.Provider == base.member.Model.Provider {
		model.Model = base.member.Model.Model
	}
	if reflect.DeepEqual(&model, base.member.Model) {
		return nil, server
	}
	return &model, server
}

// serve adds the members that only this cluster declares: others may ask for
// them over the link, by their own declarations.
func (s *schema) serve(l *derive.Look, sites []ref, base ref, d *declaration, f failoverChoice, tenant string, m *merge) {
	own := ref{s.options.Cluster, base.Key}
	if own == base {
		return
	}
	mine := s.declared.Get(l, own)
	if !mine.exists || !mine.fleet || mine.kind != d.kind || s.owners.Get(l, place{own.cluster, own.Namespace}).tenant != tenant {
		return
	}
	for gi, g := range mine.groups {
		for i := range g {
			if d.member(gi, g[i].member.Name) != nil && slices.Contains(sites, own) {
				continue
			}
			member := g[i].member
			member.Instances = []table.Instance{s.siteInstance(l, own, mine, gi, &g[i], m)}
			m.backend.Serves = append(m.backend.Serves, member)
		}
	}
	s.confine(l, tenant, f, &table.Backend{}, everyInstance([][]table.Member{m.backend.Serves})...)
}

// restricts is what restricts one member in its cluster: by the backend, and by
// the policies that target it.
func (s *schema) restricts(l *derive.Look, r ref, m *declaredMember) string {
	texts := []string{s.declared.Get(l, r).restrictions, m.restrictions}
	for _, p := range s.policiesFor(l, r) {
		o, ok := s.objects.Get(l, p)
		if !ok || p.Kind != kindPolicy {
			continue
		}
		for _, t := range s.policies.Get(l, p).targets {
			if t.key == r.Key && (t.section == "" || t.section == m.member.Name) {
				for _, text := range restrictions(o.JSON) {
					texts = append(texts, text)
				}
			}
		}
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "")
}

// provider closes what the tenant may not use.
func (s *schema) provider(l *derive.Look, tenant string, d *declaration, b *table.Backend) {
	allowed := s.tenant(l, tenant).AllowedProviders
	if len(allowed) == 0 || d.kind != table.BackendAI {
		return
	}
	for gi := range b.Groups {
		for mi := range b.Groups[gi] {
			kind := d.groups[gi][mi].kind
			if slices.Contains(allowed, kind) || kind == "azureopenai" && slices.Contains(allowed, "azure") {
				continue
			}
			for j := range b.Groups[gi][mi].Instances {
				shut(&b.Groups[gi][mi].Instances[j], fmt.Sprintf("%s: the tenant may not use %s", reasonProvider, kind))
			}
		}
	}
}

// reasonProvider says that the tenant may not use a provider.
const reasonProvider = "ProviderNotAllowed"

// shut takes an instance out of the candidates.
func shut(i *table.Instance, why string) {
	if i.Closed == "" {
		*i = table.Instance{Cluster: i.Cluster, Region: i.Region, Closed: why}
	}
}

// confine holds residency: with a limit, an instance is closed unless both its
// cluster and the place where its provider computes are known to be within it,
// and nothing is served from an entry outside it.
func (s *schema) confine(l *derive.Look, tenant string, f failoverChoice, b *table.Backend, instances ...*table.Instance) {
	for _, limit := range f.limits {
		for _, i := range instances {
			if region := s.region(l, i.Cluster); !slices.Contains(limit, region) {
				shut(i, fmt.Sprintf("%s: cluster %s is in region %q", v1alpha1.ReasonRegionNotAllowed, i.Cluster, region))
			}
			switch {
			case i.Region == "":
				shut(i, fmt.Sprintf("%s: residency is limited; say where the provider is by annotation %s", v1alpha1.ReasonRegionUnknown, v1alpha1.AnnotationRegion))
			case !slices.Contains(limit, i.Region):
				shut(i, fmt.Sprintf("%s: its provider is in %s", v1alpha1.ReasonRegionNotAllowed, i.Region))
			}
		}
	}
	if limit := s.tenant(l, tenant).AllowedRegions; len(limit) > 0 && b.Closed == "" {
		if region := s.region(l, s.options.Cluster); !slices.Contains(limit, region) {
			b.Closed = fmt.Sprintf("%s: the tenant's data may not enter in region %q", v1alpha1.ReasonRegionNotAllowed, region)
		}
	}
}

func (s *schema) pieceOfBackend(l *derive.Look, n node) piece {
	var p piece
	if n.key.Kind == kindService {
		p = s.serviceBackend(l, n)
	} else if m := s.merges.Get(l, n); m.backend != nil {
		p = piece{resource: m.backend, needs: m.needs}
	}
	if b, ok := p.resource.(*table.Backend); ok && !b.Fleet && s.crosses(l, n) {
		linked := *b
		linked.Fleet = true
		p.resource = &linked
	}
	return p
}

// crosses tells whether a table's Gateway runs in other clusters than its home
// too. What is the home's only is then reached over the link, by this Gateway's
// proxies and no others: it has no instance anywhere else.
func (s *schema) crosses(l *derive.Look, n node) bool {
	if n.view != s.options.Cluster {
		return true
	}
	p, ok := s.placements.Get(l, n.view+"/"+n.table)
	return ok && slices.ContainsFunc(p.Hosts, func(host string) bool { return host != n.view })
}

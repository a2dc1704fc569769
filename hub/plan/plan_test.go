package plan_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/plan"
)

const (
	gatewayGroup = "gateway.networking.k8s.io"
	agentGroup   = "agentgateway.dev"
)

func declare(cluster, group, kind, namespace, name string, with ...func(*fleet.Declaration)) *fleet.Declaration {
	key := objects.Key{Group: group, Kind: kind, Namespace: namespace, Name: name}
	d := &fleet.Declaration{
		ID: fleet.DeclarationID{Cluster: cluster, Key: key}, Generation: 1, Hash: "h",
		Body: &assignment.Declaration{Cluster: cluster, Key: key, Generation: 1, Object: json.RawMessage(`{}`)},
	}
	for _, w := range with {
		w(d)
	}
	return d
}

func placed(where string) func(*fleet.Declaration) {
	return func(d *fleet.Declaration) { d.Placement = where }
}

func fleetWide(d *fleet.Declaration) { d.Fleet = true }

func parent(namespace, name string) func(*fleet.Declaration) {
	return func(d *fleet.Declaration) {
		d.Parents = append(d.Parents, objects.Key{Group: gatewayGroup, Kind: "Gateway", Namespace: namespace, Name: name})
	}
}

func target(namespace, name string) func(*fleet.Declaration) {
	return func(d *fleet.Declaration) {
		d.Targets = append(d.Targets, objects.Key{Group: agentGroup, Kind: "AgentgatewayBackend", Namespace: namespace, Name: name})
	}
}

func threeRegions() []plan.Edit {
	var edits []plan.Edit
	for _, name := range []string{"eastus", "southcentralus", "westus2"} {
		edits = append(edits, plan.PutCluster(fleet.Cluster{Name: name, Region: name, State: table.PeerReady}))
	}
	return append(edits, plan.PutSettings(assignment.Fleet{}))
}

// seen prints who is given which declarations and placements.
func seen(p plan.Plan) []string {
	var out []string
	for _, a := range p.All() {
		if a.Kind == assignment.KindDeclaration || a.Kind == assignment.KindPlacement {
			out = append(out, fmt.Sprintf("%s: %s %s", a.Cluster, a.Kind, a.Key))
		}
	}
	return out
}

func TestWhoSeesWhat(t *testing.T) {
	cases := map[string]struct {
		reason string
		edits  []plan.Edit
		want   []string
	}{
		"local": {
			reason: "what serves in its own cluster only is nobody else's business",
			edits: []plan.Edit{
				plan.PutDeclaration(declare("westus2", gatewayGroup, "Gateway", "ai", "gw")),
				plan.PutDeclaration(declare("westus2", gatewayGroup, "HTTPRoute", "ai", "r", parent("ai", "gw"))),
				plan.PutDeclaration(declare("westus2", agentGroup, "AgentgatewayBackend", "ai", "tools")),
			},
		},
		"namesakes": {
			reason: "a fleet-wide backend and its policies go to every cluster where its tenant takes part",
			edits: []plan.Edit{
				plan.PutDeclaration(declare("westus2", agentGroup, "AgentgatewayBackend", "ai", "llm", fleetWide)),
				plan.PutDeclaration(declare("southcentralus", agentGroup, "AgentgatewayBackend", "ai", "llm", fleetWide)),
				plan.PutDeclaration(declare("westus2", agentGroup, "AgentgatewayPolicy", "ai", "p", target("ai", "llm"))),
				plan.PutDeclaration(declare("westus2", agentGroup, "AgentgatewayPolicy", "ai", "q", target("ai", "other"))),
			},
			want: []string{
				"southcentralus: declaration westus2/AgentgatewayBackend.agentgateway.dev/ai/llm",
				"southcentralus: declaration westus2/AgentgatewayPolicy.agentgateway.dev/ai/p",
				"westus2: declaration southcentralus/AgentgatewayBackend.agentgateway.dev/ai/llm",
			},
		},
		"placed": {
			reason: "a placed Gateway brings its routes and what they may name, without endpoints and secrets",
			edits: []plan.Edit{
				plan.PutDeclaration(declare("westus2", gatewayGroup, "Gateway", "ai", "gw", placed("eastus"))),
				plan.PutDeclaration(declare("westus2", gatewayGroup, "Gateway", "ai", "home")),
				plan.PutDeclaration(declare("westus2", gatewayGroup, "HTTPRoute", "ai", "r", parent("ai", "gw"))),
				plan.PutDeclaration(declare("westus2", gatewayGroup, "HTTPRoute", "ai", "s", parent("ai", "home"))),
				plan.PutDeclaration(declare("westus2", agentGroup, "AgentgatewayBackend", "ai", "tools")),
				plan.PutDeclaration(declare("westus2", "", "Secret", "ai", "key")),
				plan.PutDeclaration(declare("westus2", "discovery.k8s.io", "EndpointSlice", "ai", "e")),
			},
			want: []string{
				"eastus: declaration westus2/AgentgatewayBackend.agentgateway.dev/ai/tools",
				"eastus: declaration westus2/Gateway.gateway.networking.k8s.io/ai/gw",
				"eastus: declaration westus2/HTTPRoute.gateway.networking.k8s.io/ai/r",
				"eastus: placement westus2/ai/gw",
				"westus2: placement westus2/ai/gw",
			},
		},
		"name taken": {
			reason: "the second claimant of a placed name is placed nowhere",
			edits: []plan.Edit{
				plan.PutClaim("gateway/ai/gw", "eastus"),
				plan.PutDeclaration(declare("westus2", gatewayGroup, "Gateway", "ai", "gw", placed("Fleet"))),
			},
		},
		"another tenant's": {
			reason: "a tenant's cluster that declares nothing of it sees nothing of it",
			edits: []plan.Edit{
				plan.PutTenant(fleet.Tenant{Name: "a", Claims: []fleet.Claim{{Namespaces: []string{"ai"}}}}),
				plan.PutTenant(fleet.Tenant{Name: "b", Claims: []fleet.Claim{{Namespaces: []string{"bi"}}}}),
				plan.PutDeclaration(declare("westus2", agentGroup, "AgentgatewayBackend", "ai", "llm", fleetWide)),
				plan.PutDeclaration(declare("eastus", agentGroup, "AgentgatewayBackend", "bi", "llm", fleetWide)),
			},
		},
		"not admitted": {
			reason: "a namespace that no tenant owns is passed to nobody",
			edits: []plan.Edit{
				plan.PutTenant(fleet.Tenant{Name: "a", Claims: []fleet.Claim{{Namespaces: []string{"other"}}}}),
				plan.PutDeclaration(declare("westus2", gatewayGroup, "Gateway", "ai", "gw", placed("Fleet"))),
			},
		},
		"residency": {
			reason: "a tenant's allowed regions bound where its Gateways are placed",
			edits: []plan.Edit{
				plan.PutTenant(fleet.Tenant{Name: "a", AllowedRegions: []string{"westus2", "eastus"}, Claims: []fleet.Claim{{Namespaces: []string{"ai"}}}}),
				plan.PutDeclaration(declare("westus2", gatewayGroup, "Gateway", "ai", "gw", placed("Fleet"))),
			},
			want: []string{
				"eastus: declaration westus2/Gateway.gateway.networking.k8s.io/ai/gw",
				"eastus: placement westus2/ai/gw",
				"westus2: placement westus2/ai/gw",
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, _ := plan.New().Apply(append(threeRegions(), c.edits...)...)
			if diff := cmp.Diff(c.want, seen(p)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestPeersAreSeenByTheirViewers(t *testing.T) {
	edits := append(threeRegions(),
		plan.PutViews([]fleet.View{{Viewer: "eastus", From: netip.MustParsePrefix("127.3.0.0/16"), To: netip.MustParsePrefix("127.93.0.0/16")}}),
		plan.PutFacts(&assignment.Facts{Cluster: "westus2", Gossip: "127.3.0.1:7946", Proxies: []assignment.ProxyFacts{
			{LinkProxy: table.LinkProxy{ID: "a", Address: "127.3.0.7:15443"}, Ready: true},
			{LinkProxy: table.LinkProxy{ID: "b", Address: "127.3.0.8:15443"}},
		}}))
	p, _ := plan.New().Apply(edits...)
	got := map[string]string{}
	for _, a := range p.All() {
		if peer, ok := a.Resource.(*assignment.Peer); ok && peer.Cluster == "westus2" {
			got[a.Cluster] = peer.Gossip
			for _, proxy := range peer.Proxies {
				got[a.Cluster] += " " + proxy.ID + "@" + proxy.Address
			}
		}
	}
	want := map[string]string{
		"eastus":         "127.93.0.1:7946 a@127.93.0.7:15443",
		"southcentralus": "127.3.0.1:7946 a@127.3.0.7:15443",
		"westus2":        "127.3.0.1:7946 a@127.3.0.7:15443",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A tenant's default of failover goes to every cluster with the tenant, the
// built-in one's while there is no other.
func TestDefaultsOfFailoverGoWithTheirTenants(t *testing.T) {
	def := &assignment.FailoverDefault{Settings: table.Failover{Order: table.Static}}
	has := func(p plan.Plan) (out []string) {
		for _, a := range p.All() {
			if tenant, ok := a.Resource.(*assignment.Tenant); ok {
				out = append(out, fmt.Sprint(a.Cluster, " ", tenant.Name, " ", tenant.Failover == def))
			}
		}
		return out
	}
	p, _ := plan.New().Apply(append(threeRegions(), plan.DropCluster("westus2"), plan.PutFailover(map[string]*assignment.FailoverDefault{"default": def, "shop": def}))...)
	if got, want := strings.Join(has(p), "; "), "eastus default true; southcentralus default true"; got != want {
		t.Errorf("without a Tenant: %s, want %s", got, want)
	}
	p, _ = p.Apply(plan.PutTenant(fleet.Tenant{Name: "other"}), plan.PutTenant(fleet.Tenant{Name: "shop"}))
	if got, want := strings.Join(has(p), "; "), "eastus other false; eastus shop true; southcentralus other false; southcentralus shop true"; got != want {
		t.Errorf("with Tenants: %s, want %s", got, want)
	}
	p, changes := p.Apply(plan.PutFailover(nil))
	if len(changes) != 2 || strings.Contains(strings.Join(has(p), " "), "true") {
		t.Errorf("taken away: %v, by %v", has(p), changes)
	}
}

// random gives edits over a small fleet and keeps the last edit of each name.
func random(rng *rand.Rand, kept map[string]plan.Edit) plan.Edit {
	clusters := []string{"a", "b", "c"}
	cluster := clusters[rng.IntN(3)]
	namespace := []string{"x", "y"}[rng.IntN(2)]
	name := []string{"m", "n"}[rng.IntN(2)]
	put := func(key string, e plan.Edit) plan.Edit { kept[key] = e; return e }
	drop := func(key string, e plan.Edit) plan.Edit { delete(kept, key); return e }
	switch rng.IntN(11) {
	case 10:
		def := &assignment.FailoverDefault{Settings: table.Failover{Attempts: 1 + rng.IntN(3)}}
		return put("failover", plan.PutFailover(map[string]*assignment.FailoverDefault{"t" + namespace: def}))
	case 0:
		return put("cluster "+cluster, plan.PutCluster(fleet.Cluster{Name: cluster, Region: cluster, State: table.PeerReady}))
	case 1:
		return drop("cluster "+cluster, plan.DropCluster(cluster))
	case 2:
		return put("tenant "+namespace, plan.PutTenant(fleet.Tenant{Name: "t" + namespace, Claims: []fleet.Claim{{Namespaces: []string{namespace}}}}))
	case 3:
		return drop("tenant "+namespace, plan.DropTenant("t"+namespace))
	case 4, 5:
		d := declare(cluster, gatewayGroup, "Gateway", namespace, name, placed([]string{"", "Fleet", "a", "a,b"}[rng.IntN(4)]))
		d.Hash = d.Placement
		return put(fmt.Sprint(d.ID), plan.PutDeclaration(d))
	case 6:
		d := declare(cluster, gatewayGroup, "HTTPRoute", namespace, name, parent(namespace, name))
		return put(fmt.Sprint(d.ID), plan.PutDeclaration(d))
	case 7:
		d := declare(cluster, agentGroup, "AgentgatewayBackend", namespace, name, fleetWide)
		return put(fmt.Sprint(d.ID), plan.PutDeclaration(d))
	case 8:
		d := declare(cluster, agentGroup, "AgentgatewayPolicy", namespace, name, target(namespace, name))
		return put(fmt.Sprint(d.ID), plan.PutDeclaration(d))
	}
	kind := []string{"Gateway", "HTTPRoute", "AgentgatewayBackend"}[rng.IntN(3)]
	group := gatewayGroup
	if kind == "AgentgatewayBackend" {
		group = agentGroup
	}
	d := declare(cluster, group, kind, namespace, name)
	return drop(fmt.Sprint(d.ID), plan.DropDeclaration(d.ID))
}

func TestApplyEqualsBuildingAnewInAnyOrder(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 3))
		kept := map[string]plan.Edit{}
		p := plan.New()
		followed := map[string]plan.Assigned{}
		for range 30 {
			var changes []plan.Assigned
			p, changes = p.Apply(random(rng, kept))
			for _, c := range changes {
				at := c.Cluster + " " + string(c.Kind) + " " + c.Key
				if c.Resource == nil {
					delete(followed, at)
				} else {
					followed[at] = c
				}
			}
		}
		var edits []plan.Edit
		for _, e := range kept {
			edits = append(edits, e)
		}
		anew, _ := plan.New().Apply(edits...)
		if diff := cmp.Diff(anew.All(), p.All()); diff != "" {
			t.Fatalf("seed %d: by steps differs from anew (-anew +steps):\n%s", seed, diff)
		}
		if len(followed) != len(p.All()) {
			t.Fatalf("seed %d: following the changes gives %d resources, the plan has %d", seed, len(followed), len(p.All()))
		}
	}
}

func BenchmarkOneChangedRoute(b *testing.B) {
	for _, size := range []int{100, 10000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			edits := threeRegions()
			edits = append(edits, plan.PutDeclaration(declare("westus2", gatewayGroup, "Gateway", "ai", "gw", placed("Fleet"))))
			for i := range size {
				edits = append(edits, plan.PutDeclaration(declare("westus2", gatewayGroup, "HTTPRoute", "ai", fmt.Sprint("r", i), parent("ai", "gw"))))
			}
			p, _ := plan.New().Apply(edits...)
			b.ResetTimer()
			for i := range b.N {
				d := declare("westus2", gatewayGroup, "HTTPRoute", "ai", "r7", parent("ai", "gw"))
				d.Hash = strings.Repeat("x", 1+i%7)
				p, _ = p.Apply(plan.PutDeclaration(d))
			}
		})
	}
}

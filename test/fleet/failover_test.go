package fleet_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/test/fleet"
)

// failover declares a FailoverPolicy.
func failover(namespace, name, spec string) string {
	return fmt.Sprintf("apiVersion: nave.dev/v1alpha1\nkind: FailoverPolicy\nmetadata: {name: %s, namespace: %s}\nspec: {%s}\n---\n", name, namespace, spec)
}

// target is a policy's target of Gateway API, section "" for all of it.
func target(kind, name, section string) string {
	if section != "" {
		section = ", sectionName: " + section
	}
	return fmt.Sprintf("targetRefs: [{group: gateway.networking.k8s.io, kind: %s, name: %s%s}]", kind, name, section)
}

// twins runs two clusters that declare the same backend, web, each with a
// server of its own; each server answers with its cluster's name.
func twins(t *testing.T) (f *fleet.Fleet, east, west *backend) {
	east, west = newBackend(t, "east"), newBackend(t, "west")
	f = fleet.New(t, fleet.Options{Clusters: []string{"east", "west"}})
	f.Write("clusters/east/web.yaml", fleetBackend("shop", "web", east.Server))
	f.Write("clusters/west/web.yaml", fleetBackend("shop", "web", west.Server))
	return f, east, west
}

func TestAFailoverPolicyOfARouteSteersItAlone(t *testing.T) {
	f, _, west := twins(t)
	f.Write("clusters/east/all.yaml", gateway("shop", "g", "Fleet")+route("shop", "near", "g", "/near", "web")+route("shop", "far", "g", "/far", "web"))
	at, placed := f.Gateway("east", "shop/g")[0], f.Gateway("west", "shop/g")[0]
	f.Expect(at+"/far", 200, "east")

	// Where the Gateway is declared, and where it is placed.
	f.Write("clusters/east/failover.yaml", failover("shop", "far", target("HTTPRoute", "far", "")+", order: {by: Region, regions: [west, east]}"))
	f.Expect(at+"/far", 200, "west")
	f.Expect(at+"/near", 200, "east")
	f.Write("clusters/east/failover.yaml", failover("shop", "far", target("HTTPRoute", "far", "")+", order: {by: Region, regions: [east]}"))
	f.Expect(placed+"/far", 200, "east")
	f.Expect(placed+"/near", 200, "west")
	f.Expect(at+"/far", 200, "east")

	// The next region serves what the first has lost, unless the route's limit of
	// regions keeps it out.
	f.Write("clusters/east/failover.yaml", failover("shop", "far", target("HTTPRoute", "far", "")+", order: {by: Region, regions: [west]}"))
	f.Expect(at+"/far", 200, "west")
	west.Close()
	f.Expect(at+"/far", 200, "east")
	f.Write("clusters/east/failover.yaml", failover("shop", "far", target("HTTPRoute", "far", "")+", allowedRegions: [west]"))
	f.Expect(at+"/far", 503, "")
	f.Expect(at+"/near", 200, "east")
	f.Remove("clusters/east/failover.yaml")
	f.Expect(at+"/far", 200, "east")
}

func TestAFailoverPolicyOfAGatewayAndOfOneListener(t *testing.T) {
	f, _, _ := twins(t)
	two := strings.Replace(gateway("shop", "g", "Local"), "listeners: [", "listeners: [{name: second, port: 8081, protocol: HTTP}, ", 1)
	f.Write("clusters/east/all.yaml", two+route("shop", "r", "g", "/", "web"))
	urls := map[string]string{}
	f.Until("both listeners serve", func() error {
		for _, url := range f.Gateway("east", "shop/g") {
			urls[url[strings.LastIndexByte(url, ':')+1:]] = url
		}
		if len(urls) != 2 {
			return fmt.Errorf("they serve at %v", urls)
		}
		return nil
	})
	first, second := urls["8080"], urls["8081"]
	f.Expect(first+"/", 200, "east")
	f.Expect(second+"/", 200, "east")
	all := failover("shop", "all", target("Gateway", "g", "")+", order: {by: Region, regions: [west]}")
	f.Write("clusters/east/failover.yaml", all)
	f.Expect(first+"/", 200, "west")
	f.Expect(second+"/", 200, "west")
	f.Write("clusters/east/failover.yaml", all+failover("shop", "second", target("Gateway", "g", "second")+", order: {by: Region, regions: [east]}"))
	f.Expect(second+"/", 200, "east")
	f.Expect(first+"/", 200, "west")
}

func TestATenantsDefaultOfFailoverFromTheHub(t *testing.T) {
	f, _, _ := twins(t)
	f.Write("clusters/east/all.yaml", gateway("shop", "g", "Local")+route("shop", "r", "g", "/", "web"))
	at := f.Gateway("east", "shop/g")[0]
	f.Expect(at+"/", 200, "east")
	f.Write("hub/failover.yaml", failover("tenant-default", "default", "order: {by: Region, regions: [west]}"))
	f.Expect(at+"/", 200, "west")

	// What a cluster says itself goes before it, and needs no hub.
	f.StopHub()
	f.Write("clusters/east/failover.yaml", failover("shop", "own", target("Gateway", "g", "")+", order: {by: Latency}"))
	f.Expect(at+"/", 200, "east")
	f.Remove("clusters/east/failover.yaml")
	f.Expect(at+"/", 200, "west")
	f.StartHub()

	// A default that nobody can have is said, with the place where it would be.
	f.Write("hub/failover.yaml", failover("shop", "default", "order: {by: Region, regions: [west]}"))
	f.Expect(at+"/", 200, "east")
	f.Until("the problem is told", func() error {
		s, err := f.Status()
		for _, p := range s.Problems {
			if p.Object == "FailoverPolicy shop/default" && p.Field == "metadata.namespace" && strings.Contains(p.Remedy, "tenant-") {
				return nil
			}
		}
		return fmt.Errorf("problems %+v %w", s.Problems, err)
	})
}

// TestResidencyOutlivesItsRegion: what may be served in one region only is refused
// while that is lost, however well another could serve it, and served there again.
func TestResidencyOutlivesItsRegion(t *testing.T) {
	f, _, _ := twins(t)
	only := failover("shop", "web", "targetRefs: [{group: agentgateway.dev, kind: AgentgatewayBackend, name: web}], allowedRegions: [west]")
	f.Write("clusters/east/all.yaml", gateway("shop", "g", "Fleet")+route("shop", "r", "g", "/", "web"))
	f.Write("clusters/east/failover.yaml", only)
	f.Write("clusters/west/failover.yaml", only)
	at := f.Gateway("east", "shop/g")[0]
	f.Gateway("west", "shop/g") // both have proxies
	f.Expect(at+"/", 200, "west")
	x := send(f, func(a fleet.Answer, err error) bool { return err == nil && a.Body != "east" }, at+"/")
	f.Lose("west")
	f.Expect(at+"/", 503, "")
	f.Until("the hub misses the region", func() error {
		s, err := f.Status()
		for _, c := range s.Clusters {
			if c.Name == "west" && v1alpha1.Lease(c.Lease) == v1alpha1.LeaseLost {
				return nil
			}
		}
		return fmt.Errorf("clusters %+v %w", s.Clusters, err)
	})
	f.Expect(at+"/", 503, "")
	f.StartSpoke("west")
	f.Expect(at+"/", 200, "west")
	x.end(t)
	f.Remove("clusters/west/failover.yaml")
	f.Lose("west") // the limit that is left is what east itself says
	f.Expect(at+"/", 503, "")
	f.Remove("clusters/east/failover.yaml")
	f.Expect(at+"/", 200, "east")
}

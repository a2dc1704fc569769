package fleet_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/hub/fleet"
)

// platform reads YAML as the hub's folder does; objects are as old as they come
// late in it.
func platform(t *testing.T, text string) fleet.Platform {
	t.Helper()
	list, _ := objects.Decode("hub.yaml", []byte(text), objects.Options{})
	for i, o := range list {
		o.Created = time.Unix(int64(i), 0)
	}
	return fleet.ReadPlatform(objects.NewSet(list...), nil, nil, time.Unix(0, 0))
}

func policy(namespace, name, spec string) string {
	return "---\napiVersion: nave.dev/v1alpha1\nkind: FailoverPolicy\nmetadata: {name: " + name + ", namespace: " + namespace + "}\nspec: " + spec + "\n"
}

const (
	fleetConfig = "---\napiVersion: nave.dev/v1alpha1\nkind: FleetConfig\nmetadata: {name: fleet}\nspec: {failover: {retry: {attempts: 7}}}\n"
	shopTenant  = "---\napiVersion: nave.dev/v1alpha1\nkind: Tenant\nmetadata: {name: shop}\nspec: {namespaces: [{namespaces: [shop]}]}\n"
)

// A tenant's default is over the fleet's, wherever in the folder each stands.
func TestATenantsDefault(t *testing.T) {
	p := platform(t, policy("tenant-shop", "f", "{order: {by: Region, regions: [b, a]}, allowedRegions: [a, b], providers: [{name: p, region: a}], policyDrift: Allow}")+shopTenant+fleetConfig)
	d := p.Failover["shop"]
	if d == nil || len(p.Problems) > 0 {
		t.Fatal(p.Failover, p.Problems)
	}
	s := d.Settings
	if s.Order != table.ByRegion || !slices.Equal(s.Regions, []string{"b", "a"}) || s.Attempts != 7 ||
		!slices.Equal(s.AllowedRegions, []string{"a", "b"}) || d.Regions["p"] != "a" || !d.PolicyDrift || d.Closed != "" {
		t.Errorf("the default is %+v", d)
	}
	if len(p.Settings.Failover.AllowedRegions) > 0 || p.Settings.Failover.Order != table.ByLatency {
		t.Errorf("a tenant's default is the fleet's: %+v", p.Settings.Failover)
	}
	if p := platform(t, policy("tenant-default", "f", "{order: {by: Static}}")); p.Failover["default"] == nil || p.Failover["default"].Settings.Order != table.Static {
		t.Errorf("while there is no Tenant, the one there is has no default: %v", p.Problems)
	}
}

// What is no tenant's default is said; of a default that is refused the limit of
// regions holds, and one that cannot be read closes.
func TestDefaultsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text, problem, allowed string
		closed, none           bool
	}{
		"no tenant's namespace": {text: policy("shop", "f", "{}"), problem: "metadata.namespace", none: true},
		"an unknown tenant":     {text: policy("tenant-shops", "f", "{}"), problem: "metadata.namespace", none: true},
		"the second":            {text: policy("tenant-shop", "z", "{allowedRegions: [a]}") + policy("tenant-shop", "a", "{}"), problem: "metadata.name", allowed: "a"},
		"targets":               {text: policy("tenant-shop", "f", "{targetRefs: [{group: '', kind: Service, name: s}], allowedRegions: [a]}"), problem: "spec.targetRefs", allowed: "a"},
		"a fault":               {text: policy("tenant-shop", "f", "{order: {by: Latency, regions: [ra]}, allowedRegions: [a]}"), problem: "spec.order.regions", allowed: "a"},
		"not built":             {text: policy("tenant-shop", "f", "{hedging: {after: 1s}, allowedRegions: [a]}"), problem: "spec.hedging", allowed: "a"},
		"unread":                {text: policy("tenant-shop", "f", "{allowedRegion: [a]}"), closed: true},
	} {
		p := platform(t, shopTenant+c.text)
		if c.problem != "" && (len(p.Problems) != 1 || p.Problems[0].Field != c.problem || p.Problems[0].Remedy == "") {
			t.Errorf("%s: problems %+v, want one of %s", name, p.Problems, c.problem)
		}
		d := p.Failover["shop"]
		if (d == nil) != c.none {
			t.Errorf("%s: default %+v", name, d)
		}
		if d != nil && (strings.Join(d.Settings.AllowedRegions, " ") != c.allowed || (d.Closed != "") != c.closed) {
			t.Errorf("%s: default %+v", name, d)
		}
	}
}

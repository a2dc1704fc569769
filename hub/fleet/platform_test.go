package fleet_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/fleet"
)

func object(kind, name string, value any) *objects.Object {
	return &objects.Object{Key: objects.Key{Group: "nave.dev", Kind: kind, Name: name}, Value: value, File: "a.yaml:1"}
}

func cluster(name string, spec v1alpha1.ClusterSpec) *objects.Object {
	return object("Cluster", name, &v1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec})
}

func tenant(name string, spec v1alpha1.TenantSpec) *objects.Object {
	return object("Tenant", name, &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec})
}

func order(kind v1alpha1.OperationKind, cluster string, until time.Time) *v1alpha1.Operation {
	o := &v1alpha1.Operation{Spec: v1alpha1.OperationSpec{Kind: kind, Cluster: v1alpha1.ClusterName(cluster), Who: "me"}}
	if !until.IsZero() {
		o.Spec.ExpiresAt = &metav1.Time{Time: until}
	}
	return o
}

func TestTheSaferStateIsInForce(t *testing.T) {
	now := time.Unix(1e9, 0)
	cases := map[string]struct {
		reason string
		spec   v1alpha1.ClusterSpec
		orders fleet.Orders
		want   table.PeerState
	}{
		"nothing":       {reason: "nobody said anything", want: table.PeerReady},
		"declared":      {reason: "Git says cordoned", spec: v1alpha1.ClusterSpec{Cordoned: true}, want: table.PeerCordoned},
		"ordered":       {reason: "a person says drain", orders: fleet.Orders{"x": order(v1alpha1.OperationDrain, "a", time.Time{})}, want: table.PeerDraining},
		"both":          {reason: "drain is safer than cordon", spec: v1alpha1.ClusterSpec{Drained: true}, orders: fleet.Orders{"x": order(v1alpha1.OperationCordon, "a", time.Time{})}, want: table.PeerDraining},
		"expired":       {reason: "an order ends by itself", orders: fleet.Orders{"x": order(v1alpha1.OperationDrain, "a", now)}, want: table.PeerReady},
		"another's":     {reason: "an order is for its cluster", orders: fleet.Orders{"x": order(v1alpha1.OperationDrain, "b", time.Time{})}, want: table.PeerReady},
		"not yet ended": {reason: "an order holds until its end", orders: fleet.Orders{"x": order(v1alpha1.OperationCordon, "a", now.Add(1))}, want: table.PeerCordoned},
	}
	for name, c := range cases {
		c.spec.Region = "r"
		p := fleet.ReadPlatform(objects.NewSet(cluster("a", c.spec)), c.orders, nil, now)
		if got := p.Clusters[0].State; got != c.want {
			t.Errorf("%s: %s: state %s, want %s", name, c.reason, got, c.want)
		}
	}
}

func TestTenantsThatClaimTheSame(t *testing.T) {
	spaces := func(names ...v1alpha1.Label) []v1alpha1.TenantNamespaces {
		return []v1alpha1.TenantNamespaces{{Namespaces: names}}
	}
	p := fleet.ReadPlatform(objects.NewSet(
		cluster("a", v1alpha1.ClusterSpec{Region: "r"}),
		tenant("one", v1alpha1.TenantSpec{Namespaces: spaces("x", "y"), AllowedHostnames: []v1alpha1.HostnamePattern{"*.shop.example"}}),
		tenant("two", v1alpha1.TenantSpec{Namespaces: spaces("y", "z"), AllowedHostnames: []v1alpha1.HostnamePattern{"pay.shop.example"}}),
	), nil, nil, time.Unix(0, 0))
	got := map[string]string{}
	for _, tn := range p.Tenants {
		got[tn.Name] = fmt.Sprint(tn.Namespaces("a"), tn.AllowedHostnames)
	}
	if got["one"] != "[x] [*.shop.example]" || got["two"] != "[z] [conflict.invalid]" {
		t.Errorf("what two claim is still somebody's: %v", got)
	}
	var reasons []string
	for _, problem := range p.Problems {
		reasons = append(reasons, problem.Reason)
	}
	if want := []string{"NamespaceConflict", "HostnameConflict"}; !slices.Equal(reasons, want) {
		t.Errorf("problems %v, want %v", reasons, want)
	}
}

func TestWhatIsNotObeyedIsSaid(t *testing.T) {
	limit := int32(3)
	p := fleet.ReadPlatform(objects.NewSet(
		cluster("no-region", v1alpha1.ClusterSpec{}),
		tenant("limited", v1alpha1.TenantSpec{Limits: &v1alpha1.TenantLimits{Gateways: &limit}}),
		object("FleetConfig", "other", &v1alpha1.FleetConfig{ObjectMeta: metav1.ObjectMeta{Name: "other"}}),
		object("FailoverPolicy", "f", &v1alpha1.FailoverPolicy{}),
		object("Thing", "t", struct{}{}),
		object("Drill", "d", &v1alpha1.Drill{Spec: v1alpha1.DrillSpec{
			Mode: v1alpha1.DrillModePartition, Target: v1alpha1.DrillTarget{Kind: v1alpha1.DrillTargetCluster, Name: "a", Peer: "b"},
			Schedule: &v1alpha1.DrillSchedule{Cron: "0 0 * * *"}, Duration: "1h", Fault: &v1alpha1.DrillFault{Close: true},
			Expectations: &v1alpha1.DrillExpectations{MaxTimeToShift: "fast"},
		}}),
		object("Drill", "provider", &v1alpha1.Drill{Spec: v1alpha1.DrillSpec{Mode: v1alpha1.DrillModeKill, Target: v1alpha1.DrillTarget{Kind: v1alpha1.DrillTargetProvider}}}),
	), nil, nil, time.Unix(0, 0))
	if len(p.Clusters) != 0 || len(p.Tenants) != 0 {
		t.Errorf("what is refused is obeyed: %v %v", p.Clusters, p.Tenants)
	}
	for _, want := range []string{"Cluster no-region: spec.region", "Tenant limited: spec.limits", "FleetConfig other: metadata.name", "FailoverPolicy f: metadata.namespace", "Thing t: kind",
		"Drill d: spec.mode", "Drill d: spec.schedule", "Drill d: spec.duration", "Drill d: spec.fault", "Drill d: spec.target.peer", "Drill d: spec.expectations.maxTimeToShift", "Drill provider: spec.target.kind"} {
		if !slices.ContainsFunc(p.Problems, func(x objects.Problem) bool { return x.Object+": "+x.Field == want && x.Remedy != "" }) {
			t.Errorf("no problem says %s and how to mend it: %v", want, p.Problems)
		}
	}
}

// A cluster that no object names is registered in a region of its own name, and
// obeys orders; one whose object is wrong is not.
func TestImpliedClusters(t *testing.T) {
	now := time.Unix(1000, 0)
	cordon := order(v1alpha1.OperationCordon, "implied", time.Time{})
	p := fleet.ReadPlatform(objects.NewSet(
		cluster("declared", v1alpha1.ClusterSpec{Region: "eu"}), cluster("wrong", v1alpha1.ClusterSpec{}),
	), fleet.Orders{"x": cordon}, []string{"declared", "implied", "wrong"}, now)
	want := []fleet.Cluster{{Name: "declared", Region: "eu", State: table.PeerReady}, {Name: "implied", Region: "implied", State: table.PeerCordoned}}
	if diff := cmp.Diff(want, p.Clusters); diff != "" || len(p.Problems) != 1 {
		t.Errorf("%s\n%v", diff, p.Problems)
	}
}

// An Operation of the folder is obeyed wherever it sorts, clusters first.
func TestOperationsOfTheFolderAreObeyed(t *testing.T) {
	now := time.Unix(1000, 0)
	operation := func(name string, kind v1alpha1.OperationKind, cluster string, until time.Time) *objects.Object {
		o := order(kind, cluster, until)
		o.Name = name
		return object("Operation", name, o)
	}
	given := fleet.Orders{"x": order(v1alpha1.OperationCordon, "a", time.Time{})}
	p := fleet.ReadPlatform(objects.NewSet(
		cluster("a", v1alpha1.ClusterSpec{Region: "r"}), cluster("b", v1alpha1.ClusterSpec{Region: "r"}), cluster("c", v1alpha1.ClusterSpec{Region: "r"}),
		operation("cordon-b", v1alpha1.OperationCordon, "b", now.Add(1)),
		operation("drain-implied", v1alpha1.OperationDrain, "implied", time.Time{}),
		operation("drain-c", v1alpha1.OperationDrain, "c", now),
		operation("freeze", v1alpha1.OperationFreeze, "", time.Time{}),
		operation("gone", v1alpha1.OperationDrain, "gone", time.Time{}),
		operation("hold", v1alpha1.OperationHold, "", time.Time{}),
		operation("freeze-a", v1alpha1.OperationFreeze, "a", time.Time{}),
	), given, []string{"implied"}, now)
	got := map[string]table.PeerState{}
	for _, c := range p.Clusters {
		got[c.Name] = c.State
	}
	want := map[string]table.PeerState{"a": table.PeerCordoned, "b": table.PeerCordoned, "c": table.PeerReady, "implied": table.PeerDraining}
	if diff := cmp.Diff(want, got); diff != "" || !p.Settings.Frozen || len(given) != 1 {
		t.Errorf("frozen %v, given %v, states (-want +got):\n%s", p.Settings.Frozen, given, diff)
	}
	var said []string
	for _, x := range p.Problems {
		said = append(said, x.Object+" "+x.Field+" "+x.Reason)
	}
	if diff := cmp.Diff([]string{"Operation freeze-a spec.cluster NotBuilt", "Operation gone spec.cluster NoSuchCluster", "Operation hold spec.kind NotBuilt"}, said); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

package drill

import (
	"fmt"
	"slices"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// Facts are what a run is checked against before it begins.
type Facts struct {
	Clusters []ClusterFact
	// Frozen: automation is frozen.
	Frozen bool
	// Other is a run that is under way, "" for none.
	Other string
	// Supervised: a supervisor can kill and restart regions.
	Supervised bool
}

// ClusterFact is one cluster.
type ClusterFact struct {
	Name, Region string
	Lease        assignment.Lease
	State        table.PeerState
	// Proxies that are ready.
	Proxies int
}

// built are the modes that are carried out.
var built = []v1alpha1.DrillMode{v1alpha1.DrillModeDryRun, v1alpha1.DrillModeCordon, v1alpha1.DrillModeDrain, v1alpha1.DrillModeKill}

// Preflight checks whether a drill may begin, and finds the cluster that it
// loses. The first check that fails ends it.
func Preflight(d *v1alpha1.Drill, f Facts) ([]v1alpha1.DrillCheck, string) {
	target, found := findTarget(d, f)
	checks := []v1alpha1.DrillCheck{
		check("mode", slices.Contains(built, d.Spec.Mode), "mode %s is carried out: %v are", d.Spec.Mode, built),
		check("schedule", d.Spec.Schedule == nil, "a run by schedule is not built; take spec.schedule out and start it by order"),
		check("target", target != "", "%s", found),
		check("supervisor", d.Spec.Mode != v1alpha1.DrillModeKill || f.Supervised, "mode Kill needs a supervisor: it works in a fleet that `nave up` runs"),
		check("alone", f.Other == "", "no other drill is under way%s", and(f.Other)),
		check("not frozen", !f.Frozen, "automation is not frozen"),
	}
	if target != "" {
		checks = append(checks, survivors(target, f)...)
	}
	return checks, target
}

func check(name string, passed bool, format string, args ...any) v1alpha1.DrillCheck {
	return v1alpha1.DrillCheck{Name: name, Passed: passed, Message: fmt.Sprintf(format, args...)}
}

func and(other string) string {
	if other == "" {
		return ""
	}
	return ": " + other + " is"
}

func findTarget(d *v1alpha1.Drill, f Facts) (cluster, message string) {
	name := string(d.Spec.Target.Name)
	var matches []string
	for _, c := range f.Clusters {
		if d.Spec.Target.Kind == v1alpha1.DrillTargetCluster && c.Name == name || d.Spec.Target.Kind == v1alpha1.DrillTargetRegion && c.Region == name {
			matches = append(matches, c.Name)
		}
	}
	switch {
	case d.Spec.Target.Kind != v1alpha1.DrillTargetCluster && d.Spec.Target.Kind != v1alpha1.DrillTargetRegion:
		return "", fmt.Sprintf("a target of kind %s is not built; use Cluster or Region", d.Spec.Target.Kind)
	case len(matches) == 0:
		return "", fmt.Sprintf("there is no %s %q", d.Spec.Target.Kind, name)
	case len(matches) > 1:
		return "", fmt.Sprintf("region %q has clusters %v; one region with several clusters cannot be lost at once, name one", name, matches)
	}
	return matches[0], "cluster " + matches[0]
}

// survivors checks that somebody is left to serve: never two regions at once.
func survivors(target string, f Facts) []v1alpha1.DrillCheck {
	var left, away []string
	targetReady := false
	for _, c := range f.Clusters {
		switch {
		case c.Name == target:
			targetReady = c.Lease == assignment.Connected && c.State == table.PeerReady && c.Proxies > 0
		case c.State != table.PeerReady:
			away = append(away, c.Name)
		case c.Lease == assignment.Connected && c.Proxies > 0:
			left = append(left, c.Name)
		}
	}
	return []v1alpha1.DrillCheck{
		check("target serves", targetReady, "cluster %s is connected, not cordoned, and has ready proxies", target),
		check("survivors", len(left) > 0, "connected clusters with ready proxies besides: %v", left),
		check("one at a time", len(away) == 0, "cordoned or draining already: %v", away),
	}
}

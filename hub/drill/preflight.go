package drill

import (
	"fmt"
	"strings"

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
		declared(d),
		check("target", target != "", found, found),
		check("supervisor", d.Spec.Mode != v1alpha1.DrillModeKill || f.Supervised,
			supervision(d.Spec.Mode), "mode Kill needs a supervisor, and none is connected; it works in a fleet that `nave up` runs"),
		check("alone", f.Other == "", "no other drill is under way", "drill "+f.Other+" is under way"),
		check("not frozen", !f.Frozen, "automation is not frozen", "automation is frozen; `nave unfreeze` lets it go on"),
	}
	if target != "" {
		checks = append(checks, survivors(target, f)...)
	}
	return checks, target
}

// check says what is so where it passed, and what is wrong where it did not.
func check(name string, passed bool, good, bad string) v1alpha1.DrillCheck {
	if !passed {
		good = bad
	}
	return v1alpha1.DrillCheck{Name: name, Passed: passed, Message: good}
}

// declared checks that all of the drill is carried out.
func declared(d *v1alpha1.Drill) v1alpha1.DrillCheck {
	var gaps []string
	for _, g := range Gaps(d.Spec) {
		gaps = append(gaps, g.String())
	}
	return check("declared", len(gaps) == 0, fmt.Sprintf("mode %s, and all that it declares, is carried out", d.Spec.Mode), strings.Join(gaps, "; "))
}

func supervision(m v1alpha1.DrillMode) string {
	if m == v1alpha1.DrillModeKill {
		return "a supervisor is connected, to kill and to restart"
	}
	return fmt.Sprintf("mode %s needs none", m)
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
	idle := ""
	for _, c := range f.Clusters {
		switch {
		case c.Name == target:
			idle = whyIdle(c)
		case c.State != table.PeerReady:
			away = append(away, c.Name)
		case c.Lease == assignment.Connected && c.Proxies > 0:
			left = append(left, c.Name)
		}
	}
	return []v1alpha1.DrillCheck{
		check("target serves", idle == "", fmt.Sprintf("cluster %s is connected, not cordoned, and has ready proxies", target), fmt.Sprintf("cluster %s %s", target, idle)),
		check("survivors", len(left) > 0, "ready to serve besides: "+strings.Join(left, ", "), "no other cluster is connected with ready proxies: nobody would be left to serve"),
		check("one at a time", len(away) == 0, "no other cluster is cordoned or draining", "cordoned or draining already: "+strings.Join(away, ", ")),
	}
}

// whyIdle says why a cluster serves nothing that could be lost.
func whyIdle(c ClusterFact) string {
	switch {
	case c.Lease != assignment.Connected:
		return fmt.Sprintf("is not connected: its lease is %s", c.Lease)
	case c.State != table.PeerReady:
		return fmt.Sprintf("is %s already", c.State)
	case c.Proxies == 0:
		return "has no ready proxies"
	}
	return ""
}

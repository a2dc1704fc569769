package drill

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/v1alpha1"
)

// reasonNotBuilt marks what is understood and not carried out.
const reasonNotBuilt = "NotBuilt"

// Gap is a field of a drill that is not carried out as it stands.
type Gap struct{ Path, Reason, Message, Remedy string }

func (g Gap) String() string { return g.Path + ": " + g.Message + "; " + g.Remedy }

// Gaps are the fields that keep a drill from being carried out as it is declared.
func Gaps(s v1alpha1.DrillSpec) []Gap {
	var out []Gap
	gap := func(bad bool, path, reason, message, remedy string) {
		if bad {
			out = append(out, Gap{path, reason, message, remedy})
		}
	}
	cluster := s.Target.Kind == v1alpha1.DrillTargetCluster || s.Target.Kind == v1alpha1.DrillTargetRegion
	gap(!slices.Contains(built, s.Mode), "spec.mode", reasonNotBuilt, fmt.Sprintf("mode %q is not built", s.Mode), "use DryRun, Cordon, Drain or Kill")
	gap(s.Fault != nil, "spec.fault", reasonNotBuilt, "faults are not built", "take it out")
	gap(s.Schedule != nil, "spec.schedule", reasonNotBuilt, "a run by schedule is not built", "take it out, and start the drill by order")
	gap(!cluster, "spec.target.kind", reasonNotBuilt, fmt.Sprintf("a target of kind %q is not built", s.Target.Kind), "use Cluster or Region")
	for path, value := range map[string]string{
		"spec.target.peer": string(s.Target.Peer), "spec.target.namespace": string(s.Target.Namespace),
		"spec.target.backend": string(s.Target.Backend), "spec.target.cluster": string(s.Target.Cluster),
	} {
		gap(cluster && value != "", path, objects.ReasonInvalidValue, fmt.Sprintf("says nothing of a %s", s.Target.Kind), "take it out")
	}
	longest, _ := v1alpha1.MaxFaultDuration.Or(0)
	d, err := s.Duration.Or(defaultDuration)
	gap(err != nil || d < time.Second || d > longest, "spec.duration", objects.ReasonInvalidValue, fmt.Sprintf("%q is none of 1s to 15m", s.Duration), "write it like 30s")
	if e := s.Expectations; e != nil {
		for path, limit := range map[string]v1alpha1.Duration{
			"maxTimeToDetect": e.MaxTimeToDetect, "maxTimeToShift": e.MaxTimeToShift, "maxTimeToFailback": e.MaxTimeToFailback, "maxLatency": e.MaxLatency,
		} {
			_, err := limit.Or(0)
			gap(err != nil, "spec.expectations."+path, objects.ReasonInvalidValue, fmt.Sprintf("%q is no duration", limit), "write it like 1m30s")
		}
	}
	slices.SortFunc(out, func(a, b Gap) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

package rehearse

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/v1alpha1"
)

// RefusedError is why a run does not begin: the checks that failed.
type RefusedError struct {
	Name   string
	Checks []v1alpha1.DrillCheck
}

func (e *RefusedError) Error() string {
	var why []string
	for _, c := range e.Checks {
		why = append(why, c.Name+": "+c.Message)
	}
	return fmt.Sprintf("start drill %q: it is refused: %s", e.Name, strings.Join(why, "; "))
}

// refused are the checks that keep a run from beginning.
func refused(s v1alpha1.DrillStatus) []v1alpha1.DrillCheck {
	var out []v1alpha1.DrillCheck
	for _, c := range s.Preflight {
		if !c.Passed {
			out = append(out, c)
		}
	}
	return out
}

// refuse keeps a refusal beside the latest run, which stays what it was. The
// caller holds the lock.
func (r *Rehearsals) refuse(name string, checks []v1alpha1.DrillCheck) error {
	run, ran := r.runs[name]
	if !ran {
		run.Status.Phase = v1alpha1.DrillPhasePending
	}
	run.Status.Refusal = &v1alpha1.DrillRefusal{At: metav1.NewTime(r.opts.Now()), Checks: checks}
	r.runs[name] = run
	r.opts.Keep(name, run.Status)
	return &RefusedError{Name: name, Checks: checks}
}

package spoke

import (
	"encoding/json"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/spoke/translate"
)

// write writes statuses beside the folder and tells the hub of them; the caller
// holds the lock, here and below.
func (d *desk) write(result translate.Result) {
	for _, status := range result.Statuses {
		d.writeOne(status)
	}
	for _, key := range result.Gone {
		delete(d.statuses, key)
		if err := d.s.statuses.Remove(key); err != nil {
			d.s.deps.Log.Error("remove a status", "object", key.String(), "err", err)
		}
		d.s.uplink.Untell(assignment.KindStatus, assignment.ObjectKey(key))
	}
	for _, p := range result.Problems {
		d.problem(p.Place, p.List)
	}
}

// written is a status, and how it stands beside the folder, its conditions dated.
type written struct {
	objects.Status
	dated json.RawMessage
}

// writeOne writes one status with the annotations that the hub's verdict owes
// it, and tells the hub of it as it was written.
func (d *desk) writeOne(status objects.Status) {
	var notes map[string]string
	if v := d.verdicts[assignment.ObjectKey(status.Key)]; v != nil {
		notes = v.Annotations
	}
	dated, err := d.s.statuses.Write(status, notes)
	if err != nil {
		d.s.deps.Log.Error("write a status", "object", status.Key.String(), "err", err)
	}
	d.statuses[status.Key] = written{status, dated}
	if dated != nil {
		d.s.uplink.Tell(&assignment.Status{Key: status.Key, Generation: status.Generation, Value: dated})
	}
}

// prune removes the statuses of objects that went while the spoke was down.
func (d *desk) prune() {
	if err := d.s.statuses.Retain(func(k objects.Key) bool { _, ok := d.statuses[k]; return ok }); err != nil {
		d.s.deps.Log.Error("remove old statuses", "err", err)
	}
}

// problem says what people must mend in one place; an empty list is solved.
func (d *desk) problem(place string, list []objects.Problem) {
	if len(list) == 0 {
		delete(d.problems, place)
		d.s.uplink.Untell(assignment.KindProblems, place)
		return
	}
	d.problems[place] = list
	d.s.uplink.Tell(&assignment.Problems{Place: place, List: list})
	for _, p := range list {
		if p.Severity == objects.SeverityInfo {
			d.s.deps.Log.Info("notice", "notice", p.String())
		} else {
			d.s.deps.Log.Warn("problem", "problem", p.String())
		}
	}
}

package hub

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/report"
)

// TestDates: a condition without a time has that of its last change, one with a
// time keeps it.
func TestDates(t *testing.T) {
	var d dates
	const own = `[{"type":"Accepted","status":"True","reason":"r","message":"m","lastTransitionTime":"2001-01-01T00:00:00Z"}]`
	start := time.Unix(1e9, 0)
	for i, step := range []struct {
		status string
		// want is how long after the start the condition has changed, in minutes.
		want int
	}{{"False", 0}, {"False", 0}, {"True", 2}, {"True", 2}, {"False", 4}, {"", 0}, {"False", 6}} {
		now := start.Add(time.Duration(i) * time.Minute)
		list := []report.Gateway{{Cluster: "a", Name: "own", Conditions: json.RawMessage(own)}, {Cluster: "a", Name: "none"}}
		if step.status == "" { // it is not there for a while
			d.fill(list, now)
			continue
		}
		list = append(list, report.Gateway{Cluster: "b", Name: "own", Conditions: json.RawMessage(`[{"type":"Programmed","status":"` + step.status + `","reason":"r","message":"m"}]`)})
		d.fill(list, now)
		if string(list[0].Conditions) != own || list[1].Conditions != nil {
			t.Errorf("step %d: what had a time, or nothing, has changed: %s, %s", i, list[0].Conditions, list[1].Conditions)
		}
		var got []metav1.Condition
		if err := json.Unmarshal(list[2].Conditions, &got); err != nil {
			t.Fatal(err)
		}
		if want := start.Add(time.Duration(step.want) * time.Minute); !got[0].LastTransitionTime.Time.Equal(want) || got[0].Message != "m" {
			t.Errorf("step %d: %+v, want %s", i, got[0], want)
		}
	}
}

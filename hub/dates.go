package hub

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/navehq/nave/api/report"
)

// dates remember since when the conditions are as they are that come without a
// time: those of Gateways that a cluster only hosts. It is when the hub was first
// asked and saw them so.
type dates struct {
	mu sync.Mutex
	at map[dated]since
}

type dated struct{ cluster, namespace, name, kind string }

type since struct {
	status string
	at     time.Time
}

// fill gives every condition a time. What is no longer there is forgotten.
func (d *dates) fill(gateways []report.Gateway, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := map[dated]since{}
	for i, g := range gateways {
		var list []map[string]any
		if json.Unmarshal(g.Conditions, &list) != nil {
			continue
		}
		changed := false
		for _, c := range list {
			if _, has := c["lastTransitionTime"].(string); has {
				continue
			}
			kind, _ := c["type"].(string)
			status, _ := c["status"].(string)
			key := dated{g.Cluster, g.Namespace, g.Name, kind}
			s := d.at[key]
			if s.status != status || s.at.IsZero() {
				s = since{status, now.UTC().Truncate(time.Second)}
			}
			next[key], changed = s, true
			c["lastTransitionTime"] = s.at.Format(time.RFC3339)
		}
		if data, err := json.Marshal(list); changed && err == nil {
			gateways[i].Conditions = data
		}
	}
	d.at = next
}

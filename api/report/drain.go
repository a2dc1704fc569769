package report

import (
	"encoding/json"
	"fmt"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
)

// Draining is how far the drain of a cluster in that state has come by what its
// proxies report, nil where it is not drained. heard is false where nobody hears
// of the cluster any more.
func Draining(state string, proxies []assignment.ProxyFacts, heard bool) *Drain {
	if state != string(table.PeerDraining) {
		return nil
	}
	d := &Drain{}
	obey := 0
	for _, p := range proxies {
		if p.Serving != nil {
			obey++
			d.Sessions += p.Serving.Sessions
			d.Requests += p.Serving.Requests
		}
	}
	switch {
	case !heard:
		d.Message = "the cluster is not heard"
	case obey < len(proxies):
		d.Message = fmt.Sprintf("%d of %d proxies obey", obey, len(proxies))
	case d.Sessions+d.Requests > 0:
		d.Message = fmt.Sprintf("%s and %s left", count(d.Sessions, "MCP session"), count(d.Requests, "request"))
	default:
		d.Complete, d.Message = true, "nothing is served for other clusters"
	}
	return d
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Completion is the condition Complete of the order that drains a cluster.
func Completion(d Drain) json.RawMessage {
	c := condition{Type: v1alpha1.OperationComplete, Status: "False", Reason: v1alpha1.ReasonInProgress, Message: d.Message}
	if d.Complete {
		c.Status, c.Reason = "True", v1alpha1.ReasonDone
	}
	out, err := json.Marshal([]condition{c})
	if err != nil {
		return nil
	}
	return out
}

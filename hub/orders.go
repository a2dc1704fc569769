package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/audit"
	"github.com/navehq/nave/hub/platform"
)

// order is what a person says that is to be done.
type order struct {
	Verb    string `json:"verb"`
	Cluster string `json:"cluster"`
	Why     string `json:"why"`
	Who     string `json:"who"`
	// Seconds that it holds; until it is taken back without them.
	Seconds *int64 `json:"seconds"`
}

// verb is something that can be ordered: it gives an order of a kind, or takes
// back those of some kinds, or neither.
type verb struct {
	gives     v1alpha1.OperationKind
	takesBack []v1alpha1.OperationKind
	// fleet: it is for the whole fleet, and not for one cluster.
	fleet bool
}

// errNoCluster is the cause where an order is for a cluster that there is not.
var errNoCluster = errors.New("there is no such cluster")

var verbs = map[string]verb{
	"cordon":   {gives: v1alpha1.OperationCordon},
	"drain":    {gives: v1alpha1.OperationDrain},
	"uncordon": {takesBack: []v1alpha1.OperationKind{v1alpha1.OperationCordon, v1alpha1.OperationDrain}},
	"undrain":  {takesBack: []v1alpha1.OperationKind{v1alpha1.OperationDrain}},
	"freeze":   {gives: v1alpha1.OperationFreeze, fleet: true},
	"unfreeze": {takesBack: []v1alpha1.OperationKind{v1alpha1.OperationFreeze}, fleet: true},
	"confirm":  {},
}

// check refuses an order that says too much or too little to be obeyed as it is.
func (o order) check() (verb, time.Duration, error) {
	refuse := func(format string, args ...any) (verb, time.Duration, error) {
		return verb{}, 0, fmt.Errorf("order %q: %w: %s", o.Verb, errRequest, fmt.Sprintf(format, args...))
	}
	v, known := verbs[o.Verb]
	switch {
	case !known:
		return refuse("it is none of cordon, uncordon, drain, undrain, freeze, unfreeze, confirm")
	case v.fleet && o.Cluster != "":
		return refuse("it is for the whole fleet; leave cluster out")
	case !v.fleet && o.Cluster == "":
		return refuse("name the cluster that it is for")
	case o.Seconds == nil:
		return v, 0, nil
	case v.gives == "":
		return refuse("it does not end by itself; leave seconds out")
	case *o.Seconds < int64(report.ShortestOrder/time.Second) || *o.Seconds > int64(report.LongestOrder/time.Second):
		return refuse("%d seconds are none of 1 to %d; without seconds it holds until it is taken back", *o.Seconds, int64(report.LongestOrder/time.Second))
	}
	return v, time.Duration(*o.Seconds) * time.Second, nil
}

// takeOrder does what a person orders, and tells what is so then.
func (h *Hub) takeOrder(r *http.Request, d *audit.Entry) (any, error) {
	d.What = "order"
	var o order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		return nil, fmt.Errorf("read the order: %w: %w", errRequest, err)
	}
	d.What, d.On, d.Who, d.Why = o.Verb, o.Cluster, o.Who, o.Why
	v, life, err := o.check()
	if err != nil {
		return nil, err
	}
	done := report.Done{Done: o.Verb, Cluster: o.Cluster, Why: o.Why, Ended: []report.Order{}}
	if life > 0 {
		d.Until = h.deps.Now().Add(life)
		done.Until = d.Until
	}
	var ended []*v1alpha1.Operation
	switch {
	case v.gives != "":
		if !v.fleet {
			err = h.knows(o.Verb, o.Cluster)
		}
		if err != nil {
			break
		}
		ended, err = h.platform.Order(platform.Person, v.gives, o.Cluster, o.Who, o.Why, life)
	case len(v.takesBack) > 0:
		ended, err = h.platform.Recall(platform.Person, o.Cluster, v.takesBack...)
		if err == nil && len(ended) == 0 && o.Cluster != "" {
			err = h.knows(o.Verb, o.Cluster)
		}
	default:
		if err = h.knows(o.Verb, o.Cluster); err == nil {
			err = h.board.Confirm(o.Cluster)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, x := range ended {
		done.Ended = append(done.Ended, shownOrder(x))
	}
	done.State = h.state(o.Cluster)
	return done, nil
}

// knows refuses what is ordered for a cluster that there is not. What stands for
// one that has left can still be taken back.
func (h *Hub) knows(verb, cluster string) error {
	var names []string
	for _, c := range h.board.Clusters() {
		if c.Name == cluster {
			return nil
		}
		names = append(names, c.Name)
	}
	return fmt.Errorf("%s cluster %q: %w; there are: %s", verb, cluster, errNoCluster, strings.Join(names, ", "))
}

// state is that of a cluster, or of the fleet's automation for "".
func (h *Hub) state(cluster string) string {
	if cluster == "" {
		if h.platform.Frozen() {
			return string(v1alpha1.FleetAutomationFrozen)
		}
		return string(v1alpha1.FleetAutomationEnabled)
	}
	for _, c := range h.board.Clusters() {
		if c.Name == cluster {
			return string(c.State)
		}
	}
	return ""
}

func shownOrder(o *v1alpha1.Operation) report.Order {
	x := report.Order{Kind: string(o.Spec.Kind), Cluster: string(o.Spec.Cluster), Who: o.Spec.Who, Why: o.Spec.Why, Since: o.CreationTimestamp.Time}
	if o.Spec.ExpiresAt != nil {
		x.Expires = o.Spec.ExpiresAt.Time
	}
	return x
}

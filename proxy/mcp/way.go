package mcp

import (
	"slices"
	"strings"

	"github.com/navehq/nave/api/expr"
	"github.com/navehq/nave/proxy/pick"
)

// way is the order in which clusters are asked for the session at a server.
type way struct {
	v       *visit
	server  string
	facts   expr.Facts // what the members' own rules may ask
	choices []pick.Choice
	// holds is the cluster where the session lives as far as is known here.
	holds string
	// alone tells that only that cluster was asked for: most requests need no
	// other, and a decision among all is a promise to try the first.
	alone bool
	// forced tells that the owner that is asked must serve.
	forced   bool
	followed bool
	why      string
}

// way begins with the cluster that served the session last, unless it is set
// aside; otherwise it is as the sender decides.
func (v *visit) way(o order) *way {
	server := o.server
	w := &way{v: v, server: server, facts: &asking{order: o, limits: v.p.answer()}}
	known := false
	if w.holds, known = v.p.hints.get(v.place(server)); !known {
		w.holds = v.facts.Served[server]
	}
	if w.holds != "" {
		owner := w.holds + "/" + v.call.Backend.Name + "/" + server // pick.Candidate.Key
		d := v.decide(pick.Needs{Member: server, Owner: owner}, w.facts)
		if len(d.Order) == 1 && !d.Order[0].Ejected {
			w.choices, w.alone = d.Order, true
			return w
		}
	}
	w.all()
	return w
}

func (v *visit) place(server string) place {
	return place{v.facts.Handle, v.call.Backend.Name, server}
}

// decide asks the sender by the request's own call, which is for one at a time.
func (v *visit) decide(needs pick.Needs, facts expr.Facts) pick.Decision {
	v.mu.Lock()
	defer v.mu.Unlock()
	call := *v.call
	call.Facts = facts
	return v.p.sender.Decide(&call, needs)
}

// all adds the candidates that are not among the choices yet.
func (w *way) all() {
	w.alone = false
	d := w.v.decide(pick.Needs{Member: w.server}, w.facts)
	for _, c := range d.Order {
		if index(w.choices, c.Cluster) < 0 {
			w.choices = append(w.choices, c)
		}
	}
	var reasons []string
	for _, r := range d.Rejected {
		reasons = append(reasons, r.Key()+": "+r.Reason)
	}
	w.why = strings.Join(reasons, "; ")
}

// more tells whether there is a choice after the one at that place.
func (w *way) more(at int) bool {
	if w.alone && at+1 == len(w.choices) {
		w.all()
	}
	return at+1 < len(w.choices)
}

// follow goes where an owner says that the session lives: once, and from the
// beginning. An owner that is asked again after that, or that names a cluster
// which may not serve, must serve itself; false where even that did not help.
func (w *way) follow(cluster string, at *int) bool {
	if w.alone {
		w.all()
	}
	if to := index(w.choices, cluster); to >= 0 && !w.followed {
		w.followed = true
		chosen := w.choices[to]
		w.choices = append([]pick.Choice{chosen}, slices.Delete(w.choices, to, to+1)...)
		w.holds, *at = cluster, 0
		return true
	}
	if w.forced {
		return false
	}
	w.forced = true
	return true
}

func index(choices []pick.Choice, cluster string) int {
	return slices.IndexFunc(choices, func(c pick.Choice) bool { return c.Cluster == cluster })
}

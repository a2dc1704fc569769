package mcp

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/navehq/nave/api/expr"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/pick"
)

// way is the order in which clusters are asked for the session at a server.
type way struct {
	v       *visit
	server  string
	facts   expr.Facts // what the members' own rules may ask
	fresh   bool       // the request is older than the table that is to decide
	steady  bool       // the session exists, and is to be found by all alike
	choices []pick.Choice
	// holds is the cluster where the session lives as far as is known here.
	holds string
	// alone tells that only that cluster was asked for: most requests need no
	// other, and a decision among all is a promise to try the first.
	alone bool
	// leaving tells that the cluster where the session lives drains and that
	// another is asked first, which may know of a move already.
	leaving bool
	// forced tells that the owner that is asked must serve.
	forced   bool
	followed bool
	why      string
}

// way begins with the cluster that served the session last, unless it is set
// aside, or drains and another is ready; otherwise it is as the sender decides.
func (v *visit) way(o order) *way {
	server := o.server
	w := &way{v: v, server: server, facts: &asking{order: o, limits: v.p.answer()}, fresh: o.op == opStream, steady: o.op != opOpen}
	w.holds = v.holds(o)
	if w.holds != "" {
		needs := pick.Needs{Member: server}
		owner := w.holds + "/" + v.call.Backend.Name + "/" + server // pick.Candidate.Key
		if o.moves() {
			needs.Holds = owner
		} else {
			needs.Owner = owner
		}
		d := w.decide(needs)
		switch {
		case len(d.Order) > 1:
			w.choices, w.leaving = d.Order, true
			return w
		case len(d.Order) == 1 && !d.Order[0].Ejected:
			w.choices, w.alone = d.Order, true
			return w
		}
	}
	w.all()
	return w
}

// holds is the cluster where what an order is for lives, as far as is known here.
func (v *visit) holds(o order) string {
	if o.at != "" {
		return o.at
	}
	if at, known := v.p.hints.get(v.place(o.server)); known {
		return at
	}
	return v.facts.Served[o.server]
}

// here tells whether the choice at that place is to serve although the session
// may live elsewhere.
func (w *way) here(at int) bool {
	if w.forced || at > 0 {
		return true
	}
	return !w.leaving && w.holds != "" && w.choices[at].Cluster != w.holds
}

func (v *visit) place(server string) place {
	return place{v.facts.Handle, v.call.Backend.Name, server}
}

// decide asks the sender by the request's own call, which is for one at a time.
// Requests of one session that look for it at one time are to find the same
// cluster, so that it is begun anew in one.
func (w *way) decide(needs pick.Needs) pick.Decision {
	w.v.mu.Lock()
	defer w.v.mu.Unlock()
	call := *w.v.call
	call.Facts = w.facts
	if w.steady {
		needs.Steady, call.Word = true, steadily(w.v.facts.Handle)
	}
	if w.fresh {
		w.v.p.renew(&call)
	}
	return w.v.p.sender.Decide(&call, needs)
}

// steadily is the word by which everybody draws for a session: where it goes on,
// and who has its copies.
func steadily(h session.Handle) uint64 { return binary.LittleEndian.Uint64(h[:]) }

// renew makes a call that lasts see what the table that is obeyed now says of
// clusters. The backend stays as it was matched, with what steers and restricts it.
func (p *Protocol) renew(call *forward.Call) {
	if b, _ := p.find(call.Backend.ID()).(*table.Backend); b != nil {
		call.Find = p.find
	}
}

// all adds the candidates that are not among the choices yet.
func (w *way) all() {
	w.alone = false
	d := w.decide(pick.Needs{Member: w.server})
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
// which may not serve, must serve itself, as must one that is asked in place of
// a draining cluster's; false where even that did not help.
func (w *way) follow(cluster string, at *int) bool {
	if w.alone {
		w.all()
	}
	if w.leaving && cluster == w.holds {
		w.leaving, w.forced = false, true // it has not moved yet
		return true
	}
	if to := index(w.choices, cluster); to >= 0 && !w.followed {
		w.followed = true
		chosen := w.choices[to]
		w.choices = append([]pick.Choice{chosen}, slices.Delete(w.choices, to, to+1)...)
		w.holds, w.leaving, *at = cluster, false, 0
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

package pick

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/navehq/nave/api/table"
)

// tier is how willingly a candidate is tried, before its group counts.
type tier uint8

const (
	ready       tier = iota
	ejected          // set aside, soonest return first
	unreachable      // no link works
	aside            // kept out by an order; tried when all else has failed
)

// ranked is a candidate on its way into the order.
type ranked struct {
	Candidate
	key    string
	region string
	tier   tier
	health Health
	probe  bool
	// late is set where a returning candidate's share does not cover this request.
	late   bool
	away   string // why it is set aside by an order (cordon, drain)
	cost   cost
	load   int
	named  int // place of its region in the declared list
	lane   int // place of its member in the weighted draw
	pooled bool
	first  bool
	turn   float64 // of the pooled, among the steady
	notes  []string
}

// Order decides in which order the candidates of b are tried. word draws among
// equals; what is the same word and view gives the same order, however members'
// instances are sorted. The order is empty only if every candidate is rejected.
func Order(b *table.Backend, needs Needs, v View, word uint64) Decision {
	if d, ok := only(b, needs, v); ok {
		return d
	}
	o := &ordering{b: b, needs: needs, v: v, word: word, owner: needs.Owner}
	leaves := needs.Holds != "" && o.drains(needs.Holds)
	if needs.Holds != "" && !leaves {
		o.owner = needs.Holds
	}
	o.gather()
	if leaves {
		o.leave()
	}
	o.setAside()
	var list []*ranked
	for g := range b.Groups {
		list = append(list, o.group(g)...)
	}
	slices.SortStableFunc(list, func(x, y *ranked) int {
		return cmp.Or(cmp.Compare(x.tier, y.tier), byReturn(x, y))
	})
	o.decide(list)
	return o.out
}

func byReturn(x, y *ranked) int {
	if x.tier != ejected {
		return 0
	}
	return cmp.Or(x.health.Until.Compare(y.health.Until), strings.Compare(x.key, y.key))
}

// only is the short way for what most plain backends are: one member, here and
// nowhere else, without a limit of residency. The answer is the long way's.
func only(b *table.Backend, needs Needs, v View) (Decision, bool) {
	if len(b.Groups) != 1 || len(b.Groups[0]) != 1 ||
		needs.Explain || needs.Lacks != nil || needs.Member != "" || needs.Owner != "" || needs.Holds != "" {
		return Decision{}, false
	}
	m := &b.Groups[0][0]
	if len(m.Instances) != 1 || len(b.Failover.AllowedRegions) > 0 {
		return Decision{}, false
	}
	i := &m.Instances[0]
	if i.Cluster != v.Cluster() || i.Dial == nil || i.Closed != "" {
		return Decision{}, false
	}
	return Decision{Order: []Choice{{Candidate: Candidate{b.Name, 0, m, i, i.Cluster, true}}}}, true
}

type ordering struct {
	b     *table.Backend
	needs Needs
	v     View
	word  uint64
	// owner is the only candidate that may serve, "" where several may.
	owner string
	all   []*ranked
	out   Decision
}

// gather lists the candidates that no hard filter rejects.
func (o *ordering) gather() {
	own := o.v.Cluster()
	for g, members := range o.b.Groups {
		for m := range members {
			member := &members[m]
			for i := range member.Instances {
				in := &member.Instances[i]
				c := Candidate{o.b.Name, g, member, in, in.Cluster, in.Cluster == own}
				if why := o.refuse(c); why != "" {
					o.out.Rejected = append(o.out.Rejected, Rejection{c, why})
					continue
				}
				o.all = append(o.all, o.rank(c))
			}
		}
	}
	slices.SortFunc(o.all, func(a, b *ranked) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), strings.Compare(a.key, b.key))
	})
	slices.SortFunc(o.out.Rejected, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), strings.Compare(a.Key(), b.Key()))
	})
}

// refuse says why a candidate may not serve, or "".
func (o *ordering) refuse(c Candidate) string {
	peer := o.v.Peer(c.Cluster)
	switch {
	case c.Instance.Closed != "":
		return "closed: " + c.Instance.Closed
	case o.needs.Member != "" && c.Member.Name != o.needs.Member:
		return fmt.Sprintf("the request is for %s", o.needs.Member)
	case o.owner != "" && c.Key() != o.owner:
		return stateAt(o.owner)
	case !c.Local && !o.b.Fleet:
		return "the backend is its own cluster's only (nave.dev/scope is Cluster)"
	case !c.Local && peer == nil:
		return fmt.Sprintf("cluster %s is not in the fleet", c.Cluster)
	case c.Local && c.Instance.Dial == nil:
		return "nothing says how to reach it here"
	}
	if why := o.reside(c, peer); why != "" {
		return why
	}
	if o.needs.Lacks != nil {
		if what := o.needs.Lacks(c); what != "" {
			return "lacks what the request uses: " + what
		}
	}
	return ""
}

// reside is the hard limit on where a request may be served: it covers the
// cluster that serves and the region where its provider computes, and what is
// not known is not allowed.
func (o *ordering) reside(c Candidate, peer *table.Peer) string {
	allowed := o.b.Failover.AllowedRegions
	if len(allowed) == 0 {
		return ""
	}
	list := strings.Join(allowed, ", ")
	switch {
	case peer == nil || peer.Region == "":
		return fmt.Sprintf("RegionUnknown: cluster %s has no region; allowed are %s", c.Cluster, list)
	case !slices.Contains(allowed, peer.Region):
		return fmt.Sprintf("residency: cluster %s is in %s; allowed are %s", c.Cluster, peer.Region, list)
	case c.Instance.Region == "":
		return fmt.Sprintf("RegionUnknown: %s says no region; allowed are %s", c.Member.Name, list)
	case !slices.Contains(allowed, c.Instance.Region):
		return fmt.Sprintf("residency: %s computes in %s; allowed are %s", c.Member.Name, c.Instance.Region, list)
	}
	return ""
}

// rank looks up what is believed of a candidate.
func (o *ordering) rank(c Candidate) *ranked {
	key := c.Key()
	quota := ""
	if o.needs.Quota != nil {
		quota = o.needs.Quota(c)
	}
	r := &ranked{Candidate: c, key: key, health: o.v.Health(key, quota), load: o.v.InFlight(key)}
	peer := o.v.Peer(c.Cluster)
	if peer != nil {
		r.region = peer.Region
		switch {
		case o.needs.Standing:
		case peer.State == table.PeerCordoned:
			r.away = fmt.Sprintf("cluster %s is cordoned", c.Cluster)
		case peer.State == table.PeerDraining:
			r.away = fmt.Sprintf("cluster %s is draining", c.Cluster)
		}
	}
	o.judge(r)
	r.cost = o.cost(r)
	r.named = o.named(r)
	return r
}

// judge sorts a candidate into its tier by its health. Half open, it is tried
// by one request at a time, and by those whose state it alone holds: that is not
// given up before it is known to be lost. Coming back, it has its share of them.
func (o *ordering) judge(r *ranked) {
	if ok, why := o.reachable(r); !ok {
		r.tier = unreachable
		r.note("no link to %s: %s", r.Cluster, why)
		return
	}
	h := r.health
	if o.needs.Explain && o.needs.Quota == nil && o.v.Now().Before(h.Refused) {
		r.note("comes after others until %s for requests of a quota that is used up", h.Refused.Format("15:04:05.000"))
	}
	switch {
	case h.HalfOpen && r.key == o.owner:
		r.probe = true
		r.note("asked for the state that it holds, though it is only being tried again (%s)", h.Reason)
	case h.HalfOpen && !h.Ejected && r.load == 0:
		r.probe = true
		r.note("tried to find out whether it is well again (%s)", h.Reason)
	case h.Ejected || h.HalfOpen:
		r.tier = ejected
		r.note("set aside until %s: %s", h.Until.Format("15:04:05.000"), h.Reason)
	case h.Share > 0 && h.Share < 1:
		r.late = share(o.word, r.key) >= h.Share
		r.note("returning, with %.0f %% of its share", h.Share*100)
	}
}

func (o *ordering) reachable(r *ranked) (bool, string) {
	if r.Local {
		return true, ""
	}
	return o.v.Reachable(r.Cluster)
}

func stateAt(key string) string {
	return fmt.Sprintf("the state that the request refers to is at %s", key)
}

// drains tells whether a candidate's cluster is draining.
func (o *ordering) drains(key string) bool {
	cluster, _, _ := strings.Cut(key, "/")
	peer := o.v.Peer(cluster)
	return peer != nil && peer.State == table.PeerDraining
}

// leave lets the state at a draining cluster go to where it is ready to be
// begun anew: whoever holds it comes last. Where nobody is, it stays.
func (o *ordering) leave() {
	key := o.needs.Holds
	at := slices.IndexFunc(o.all, func(r *ranked) bool { return r.key == key })
	if at < 0 {
		return // it may not serve; the others are as good as for anything new
	}
	holder := o.all[at]
	if slices.ContainsFunc(o.all, free) {
		holder.note("%s; tried when all else has failed", holder.away)
		holder.tier, holder.away, holder.probe = aside, "", false
		return
	}
	for _, r := range o.all {
		if r != holder {
			o.out.Rejected = append(o.out.Rejected, Rejection{r.Candidate, stateAt(key)})
		}
	}
	o.all = []*ranked{holder}
}

// free tells whether a candidate may have what comes anew, and seems able to serve it.
func free(r *ranked) bool { return r.away == "" && r.tier == ready }

// setAside rejects what an order keeps new work away from while anybody else
// seems able to serve. While nobody does, it comes after all others.
func (o *ordering) setAside() {
	left := slices.ContainsFunc(o.all, func(r *ranked) bool { return r.away == "" })
	well := slices.ContainsFunc(o.all, free)
	o.all = slices.DeleteFunc(o.all, func(r *ranked) bool {
		switch {
		case r.away == "":
			return false
		case well:
			o.out.Rejected = append(o.out.Rejected, Rejection{r.Candidate, r.away})
			return true
		case left:
			r.note("%s; tried when all else has failed", r.away)
			r.tier, r.probe = aside, false
		default:
			r.note("%s, but nothing else is left", r.away)
		}
		return false
	})
}

func (r *ranked) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// decide writes the order, with the arithmetic where it is asked for.
func (o *ordering) decide(list []*ranked) {
	for i, r := range list {
		c := Choice{Candidate: r.Candidate, Probe: r.probe, Ejected: r.tier == ejected}
		if o.needs.Explain {
			c.Reason = o.reason(i, r, list)
		}
		o.out.Order = append(o.out.Order, c)
	}
}

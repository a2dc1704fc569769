package pick

import (
	"fmt"
	"strings"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/latency"
)

// reason says in one sentence what put a candidate in its place.
func (o *ordering) reason(at int, r *ranked, list []*ranked) string {
	parts := []string{fmt.Sprintf("group %d", r.Group+1)}
	if r.Member.Weight > 0 {
		parts = append(parts, fmt.Sprintf("weight %d, drawn as number %d", r.Member.Weight, r.lane+1))
	}
	switch o.b.Failover.Order {
	case table.ByRegion:
		if r.named < len(o.b.Failover.Regions) {
			parts = append(parts, fmt.Sprintf("%s is number %d of the declared regions", o.b.Failover.Regions[r.named], r.named+1))
		} else {
			parts = append(parts, "in none of the declared regions")
		}
	case table.Static:
		parts = append(parts, fmt.Sprintf("declared as number %d", o.place(r)+1))
	}
	parts = append(parts, r.cost.String())
	if why := o.versus(at, r, list); why != "" {
		parts = append(parts, why)
	}
	return strings.Join(append(parts, r.notes...), "; ")
}

// versus compares with the first: why this one is equal, or comes after.
func (o *ordering) versus(at int, r *ranked, list []*ranked) string {
	first := list[0]
	margin := o.b.Failover.Margin.Std()
	switch {
	case at == 0 && len(list) == 1:
		return "the only one"
	case at == 0 && o.v.Preferred(o.b.Name) == r.Cluster:
		return fmt.Sprintf("preferred until another is faster by %v and %d %% for %v",
			o.b.Failover.Failback.Absolute.Std(), o.b.Failover.Failback.Percent, o.b.Failover.Failback.Window.Std())
	case at == 0 && r.pooled:
		return fmt.Sprintf("%d in flight, the fewer of two drawn from the pool", r.load)
	case r.Group != first.Group:
		return fmt.Sprintf("after group %d", first.Group+1)
	case r.pooled:
		return fmt.Sprintf("within %v of the first, %d in flight", margin, r.load)
	case r.Member.Name != first.Member.Name:
		return "another provider"
	case r.cost.known && first.cost.known && r.cost.total >= first.cost.total:
		return fmt.Sprintf("%v slower than the first, more than the margin of %v", round(r.cost.total-first.cost.total), margin)
	}
	return ""
}

func (c cost) String() string {
	way := "round trip unknown"
	if c.rtt.Known {
		way = fmt.Sprintf("round trip %v", round(c.rtt.Value))
	}
	if !c.first.Known {
		return way + " + first byte unknown"
	}
	return fmt.Sprintf("%s + first byte %v = %v", way, round(c.first.Value), round(c.total))
}

func round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}

// Explain prints a decision: a line for each choice in order, then a line for
// each rejection.
func Explain(d Decision) string {
	var b strings.Builder
	for i, c := range d.Order {
		fmt.Fprintf(&b, "%d. %s: %s\n", i+1, c.Key(), c.Reason)
	}
	for _, r := range d.Rejected {
		fmt.Fprintf(&b, "-  %s: %s\n", r.Key(), r.Reason)
	}
	if len(d.Order)+len(d.Rejected) == 0 {
		return "no candidate is declared\n"
	}
	return b.String()
}

// Offers are the clusters that a decision's ready candidates of the first group
// in it stand at, each with its best time: what a preference is kept among.
func Offers(d Decision, v View) []latency.Offer {
	var out []latency.Offer
	for _, c := range d.Order {
		h := v.Health(c.Key(), "")
		ok := c.Local
		if !ok {
			ok, _ = v.Reachable(c.Cluster)
		}
		if c.Group != d.Order[0].Group || c.Ejected || h.Ejected || h.HalfOpen || !ok {
			continue
		}
		out = offer(out, c, v)
	}
	return out
}

func offer(out []latency.Offer, c Choice, v View) []latency.Offer {
	e := Estimate{Known: true}
	if !c.Local {
		e = v.RTT(c.Cluster)
	}
	first := v.FirstByte(c.Key())
	e.Value += first.Value
	e.Known = e.Known && (first.Known || c.Local || e.Value > 0)
	for i := range out {
		if out[i].Name == c.Cluster {
			if e.Known && (!out[i].Known || e.Value < out[i].Value) {
				out[i].Estimate = e
			}
			return out
		}
	}
	return append(out, latency.Offer{Name: c.Cluster, Estimate: e})
}

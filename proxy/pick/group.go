package pick

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/navehq/nave/api/table"
)

// cost is the time that a candidate takes: the way there and its own time to
// the first byte.
type cost struct {
	rtt, first Estimate
	total      time.Duration
	known      bool // of the way; a time to first byte that is unknown is taken as nothing special
}

func (o *ordering) cost(r *ranked) cost {
	c := cost{first: o.v.FirstByte(r.key)}
	c.rtt = Estimate{Known: true}
	if !r.Local {
		c.rtt = o.v.RTT(r.Cluster)
	}
	c.known = c.rtt.Known
	c.total = c.rtt.Value + c.first.Value
	return c
}

// named is the place of a candidate's region, the cluster's or its provider's,
// in the declared list; what is not in it comes after.
func (o *ordering) named(r *ranked) int {
	list := o.b.Failover.Regions
	if o.b.Failover.Order != table.ByRegion {
		return 0
	}
	place := len(list)
	for i, name := range list {
		if name == r.region || name == r.Instance.Region {
			place = min(place, i)
		}
	}
	return place
}

// group orders one priority group.
func (o *ordering) group(g int) []*ranked {
	var list []*ranked
	for _, r := range o.all {
		if r.Group == g {
			list = append(list, r)
		}
	}
	if len(list) < 2 {
		return list
	}
	fill(list)
	o.draw(g, list)
	o.pool(list)
	slices.SortFunc(list, o.compare)
	return together(list)
}

// fill gives what was never measured a middle place: a candidate without a time
// to first byte gets the median of those with one, a way that is unknown counts
// as the slowest of the known ones.
func fill(list []*ranked) {
	var firsts, ways []time.Duration
	for _, r := range list {
		if r.cost.first.Known {
			firsts = append(firsts, r.cost.first.Value)
		}
		if r.cost.known {
			ways = append(ways, r.cost.rtt.Value)
		}
	}
	slices.Sort(firsts)
	slices.Sort(ways)
	for _, r := range list {
		way, first := r.cost.rtt.Value, r.cost.first.Value
		if !r.cost.first.Known && len(firsts) > 0 {
			first = firsts[(len(firsts)-1)/2]
		}
		if !r.cost.known && len(ways) > 0 {
			way = ways[len(ways)-1]
		}
		r.cost.total = way + first
	}
}

// draw gives members their lanes where weights are declared: the order of
// drawing without replacement, each by its weight, members without any ready
// candidate and members of weight 0 last. Without weights all share lane 0.
func (o *ordering) draw(g int, list []*ranked) {
	var names []string
	weights := map[string]uint64{}
	open := map[string]bool{}
	for _, r := range list {
		name := r.Member.Name
		if _, seen := weights[name]; !seen {
			names = append(names, name)
			weights[name] = uint64(max(0, r.Member.Weight))
		}
		open[name] = open[name] || r.tier == ready && !r.late
	}
	if !slices.ContainsFunc(list, func(r *ranked) bool { return r.Member.Weight > 0 }) {
		return
	}
	slices.Sort(names)
	lanes := map[string]int{}
	word := mix(o.word, uint64(g)+1)
	for _, usable := range []bool{true, false} {
		left := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return open[n] != usable })
		for len(left) > 0 {
			i := pickWeighted(left, weights, word)
			word = mix(word, 1)
			lanes[left[i]] = len(lanes)
			left = slices.Delete(left, i, i+1)
		}
	}
	for _, r := range list {
		r.lane = lanes[r.Member.Name]
	}
}

func pickWeighted(names []string, weights map[string]uint64, word uint64) int {
	var total uint64
	for _, n := range names {
		total += weights[n]
	}
	if total == 0 {
		return int(word % uint64(len(names)))
	}
	at := word % total
	for i, n := range names {
		if at < weights[n] {
			return i
		}
		at -= weights[n]
	}
	return 0
}

// pool marks, among the best ready candidates by lane and region, those that
// count as equally near, and of these the one that is tried first: the less
// loaded of two drawn ones, or for the steady the first of all by its turn. The
// preferred cluster leads the pool while it is among them, so that a small
// difference never moves traffic.
func (o *ordering) pool(list []*ranked) {
	best := slices.MinFunc(list, compareClass)
	if best.tier != ready {
		return
	}
	preferred := o.v.Preferred(o.b.Name)
	var leader *ranked
	var peers []*ranked
	for _, r := range list {
		if compareClass(r, best) != 0 {
			continue
		}
		peers = append(peers, r)
		better := leader == nil ||
			cmp.Or(btoi(r.Cluster == preferred)-btoi(leader.Cluster == preferred), btoi(r.cost.known)-btoi(leader.cost.known)) > 0 ||
			r.Cluster == preferred == (leader.Cluster == preferred) && r.cost.known == leader.cost.known && r.cost.total < leader.cost.total
		if better {
			leader = r
		}
	}
	var pool []*ranked
	margin := o.b.Failover.Margin.Std()
	for _, r := range peers {
		if o.equal(r, leader, margin) {
			r.pooled = true
			pool = append(pool, r)
		}
	}
	if o.needs.Steady {
		for _, r := range pool {
			r.turn = share(mix(o.word, 103), r.key)
		}
		return
	}
	n := uint64(len(pool))
	at := mix(o.word, 101) % n
	a, b := pool[at], pool[at]
	if n > 1 {
		b = pool[(at+1+mix(o.word, 102)%(n-1))%n]
	}
	if cmp.Or(cmp.Compare(b.load, a.load), cmp.Compare(btoi(a.probe), btoi(b.probe))) < 0 {
		a = b
	}
	a.first = true
}

// equal tells whether two candidates count as one by the declared key.
func (o *ordering) equal(r, leader *ranked, margin time.Duration) bool {
	if o.b.Failover.Order == table.Static {
		return r == leader
	}
	near := max(r.cost.total-leader.cost.total, leader.cost.total-r.cost.total) <= margin
	return r == leader || near && r.cost.known == leader.cost.known
}

// compareClass orders by what comes before latency.
func compareClass(a, b *ranked) int {
	return cmp.Or(
		cmp.Compare(a.tier, b.tier), cmp.Compare(btoi(a.late), btoi(b.late)),
		cmp.Compare(a.lane, b.lane), cmp.Compare(a.named, b.named),
	)
}

func (o *ordering) compare(a, b *ranked) int {
	key := 0
	if o.b.Failover.Order == table.Static {
		key = cmp.Or(
			cmp.Compare(o.place(a), o.place(b)), -cmp.Compare(btoi(a.Local), btoi(b.Local)),
			strings.Compare(a.Cluster, b.Cluster),
		)
	}
	return cmp.Or(
		compareClass(a, b), key,
		-cmp.Compare(btoi(a.first), btoi(b.first)), -cmp.Compare(btoi(a.pooled), btoi(b.pooled)), cmp.Compare(a.turn, b.turn),
		-cmp.Compare(btoi(a.cost.known), btoi(b.cost.known)), cmp.Compare(a.cost.total, b.cost.total),
		cmp.Compare(a.load, b.load), strings.Compare(a.key, b.key),
	)
}

func (o *ordering) place(r *ranked) int {
	return slices.IndexFunc(o.b.Groups[r.Group], func(m table.Member) bool { return m.Name == r.Member.Name })
}

// together moves the first candidate's other places right behind it: on
// failure the same provider elsewhere comes before other providers. Candidates
// that are set aside stay behind all others.
func together(list []*ranked) []*ranked {
	name := list[0].Member.Name
	slices.SortStableFunc(list, func(a, b *ranked) int {
		return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(btoi(a.late), btoi(b.late)),
			-cmp.Compare(btoi(a.Member.Name == name), btoi(b.Member.Name == name)))
	})
	return list
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mix gives a further word, by splitmix64.
func mix(word, salt uint64) uint64 {
	z := word + salt*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// share is a draw in [0, 1) that is a candidate's own.
func share(word uint64, key string) float64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(key); i++ {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return float64(mix(word, h)>>11) / (1 << 53)
}

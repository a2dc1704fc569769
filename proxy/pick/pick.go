// Package pick decides in which order the candidates of a backend are tried for
// one request, and can say why. It works on values alone: the backend as the
// table has it, a View of what is measured and believed, what the request
// needs, and a random word. It never sends anything.
package pick

import (
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/latency"
)

// Candidate is one way of serving a request: a member of a backend at a cluster.
type Candidate struct {
	Backend string
	Group   int
	Member  *table.Member
	// Instance is the member at Cluster.
	Instance *table.Instance
	Cluster  string
	// Local is set where the cluster is the proxy's own: it is dialed, the
	// others are reached over the link.
	Local bool
}

// Key names a candidate in ejections, metrics, logs and headers: cluster/backend/member.
func (c Candidate) Key() string { return c.Cluster + "/" + c.Backend + "/" + c.Member.Name }

// Estimate is what is believed of a duration.
type Estimate = latency.Estimate

// Health is what is believed of a candidate.
type Health struct {
	// Ejected candidates come after all others, soonest return first.
	Ejected bool
	Until   time.Time
	// HalfOpen candidates may be tried by one request at a time to find out. One
	// that is Ejected too has been tried just now, and may be again at Until.
	HalfOpen bool
	// Share is how much of its usual share a returning candidate gets, 0 to 1.
	Share  float64
	Reason string
	// Refused is until when a quota that some of its requests draw on is left
	// alone, zero where there is none.
	Refused time.Time
}

// View is everything that Order may know besides the table.
type View interface {
	Now() time.Time
	// Cluster is the proxy's own.
	Cluster() string
	// Peer is what the table says of a cluster, or nil.
	Peer(cluster string) *table.Peer
	// RTT is the measured round trip to a cluster's proxies; zero to the own.
	RTT(cluster string) Estimate
	// FirstByte is a candidate's own time to first byte, network excluded.
	FirstByte(key string) Estimate
	// Health is a candidate's, as one that draws on the quota of that owner.
	Health(key, quota string) Health
	// Reachable is false while no link to the cluster works, with the reason.
	Reachable(cluster string) (bool, string)
	InFlight(key string) int
	// Preferred is the cluster that a backend's requests went to before, for
	// hysteresis; "" for none.
	Preferred(backend string) string
}

// Needs is what a request asks of whoever serves it.
type Needs struct {
	// Member keeps to one member, "" any: an MCP server is asked by name.
	Member string
	// Lacks says what a candidate lacks that the request uses, "" for nothing.
	Lacks func(Candidate) string
	// Owner, where set, is the only candidate key that holds the state that the
	// request refers to.
	Owner string
	// Holds, where set, is the candidate key that holds state which can be begun
	// anew elsewhere. It is the only one too, until its cluster drains and another
	// is ready to serve: then it comes last.
	Holds string
	// Steady draws among equals by the word alone, not by what is in flight: those
	// who ask with the same word at one time go to the same.
	Steady bool
	// Standing leaves orders (cordon, drain) out of account: it is not asked who
	// is to serve, but who may know.
	Standing bool
	// Quota names the owner of the quota that a candidate draws on for this
	// request, "" for its own; nil is its own for all.
	Quota func(Candidate) string
	// Explain writes the reasons of choices; rejections always have theirs.
	Explain bool
}

// Choice is a candidate in its place, with the arithmetic that put it there
// (where the needs ask for it).
type Choice struct {
	Candidate
	// Probe is set on a candidate that is tried to find out whether it is well.
	Probe  bool
	Reason string
	// Ejected tells that it stands where it does because it was set aside.
	Ejected bool
}

// Rejection is a candidate that may not serve, and why.
type Rejection struct {
	Candidate
	Reason string
}

// Decision is the order to try. Order is empty only if every candidate is
// rejected: ejection alone never empties it.
type Decision struct {
	Order    []Choice
	Rejected []Rejection
}

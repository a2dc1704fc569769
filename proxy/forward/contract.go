// Package forward is one request's life: match, filters, candidates, attempts,
// record. It owns the interfaces that protocols and the link implement and that
// the root injects; it knows no HTTP engine.
package forward

import (
	"context"
	"time"

	"github.com/navehq/nave/api/expr"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/pick"
)

// Call is one request on its way to a backend: matched, admitted, its filters
// applied. A Protocol answers it through Start, so that response filters and
// the record see every answer. It may be copied; copies share the request's life.
type Call struct {
	Exchange message.Exchange
	// Request is as the filters left it; Body may be read once.
	Request *message.Request
	Self    *table.Self
	// Backend is as the call is steered: its Failover is the one in force.
	Backend *table.Backend
	// Steered names the policies that steer the call where a policy speaks of its
	// rule, route or listener; "" where the backend's own does.
	Steered string
	// Find looks up other resources of the table that the request was matched by.
	Find   func(table.ID) table.Resource
	Record *observe.Record
	// Principal is who was authenticated: a stable name, "" for nobody.
	Principal string
	// Credential is the valid key that the client showed and that was taken off
	// the request, for backends that are sent the client's own; never logged.
	Credential string
	// Facts are what the protocol knows of the body, by which Decide judges the
	// members' own rules. While they are nil, members whose rules ask for more than
	// the head tells are kept out.
	Facts expr.Facts
	// Timeout bounds the whole call where the route says so; BackendTimeout one attempt.
	Timeout        time.Duration
	BackendTimeout time.Duration
	Retry          *table.Retry
	// Only is set on a call that came over the link: it is served by this one
	// candidate here and by nobody else. Its Cluster is this one.
	Only *pick.Candidate
	// Replica, where set, names the proxy (its table.LinkProxy.ID) of the
	// candidate's cluster that is to serve: Send then takes the link to it, also
	// where the cluster is the proxy's own.
	Replica string
	// OriginAllowed is set where a CORS filter of the rule allowed the request's
	// Origin.
	OriginAllowed bool
	// Word is this request's random word.
	Word uint64
	// life is nil on a call that no client waits for.
	life *life
}

// Protocol serves the calls to one kind of backend: plain HTTP, models, tools.
// It answers through call.Start, call.Exchange.Write and call.Exchange.Finish.
type Protocol interface {
	Serve(ctx context.Context, call *Call)
}

// Sender carries attempts: to an endpoint where the candidate is local, over
// the link where it is another cluster's.
type Sender interface {
	// Decide orders the candidates of the call's backend.
	Decide(call *Call, needs pick.Needs) pick.Decision
	// Send sends one attempt and returns the head of its answer. A local
	// candidate gets req as it is, with Authority and the dial's TLS taken from
	// its Dial. Another cluster's gets req with the link's own headers added;
	// req is then in the client's dialect.
	Send(ctx context.Context, call *Call, to pick.Candidate, req *message.Request) (*message.Response, error)
	// Done says what came of an attempt: evidence for ejection and latency.
	Done(call *Call, to pick.Candidate, o Outcome)
	// Move says that the call goes on to another candidate: the metric and the
	// record's reason. It is false where attempts, deadline or the retry budget
	// do not allow it.
	Move(call *Call, from pick.Candidate, why table.Trigger) bool
}

// Outcome is what came of an attempt. Err is nil where an answer's head came.
type Outcome struct {
	Err    error
	Status int
	// Failed is the trigger that the outcome amounts to, "" for none.
	Failed table.Trigger
	// Quota names the owner of a quota that refused (rules: a 429 sets aside
	// the quota's owner); "" is the candidate itself.
	Quota string
	// RetryAfter is how long the other side asked to be left alone.
	RetryAfter time.Duration
	// FirstByte is the time from sending to the first meaningful byte.
	FirstByte time.Duration
}

// Start sends the head of the answer, response filters applied.
func (c *Call) Start(status int, h *message.Header, length int64) error {
	if c.life != nil {
		c.life.respond(c, h)
	}
	c.Record.Status = status
	return c.Exchange.Start(status, h, length)
}

// NotProcessed is implemented by errors that know that the other side has not
// begun to work on the request, so that repeating it is safe for any method.
type NotProcessed interface {
	error
	NotProcessed() bool
}

// Link carries requests to other clusters' proxies.
type Link interface {
	// Send sends a request to a proxy of head.Cluster and gives the head of its
	// answer and that proxy's address. A proxy that refused without serving makes
	// an error that is Unprocessed.
	Send(ctx context.Context, head Head, r *message.Request) (*message.Response, string, error)
	// RTT is the round trip to a cluster's proxies.
	RTT(cluster string) pick.Estimate
	// Reachable is false while no link to the cluster works, with the reason.
	Reachable(cluster string) (bool, string)
}

// Head is what one proxy tells the other about a request that crosses the link.
// The serving side trusts nothing else about where it comes from.
type Head struct {
	// Cluster is where the request goes, Replica the proxy that must serve it or "".
	Cluster, Replica string
	Backend, Member  string
	Tenant, Gateway  string
	Listener, Route  string
	Rule             string
	Principal        string
	// Allowed are the regions that the entry's policies allow, with commas between;
	// "" is all. What the serving proxy passes on by itself, such as the copies of
	// a session, stays within them.
	Allowed string
	// Credential is the key that the client showed and that the entry took off. It
	// crosses only to an instance that is declared to be shown it; never logged.
	Credential string
	// Word is the request's random word.
	Word uint64
	// Deadline is when the client stops waiting; zero is never.
	Deadline time.Time
	// From is the cluster that the request comes from, by its certificate.
	From string
}

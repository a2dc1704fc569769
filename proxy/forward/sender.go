package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/navehq/nave/api/expr"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/authorization"
	"github.com/navehq/nave/proxy/latency"
	"github.com/navehq/nave/proxy/match"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/pick"
	"github.com/navehq/nave/proxy/upstream"
)

var _ Sender = (*Forwarder)(nil)

// view is what pick may know, for one decision.
type view struct {
	f    *Forwarder
	self *table.Self
	find func(table.ID) table.Resource
	// preferred is the backend's preferred cluster.
	preferred string
	// steered is the call's: see learned.
	steered string
}

// learned is the name under which what calls show of a candidate or a backend is
// kept. Calls that a policy of their own steers learn by themselves: what moves
// or sets aside the traffic of one route says nothing of another's.
func learned(name, steered string) string {
	if steered == "" {
		return name
	}
	return name + upstream.Steered + steered
}

func (v *view) Now() time.Time  { return v.f.opt.Now() }
func (v *view) Cluster() string { return v.self.Cluster }
func (v *view) Peer(cluster string) *table.Peer {
	p, _ := v.find(table.ID{Kind: table.KindPeer, Name: cluster}).(*table.Peer)
	return p
}
func (v *view) RTT(cluster string) pick.Estimate {
	if v.f.opt.Link == nil {
		return pick.Estimate{}
	}
	return v.f.opt.Link.RTT(cluster)
}
func (v *view) FirstByte(key string) pick.Estimate {
	return v.f.opt.Health.FirstByte(learned(key, v.steered))
}
func (v *view) Health(key, quota string) pick.Health {
	return v.f.opt.Health.Of(learned(key, v.steered), quota)
}
func (v *view) InFlight(key string) int { return v.f.opt.Health.InFlight(learned(key, v.steered)) }
func (v *view) Preferred(string) string { return v.preferred }
func (v *view) Reachable(cluster string) (bool, string) {
	if v.f.opt.Link == nil {
		return false, "this proxy has no link"
	}
	return v.f.opt.Link.Reachable(cluster)
}

// Decide orders the candidates of the call's backend.
func (f *Forwarder) Decide(call *Call, needs pick.Needs) pick.Decision {
	if call.Only != nil {
		return pick.Decision{Order: []pick.Choice{{Candidate: *call.Only}}}
	}
	b := call.Backend
	if l := call.life; l != nil && !l.budgeted {
		l.budgeted = true
		f.budgets.Request(learned(b.Name, call.Steered), b.Failover.BudgetPercent)
	}
	v := &view{f: f, self: call.Self, find: call.Find, preferred: f.preferred(learned(b.Name, call.Steered)), steered: call.Steered}
	if call.life != nil {
		f.guarded(call, &needs)
	}
	d := pick.Order(b, needs, v, call.Word)
	if len(d.Order) > 1 && !needs.Explain {
		f.settle(b, d, v)
	}
	return d
}

// guarded keeps out members whose own policies refuse the request.
func (f *Forwarder) guarded(call *Call, needs *pick.Needs) {
	index := call.life.index
	if !index.Guarded() {
		return
	}
	lacks := needs.Lacks
	needs.Lacks = func(c pick.Candidate) string {
		if c.Member.Name != "" {
			if _, g := index.Serving(call.Backend.Name, c.Member.Name); g != nil {
				if why := refusedBy(g, call, call.Facts); why != "" {
					return why
				}
			}
		}
		if lacks != nil {
			return lacks(c)
		}
		return ""
	}
}

// refusedBy says why a member's guard refuses the request, "" where it does not.
// Where more is nil, the body is not known: what asks for it refuses.
func refusedBy(g *match.Guard, call *Call, more expr.Facts) string {
	switch {
	case g.Closed != "":
		return "policy invalid: " + g.Closed
	case g.Keys != nil && call.Principal == "":
		return "an API key"
	case g.Rules != nil:
		later := authorization.NeedsBody
		if more != nil {
			later = nil
		}
		v := g.Rules.Judge(joined{more, &call.life.facts}, later)
		if v.Denied {
			return "authorization: " + v.Reason
		}
		if v.Pending {
			return "authorization: an expression asks for the body, which is not known when candidates are chosen"
		}
	}
	return ""
}

// settle takes the right to try the first candidate, where it is only to be
// tried, keeps clusters that cannot be reached from returning all at once, and
// moves the preference.
func (f *Forwarder) settle(b *table.Backend, d pick.Decision, v *view) {
	if d.Order[0].Probe && !f.opt.Health.Claim(learned(d.Order[0].Key(), v.steered)) {
		first := d.Order[0]
		copy(d.Order, d.Order[1:])
		first.Probe, first.Ejected = false, true
		d.Order[len(d.Order)-1] = first
	}
	for _, c := range d.Order {
		if !c.Local {
			if ok, _ := v.Reachable(c.Cluster); !ok {
				f.opt.Health.Absent(learned(c.Key(), v.steered), b.Failover.Failback)
			}
		}
	}
	if o := b.Failover.Order; b.Fleet && (o == table.ByLatency || o == "") {
		f.prefer(b, d, v)
	}
}

func (f *Forwarder) preferred(backend string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.preferences[backend].Current
}

func (f *Forwarder) prefer(b *table.Backend, d pick.Decision, v *view) {
	back := b.Failover.Failback
	offers := pick.Offers(d, v)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.preferences) > 65536 {
		clear(f.preferences)
	}
	name := learned(b.Name, v.steered)
	f.preferences[name] = latency.Prefer(f.preferences[name], latency.Margins{
		Absolute: back.Absolute.Std(), Percent: back.Percent, Window: back.Window.Std(),
	}, offers, v.Now())
}

// errPending is a protocol's fault, found before it can do harm.
var errPending = errors.New("sending: an authorization that asks for the body was not judged")

// Send sends one attempt.
func (f *Forwarder) Send(ctx context.Context, call *Call, to pick.Candidate, r *message.Request) (*message.Response, error) {
	key := to.Key()
	l := call.life
	if l != nil && len(l.pending) > 0 && !l.judged {
		return nil, errPending
	}
	rec := call.Record
	if rec.Attempts++; rec.Attempts == 1 && l != nil {
		rec.Processing = f.elapsed(l)
	} else if rec.Attempts > 1 {
		r.Header.Set("x-retry-attempt", strconv.Itoa(rec.Attempts-1))
	}
	if l != nil && l.from != "" {
		f.opt.Observer.Failover(l.from, key, string(l.why))
		l.from = ""
	}
	health := learned(key, call.Steered)
	f.opt.Health.Begin(health)
	start := f.opt.Now()
	resp, at, err := f.carry(ctx, call, to, r)
	took := f.opt.Now().Sub(start)
	f.opt.Observer.Call("Primary", subtype(call.Backend.Kind), took)
	rec.Endpoint, rec.ServedBy, rec.Upstream = at, key, took
	if to.Instance != nil {
		rec.Region = to.Instance.Region
	}
	if err != nil || l == nil {
		f.opt.Health.End(health)
	} else {
		l.open = append(l.open, health)
	}
	return resp, err
}

func subtype(k table.BackendKind) string {
	switch k {
	case table.BackendAI:
		return "Llm"
	case table.BackendMCP:
		return "Mcp"
	}
	return "Http"
}

// carry dials a local candidate and takes the link to another cluster's, or to
// another replica of this one.
func (f *Forwarder) carry(ctx context.Context, call *Call, to pick.Candidate, r *message.Request) (*message.Response, string, error) {
	if to.Local && call.Replica == "" {
		return f.dial(ctx, call, to, r)
	}
	if call.Only != nil || f.opt.Link == nil {
		return nil, "", &message.SendError{
			Stage: message.StageConnect, Address: to.Key(), Unprocessed: true,
			Err: errors.New("a request that came over the link goes no further"),
		}
	}
	rec := call.Record
	head := Head{
		Cluster: to.Cluster, Replica: call.Replica, Backend: to.Backend, Member: to.Member.Name,
		Tenant: call.Self.Tenant, Gateway: call.Self.Gateway, Listener: rec.Listener, Route: rec.Route, Rule: rec.RuleName,
		Principal: call.Principal, Allowed: strings.Join(call.Backend.Failover.AllowedRegions, ","), Word: call.Word,
	}
	if i := to.Instance; i != nil && i.Auth != nil && i.Auth.Kind == table.AuthPassthrough {
		head.Credential = call.Credential
	}
	head.Deadline, _ = ctx.Deadline()
	resp, at, err := f.opt.Link.Send(ctx, head, r)
	if err != nil {
		return nil, at, err
	}
	if there := resp.Header.Get(headEndpoint); there != "" {
		at = there
		resp.Header.Del(headEndpoint)
	}
	if resp.Body != nil {
		resp.Body = &told{resp.Body, resp, rec}
	}
	return resp, at, nil
}

// dial sends to an endpoint of this cluster. The request's scheme and authority
// are those of the endpoint while it is sent, and the client's again after.
func (f *Forwarder) dial(ctx context.Context, call *Call, to pick.Candidate, r *message.Request) (*message.Response, string, error) {
	d := to.Instance.Dial
	if d == nil {
		return nil, "", &message.SendError{
			Stage: message.StageConnect, Address: to.Key(), Unprocessed: true, Err: errors.New("nothing says how to reach it here"),
		}
	}
	scheme, authority := r.Scheme, r.Authority
	if call.Backend.Kind != table.BackendHTTP || d.Endpoints == "" && (call.life == nil || !call.life.renamed) {
		r.Authority = upstream.Authority(d)
	}
	target := upstream.Target{Dial: d, Find: call.Find, Standalone: call.Self.Standalone}
	limit := d.RequestTimeout.Std()
	if limit <= 0 || r.Upgrade != "" { // a tunnel has no end that could be late
		resp, at, err := f.ask(ctx, target, r)
		r.Scheme, r.Authority = scheme, authority
		return resp, at, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	resp, at, err := f.ask(ctx, target, r)
	r.Scheme, r.Authority = scheme, authority
	if err != nil || resp.Body == nil {
		cancel()
		return resp, at, err
	}
	resp.Body = &timed{resp.Body, cancel}
	return resp, at, err
}

// ask sends to an endpoint, and takes off its answer what only proxies may say.
func (f *Forwarder) ask(ctx context.Context, t upstream.Target, r *message.Request) (*message.Response, string, error) {
	resp, at, err := f.opt.Upstream.Send(ctx, t, r)
	if err == nil {
		stripOwn(&resp.Header)
	}
	return resp, at, err
}

// timed ends its timeout with the body.
type timed struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (t *timed) Close() error {
	defer t.cancel()
	return t.ReadCloser.Close()
}

// triggers tells whether a failure moves a call by its backend's policy.
func triggers(p *table.Failover, why table.Trigger) bool {
	return len(p.Triggers) == 0 || slices.Contains(p.Triggers, why)
}

// Done takes evidence for ejection and latency. A failure that amounts to no
// trigger (the client went away, or the policy moves nothing for it) is no
// evidence: the next call is to meet it as this one does.
func (f *Forwarder) Done(call *Call, to pick.Candidate, o Outcome) {
	if o.Err != nil && o.Failed == "" || o.Failed != "" && !triggers(&call.Backend.Failover, o.Failed) {
		return
	}
	key := learned(to.Key(), call.Steered)
	first := o.FirstByte
	if !to.Local && first > 0 && f.opt.Link != nil {
		if way := f.opt.Link.RTT(to.Cluster); way.Known {
			first = max(time.Microsecond, first-way.Value)
		}
	}
	if f.opt.Health.Of(key, "").HalfOpen {
		f.ended(call.life, key)
	}
	f.opt.Health.Learn(key, upstream.Evidence{
		Failed: o.Failed, Quota: o.Quota, RetryAfter: o.RetryAfter, FirstByte: first, Failback: call.Backend.Failover.Failback,
	})
}

// ended counts one attempt out that is still open.
func (f *Forwarder) ended(l *life, key string) {
	if l == nil {
		return
	}
	if i := slices.Index(l.open, key); i >= 0 {
		l.open = slices.Delete(l.open, i, i+1)
		f.opt.Health.End(key)
	}
}

func (f *Forwarder) release(l *life) {
	for _, key := range l.open {
		f.opt.Health.End(key)
	}
	l.open = nil
}

// defaultAttempts holds where a failover policy names no number.
const defaultAttempts = 3

// Move asks whether the call may go on to another candidate. What a failure to
// connect cost nobody but us is not charged to the budget.
func (f *Forwarder) Move(call *Call, from pick.Candidate, why table.Trigger) bool {
	p := &call.Backend.Failover
	most := p.Attempts
	if most <= 0 {
		most = defaultAttempts
	}
	switch {
	case call.Only != nil || p.Disabled || call.Record.Attempts >= most:
		return false
	case !triggers(p, why):
		return false
	case call.life != nil && !call.life.deadline.IsZero() && !f.opt.Now().Before(call.life.deadline):
		return false
	}
	free := why == table.OnConnect || why == table.OnDNS
	if !free && !f.budgets.Repeat(learned(call.Backend.Name, call.Steered), p.BudgetPercent) {
		return false
	}
	call.Record.FailoverReason = string(why)
	if call.life != nil {
		call.life.from, call.life.why = from.Key(), why
	}
	return true
}

// Explain prints how a request for a backend, by any of the names that
// table.Called knows, would be ordered now.
func (f *Forwarder) Explain(backend string) (string, error) {
	x := f.index.Load()
	b, err := table.Called(x.Table(), backend)
	if err != nil {
		return "", fmt.Errorf("explaining: %w", err)
	}
	text := f.explain(x, b, nil)
	seen := map[string]bool{}
	for r := range table.Each[*table.Rule](x.Table()) {
		for i := range r.Steering {
			if s := &r.Steering[i]; s.Backend == b.Name && !seen[s.By] {
				seen[s.By] = true
				text += "\nsteered by " + s.By + ", as for " + r.Name + ":\n" + f.explain(x, b, s)
			}
		}
	}
	return text, nil
}

func (f *Forwarder) explain(x *indexed, b *table.Backend, s *table.Steering) string {
	call := &Call{Self: x.self, Backend: b, Find: x.find, Word: f.opt.Word()}
	call.steer(s)
	text := pick.Explain(f.Decide(call, pick.Needs{Explain: true}))
	if why := call.Backend.Closed; why != "" {
		text = "closed: " + why + "\n" + text
	}
	return text
}

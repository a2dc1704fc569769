package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/authorization"
	"github.com/navehq/nave/proxy/match"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/pick"
)

// ServeLink serves a request that came over the link, by the one candidate that
// its head names and by this cluster's own restrictions. An error means that
// nothing was answered and nothing was sent on. The record is the caller's: the
// entry proxy writes the log line and the series.
func (f *Forwarder) ServeLink(x message.Exchange, h Head, rec *observe.Record) error {
	l := &life{index: f.index.Load(), began: f.opt.Now()}
	r := x.Request()
	l.call = Call{
		Exchange: &teller{x, rec}, Request: r, Self: l.index.self, Find: l.index.find, Record: rec,
		Principal: h.Principal, Credential: h.Credential, Word: h.Word, life: l,
	}
	l.facts = facts{request: r, method: r.Method, authority: r.Authority, path: r.Path, query: r.Query, life: l}
	rec.Start, rec.Backend, rec.Route, rec.Listener, rec.RuleName = l.began, h.Backend, h.Route, h.Listener, h.Rule
	rec.Cluster, rec.Tenant, rec.Gateway = l.call.Self.Cluster, l.call.Self.Tenant, h.Gateway
	c, err := f.named(l.index, h)
	if err != nil {
		return err
	}
	l.call.Backend, l.call.Only = l.index.Backend(h.Backend), c
	l.call.confine(h.Allowed)
	if err := l.restrictLink(h.Member); err != nil {
		return err
	}
	p := f.protocols[l.call.Backend.Kind]
	if p == nil {
		return fmt.Errorf("serving backend %q: no protocol for its kind", h.Backend)
	}
	defer f.release(l)
	ctx := x.Context()
	if !h.Deadline.IsZero() {
		l.deadline = h.Deadline
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, h.Deadline)
		defer cancel()
	}
	p.Serve(ctx, &l.call)
	return nil
}

// confine holds the call to the regions that its entry allows, beside this
// cluster's own limit.
func (c *Call) confine(allowed string) {
	if allowed == "" {
		return
	}
	b := *c.Backend
	entry := strings.Split(allowed, ",")
	if own := b.Failover.AllowedRegions; len(own) > 0 {
		entry = slices.DeleteFunc(entry, func(r string) bool { return !slices.Contains(own, r) })
		if len(entry) == 0 {
			entry = []string{""} // none is
		}
	}
	b.Failover.AllowedRegions = entry
	c.Backend = &b
}

// named finds the candidate: the member's instance at this cluster.
func (f *Forwarder) named(x *indexed, h Head) (*pick.Candidate, error) {
	b := x.Backend(h.Backend)
	switch {
	case h.Tenant != x.self.Tenant:
		return nil, fmt.Errorf("serving tenant %q: this proxy is tenant %q's", h.Tenant, x.self.Tenant)
	case b == nil:
		return nil, fmt.Errorf("serving backend %q: it is not in the table", h.Backend)
	case b.Closed != "":
		return nil, fmt.Errorf("serving backend %q: closed: %s", h.Backend, b.Closed)
	case !b.Fleet && h.From != x.self.Cluster:
		return nil, fmt.Errorf("serving backend %q: it is its own cluster's only", h.Backend)
	}
	for g, members := range b.Groups {
		if c := here(b, g, members, h.Member, x.self.Cluster); c != nil {
			return c, serves(c)
		}
	}
	if c := here(b, 0, b.Serves, h.Member, x.self.Cluster); c != nil {
		return c, serves(c)
	}
	return nil, fmt.Errorf("serving backend %q: %q is not declared in cluster %q", h.Backend, h.Member, x.self.Cluster)
}

func here(b *table.Backend, group int, members []table.Member, name, cluster string) *pick.Candidate {
	for m := range members {
		if members[m].Name != name {
			continue
		}
		for i := range members[m].Instances {
			if in := &members[m].Instances[i]; in.Cluster == cluster {
				return &pick.Candidate{Backend: b.Name, Group: group, Member: &members[m], Instance: in, Cluster: cluster, Local: true}
			}
		}
	}
	return nil
}

func serves(c *pick.Candidate) error {
	if c.Instance.Closed != "" {
		return fmt.Errorf("serving %q: closed: %s", c.Key(), c.Instance.Closed)
	}
	return nil
}

// restrictLink holds this cluster's own policies against the request. The
// client's key was checked and taken off at the entry; what is known of it here
// is whose it was, and the key itself only where the instance is to be shown it. What asks for the body, such as a tool's name, waits for
// the protocol, which calls Authorize; until then Send refuses.
func (l *life) restrictLink(member string) error {
	whole, part := l.index.Serving(l.call.Backend.Name, member)
	for _, g := range []*match.Guard{whole, part} {
		if g == nil {
			continue
		}
		if err := l.restrictBy(g); err != nil {
			return fmt.Errorf("serving backend %q: %w", l.call.Backend.Name, err)
		}
	}
	return nil
}

func (l *life) restrictBy(g *match.Guard) error {
	switch {
	case g.Closed != "":
		return errors.New("closed: " + g.Closed)
	case g.Keys != nil && l.call.Principal == "":
		return errors.New("an API key is required here")
	case g.Rules == nil:
		return nil
	}
	later := authorization.NeedsBody
	if l.call.Backend.Kind == table.BackendHTTP {
		later = nil
	}
	v := g.Rules.Judge(&l.facts, later)
	if v.Denied {
		return errors.New("not authorized here: " + v.Reason)
	}
	if v.Pending {
		l.pending = append(l.pending, g.Rules)
	}
	return nil
}

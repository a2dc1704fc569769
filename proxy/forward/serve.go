package forward

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/authorization"
	"github.com/navehq/nave/proxy/filter/cors"
	"github.com/navehq/nave/proxy/match"
	"github.com/navehq/nave/proxy/message"
)

// serve is a request's life, from its head to its record.
func (f *Forwarder) serve(x message.Exchange, port uint16, secure bool) {
	l := &life{index: f.index.Load(), began: f.opt.Now()}
	r := x.Request()
	l.counted = counted{x, &l.record}
	l.call = Call{
		Exchange: &l.counted, Request: r, Self: l.index.self, Find: l.index.find, Record: &l.record,
		Word: f.opt.Word(), life: l,
	}
	l.facts = facts{request: r, method: r.Method, authority: r.Authority, path: r.Path, query: r.Query, life: l}
	f.note(l, r)
	defer func() {
		f.release(l)
		f.opt.Observer.End(&l.record, f.opt.Now())
	}()
	if f.admit(l, port, secure) && f.filter(l) {
		f.hand(l)
	}
	if l.record.Reason == "" {
		l.record.Reason = "Upstream"
	}
	if !x.Started() && x.Context().Err() == nil {
		l.call.Refuse(500, "Internal", "no answer\n", errors.New("serving: the protocol did not answer"))
	}
}

// note writes down what the head tells.
func (f *Forwarder) note(l *life, r *message.Request) {
	rec := &l.record
	rec.Start, rec.Source = l.began, r.Remote
	rec.Method, rec.Host, rec.Path, rec.Version = r.Method, r.Authority, r.Path, r.Protocol.String()
	rec.Cluster, rec.Gateway, rec.Tenant = l.call.Self.Cluster, l.call.Self.Gateway, l.call.Self.Tenant
	rec.Protocol = "http"
	if r.ContentLength > 0 {
		rec.RequestBytes = r.ContentLength
	}
	if parent := r.Header.Get("traceparent"); len(parent) >= 55 && parent[2] == '-' && parent[35] == '-' {
		rec.TraceID, rec.SpanID = parent[3:35], parent[36:52]
	}
}

// admit finds the request's rule and lets nobody past what restricts it.
func (f *Forwarder) admit(l *life, port uint16, secure bool) bool {
	c, r := &l.call, l.call.Request
	stripOwn(&r.Header)
	l.probed = showsProbe(c.Self, &r.Header)
	if dotted(r.Path) {
		c.Refuse(400, "InvalidRequest", "path has dot segments\n", nil)
		return false
	}
	l.match = match.Facts{
		Port: port, Secure: secure, Host: r.Authority, Method: r.Method, Path: r.Path, Query: r.Query, Header: &r.Header,
	}
	if r.TLS != nil {
		l.match.ServerName = r.TLS.ServerName
		l.record.ServerName = r.TLS.ServerName
	}
	l.result = l.index.Match(&l.match)
	if li := l.result.Listener; li != nil {
		l.record.Gateway, l.record.Listener = li.Gateway, li.Section
		l.record.Bind = Bind(li)
	}
	switch rule := l.result.Rule; {
	case l.result.Misdirected:
		c.Refuse(421, "NotFound", "misdirected request\n", nil)
		return false
	case rule == nil:
		c.Refuse(404, "NotFound", "route not found\n", nil)
		return false
	default:
		l.record.Route, l.record.RuleName = rule.RouteName, rule.Section
		c.Retry, c.Timeout, c.BackendTimeout = rule.Retry, rule.RequestTimeout.Std(), rule.BackendTimeout.Std()
		if rule.Closed != "" {
			c.Refuse(500, "PolicyInvalid", "policy invalid\n", errors.New(rule.Closed))
			return false
		}
	}
	return f.restrict(l)
}

// restrict holds the guard's rules against the request. A preflight asks for
// permission only and carries no credentials, so it is answered before them.
func (f *Forwarder) restrict(l *life) bool {
	g := l.result.Guard
	if g != nil && g.Closed != "" {
		l.call.Refuse(500, "PolicyInvalid", "policy invalid\n", errors.New(g.Closed))
		return false
	}
	if l.preflight() {
		return false
	}
	return g == nil || l.check(g, l.result.Rule.Backends)
}

// preflight answers a CORS preflight; it is false for any other request.
func (l *life) preflight() bool {
	r := l.call.Request
	for i := range l.result.Rule.Filters {
		if c := l.result.Rule.Filters[i].CORS; c != nil {
			l.origin = r.Header.Get("Origin")
			if cors.Preflight(r) {
				var h message.Header
				cors.Permit(c, r, &h)
				l.record.Reason = "DirectResponse"
				if l.call.Start(204, &h, 0) == nil {
					l.call.finish(nil)
				}
				return true
			}
			l.cors = c
			l.call.OriginAllowed, _ = cors.Allowed(c.AllowOrigins, l.origin)
			return false
		}
	}
	return false
}

// check authenticates and authorizes by one guard.
func (l *life) check(g *match.Guard, refs []table.BackendRef) bool {
	c := &l.call
	if g.Closed != "" {
		c.Refuse(500, "PolicyInvalid", "policy invalid\n", errors.New(g.Closed))
		return false
	}
	if g.Keys != nil {
		got := g.Keys.Check(c.Request)
		if got.Refused {
			c.Refuse(401, "APIKeyAuth", "api key required\n", nil)
			return false
		}
		if got.Client != nil {
			l.facts.client = got.Client
			c.Principal, c.Credential = got.Client.Name, got.Key
		}
	}
	if g.Rules == nil {
		return true
	}
	later := authorization.NeedsBody
	if !l.tellsMore(refs) {
		later = nil
	}
	v := g.Rules.Judge(&l.facts, later)
	if v.Denied {
		c.Refuse(403, "Authorization", "authorization failed\n", errors.New(v.Reason))
		return false
	}
	if v.Pending {
		l.pending = append(l.pending, g.Rules)
	}
	return true
}

// tellsMore tells whether a backend of the rule has a protocol that reads
// bodies, so that what asks for their facts can wait.
func (l *life) tellsMore(refs []table.BackendRef) bool {
	for i := range refs {
		if b := l.index.Backend(refs[i].Backend); b != nil && b.Kind != table.BackendHTTP {
			return true
		}
	}
	return false
}

// hand gives the call to the protocol of its backend.
func (f *Forwarder) hand(l *life) {
	c := &l.call
	p := f.protocols[c.Backend.Kind]
	if p == nil {
		c.Refuse(500, "Internal", "backend kind not served\n", errors.New("serving: no protocol for kind "+string(c.Backend.Kind)))
		return
	}
	ctx := c.Exchange.Context()
	if c.Timeout > 0 {
		l.deadline = l.began.Add(c.Timeout)
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, l.deadline)
		defer cancel()
	}
	p.Serve(ctx, c)
}

// stripOwn takes off what only proxies may say to each other.
func stripOwn(h *message.Header) {
	for again := true; again; {
		again = false
		for field := range h.All() {
			if own(field.Name) {
				h.Del(field.Name)
				again = true
				break
			}
		}
	}
}

func own(name string) bool {
	return len(name) > 5 && name[4] == '-' && message.EqualFold(name[:4], "nave")
}

// plainly writes a path as the least careful server reads it.
var plainly = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", `\`, "/")

// dotted tells whether a path has . or .. among its elements, encoded or not: a
// server that resolves them would serve another path than the one that was
// matched and authorized.
func dotted(path string) bool {
	if !strings.Contains(path, "/.") && !strings.ContainsAny(path, `%\`) {
		return false
	}
	for element := range strings.SplitSeq(plainly.Replace(path), "/") {
		if i := strings.IndexByte(element, ';'); i >= 0 {
			element = element[:i]
		}
		if element == "." || element == ".." {
			return true
		}
	}
	return false
}

// elapsed is the time since the request began.
func (f *Forwarder) elapsed(l *life) time.Duration { return f.opt.Now().Sub(l.began) }

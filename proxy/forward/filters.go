package forward

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/header"
	"github.com/navehq/nave/proxy/filter/mirror"
	"github.com/navehq/nave/proxy/filter/redirect"
	"github.com/navehq/nave/proxy/filter/rewrite"
	"github.com/navehq/nave/proxy/message"
)

// filter applies the rule's filters, draws the backend and applies its own; it
// is false where the request was answered.
func (f *Forwarder) filter(l *life) bool {
	c, rule := &l.call, l.result.Rule
	l.served = c.Self.ServedBy
	if rule.Answers {
		return l.redirect(rule.Filters)
	}
	if !f.draw(l) {
		return false
	}
	forwarded(c.Request)
	l.apply(rule.Filters)
	if l.ref != nil {
		l.apply(l.ref.Filters)
	}
	if rule.Mirrors {
		return f.mirrorAll(l)
	}
	return true
}

// redirect answers by the rule's redirect, with its edits of the answer.
func (l *life) redirect(filters []table.Filter) bool {
	c := &l.call
	for i := range filters {
		if e := filters[i].ResponseHeaders; e != nil {
			l.edits = append(l.edits, e)
		}
	}
	for i := range filters {
		d := filters[i].Redirect
		if d == nil {
			continue
		}
		var h message.Header
		h.Add("Location", redirect.Location(d, c.Request, l.result.Prefix, l.result.Listener.Port))
		l.record.Reason = "DirectResponse"
		if c.Start(d.Status, &h, 0) == nil {
			c.finish(nil)
		}
		return false
	}
	c.Refuse(500, "Internal", "backend redirects are not served\n", errors.New("applying filters: a redirect stands on a backend"))
	return false
}

// draw chooses among the rule's weighted backends. The share of a reference
// that is closed, or of none at all, is answered 500.
func (f *Forwarder) draw(l *life) bool {
	c := &l.call
	l.ref = l.result.Rule.Draw(c.Word)
	switch {
	case l.ref == nil:
		c.Refuse(500, "NoHealthyBackend", "no backend\n", errors.New("drawing a backend: none has any weight"))
		return false
	case l.ref.Closed != "":
		c.Refuse(500, "NoHealthyBackend", "backend invalid\n", errors.New(l.ref.Closed))
		return false
	}
	l.record.Backend = l.ref.Backend
	c.Backend = l.index.Backend(l.ref.Backend)
	c.steer(l.result.Rule.Steer(l.ref.Backend, l.result.Listener.Name))
	switch {
	case c.Backend == nil:
		c.Refuse(500, "NoHealthyBackend", "backend not found\n", fmt.Errorf("finding backend %q: not in the table", l.ref.Backend))
		return false
	case c.Backend.Closed != "":
		c.Refuse(500, "PolicyInvalid", "backend invalid\n", errors.New(c.Backend.Closed))
		return false
	}
	whole, part := l.index.Serving(c.Backend.Name, "")
	return (whole == nil || l.check(whole, l.result.Rule.Backends)) && (part == nil || l.check(part, l.result.Rule.Backends))
}

// steer puts the failover policy of the call's rule in place of the backend's.
func (c *Call) steer(s *table.Steering) {
	if s == nil || c.Backend == nil {
		return
	}
	b := *c.Backend
	b.Failover, b.Closed = s.Failover, cmp.Or(b.Closed, s.Closed)
	c.Backend, c.Steered = &b, s.By
}

func (l *life) apply(filters []table.Filter) {
	r := l.call.Request
	for i := range filters {
		f := &filters[i]
		switch {
		case f.RequestHeaders != nil:
			was := r.Authority
			header.Request(f.RequestHeaders, r)
			l.renamed = l.renamed || r.Authority != was
		case f.ResponseHeaders != nil:
			l.edits = append(l.edits, f.ResponseHeaders)
		case f.Rewrite != nil:
			rewrite.Apply(f.Rewrite, r, l.result.Prefix)
			l.renamed = l.renamed || f.Rewrite.Hostname != ""
		}
	}
}

// forwarded says who is behind the request. The chain of addresses is the
// client's claim with the connection's end added; the other two are ours.
func forwarded(r *message.Request) {
	if r.Remote.IsValid() {
		ip := r.Remote.Addr().Unmap().String()
		if was := r.Header.Get("X-Forwarded-For"); was != "" {
			ip = was + ", " + ip
		}
		r.Header.Set("X-Forwarded-For", ip)
	}
	r.Header.Set("X-Forwarded-Proto", r.Scheme)
	r.Header.Set("X-Forwarded-Host", r.Authority)
}

// mirrorLimitBody is the largest body that is kept for copies.
const mirrorLimitBody = 1 << 20

// mirrorAll reads the body and sends copies; a body that is too large is not
// mirrored. It is false where the body could not be read.
func (f *Forwarder) mirrorAll(l *life) bool {
	r := l.call.Request
	body, whole, err := peek(r, mirrorLimitBody)
	if err != nil {
		l.call.Refuse(400, "InvalidRequest", "body could not be read\n", err)
		return false
	}
	lists := [][]table.Filter{l.result.Rule.Filters, l.ref.Filters}
	n := uint64(0)
	for _, filters := range lists {
		for i := range filters {
			m := filters[i].Mirror
			if m == nil {
				continue
			}
			n++
			switch {
			case !mirror.Among(m, (l.call.Word+n)*0x9e3779b97f4a7c15>>32):
			case whole:
				f.mirror.Copy(m.Backend, l.result.Rule.Steer(m.Backend, l.result.Listener.Name), r, body)
			default:
				f.mirror.Drop()
			}
		}
	}
	return true
}

// peek reads up to limit bytes of a body and puts them back in front of the
// rest. whole is false where there is more.
func peek(r *message.Request, limit int64) (body []byte, whole bool, err error) {
	if r.Body == nil || r.ContentLength == 0 {
		return nil, true, nil
	}
	if r.ContentLength > limit {
		return nil, false, nil
	}
	body, err = io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, false, fmt.Errorf("reading a body to mirror it: %w", err)
	}
	if int64(len(body)) > limit {
		r.Body = rejoined{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
		return nil, false, nil
	}
	r.Body = bytes.NewReader(body)
	if r.Trailer.Len() == 0 {
		r.ContentLength = int64(len(body))
	}
	return body, true, nil
}

// rejoined is a body whose beginning was read already.
type rejoined struct {
	io.Reader
	rest io.Reader
}

// Close ends a read that waits, as the body's own does.
func (r rejoined) Close() error {
	if c, ok := r.rest.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Bind names the socket as agentgateway does: port/namespace/gateway.
func Bind(l *table.Listener) string {
	return strconv.Itoa(int(l.Port)) + "/" + l.Gateway
}

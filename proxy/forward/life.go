package forward

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/navehq/nave/api/expr"
	"github.com/navehq/nave/api/probe"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/authorization"
	"github.com/navehq/nave/proxy/filter/cors"
	"github.com/navehq/nave/proxy/filter/header"
	"github.com/navehq/nave/proxy/match"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/pick"
)

// life is all that belongs to one request, in one piece of memory.
type life struct {
	call    Call
	record  observe.Record
	facts   facts
	match   match.Facts
	counted counted
	index   *indexed
	result  match.Result
	ref     *table.BackendRef

	// pending rules wait for facts that the body tells; nobody is sent anything
	// before they were judged.
	pending []*authorization.Rules
	judged  bool
	// answer filters, applied when the head is sent.
	edits  []*table.HeaderEdit
	cors   *table.CORS
	origin string
	served bool // x-nave-served-by is wanted
	probed bool // the cluster's own prober asks

	budgeted bool
	renamed  bool // a filter chose the authority
	began    time.Time
	deadline time.Time
	// from and why are of a move whose next candidate is not known yet.
	from string
	why  table.Trigger
	open []string // candidates with an attempt in flight
}

// respond applies what the rule says about answers.
func (l *life) respond(c *Call, h *message.Header) {
	for _, e := range l.edits {
		header.Apply(e, h)
	}
	if l.cors != nil {
		cors.Mark(l.cors, l.origin, h)
	}
	if (l.served || l.probed) && c.Record.ServedBy != "" {
		h.Set(probe.ServedBy, c.Record.ServedBy)
	}
	if l.probed {
		h.Set(probe.Attempts, strconv.Itoa(c.Record.Attempts))
		if m := c.Record.MCP; m != nil && m.Moved != "" {
			h.Set(probe.SessionMoved, m.Moved)
		}
	}
}

// showsProbe takes a prober's key off a request, and tells whether it is the
// one of this cluster.
func showsProbe(self *table.Self, h *message.Header) bool {
	key := h.Get(probe.Key)
	if key == "" {
		return false
	}
	h.Del(probe.Key)
	return self.Probe != "" && subtle.ConstantTimeCompare([]byte(probe.Hash(key)), []byte(self.Probe)) == 1
}

// Authorize judges the expressions that ask for what the body tells; more gives
// those facts. A protocol calls it once it knows them and before it sends
// anything: until then Send refuses. Where a request holds several things to
// judge, it may be called for each. The reason is for the log.
func (c *Call) Authorize(more expr.Facts) (allowed bool, reason string) {
	if c.life == nil {
		return true, ""
	}
	c.life.judged = true
	for _, r := range c.life.pending {
		if v := r.Judge(joined{more, &c.life.facts}, nil); v.Denied {
			return false, v.Reason
		}
	}
	return true, ""
}

// AuthorizeAt judges a member's own rules, as Authorize does those of the whole.
func (c *Call) AuthorizeAt(member string, more expr.Facts) (allowed bool, reason string) {
	if c.life == nil {
		return true, ""
	}
	if _, g := c.life.index.Serving(c.Backend.Name, member); g != nil {
		reason = refusedBy(g, c, more)
	}
	return reason == "", reason
}

// Waits tells whether any rule waits for what the body tells.
func (c *Call) Waits() bool { return c.life != nil && len(c.life.pending) > 0 }

// joined asks the first for a fact, then the second.
type joined struct{ first, second expr.Facts }

func (j joined) Fact(name string) (any, bool) {
	if j.first != nil {
		if v, ok := j.first.Fact(name); ok {
			return v, true
		}
	}
	return j.second.Fact(name)
}

// Refuse answers a call that was not served with a short text, and records the
// reason. err is for the log; nil for none.
func (c *Call) Refuse(status int, reason, text string, err error) {
	c.Record.Reason = reason
	if err != nil && c.Record.Error == "" {
		c.Record.Error = err.Error()
	}
	if c.Exchange.Started() {
		return
	}
	var h message.Header
	h.Add("Content-Type", "text/plain; charset=utf-8")
	if err := c.Start(status, &h, int64(len(text))); err != nil {
		return
	}
	if _, err := io.WriteString(exchangeWriter{c.Exchange}, text); err == nil {
		c.finish(nil)
	}
}

func (c *Call) finish(t *message.Header) {
	if err := c.Exchange.Finish(t); err != nil && c.Record.Error == "" {
		c.Record.Error = err.Error()
	}
}

type exchangeWriter struct{ x message.Exchange }

func (w exchangeWriter) Write(p []byte) (int, error) { return w.x.Write(p) }

// counted counts the bytes of the answer's body.
type counted struct {
	message.Exchange
	record *observe.Record
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Exchange.Write(p)
	c.record.ResponseBytes += int64(n)
	return n, err
}

// silent is the exchange of a request that nobody waits for.
type silent struct {
	ctx     context.Context
	request *message.Request
}

var errSilent = errors.New("answering: nobody waits for this request's answer")

func (s silent) Context() context.Context                { return s.ctx }
func (s silent) Request() *message.Request               { return s.request }
func (s silent) Inform(int, *message.Header) error       { return errSilent }
func (s silent) Start(int, *message.Header, int64) error { return errSilent }
func (s silent) Write([]byte) (int, error)               { return 0, errSilent }
func (s silent) Flush() error                            { return errSilent }
func (s silent) Finish(*message.Header) error            { return errSilent }
func (s silent) Started() bool                           { return false }
func (s silent) Switch(*message.Header) (io.ReadWriteCloser, error) {
	return nil, errSilent
}

var needsNothing pick.Needs

// drainLimit bounds what is read of an answer that nobody wants, so that its
// connection can be kept.
const drainLimit = 256 << 10

func drain(body io.ReadCloser) {
	// What is lost by a failure here is a kept connection.
	_, _ = io.CopyN(io.Discard, body, drainLimit)
	_ = body.Close()
}

// Package llm serves model traffic: it reads what a client asks of a model,
// has the candidates tried in order, each in its own dialect, and answers in
// the client's, streaming or whole. It decides when an answer has begun for
// good: before that any failure goes to the next candidate, after it none ever
// does, and the client is told. How providers speak is the dialects' matter,
// which candidate comes first pick's.
package llm

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/pick"
)

// maxRequest is the largest body that is taken at all.
const maxRequest = 32 << 20

// Options of an LLM. Sender is required.
type Options struct {
	Sender forward.Sender
	// Reachable tells whether a link to a cluster works; nil waits for none.
	Reachable func(cluster string) bool
	// Azure gives tokens for Azure's ambient identity; nil has none.
	Azure Tokens
	Log   *slog.Logger
	Now   func() time.Time
}

// Tokens gives access tokens of an identity provider.
type Tokens interface {
	// Token returns a token for a scope by the credential that auth names.
	Token(ctx context.Context, auth table.AzureAuth, secret map[string][]byte, scope string) (string, error)
}

// LLM is the protocol of model backends.
type LLM struct{ opts Options }

var _ forward.Protocol = (*LLM)(nil)

// New makes the protocol.
func New(o Options) *LLM {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &LLM{o}
}

// turn is one call on its way through its candidates.
type turn struct {
	m     *LLM
	ctx   context.Context
	call  *forward.Call
	facts dialect.Facts
	body  []byte
	began time.Time
	order []pick.Choice
	// last is the failure that the client is told if nobody is left.
	last *chat.Error
	// links counts the attempts of a round that failed by the link.
	links int
	// begun tells that a link was lost under a request that it carried, so that a
	// provider may have worked on it.
	begun bool
}

// Serve carries a call.
func (m *LLM) Serve(ctx context.Context, call *forward.Call) {
	call.Record.Protocol = "llm"
	t := &turn{m: m, ctx: ctx, call: call, began: m.opts.Now()}
	op, ok := operation(call)
	if !ok {
		t.refuse("NotFound", &chat.Error{Class: chat.Caller, Status: 404, Type: "invalid_request_error", Message: "this path is served by no operation of a model"})
		return
	}
	if failed := t.read(op); failed != nil {
		t.refuse("InvalidRequest", failed)
		return
	}
	t.record()
	call.Facts = t
	if allowed, why := call.Authorize(t); !allowed {
		call.Record.Error = why
		t.refuse("Authorization", &chat.Error{Class: chat.Caller, Status: 403, Type: "permission_denied", Message: "not authorized"})
		return
	}
	if op == dialect.Models && t.list() {
		return
	}
	t.try()
}

func (t *turn) record() {
	t.call.Record.LLM = &observe.LLM{
		Operation: t.facts.Op.String(), RequestModel: t.facts.Model, Streaming: t.facts.Stream, Asked: observe.Asked(t.facts.Asked),
	}
}

// Fact tells expressions what the body says.
func (t *turn) Fact(name string) (any, bool) {
	switch name {
	case "llm.requestModel":
		return t.facts.Model, true
	case "llm.streaming":
		return t.facts.Stream, true
	}
	return nil, false
}

// try goes through the candidates until one has answered or none is left. Where
// all that failed were links, it waits for one of them and asks anew.
func (t *turn) try() {
	until := t.m.opts.Now().Add(patience)
	for range rounds {
		d := t.m.opts.Sender.Decide(t.call, pick.Needs{Lacks: t.lacks, Quota: t.owner})
		if t.order = d.Order; len(t.order) == 0 {
			t.nobody(d)
			return
		}
		over, cut := t.round()
		if over {
			return
		}
		if !cut || !t.regain(until) {
			break
		}
	}
	t.refuse("UpstreamFailure", t.last)
}

// round asks the candidates in their order. It is over when the client has been
// told something, cut where links failed and nothing but connections did.
func (t *turn) round() (over, cut bool) {
	t.links = 0
	connections := true
	for i := range t.order {
		to := t.order[i].Candidate
		why, answered := t.attempt(to)
		if answered {
			return true, false
		}
		connections = connections && why == table.OnConnect
		// Who holds what the request refers to is not left.
		if len(t.facts.State) > 0 || i+1 == len(t.order) || !t.triggers(why) || !t.m.opts.Sender.Move(t.call, to, why) {
			break
		}
	}
	return false, connections && t.links > 0
}

// triggers tells whether the policy moves a call on for why.
func (t *turn) triggers(why table.Trigger) bool {
	list := t.call.Backend.Failover.Triggers
	return len(list) == 0 || slices.Contains(list, why)
}

// lacks says what a candidate's dialect cannot carry of this request.
func (t *turn) lacks(c pick.Candidate) string {
	model := c.Member.ModelAt(c.Instance)
	if model == nil {
		return "a model: the member declares none"
	}
	codec := kindOf(model).Codec()
	if !codec.Serves(t.facts.Op) {
		return "the operation " + t.facts.Op.String()
	}
	if f := codec.Lacks(t.facts.Features, t.model(model)); f != 0 {
		return "what the request uses: " + join(f.Names())
	}
	if t.facts.Op == dialect.Embeddings {
		if space := t.space(); t.named(model) != space {
			return "the model " + space + ": embeddings of another one are not comparable"
		}
	}
	return ""
}

func (t *turn) nobody(d pick.Decision) {
	reason := "none is declared"
	if len(d.Rejected) > 0 {
		reason = d.Rejected[0].Key() + ": " + d.Rejected[0].Reason
	}
	t.call.Record.Error = "choosing a candidate: " + reason
	status, text := 503, "no candidate can serve this request"
	if t.facts.Features != 0 {
		text += "; it uses " + join(t.facts.Features.Names())
	}
	if t.facts.Op == dialect.Embeddings {
		text += "; embeddings are asked of model " + strconv.Quote(t.space()) + " alone"
	}
	t.refuse("NoHealthyBackend", &chat.Error{Class: chat.Transient, Status: status, Type: "service_unavailable", Message: text})
}

// refuse answers with an error in the client's dialect, and tells the client's
// kit not to try again what was tried here.
func (t *turn) refuse(reason string, e *chat.Error) {
	t.call.Record.Reason = reason
	if t.call.Record.Error == "" {
		t.call.Record.Error = e.Error()
	}
	if t.call.Exchange.Started() {
		return
	}
	status := e.ClientStatus()
	if t.call.Only != nil && e.Status != 0 {
		// The entry proxy decides by what the provider said.
		status = e.Status
	}
	body := openai.AppendError(nil, e)
	var h message.Header
	h.Add("Content-Type", "application/json")
	h.Add("x-should-retry", "false")
	if e.RetryAfter > 0 {
		h.Add("Retry-After", seconds(e.RetryAfter))
	}
	if t.call.Start(status, &h, int64(len(body))) != nil {
		return
	}
	if _, err := t.call.Exchange.Write(body); err == nil {
		t.finish()
	}
}

func (t *turn) finish() {
	if err := t.call.Exchange.Finish(nil); err != nil && t.call.Record.Error == "" {
		t.call.Record.Error = err.Error()
	}
}

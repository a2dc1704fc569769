package llm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/dialect"
	"github.com/navehq/nave/proxy/llm/dialect/failure"
	"github.com/navehq/nave/proxy/llm/dialect/openai"
	"github.com/navehq/nave/proxy/llm/dialect/provider"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/pick"
)

// maxAnswer is the largest whole answer that is taken.
const maxAnswer = 64 << 20

// attempt is one candidate's turn.
type attempt struct {
	*turn
	to       pick.Candidate
	exchange dialect.Exchange
	start    time.Time
	first    time.Duration
	// cancel ends the attempt; patience does so unless the answer has begun.
	cancel   context.CancelFunc
	patience *time.Timer
}

// attempt asks one candidate. It is answered where the client has been told
// something; else why says what moves the call on.
func (t *turn) attempt(to pick.Candidate) (why table.Trigger, answered bool) {
	a := &attempt{turn: t, to: to, start: t.m.opts.Now()}
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	a.cancel = cancel
	if limit := a.limit(); limit > 0 {
		a.patience = time.AfterFunc(limit, cancel)
		defer a.patience.Stop()
	}
	req, err := a.prepare(ctx)
	if err != nil {
		return a.unprepared(err)
	}
	resp, err := t.m.opts.Sender.Send(ctx, t.call, to, req)
	if err != nil {
		return a.unsent(ctx, err)
	}
	if resp.Body == nil {
		resp.Body = io.NopCloser(bytes.NewReader(nil))
	}
	defer resp.Body.Close()
	switch {
	case resp.Status < 200 || resp.Status > 299:
		return a.failed(resp)
	case t.facts.Stream && isStream(&resp.Header):
		return a.stream(ctx, resp)
	}
	return a.whole(ctx, resp)
}

// limit is how long the attempt may take until its answer begins.
func (a *attempt) limit() time.Duration {
	limit := a.call.Backend.Failover.PerAttemptTimeout.Std()
	if b := a.call.BackendTimeout; b > 0 && (limit == 0 || b < limit) {
		limit = b
	}
	return limit
}

func isStream(h *message.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/event-stream")
}

// prepare makes the request for this candidate from the client's own body.
func (a *attempt) prepare(ctx context.Context) (*message.Request, error) {
	r := a.call.Request
	req := &message.Request{
		Method: r.Method, Scheme: r.Scheme, Authority: r.Authority, Path: r.Path, Query: r.Query, HasQuery: r.HasQuery,
		Protocol: r.Protocol, Header: r.Header.Clone(), Inform: r.Inform,
	}
	strip(&req.Header)
	model := a.to.Member.ModelAt(a.to.Instance)
	codec, options := dialect.Codec(openai.Codec{}), dialect.Options{}
	if a.to.Local && model != nil {
		p := describe(model, a.to.Instance.Dial)
		codec = p.Kind.Codec()
		options.Model = firstOf(p.ModelFor(a.facts.Op), a.model(model))
		target, err := p.Target(a.facts.Op, r.Path, r.Query, firstOf(options.Model, a.facts.Model))
		if err != nil {
			return nil, err
		}
		req.Method, req.Path, req.Query, req.HasQuery = target.Method, target.Path, target.Query, target.Query != ""
		for _, f := range target.Header {
			req.Header.Set(f.Name, f.Value)
		}
		if err := a.authenticate(ctx, p.Kind, req); err != nil {
			return nil, err
		}
		a.call.Record.LLM.Provider = a.name(p.Kind)
	}
	if !a.to.Local && passthrough(a.to.Instance) {
		if own, has := r.Header.Lookup("Authorization"); has {
			req.Header.Set("Authorization", own)
		}
	}
	if a.facts.Op == dialect.Models {
		return req, nil
	}
	exchange, err := codec.Begin(&a.facts, a.body, options)
	if err != nil {
		return nil, err
	}
	if dropped := exchange.Dropped(); len(dropped) > 0 {
		a.m.opts.Log.Debug("drop what the provider's dialect has no word for", "candidate", a.to.Key(), "fields", dropped)
	}
	a.exchange = exchange
	body := exchange.Body()
	req.Body, req.ContentLength = bytes.NewReader(body), int64(len(body))
	return req, nil
}

// strip takes off what is between the client and this gateway only.
func strip(h *message.Header) {
	for _, name := range []string{"Authorization", "x-api-key", "api-key", "x-goog-api-key", "Cookie", "Accept-Encoding", "Content-Length", "Content-Encoding", "Expect"} {
		h.Del(name)
	}
	h.Set("Content-Type", "application/json")
}

// describe is the provider as the dialects know it.
func describe(m *table.Model, d *table.Dial) provider.Provider {
	p := provider.Provider{
		Kind: kindOf(m), Deployment: m.Deployment, APIVersion: m.APIVersion, Project: m.Project,
		Foundry: m.Project != "", Path: m.Path, PathPrefix: m.PathPrefix,
	}
	if d != nil {
		p.Endpoint = d.Host
	}
	if m.HostOverride && d != nil {
		p.Host, p.Port = d.Host, d.Port
	}
	return p
}

func kindOf(m *table.Model) provider.Kind {
	switch m.Provider {
	case table.Azure:
		if m.Project != "" {
			return provider.Azure
		}
		return provider.AzureOpenAI
	case table.Anthropic:
		return provider.Anthropic
	}
	if m.HostOverride {
		return provider.Compatible
	}
	return provider.OpenAI
}

// name is the provider's in the log and the metrics.
func (a *attempt) name(k provider.Kind) string {
	switch {
	case k != provider.AzureOpenAI && k != provider.Azure:
		return k.String()
	case a.call.Self.AzureName != "":
		return a.call.Self.AzureName
	}
	return "azure.openai"
}

// unprepared is an attempt that could not be made: another may carry it.
func (a *attempt) unprepared(err error) (table.Trigger, bool) {
	var unsupported *chat.UnsupportedError
	var known *chat.Error
	switch {
	case errors.As(err, &unsupported):
		// What the client wishes is nothing against the candidate.
		a.last = unsupported.Fault()
		return table.OnServer, false
	case errors.As(err, &known):
		a.last = known
		a.refuse("InvalidRequest", known)
		return "", true
	default:
		a.m.opts.Log.Error("prepare a request to a model", "candidate", a.to.Key(), "err", err)
		a.last = &chat.Error{Class: chat.Credential, Status: 502, Type: "api_error", Message: "the gateway could not authenticate to the provider"}
		a.call.Record.Error = err.Error()
	}
	a.m.opts.Sender.Done(a.call, a.to, forward.Outcome{Err: err, Failed: table.OnServer})
	return table.OnServer, false
}

// unsent is an attempt without the head of an answer.
func (a *attempt) unsent(ctx context.Context, err error) (table.Trigger, bool) {
	if a.call.Exchange.Context().Err() != nil {
		a.call.Record.Reason, a.call.Record.Error = "UpstreamFailure", "the client went away"
		a.m.opts.Sender.Done(a.call, a.to, forward.Outcome{Err: err})
		return "", true
	}
	why := table.OnConnect
	var e *message.SendError
	status := 503
	switch {
	case errors.As(err, &e) && e.Stage == message.StageResolve:
		why = table.OnDNS
	case ctx.Err() != nil && a.ctx.Err() == nil, e != nil && e.Timeout:
		why, status = table.OnTimeout, 504
	case a.byLink(err):
		a.links++
		a.begun = a.begun || e == nil || !e.Unprocessed
	}
	return a.broken(why, status, err)
}

// broken is a failure of the connection, at whichever stage: nothing of it has
// reached the client.
func (a *attempt) broken(why table.Trigger, status int, err error) (table.Trigger, bool) {
	a.last = &chat.Error{Class: chat.Transient, Status: status, Type: "service_unavailable", Message: "the provider could not be reached"}
	if status == 504 {
		a.last.Type, a.last.Message = "timeout", "the provider did not answer in time"
	}
	a.call.Record.Error = err.Error()
	a.m.opts.Sender.Done(a.call, a.to, forward.Outcome{Err: err, Failed: why})
	return why, false
}

// failed is an answer that is an error.
func (a *attempt) failed(resp *message.Response) (table.Trigger, bool) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, failure.MaxBody))
	if err != nil && len(body) == 0 {
		return a.broken(table.OnConnect, 503, err)
	}
	e := failure.Answer(resp.Status, &resp.Header, body, a.m.opts.Now())
	why := triggerOf(e)
	a.last = e
	a.call.Record.Error = fmt.Sprintf("%s answers %d: %s", a.to.Key(), resp.Status, e.Class)
	o := forward.Outcome{Status: resp.Status, RetryAfter: e.RetryAfter, FirstByte: a.m.opts.Now().Sub(a.start)}
	chosen := a.chosen(e)
	if chosen && e.Class == chat.Credential {
		e.Class = chat.Caller
	}
	switch {
	case chosen:
		o.Err = e
	case e.Class.Moves():
		o.Failed, o.Quota = why, a.owner(a.to)
	}
	if !e.Class.Moves() {
		a.m.opts.Sender.Done(a.call, a.to, o)
		a.call.Record.Error = ""
		a.refuse("Upstream", e)
		return "", true
	}
	if e.Class == chat.Credential {
		a.m.opts.Log.Warn("a provider refuses its credential", "candidate", a.to.Key(), "status", resp.Status)
	}
	a.m.opts.Sender.Done(a.call, a.to, o)
	return why, false
}

// chosen tells whether a failure comes of what the client chose: its own key, or
// a model or path that the declaration leaves to it. It is nothing against the
// candidate.
func (a *attempt) chosen(e *chat.Error) bool {
	switch e.Class {
	case chat.Credential:
		return passthrough(a.to.Instance)
	case chat.ModelGone:
		m := a.to.Member.ModelAt(a.to.Instance)
		return m == nil || firstOf(a.model(m), m.Deployment) == "" || m.HostOverride && m.Path == "" && m.PathPrefix == ""
	}
	return false
}

func triggerOf(e *chat.Error) table.Trigger {
	switch {
	case e.InStream:
		return table.OnStream
	case e.Status == 429, e.Class == chat.RateLimit, e.Class == chat.Quota:
		return table.OnRateLimit
	case e.Status == 529:
		return table.OnOverload
	case e.Status == 408 || e.Status == 504:
		return table.OnTimeout
	}
	return table.OnServer
}

package mcp

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
	"github.com/navehq/nave/proxy/pick"
)

// suspicion is how long a proxy that could not be reached comes last among the
// owners of its cluster.
const suspicion = 10 * time.Second

// owners are the proxies of a cluster that may own the session, best first,
// those under suspicion last.
func (p *Protocol) owners(call *forward.Call, cluster string, f session.Facts, server string) []table.LinkProxy {
	peer, _ := call.Find(table.ID{Kind: table.KindPeer, Name: cluster}).(*table.Peer)
	all := session.Owners(f.Handle, server, session.Eligible(peer, f.Tenant, f.Gateway))
	now := p.now()
	var good, doubtful []table.LinkProxy
	for _, x := range all {
		if until, ok := p.suspect.get(cluster + "/" + x.ID); ok && now.Before(until) {
			doubtful = append(doubtful, x)
		} else {
			good = append(good, x)
		}
	}
	return append(good, doubtful...)
}

// reach gives an order to the owner at the candidate's cluster: this very
// proxy, or another over the link. An owner that cannot be reached is passed
// over for the next one, where nothing was processed.
func (p *Protocol) reach(ctx context.Context, call *forward.Call, to pick.Candidate, o order) (*reply, *fault) {
	owners := p.owners(call, to.Cluster, o.facts, o.server)
	if len(owners) == 0 {
		owners = []table.LinkProxy{{}} // whichever the link finds, or this one
	}
	var failed *fault
	for i, x := range owners {
		if i == 2 {
			break
		}
		if i > 0 {
			uncount(call) // still the same candidate
		}
		r, f := p.give(ctx, call, to, x.ID, o)
		if f == nil {
			return r, nil
		}
		failed = f
		if x.ID == "" || !f.way || !f.unprocessed || f.why == table.OnTimeout || ctx.Err() != nil {
			break
		}
		p.suspect.put(to.Cluster+"/"+x.ID, p.now().Add(suspicion))
	}
	return nil, failed
}

// uncount takes back that an attempt was counted: the same candidate is tried
// by another way.
func uncount(call *forward.Call) { call.Record.Attempts = max(0, call.Record.Attempts-1) }

// give gives an order to one proxy of the candidate's cluster.
func (p *Protocol) give(ctx context.Context, call *forward.Call, to pick.Candidate, proxy string, o order) (*reply, *fault) {
	if to.Local && (proxy == "" || proxy == p.proxy) {
		return readReply(p.owner.serve(ctx, call, to, o))
	}
	c := *call
	c.Replica = proxy
	req, err := o.request(call.Request)
	if err != nil {
		return nil, undone(table.OnServer, err.Error())
	}
	start := p.now()
	resp, err := p.send(ctx, &c, to, req)
	if err != nil {
		f := p.broke(ctx, &c, to, err)
		f.way = true
		return nil, f
	}
	first := p.now().Sub(start)
	r, f := readReply(resp)
	out := forward.Outcome{Status: resp.Status, FirstByte: first}
	if f != nil {
		out.Failed = f.why
	}
	p.sender.Done(&c, to, out)
	return r, f
}

// broke tells the sender of an attempt that broke. That it was given up by who
// waited for it is nothing against the other side; that it took too long is.
func (p *Protocol) broke(ctx context.Context, call *forward.Call, to pick.Candidate, err error) *fault {
	f := classify(err)
	out := forward.Outcome{Err: err, Failed: f.why}
	switch {
	case ctx.Err() == nil:
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		f.why, out.Failed = table.OnTimeout, table.OnTimeout
	default:
		out.Failed = ""
	}
	p.sender.Done(call, to, out)
	return f
}

// classify tells what an attempt that failed amounts to.
func classify(err error) *fault {
	f := &fault{why: table.OnServer, text: err.Error()}
	var knows forward.NotProcessed
	if errors.As(err, &knows) {
		f.unprocessed = knows.NotProcessed()
		f.why = table.OnConnect
	}
	var sent *message.SendError
	if !errors.As(err, &sent) {
		return f
	}
	f.unprocessed = f.unprocessed || sent.Unprocessed
	switch {
	case sent.Stage == message.StageResolve:
		f.why = table.OnDNS
	case sent.Timeout && sent.Stage > message.StageHandshake:
		f.why = table.OnTimeout
	case sent.Stage == message.StageBody:
		f.why = table.OnStream
	case sent.Timeout:
		f.why = table.OnTimeout
	default:
		f.why = table.OnConnect
	}
	return f
}

// send sends one attempt. Its answer's body may be closed while another
// goroutine reads it: that ends the read.
func (p *Protocol) send(ctx context.Context, call *forward.Call, to pick.Candidate, req *message.Request) (*message.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	resp, err := p.sender.Send(ctx, call, to, req)
	if err != nil || resp.Body == nil {
		cancel(nil)
		return resp, err
	}
	resp.Body = &stoppable{body: resp.Body, cancel: func() { cancel(errClosed) }}
	return resp, nil
}

var errClosed = errors.New("reading an answer's body: it is closed")

// stoppable is a body whose Close first ends a Read that waits, since engines'
// bodies are for one goroutine at a time.
type stoppable struct {
	cancel func()
	mu     sync.Mutex
	body   io.ReadCloser
	over   bool
}

func (s *stoppable) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, errClosed
	}
	return s.body.Read(p)
}

func (s *stoppable) Close() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil
	}
	s.over = true
	return s.body.Close()
}

// beside is a copy of a client's call for an attempt that runs beside others,
// or outside of the request's own attempts: with a record of its own.
func beside(call *forward.Call) *forward.Call {
	record := *call.Record
	record.Attempts, record.FailoverReason = 0, ""
	return &forward.Call{
		Exchange: call.Exchange, Request: call.Request, Self: call.Self, Backend: call.Backend, Steered: call.Steered, Find: call.Find,
		Record: &record, Principal: call.Principal, Credential: call.Credential,
		BackendTimeout: call.BackendTimeout, Retry: call.Retry, Word: call.Word,
	}
}

// detach is a call that outlives the one it comes from: for what owners do by
// themselves. It holds what the client sent along, as the server may want it,
// and nothing in it points into the first call's buffers.
func detach(call *forward.Call) *forward.Call {
	from := call.Request
	req := &message.Request{
		Method: "POST", Scheme: clone(from.Scheme), Authority: clone(from.Authority),
		Path: clone(from.Path), Protocol: message.HTTP11, Remote: from.Remote,
	}
	for f := range from.Header.All() {
		if !private(f.Name) {
			req.Header.Add(clone(f.Name), clone(f.Value))
		}
	}
	record := &observe.Record{
		Cluster: call.Record.Cluster, Tenant: call.Record.Tenant, Gateway: clone(call.Record.Gateway), Listener: clone(call.Record.Listener),
		Route: clone(call.Record.Route), RuleName: clone(call.Record.RuleName), Backend: clone(call.Record.Backend), Protocol: "mcp",
	}
	return &forward.Call{
		Exchange: quiet{req}, Request: req, Self: call.Self, Backend: call.Backend, Steered: call.Steered, Find: call.Find,
		Record: record, Principal: clone(call.Principal), Credential: clone(call.Credential), Word: call.Word,
	}
}

// quiet is the exchange of a call that no client waits for.
type quiet struct{ request *message.Request }

var errQuiet = errors.New("answering: no client waits for this call")

func (q quiet) Context() context.Context                { return context.Background() }
func (q quiet) Request() *message.Request               { return q.request }
func (q quiet) Inform(int, *message.Header) error       { return errQuiet }
func (q quiet) Start(int, *message.Header, int64) error { return errQuiet }
func (q quiet) Write([]byte) (int, error)               { return 0, errQuiet }
func (q quiet) Flush() error                            { return errQuiet }
func (q quiet) Finish(*message.Header) error            { return errQuiet }
func (q quiet) Started() bool                           { return false }
func (q quiet) Switch(*message.Header) (io.ReadWriteCloser, error) {
	return nil, errQuiet
}
func clone(s string) string { return strings.Clone(s) }

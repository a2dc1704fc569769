package mcp

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/message"
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
		r, f := p.give(ctx, call, to, x.ID, o)
		if f == nil {
			return r, nil
		}
		failed = f
		if x.ID == "" || f.why != table.OnConnect || !f.unprocessed || ctx.Err() != nil {
			break
		}
		p.suspect.put(to.Cluster+"/"+x.ID, p.now().Add(suspicion))
	}
	return nil, failed
}

// give gives an order to one proxy of the candidate's cluster.
func (p *Protocol) give(ctx context.Context, call *forward.Call, to pick.Candidate, proxy string, o order) (*reply, *fault) {
	if to.Local && (proxy == "" || proxy == p.proxy) {
		return readReply(p.owner.serve(ctx, call, to, o))
	}
	c := fork(call, false)
	c.Replica = proxy
	req, err := o.request(call.Request)
	if err != nil {
		return nil, &fault{table.OnServer, err.Error(), true}
	}
	start := p.now()
	resp, err := p.sender.Send(ctx, c, to, req)
	if err != nil {
		return nil, p.broke(ctx, c, to, err)
	}
	first := p.now().Sub(start)
	r, f := readReply(resp)
	out := forward.Outcome{Status: resp.Status, FirstByte: first}
	if f != nil {
		out.Failed = f.why
	}
	p.sender.Done(c, to, out)
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
		if errors.Is(err, context.DeadlineExceeded) {
			f.why = table.OnTimeout
		}
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

// detach is a call that outlives the one it comes from: for what owners do by
// themselves. Nothing in it points into the first call's buffers.
func detach(call *forward.Call, f session.Facts) *forward.Call {
	from := call.Request
	req := &message.Request{
		Method: "POST", Scheme: clone(from.Scheme), Authority: clone(from.Authority),
		Path: clone(from.Path), Protocol: message.HTTP11,
	}
	record := *call.Record
	record.LLM, record.MCP = nil, nil
	record.Start, record.Method, record.Host, record.Path = time.Time{}, "POST", req.Authority, req.Path
	record.Error, record.Reason, record.TraceID, record.SpanID = "", "", "", ""
	return &forward.Call{
		Exchange: quiet{req}, Request: req, Self: call.Self, Backend: call.Backend, Find: call.Find,
		Record: &record, Principal: clone(call.Principal), Retry: call.Retry, Word: call.Word,
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

package mcp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/message"
	"github.com/navehq/nave/proxy/observe"
)

// visit is one client request at the entry proxy.
type visit struct {
	p    *Protocol
	call *forward.Call
	// mu guards decisions of the sender, which are the call's.
	mu      sync.Mutex
	ring    *session.Ring
	names   catalog.Names
	servers []string
	facts   session.Facts
	// passing sessions are begun for one request and ended with it.
	passing bool
	sink    *sink
}

// serveClient answers a client's request to the endpoint.
func (p *Protocol) serveClient(ctx context.Context, call *forward.Call) {
	record := call.Record
	record.Protocol = "mcp"
	if record.MCP == nil {
		record.MCP = &observe.MCP{}
	}
	v := &visit{p: p, call: call, sink: &sink{call: call, now: p.now, last: p.now()}}
	req := call.Request
	if !v.originAllowed() {
		v.refuse(403, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, "the Origin is not the endpoint's own")
		return
	}
	if err := v.table(); err != nil {
		record.Error, record.Reason = err.Error(), "Internal"
		v.refuse(500, jsonrpc.ID{}, jsonrpc.CodeInternal, "the endpoint is not set up: "+err.Error())
		return
	}
	if version, has := req.Header.Lookup("Mcp-Protocol-Version"); has && !catalog.Speaks(version) {
		v.unsupported(version)
		return
	}
	switch req.Method {
	case "POST":
		v.post(ctx)
	case "GET":
		v.get(ctx)
	case "DELETE":
		v.end(ctx)
	default:
		v.sink.head.Set("Allow", "GET, POST, DELETE")
		v.refuse(405, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, "the endpoint takes GET, POST and DELETE")
	}
}

// table reads what the table says of the backend.
func (v *visit) table() (err error) {
	b := v.call.Backend
	if len(b.Groups) == 0 {
		return fmt.Errorf("backend %q has no servers", b.Name)
	}
	for i := range b.Groups[0] {
		v.servers = append(v.servers, b.Groups[0][i].Name)
	}
	v.names = catalog.NewNames(v.servers, v.declared().Prefix)
	v.ring, err = v.p.ring(v.call)
	return err
}

func (v *visit) declared() table.MCP {
	if m := v.call.Backend.MCP; m != nil {
		return *m
	}
	return table.MCP{}
}

// originAllowed checks a browser's Origin (the specification's defence against
// DNS rebinding): it must name the host that the request names and, where the
// client came in by loopback, a loopback host.
func (v *visit) originAllowed() bool {
	origin, has := v.call.Request.Header.Lookup("Origin")
	if !has || v.call.OriginAllowed {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || !strings.EqualFold(u.Host, v.call.Request.Authority) {
		return false
	}
	return !v.call.Request.Local.Addr().IsLoopback() || loopback(u.Hostname())
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// accepts tells whether the client takes a media type.
func accepts(h *message.Header, kind string) bool {
	if !h.Has("Accept") {
		return true
	}
	family, _, _ := strings.Cut(kind, "/")
	for value := range h.Values("Accept") {
		for part := range strings.SplitSeq(value, ",") {
			switch m := media(part); m {
			case kind, family + "/*", "*/*":
				return true
			}
		}
	}
	return false
}

// refuse answers with a JSON-RPC failure under an HTTP status.
func (v *visit) refuse(status int, id jsonrpc.ID, code int, text string) {
	v.fail(status, jsonrpc.Fail(id, code, text, nil), code, text)
}

func (v *visit) fail(status int, m jsonrpc.Message, code int, text string) {
	if mcp := v.call.Record.MCP; mcp != nil {
		mcp.ErrorCode, mcp.ErrorMessage = code, text
	}
	v.sink.whole(status, kindJSON, m.Bytes())
}

// codeVersion is the error of the specification of 2026-07-28 for a protocol
// version that is not spoken; older clients read the status alone.
const codeVersion = -32022

func (v *visit) unsupported(version string) {
	text := fmt.Sprintf("the protocol version %q is not spoken here", clip(version, 32))
	data := append([]byte(`{"requested":`), jsonrpc.Quote(clip(version, 32))...)
	data = append(data, `,"supported":["`+strings.Join(catalog.Versions, `","`)+`"]}`...)
	v.fail(400, jsonrpc.Fail(jsonrpc.ID{}, codeVersion, text, data), codeVersion, text)
}

// enter opens the session that the request names. It answers the client
// itself where there is none.
func (v *visit) enter(id jsonrpc.ID) bool {
	sealed, has := v.call.Request.Header.Lookup("Mcp-Session-Id")
	if v.declared().Stateless {
		return v.pass(id)
	}
	if !has {
		v.refuse(400, id, jsonrpc.CodeInvalidRequest, "the request needs the header Mcp-Session-Id")
		return false
	}
	f, err := v.ring.Open(sealed, session.Want{
		Gateway: v.call.Self.Gateway, Tenant: v.call.Self.Tenant, Backend: v.call.Backend.Name,
		Principal: v.call.Principal, Now: v.p.now(), Life: v.p.limits.Life,
	})
	if err == nil && v.p.dead(f.Handle) {
		err = errors.New("opening a session id: its client has ended it")
	}
	if err != nil {
		v.call.Record.Error = err.Error()
		v.unknown(id)
		return false
	}
	v.facts = f
	v.call.Record.MCP.Session = f.Handle.Short()
	return true
}

// unknown tells a client that its session is over, so that it begins another.
func (v *visit) unknown(id jsonrpc.ID) {
	v.refuse(404, id, -32001, "the session is not known")
}

// pass makes a session that lives as long as the request.
func (v *visit) pass(id jsonrpc.ID) bool {
	f, err := v.fresh(catalog.Latest(), nil, nil)
	if err != nil {
		v.refuse(500, id, jsonrpc.CodeInternal, "no session could be made")
		return false
	}
	v.facts, v.passing = f, true
	return true
}

// fresh are the facts of a new session.
func (v *visit) fresh(asked string, capabilities, client []byte) (f session.Facts, err error) {
	self := v.call.Self
	f = session.Facts{
		Gateway: self.Gateway, Tenant: self.Tenant, Backend: v.call.Backend.Name,
		Principal: session.PrincipalHash(self.Tenant, v.call.Principal),
		Asked:     asked, Capabilities: capabilities, Client: client,
		Version: catalog.Negotiate(asked), Home: self.Cluster, Began: v.p.now().Unix(),
	}
	return f, v.p.random(f.Handle[:])
}

// end is a client's DELETE: the session is over, here and at its owners.
func (v *visit) end(ctx context.Context) {
	if v.declared().Stateless {
		v.sink.head.Set("Allow", "POST")
		v.refuse(405, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, "the endpoint keeps no sessions")
		return
	}
	if !v.enter(jsonrpc.ID{}) {
		return
	}
	v.call.Record.MCP.Method = "session/end"
	if !v.allowed(&subject{}) {
		v.forbidden(jsonrpc.ID{})
		return
	}
	v.p.tomb(v.facts.Handle)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	v.endServers(ctx)
	v.sink.whole(204, "", nil)
}

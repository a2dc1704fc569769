package mcp

import (
	"context"
	"errors"
	"io"

	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
)

// random fills b from the source of random bytes.
func (p *Protocol) random(b []byte) error {
	_, err := io.ReadFull(p.rand, b)
	return err
}

// post answers a client's POST.
func (v *visit) post(ctx context.Context) {
	req := v.call.Request
	v.sink.events = accepts(&req.Header, kindEvents)
	if !v.sink.events || !accepts(&req.Header, kindJSON) {
		v.refuse(406, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, "Accept must list application/json and text/event-stream")
		return
	}
	if media(req.Header.Get("Content-Type")) != kindJSON {
		v.refuse(415, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, "Content-Type must be application/json")
		return
	}
	body, err := readAll(req.Body, v.p.limits.Body)
	if err != nil {
		var long tooLong
		status := 400
		if errors.As(err, &long) {
			status = 413
		}
		v.refuse(status, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, err.Error())
		return
	}
	version, has := req.Header.Lookup("Mcp-Protocol-Version")
	messages, batch, err := jsonrpc.Parse(body, v.p.request(!has || version == batching))
	if err != nil {
		v.malformed(err)
		return
	}
	v.take(ctx, messages, batch)
}

// batching is the only version that has batches and this transport.
const batching = "2025-03-26"

func (v *visit) malformed(err error) {
	code := jsonrpc.CodeParse
	var f *jsonrpc.Fault
	if errors.As(err, &f) {
		code = f.Code
	}
	v.refuse(400, jsonrpc.ID{}, code, err.Error())
}

// take deals with what a POST brought, message by message.
func (v *visit) take(ctx context.Context, messages []jsonrpc.Message, batch bool) {
	v.sink.batch = batch
	for i := range messages {
		m := &messages[i]
		if err := catalog.CheckParams(m.Params); err != nil {
			v.refuse(400, m.ID, jsonrpc.CodeInvalidParams, err.Error())
			return
		}
		if m.Kind() == jsonrpc.Request {
			v.sink.wants++
		}
	}
	first := &messages[0]
	v.note(first)
	if first.Method == "initialize" && first.Kind() == jsonrpc.Request && !batch {
		if !v.allowed(&subject{method: first.Method}) {
			v.forbidden(first.ID)
			return
		}
		v.begin(ctx, first)
		return
	}
	if !v.enter(first.ID) {
		return
	}
	if batch && !v.passing && v.facts.Version != batching {
		v.refuse(400, jsonrpc.ID{}, jsonrpc.CodeInvalidRequest, "batches are not taken in this session's protocol version")
		return
	}
	v.takeAll(ctx, messages)
}

// takeAll deals with the messages of a session in their order.
func (v *visit) takeAll(ctx context.Context, messages []jsonrpc.Message) {
	wanted := v.sink.wants > 0
	if v.passing {
		defer v.endServers(context.WithoutCancel(ctx))
	}
	for i := range messages {
		m := &messages[i]
		switch {
		case m.Kind() == jsonrpc.Request:
			v.request(ctx, m)
		case v.allowed(&subject{method: m.Method}):
			v.notify(ctx, m)
		case !wanted:
			v.forbidden(jsonrpc.ID{})
			return
		}
		if v.sink.failed() || ctx.Err() != nil && !wanted {
			return
		}
	}
	if !wanted {
		v.sink.whole(202, "", nil)
	}
}

// note writes what the request is about to the record.
func (v *visit) note(m *jsonrpc.Message) {
	r := v.call.Record.MCP
	r.Method = m.Method
	known, ok := catalog.Lookup(m.Method)
	if !ok {
		return
	}
	r.ResourceType = known.Type
	if known.Subject != catalog.Nothing {
		r.Name, _, _ = known.Name(m.Params)
		if len(v.servers) > 0 {
			r.Server, _, _ = v.names.Find(known, m.Params)
		}
	}
}

// request answers one request of the client.
func (v *visit) request(ctx context.Context, m *jsonrpc.Message) {
	known, ok := catalog.Lookup(m.Method)
	switch {
	case known.Reach != catalog.One && !v.allowed(&subject{method: m.Method}):
		v.answer(methodRefused(m.ID))
	case !ok && len(v.servers) == 1:
		v.single(ctx, m, v.servers[0], *m, false)
	case !ok:
		v.answer(jsonrpc.Fail(m.ID, jsonrpc.CodeMethodNotFound, "the gateway does not know the method", nil))
	case known.Reach == catalog.Merged:
		v.merged(ctx, m, known)
	case known.Reach == catalog.First:
		v.everybody(ctx, m)
	case ok && known.Reach == catalog.One:
		v.named(ctx, m, known)
	default:
		v.answer(jsonrpc.Fail(m.ID, jsonrpc.CodeInvalidRequest, "the session has begun already", nil))
	}
}

// named answers a request that names a tool, prompt or resource.
func (v *visit) named(ctx context.Context, m *jsonrpc.Message, known catalog.Method) {
	if !v.names.Telling() && !v.allowed(&subject{method: m.Method}) {
		v.answer(notAllowed(m.ID)) // its server could not even be looked for
		return
	}
	server, own, err := v.find(ctx, known, m)
	if err != nil {
		v.answer(jsonrpc.Fail(m.ID, jsonrpc.CodeInvalidParams, err.Error(), nil))
		return
	}
	v.call.Record.MCP.Server, v.call.Record.MCP.Name = server, own
	if !v.allowed(about(m, known, server, own)) {
		v.answer(notAllowed(m.ID))
		return
	}
	inner := *m
	inner.Params = known.Rename(m.Params, own)
	v.single(ctx, m, server, inner, known.Safe)
}

// forbidden answers what may not be done and has no JSON-RPC answer.
func (v *visit) forbidden(id jsonrpc.ID) {
	v.refuse(403, id, jsonrpc.CodeInvalidRequest, "not allowed")
}

// answer is the last word on one of the client's requests.
func (v *visit) answer(m jsonrpc.Message) {
	v.remember(&m)
	v.sink.answer(&m, "")
}

// remember writes a failure to the record.
func (v *visit) remember(m *jsonrpc.Message) {
	if m.Error == nil {
		return
	}
	r := v.call.Record.MCP
	r.ErrorMessage, _ = jsonrpc.Text(jsonrpc.Get(m.Error, "message"))
	r.ErrorCode = 0
	for i, c := range jsonrpc.Get(m.Error, "code") {
		if c >= '0' && c <= '9' && i < 10 {
			r.ErrorCode = r.ErrorCode*10 + int(c-'0')
		}
	}
	if code := jsonrpc.Get(m.Error, "code"); len(code) > 0 && code[0] == '-' {
		r.ErrorCode = -r.ErrorCode
	}
}

package mcp

import (
	"context"
	"fmt"
	"io"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/llm/sse"
	"github.com/navehq/nave/proxy/mcp/catalog"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/message"
)

// asking is what an order asks of its server, as rules may ask about it: at the
// entry before a candidate is chosen, at the serving cluster before anything is
// done. The body is read when the first rule wants to know.
type asking struct {
	order
	limits  jsonrpc.Limits
	subject *subject
	// message is what the order carries; err is why that is none to be judged.
	message jsonrpc.Message
	err     error
}

// Fact implements expr.Facts.
func (a *asking) Fact(name string) (any, bool) {
	if a.subject == nil {
		a.subject = a.read()
	}
	return a.subject.Fact(name)
}

func (a *asking) read() *subject {
	switch a.op {
	case opOpen:
		return &subject{method: "initialize"}
	case opMessage:
		return a.readMessage()
	}
	return &subject{}
}

func (a *asking) readMessage() *subject {
	parsed, _, err := jsonrpc.Parse(a.body, a.limits)
	switch {
	case err != nil:
		a.err = err
		return &subject{}
	case len(parsed) != 1:
		a.err = fmt.Errorf("reading an order: %d messages", len(parsed))
		return &subject{}
	}
	m := parsed[0]
	a.message = m
	known, ok := catalog.Lookup(m.Method)
	if m.Kind() != jsonrpc.Request || !ok || known.Reach != catalog.One {
		return &subject{method: m.Method}
	}
	var own string
	if a.err = catalog.CheckParams(m.Params); a.err == nil {
		own, _, a.err = known.Name(m.Params)
	}
	return about(&m, known, a.server, own)
}

// judge holds this cluster's own rules against an order that came over the link,
// now that what they ask for is known; nil lets it go on. What proxies say to
// each other about a session, and its end, bring a server nothing of a client's.
// A refusal is an answer: it says nothing against the candidate and moves nothing.
func (o *owner) judge(call *forward.Call, ord order) *message.Response {
	if ord.op == opCopy || ord.op == opTell || ord.op == opEnd {
		return nil
	}
	a := &asking{order: ord, limits: o.p.answer()}
	ok, reason := call.Authorize(a)
	switch {
	case a.err != nil:
		return undone(table.OnServer, "the order holds no message: "+a.err.Error()).response()
	case ok:
		return nil
	}
	call.Record.Reason, call.Record.Error = "Authorization", reason
	switch ord.op {
	case opOpen:
		m := methodRefused(helloID)
		return withJSON(m.Bytes())
	case opMessage:
		a.Fact("") // read the message also where no rule asked for it
		if a.message.Kind() != jsonrpc.Request {
			return plain(403)
		}
		m := requestRefused(&a.message)
		return withJSON(m.Bytes())
	case opStream:
		return o.silent()
	}
	return plain(403)
}

// silent is a server's stream on which nothing is said: that of a client which
// may not hear it.
func (o *owner) silent() *message.Response {
	ctx, cancel := context.WithCancel(o.p.life)
	f := newFeed(o.p.limits.Answer, cancel)
	o.p.spawn(func(context.Context) {
		defer f.end()
		o.idle(ctx, func() { f.write([]byte(": \n\n")) })
	})
	r := plain(200)
	r.Header.Set("Content-Type", kindEvents)
	r.Body, r.ContentLength = f, message.UnknownLength
	return r
}

// sift takes out of the answer to a list what this cluster's own rules keep from
// the client, as the entry does by those that it has. Only what came over the
// link is sifted here.
func (o *owner) sift(call *forward.Call, server string, m jsonrpc.Message, r *message.Response) *message.Response {
	known, ok := catalog.Lookup(m.Method)
	if !ok || known.Reach != catalog.Merged || call.Only == nil || !call.Waits() || r.Status != 200 || r.Body == nil {
		return r
	}
	edit := func(a *jsonrpc.Message) error {
		if a.ID != m.ID || a.Result == nil {
			return nil
		}
		result, err := catalog.Sift(known.List, a.Result, func(own string) bool {
			ok, _ := call.Authorize(using(known.List, server, own))
			return ok
		})
		a.Result = result
		return err
	}
	if media(r.Header.Get("Content-Type")) == kindEvents {
		r.Body = &sifter{ReadCloser: r.Body, p: o.p, edit: edit, scan: sse.Scanner{Max: o.p.limits.Answer}}
		return r
	}
	body, err := readAll(r.Body, o.p.limits.Answer)
	r.Body.Close()
	var parsed []jsonrpc.Message
	if err == nil {
		parsed, _, err = jsonrpc.Parse(body, o.p.answer())
	}
	if err == nil && len(parsed) != 1 {
		err = fmt.Errorf("%d messages", len(parsed))
	}
	if err == nil {
		err = edit(&parsed[0])
	}
	if err != nil {
		return perhaps(table.OnServer, "reading a list: "+err.Error()).response()
	}
	return withJSON(parsed[0].Bytes())
}

// sifter is an event stream whose messages are edited on the way.
type sifter struct {
	io.ReadCloser
	p    *Protocol
	scan sse.Scanner
	edit func(*jsonrpc.Message) error
	out  []byte
	err  error
}

func (s *sifter) Read(b []byte) (int, error) {
	buffer := make([]byte, 16<<10)
	for len(s.out) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		var n int
		n, s.err = s.ReadCloser.Read(buffer)
		s.scan.Feed(buffer[:n])
		if err := s.next(); err != nil {
			s.err = err
		}
	}
	n := copy(b, s.out)
	s.out = s.out[n:]
	return n, nil
}

func (s *sifter) next() error {
	for {
		e, ok, err := s.scan.Next()
		if err != nil || !ok {
			return err
		}
		err = s.p.deliver(e, func(h heard) error {
			if !h.silent {
				if err := s.edit(&h.message); err != nil {
					return err
				}
			}
			s.out = append(s.out, render(h)...)
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// using is the use of an item of a list, with no arguments where it is a tool.
func using(list, server, own string) *subject {
	s := map[string]subject{
		"tools":             {method: "tools/call", kind: "tool"},
		"prompts":           {method: "prompts/get", kind: "prompt"},
		"resources":         {method: "resources/read", kind: "resource"},
		"resourceTemplates": {method: "resources/read", kind: "resource"},
	}[list]
	s.name, s.target = own, server
	return &s
}

// requestRefused is the answer to a request that is not allowed.
func requestRefused(m *jsonrpc.Message) jsonrpc.Message {
	if known, ok := catalog.Lookup(m.Method); ok && known.Reach == catalog.One {
		return notAllowed(m.ID)
	}
	return methodRefused(m.ID)
}

func methodRefused(id jsonrpc.ID) jsonrpc.Message {
	return jsonrpc.Fail(id, jsonrpc.CodeInvalidRequest, "the method is not allowed", nil)
}

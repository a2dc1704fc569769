package mcp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/message"
)

// What proxies say to each other about sessions, in headers that clients can
// neither send nor see: all of them begin with ours.
const (
	ours = "nave-mcp-"

	headOp     = ours + "op"
	headServer = ours + "server"
	headFacts  = ours + "facts"
	headHere   = ours + "here"
	headLast   = ours + "last-event-id"

	headOwner       = ours + "owner"
	headMoved       = ours + "moved"
	headElsewhere   = ours + "elsewhere"
	headGone        = ours + "gone"
	headFault       = ours + "fault"
	headUnprocessed = ours + "unprocessed"
)

// op is what an order asks of a session's owner.
type op string

const (
	opOpen    op = "open"    // begin the session; the answer is the server's to initialize
	opMessage op = "message" // carry one message to the server
	opStream  op = "stream"  // what the server says of itself, as events
	opResume  op = "resume"  // the rest of a broken event stream
	opEnd     op = "end"     // the client ended the session
	opCopy    op = "copy"    // take note of another owner's copy
	opTell    op = "tell"    // give the copy that you have
)

// order is what an entry proxy asks of the owner of the session at a server.
type order struct {
	op     op
	server string
	facts  session.Facts
	// here asks to be served although the session may live in another cluster.
	here bool
	last string // Last-Event-ID at the server
	body []byte
	// aside orders belong to what is under way or known at a server: they go where
	// that is, and move nothing. at is its cluster where that is known, "" where
	// the session lives.
	aside bool
	at    string
}

// moves tells whether an order may begin the session anew in another cluster
// only because the one where it lives drains.
func (o order) moves() bool { return o.op == opStream || o.op == opMessage && !o.aside }

// request writes the order as a request that goes over the link, with the
// client's own headers beside it.
func (o order) request(from *message.Request) (*message.Request, error) {
	facts, err := json.Marshal(o.facts)
	if err != nil {
		return nil, fmt.Errorf("writing an order for server %q: %w", o.server, err)
	}
	req := &message.Request{
		Method: "POST", Scheme: from.Scheme, Authority: from.Authority, Path: from.Path,
		Protocol: message.HTTP11, Body: bytes.NewReader(o.body), ContentLength: int64(len(o.body)),
		Remote: from.Remote,
	}
	for f := range from.Header.All() {
		if !private(f.Name) {
			req.Header.Add(f.Name, f.Value)
		}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set(headOp, string(o.op))
	req.Header.Set(headServer, o.server)
	req.Header.Set(headFacts, base64.RawURLEncoding.EncodeToString(facts))
	if o.here {
		req.Header.Set(headHere, "1")
	}
	if o.last != "" {
		req.Header.Set(headLast, base64.RawURLEncoding.EncodeToString([]byte(o.last)))
	}
	return req, nil
}

// private are headers of the hop between client and gateway, and ours.
func private(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "accept", "accept-encoding", "origin", "referer", "cookie", "last-event-id", "expect", "te", "upgrade", "range",
		"connection", "transfer-encoding", "host":
		return true
	}
	return strings.HasPrefix(name, "content-") || strings.HasPrefix(name, "mcp-") ||
		strings.HasPrefix(name, ours) || strings.HasPrefix(name, "sec-") || strings.HasPrefix(name, "if-")
}

// readOrder reads what request wrote; the body is bounded by most bytes.
func readOrder(req *message.Request, most int) (o order, err error) {
	o.op, o.server = op(req.Header.Get(headOp)), strings.Clone(req.Header.Get(headServer))
	o.here = req.Header.Get(headHere) != ""
	raw, err := base64.RawURLEncoding.DecodeString(req.Header.Get(headFacts))
	if err == nil {
		err = json.Unmarshal(raw, &o.facts)
	}
	if err != nil {
		return o, fmt.Errorf("reading an order: its facts: %w", err)
	}
	last, err := base64.RawURLEncoding.DecodeString(req.Header.Get(headLast))
	if err != nil {
		return o, fmt.Errorf("reading an order: its event id: %w", err)
	}
	o.last = string(last)
	o.body, err = readAll(req.Body, most)
	if err != nil {
		return o, fmt.Errorf("reading an order: %w", err)
	}
	return o, nil
}

type tooLong struct{ most int }

func (e tooLong) Error() string { return fmt.Sprintf("longer than %d bytes", e.most) }

// readAll reads a body of at most most bytes; nil is an empty one.
func readAll(r io.Reader, most int) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("reading a body: %w", err)
	}
	if len(data) > most {
		return nil, fmt.Errorf("reading a body: %w", tooLong{most})
	}
	return data, nil
}

// fault is why an order was not carried out.
type fault struct {
	why  table.Trigger
	text string
	// unprocessed tells that the server surely did not act on the request.
	unprocessed bool
	// way tells that the owner itself was not reached.
	way bool
}

// undone is a fault before which the server surely did nothing.
func undone(why table.Trigger, text string) *fault {
	return &fault{why: why, text: text, unprocessed: true}
}

// perhaps is a fault after which the server may have acted.
func perhaps(why table.Trigger, text string) *fault { return &fault{why: why, text: text} }

func (f *fault) Error() string { return f.text }

// response is how an owner tells a fault.
func (f *fault) response() *message.Response {
	r := plain(502)
	r.Header.Set(headFault, string(f.why)+" "+strings.Map(printable, f.text))
	if f.unprocessed {
		r.Header.Set(headUnprocessed, "1")
	}
	return r
}

func printable(r rune) rune {
	if r < 0x20 || r > 0x7e {
		return '?'
	}
	return r
}

func plain(status int) *message.Response { return &message.Response{Status: status} }

// withJSON is an owner's answer of one piece.
func withJSON(body []byte) *message.Response {
	r := plain(200)
	r.Header.Set("Content-Type", kindJSON)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return r
}

// reply is what came of an order: an answer with its body, or word that the
// session is elsewhere or has ended.
type reply struct {
	*message.Response
	moved     string
	elsewhere string
	gone      bool
}

func (r *reply) close() {
	if r != nil && r.Response != nil && r.Body != nil {
		r.Body.Close()
	}
}

// readReply takes an owner's answer apart.
func readReply(r *message.Response) (*reply, *fault) {
	out := &reply{
		Response: r, moved: strings.Clone(r.Header.Get(headMoved)),
		elsewhere: strings.Clone(r.Header.Get(headElsewhere)), gone: r.Header.Has(headGone),
	}
	if !r.Header.Has(headOwner) {
		out.close()
		// Only proxies answer without an owner's name, before the order was begun.
		return nil, undone(table.OnServer, fmt.Sprintf("the proxy answered %d", r.Status))
	}
	if text, has := r.Header.Lookup(headFault); has {
		why, text, _ := strings.Cut(strings.Clone(text), " ")
		out.close()
		return nil, &fault{why: table.Trigger(why), text: text, unprocessed: r.Header.Has(headUnprocessed)}
	}
	return out, nil
}

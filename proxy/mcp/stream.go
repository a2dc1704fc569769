package mcp

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/message"
)

// replaced is the name of the event by which an owner tells an entry proxy that
// another stream took its place.
const replaced = "nave-replaced"

// mostNotices bounds what is kept for a stream that is not there yet.
const mostNotices = 64

// notice gives an event to the stream that is listened to, or keeps it for the
// next one.
func (h *held) notice(text []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feed != nil && h.feed.write(text) {
		return
	}
	if len(h.notices) < mostNotices {
		h.notices = append(h.notices, text)
	}
}

// attach makes f the one stream of the session; the one before it ends.
func (h *held) attach(f *feed, now time.Time) {
	h.mu.Lock()
	before := h.feed
	h.feed, h.fed = f, now
	for _, text := range h.notices {
		f.write(text)
	}
	h.notices = nil
	h.mu.Unlock()
	if before != nil {
		before.write([]byte("event: " + replaced + "\ndata: 1\n\n"))
		before.end()
		before.stop()
	}
}

func (h *held) detach(f *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feed == f {
		h.feed = nil
	}
}

// stream answers with what the server says of itself, for as long as it is
// listened to: the server's own stream where it offers one, what a connection
// of 2024-11-05 brings, and what the owner has to say.
func (o *owner) stream(ctx context.Context, j job) *message.Response {
	l, other, fl := o.ensure(ctx, j)
	if r := notServed(other, fl); r != nil {
		return r
	}
	ctx, cancel := context.WithCancel(o.p.life)
	f := newFeed(o.p.limits.Answer, cancel)
	j.h.attach(f, o.p.now())
	j.call = j.h.calling()
	o.p.spawn(func(context.Context) {
		defer cancel()
		defer j.h.detach(f)
		defer f.end()
		o.follow(ctx, j, l, f)
	})
	r := plain(200)
	r.Header.Set("Content-Type", kindEvents)
	r.Body, r.ContentLength = f, message.UnknownLength
	setMoved(r, l)
	return r
}

// follow brings the server's stream to the feed until the feed is closed or
// the server cannot be reached.
func (o *owner) follow(ctx context.Context, j job, l live, f *feed) {
	last, wait, failures := j.last, time.Second, 0
	beat := func() { f.write([]byte(": \n\n")) }
	beat()
	for ctx.Err() == nil && failures < 3 {
		if l.legacy != nil {
			o.idle(ctx, beat)
			return
		}
		resp, fl := o.tune(ctx, j, l, last)
		switch {
		case fl != nil:
			failures++
		case resp == nil:
			o.idle(ctx, beat)
			return
		case o.lost(resp, l, jsonrpc.Message{ID: jsonrpc.NullID()}):
			known, f := o.knows(ctx, j, l)
			if f != nil {
				failures++
				break
			}
			if known {
				o.idle(ctx, beat) // it has no stream, and says that by 404
				return
			}
			o.act(j.h, o.step(j.h, session.Gone{Turn: l.turn}))
			var other *reply
			if l, other, fl = o.ensure(ctx, j); other != nil || fl != nil {
				return
			}
			last = ""
			continue
		default:
			failures = 0
			err := o.p.listen(ctx, resp.Body, beat, func(e heard) error {
				if e.id != "" {
					last = e.id
				}
				if e.retry > 0 {
					wait = e.retry
				}
				if text := render(e); !f.write(text) {
					j.h.notice(text) // for the stream that took this one's place
					return io.ErrClosedPipe
				}
				return nil
			})
			if errors.Is(err, io.ErrClosedPipe) {
				return
			}
		}
		pause(ctx, wait)
	}
}

// tune asks the server for its stream; nil is for a server that offers none.
func (o *owner) tune(ctx context.Context, j job, l live, last string) (*message.Response, *fault) {
	req, err := o.upstream(j.call, j.to, "GET", l, nil)
	if err != nil {
		return nil, undone(table.OnServer, err.Error())
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, f := o.sendRequest(ctx, j, req)
	switch {
	case f != nil:
		return nil, f
	case resp.Status == 200 && resp.Body != nil && media(resp.Header.Get("Content-Type")) == kindEvents:
		return resp, nil
	case resp.Status == 404 && l.id != "":
		return resp, nil
	case resp.Status == 409 || resp.Status >= 500:
		// 409: the server still counts the stream that this one replaces.
		drain(resp)
		return nil, undone(table.OnServer, "the server's stream answered "+strconv.Itoa(resp.Status))
	}
	drain(resp)
	return nil, nil
}

// knows asks by POST whether the server has the session: one without a route for
// GET answers 404 to that too.
func (o *owner) knows(ctx context.Context, j job, l live) (bool, *fault) {
	ping := request(ownID("ping"), "ping", nil)
	resp, f := o.send(ctx, j, "POST", l, ping.Bytes())
	if f != nil {
		return false, f
	}
	defer drain(resp)
	return !o.lost(resp, l, ping), nil
}

// idle keeps a stream open on which only the owner speaks.
func (o *owner) idle(ctx context.Context, beat func()) {
	for pause(ctx, o.p.limits.Heartbeat) {
		beat()
	}
}

// render writes an event as it is passed between proxies, with the server's
// own id.
func render(e heard) []byte {
	if e.silent {
		text := "data: \n\n"
		if e.retry > 0 {
			text = "retry: " + strconv.FormatInt(e.retry.Milliseconds(), 10) + "\n" + text
		}
		if e.id != "" {
			text = "id: " + e.id + "\n" + text
		}
		return []byte(text)
	}
	return event(e.id, &e.message)
}

// resume answers with the rest of an event stream that broke, from the server
// that keeps it.
func (o *owner) resume(ctx context.Context, j job) *message.Response {
	l, ok := j.h.underWay()
	if !ok || l.legacy != nil || j.last == "" {
		return perhaps(table.OnStream, "the session that the stream belonged to is gone").response()
	}
	resp, f := o.tune(ctx, j, l, j.last)
	if f == nil && (resp == nil || resp.Status != 200) {
		if resp != nil {
			drain(resp)
		}
		f = perhaps(table.OnStream, "the server does not resume streams")
	}
	if f != nil {
		return perhaps(f.why, f.text).response()
	}
	r := plain(200)
	r.Header.Set("Content-Type", kindEvents)
	r.Body, r.ContentLength = resp.Body, message.UnknownLength
	return r
}

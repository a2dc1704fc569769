package wire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/stream"
)

// takeHello checks the peer's greeting, asks for admission, and offers what
// this side holds.
func (c *conn) takeHello(g Greeting, again bool) error {
	if again {
		return fmt.Errorf("%w: a second greeting", ErrProtocol)
	}
	if g.Version+skew < ProtocolVersion || g.Version > ProtocolVersion+skew {
		return fmt.Errorf("%w: it speaks version %d, this build %d", ErrProtocol, g.Version, ProtocolVersion)
	}
	if who := c.s.opts.Peer; who != "" && g.ID != who {
		return fmt.Errorf("%q greets as %.200q: %w", who, g.ID, pki.ErrNotAdmitted)
	}
	if h := c.s.opts.Handler.OnHello; h != nil {
		refused := make(chan error, 1)
		c.event(func() { refused <- h(g) })
		select {
		case err := <-refused:
			if err != nil {
				return err
			}
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
	release, wait, ok := c.s.opts.Admission.enter()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if !ok {
		c.turned = true
		c.queue(&Frame{Kind: &Frame_RetryLater{&RetryLater{After: durationpb.New(wait)}}})
		return nil
	}
	c.greeted, c.peer, c.release = true, g, release
	for _, f := range encodeOffer(c.s.sink.Held()) {
		c.queue(f)
	}
	return nil
}

// takeOffer collects what the peer holds; at its end the source begins.
func (c *conn) takeOffer(m *Offer) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.begun {
		return fmt.Errorf("%w: an offer after its last one", ErrProtocol)
	}
	c.offered = append(c.offered, decodeOffer(m)...)
	if len(c.offered) > c.s.opts.Limits.Resources {
		return fmt.Errorf("taking an offer: %w", stream.ErrTooMuch)
	}
	if m.GetLast() {
		c.s.source.Begin(c.offered)
		c.offered, c.begun = nil, true
		c.poke()
	}
	return nil
}

// takeDelta stages a delta, lets a release take effect, and answers.
func (c *conn) takeDelta(d stream.Delta) {
	c.s.mu.Lock()
	rel, hold, err := c.s.sink.Receive(d)
	c.s.mu.Unlock()
	if err != nil {
		c.cancel(err)
		return
	}
	h := c.s.opts.Handler
	ack := stream.Ack{Nonce: d.Nonce, Hold: hold}
	if hold != "" && h.OnHold != nil {
		h.OnHold(hold)
	}
	if rel != nil && h.OnChanges != nil {
		ack.Nacks = h.OnChanges(*rel)
	}
	c.reply(encodeAck(ack))
	if rel == nil || !rel.Complete {
		return
	}
	c.s.mu.Lock()
	release := c.release
	c.release = func() {}
	c.s.mu.Unlock()
	release()
	if h.OnSynced != nil {
		h.OnSynced()
	}
}

// takeAck moves the source's window, and reports on marks.
func (c *conn) takeAck(a stream.Ack) error {
	c.s.mu.Lock()
	mark, nacks, err := c.s.source.Acked(a)
	if mark != "" && a.Hold == "" {
		c.s.lag.acked()
	} else if mark != "" {
		c.s.lag.lost()
	}
	c.poke()
	c.s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if h := c.s.opts.Handler.OnAcked; h != nil && mark != "" {
		c.event(func() { h(mark, nacks, a.Hold) })
	}
	return nil
}

// takeBeat reports a heartbeat, unless callbacks are behind.
func (c *conn) takeBeat(m *Heartbeat) {
	h := c.s.opts.Handler.OnHeartbeat
	if h == nil {
		return
	}
	b := Beat{Received: time.Now(), Clock: clock(m.GetClock()), Mark: m.GetMark(), Build: m.GetBuild()}
	select {
	case c.events <- func() { h(b) }:
	default:
	}
}

// takeAsk answers in a goroutine of its own, or refuses where too many run.
func (c *conn) takeAsk(m *Ask) {
	h := c.s.opts.Handler.OnAsk
	if h == nil {
		c.answer(m.GetId(), nil, &Refusal{404, "nothing is answered here"})
		return
	}
	select {
	case c.busy <- struct{}{}:
	default:
		c.answer(m.GetId(), nil, &Refusal{429, "too many asks at one time"})
		return
	}
	timeout := askTimeout
	if t := m.GetTimeout(); t.IsValid() && t.AsDuration() > 0 {
		timeout = t.AsDuration()
	}
	c.wg.Go(func() {
		defer func() { <-c.busy }()
		ctx, cancel := context.WithTimeout(c.ctx, timeout)
		defer cancel()
		body, err := h(ctx, m.GetPath(), m.GetBody())
		c.answer(m.GetId(), body, err)
	})
}

func (c *conn) answer(id uint64, body []byte, err error) {
	a := &Answer{Id: id, Status: 200, Body: body}
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("answer of %d bytes, at most %d are sent", len(body), maxBody)
	}
	if err != nil {
		a.Status, a.Body, a.Error = 500, nil, text(err.Error())
		if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
			a.Status, a.Error = int32(refusal.Status), text(refusal.Message)
		}
	}
	c.reply(&Frame{Kind: &Frame_Answer{a}})
}

// takeAnswer gives an answer to who waits for it; a late one has nobody.
func (c *conn) takeAnswer(m *Answer) {
	c.s.mu.Lock()
	answers := c.asks[m.GetId()]
	delete(c.asks, m.GetId())
	c.s.mu.Unlock()
	if answers != nil {
		answers <- m
	}
}

package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/navehq/nave/api/stream"
)

// Stream is either end of a gRPC stream of frames, as the generated code gives it.
type Stream interface {
	Send(*Frame) error
	Recv() (*Frame, error)
	Context() context.Context
}

// conn is one connection of a session. Three goroutines serve it: the reader
// takes frames and never waits for a callback longer than the queue of events
// allows, the writer alone sends, and the caller of Run makes the callbacks.
// Fields below mu belong to the session's mutex.
type conn struct {
	s      *Session
	stream Stream
	ctx    context.Context
	cancel context.CancelCauseFunc
	// wake has room for one: the writer looks again at all there is to send.
	wake   chan struct{}
	events chan func()
	// busy counts asks that are being answered.
	busy chan struct{}
	wg   sync.WaitGroup
	done chan struct{} // closed when Run, reader and writer have ended

	// mu
	control []*Frame
	replies int // the acks and answers in control
	asks    map[uint64]chan<- *Answer
	asked   uint64
	greeted bool
	turned  bool // away, to come again later: nothing it says counts
	begun   bool
	peer    Greeting
	heard   time.Time
	offered []stream.Version
	release func() // of the admission
}

// Run serves one connection of the session until it ends, and says why. A
// second Run ends the first: the peer has come back before its loss was
// noticed. The caller ends the stream after Run returns, by returning from the
// server's method or cancelling the client's context; goroutines that wait in
// the stream end with it.
func (s *Session) Run(ctx context.Context, str Stream) error {
	c, err := s.connect(ctx, str)
	if err != nil {
		return err
	}
	c.wg.Add(1)
	defer c.wg.Done()
	c.wg.Go(c.read)
	c.wg.Go(c.write)
	go func() { c.wg.Wait(); close(c.done) }()
	c.dispatch()
	return s.disconnect(c)
}

// connect makes a connection the session's current one, after the one before
// has ended.
func (s *Session) connect(ctx context.Context, str Stream) (*conn, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		last := s.last
		if last == nil {
			break // with the mutex held
		}
		last.cancel(ErrSuperseded)
		s.mu.Unlock()
		select {
		case <-last.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		s.mu.Lock()
		if s.last == last {
			s.last = nil
		}
		s.mu.Unlock()
	}
	defer s.mu.Unlock()
	c := &conn{
		s: s, stream: str, wake: make(chan struct{}, 1), events: make(chan func(), 256),
		busy: make(chan struct{}, maxAsked), done: make(chan struct{}),
		asks: map[uint64]chan<- *Answer{}, heard: time.Now(), release: func() {},
	}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	s.conn, s.last = c, c
	s.sink.Connect()
	c.queue(encodeGreeting(s.greeting()))
	s.runs++
	return c, nil
}

// wait returns when the last connection's goroutines have ended. Its stream
// has to be over.
func (s *Session) wait() {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last != nil {
		<-last.done
	}
}

func (s *Session) greeting() Greeting {
	g := Greeting{
		Version: ProtocolVersion, Features: s.opts.Features, ID: s.opts.Name, Build: s.opts.Build,
		Clock: time.Now(), Reason: "start", Seen: s.sink.Epoch(),
	}
	if s.runs > 0 {
		g.Reason = "lost"
	}
	return g
}

func (s *Session) disconnect(c *conn) error {
	err := context.Cause(c.ctx)
	s.mu.Lock()
	s.source.End()
	s.lag.lost()
	s.conn = nil
	greeted, release := c.greeted, c.release
	if greeted {
		s.heard = c.heard
	}
	c.release = func() {}
	s.mu.Unlock()
	release()
	if greeted && s.opts.Handler.OnDisconnect != nil {
		s.opts.Handler.OnDisconnect(err)
	}
	return err
}

// dispatch makes the callbacks and keeps the beat until the connection ends.
func (c *conn) dispatch() {
	beat := time.NewTicker(c.s.opts.Heartbeat)
	defer beat.Stop()
	quiet := make(chan struct{})
	go func() { defer close(quiet); c.keep(beat) }()
	for {
		select {
		case <-c.ctx.Done():
			<-quiet
			return
		case f := <-c.events:
			f()
		}
	}
}

// keep sends heartbeats and notices the peer's silence, also while a callback
// takes its time.
func (c *conn) keep(beat *time.Ticker) {
	for {
		select {
		case <-c.ctx.Done():
			return
		case now := <-beat.C:
			c.s.mu.Lock()
			silent := now.Sub(c.heard)
			if silent <= c.s.opts.Silence {
				c.beat(now)
			}
			c.s.mu.Unlock()
			if silent > c.s.opts.Silence {
				c.cancel(fmt.Errorf("%w: %s", ErrSilent, silent.Round(time.Second)))
			}
		}
	}
}

// beat queues a heartbeat, unless one waits already since the peer reads slowly.
func (c *conn) beat(now time.Time) {
	for _, f := range c.control {
		if f.GetHeartbeat() != nil {
			return
		}
	}
	c.queue(&Frame{Kind: &Frame_Heartbeat{&Heartbeat{
		Clock: timestamppb.New(now), Mark: c.s.sink.Mark(), Build: c.s.opts.Build,
	}}})
}

// queue adds a frame that goes before any delta. The session's mutex is held.
func (c *conn) queue(f *Frame) {
	c.control = append(c.control, f)
	c.poke()
}

// reply queues an ack or an answer. A peer that has more of them coming and does
// not read loses its connection: it may not fill this one's memory.
func (c *conn) reply(f *Frame) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.replies++; c.replies > maxReplies {
		c.cancel(fmt.Errorf("%w: %d replies wait for it to read", ErrProtocol, maxReplies))
		return
	}
	c.queue(f)
}

func (c *conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *conn) write() {
	for {
		f := c.next()
		if f == nil {
			select {
			case <-c.wake:
				continue
			case <-c.ctx.Done():
				return
			}
		}
		if err := c.stream.Send(f); err != nil {
			if !errors.Is(err, io.EOF) { // which says: Recv knows why
				c.cancel(err)
			}
			return
		}
		if later := f.GetRetryLater(); later != nil {
			c.cancel(&RetryLaterError{later.GetAfter().AsDuration()})
			return
		}
		if c.ctx.Err() != nil {
			return
		}
	}
}

// next is the frame to send now, or nil.
func (c *conn) next() *Frame {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if len(c.control) > 0 {
		f := c.control[0]
		c.control[0] = nil
		c.control = c.control[1:]
		if f.GetAck() != nil || f.GetAnswer() != nil {
			c.replies--
		}
		return f
	}
	if !c.begun {
		return nil
	}
	d, ok := c.s.source.Next(stream.DefaultChunk)
	if !ok {
		return nil
	}
	if d.Mark != "" {
		c.s.lag.sent()
	}
	return encodeDelta(d)
}

func (c *conn) read() {
	for {
		f, err := c.stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errEnded
			}
			c.cancel(err)
			return
		}
		if err := c.take(f); err != nil {
			c.cancel(err)
			return
		}
	}
}

// take handles one frame. What needs a callback becomes an event; kinds of
// frames that this build does not know are skipped.
func (c *conn) take(f *Frame) error {
	c.s.mu.Lock()
	c.heard = time.Now()
	greeted, turned := c.greeted, c.turned
	c.s.mu.Unlock()
	if turned {
		return nil
	}
	switch k := f.GetKind().(type) {
	case *Frame_Hello:
		return c.takeHello(decodeGreeting(k.Hello), greeted)
	case *Frame_RetryLater:
		return &RetryLaterError{k.RetryLater.GetAfter().AsDuration()}
	}
	if !greeted {
		return fmt.Errorf("%w: the first frame is no greeting", ErrProtocol)
	}
	switch k := f.GetKind().(type) {
	case *Frame_Offer:
		return c.takeOffer(k.Offer)
	case *Frame_Delta:
		c.event(func() { c.takeDelta(decodeDelta(k.Delta)) })
	case *Frame_Ack:
		return c.takeAck(decodeAck(k.Ack))
	case *Frame_Heartbeat:
		c.takeBeat(k.Heartbeat)
	case *Frame_Ask:
		c.takeAsk(k.Ask)
	case *Frame_Answer:
		c.takeAnswer(k.Answer)
	}
	return nil
}

// event hands a callback to the dispatcher, in order.
func (c *conn) event(f func()) {
	select {
	case c.events <- f:
	case <-c.ctx.Done():
	}
}

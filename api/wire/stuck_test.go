package wire

import (
	"context"
	"errors"
	"testing"
	"time"
)

// stuck is a peer that asks for ever and reads nothing.
type stuck struct {
	ctx   context.Context
	asked uint64
}

func (s *stuck) Context() context.Context { return s.ctx }
func (s *stuck) Send(*Frame) error        { <-s.ctx.Done(); return s.ctx.Err() }
func (s *stuck) Recv() (*Frame, error) {
	if s.asked++; s.asked == 1 {
		return encodeGreeting(Greeting{Version: 1, ID: "x"}), nil
	}
	return &Frame{Kind: &Frame_Ask{&Ask{Id: s.asked, Path: "p"}}}, s.ctx.Err()
}

// TestAPeerThatDoesNotReadLosesItsConnection: what waits for it is bounded.
func TestAPeerThatDoesNotReadLosesItsConnection(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	peer := &stuck{ctx: ctx}
	ended := make(chan error, 1)
	go func() { ended <- New(Options{Name: "hub"}).Run(ctx, peer) }()
	select {
	case err := <-ended:
		if !errors.Is(err, ErrProtocol) {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on")
	}
}

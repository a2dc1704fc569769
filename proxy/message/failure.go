package message

import "fmt"

// Stage is how far a sent request had come when it failed.
type Stage uint8

// The stages of sending, in order.
const (
	StageResolve   Stage = iota // looking the name up
	StageConnect                // opening the connection
	StageHandshake              // TLS
	StageSend                   // writing head or body
	StageSource                 // reading the request's own body: no fault of the peer's
	StageAwait                  // all was written; no byte of an answer yet
	StageHead                   // the answer's head began and did not end, or was not HTTP
	StageBody                   // inside the answer's body
)

func (s Stage) String() string {
	return [...]string{
		"resolving", "connecting", "shaking hands", "sending", "reading the request's own body", "awaiting an answer",
		"reading the answer's head", "reading the answer's body",
	}[s]
}

// SendError is what a client engine's Do (and the Body of its answers) fails
// with. It tells what a caller needs to decide whether the request may be sent
// again elsewhere.
type SendError struct {
	Stage   Stage
	Address string
	// Unprocessed is true where the peer surely acted on nothing: it was never
	// reached, no byte was written, or it said so (REFUSED_STREAM, a GOAWAY
	// below the stream).
	Unprocessed bool
	// Reused is true where the connection had carried a request before, so that
	// the failure may be an idle connection's ordinary end.
	Reused bool
	// Timeout is true where a deadline ran out, the context's included.
	Timeout bool
	Err     error
}

func (e *SendError) Error() string {
	return fmt.Sprintf("sending a request to %q: %s: %v", e.Address, e.Stage, e.Err)
}

// Unwrap gives the cause.
func (e *SendError) Unwrap() error { return e.Err }

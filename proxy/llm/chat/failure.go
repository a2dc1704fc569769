package chat

import (
	"fmt"
	"time"
)

// Class says what a failure means for what may be tried next.
type Class uint8

// The classes.
const (
	// Transient: the same may succeed soon, here or elsewhere.
	Transient Class = iota
	// RateLimit: the owner of the quota must wait.
	RateLimit
	// Quota: the account has nothing left; waiting seconds does not help.
	Quota
	// Credential: the key is refused, for every request that uses it.
	Credential
	// ModelGone: this model is not to be had at this place.
	ModelGone
	// Caller: the request itself is at fault and would fail anywhere.
	Caller
)

var classNames = [...]string{"transient", "rate_limit", "quota", "credential", "model_gone", "caller"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Moves tells whether another candidate may be tried.
func (c Class) Moves() bool { return c != Caller }

// Codes that dialects agree on, whatever the provider called it.
const (
	CodeContextLength = "context_length_exceeded"
	CodeContentFilter = "content_filter"
	CodeModelNotFound = "model_not_found"
	CodeTruncated     = "stream_truncated"
	CodeBadAnswer     = "bad_upstream_answer"
)

// Error is a model call that failed at the provider.
type Error struct {
	Class Class
	// Status is the HTTP status that the provider answered with; 0 if the error
	// came inside a stream and named none.
	Status int
	// Type, Code and Param are the provider's words, in OpenAI's terms; empty
	// where it had none. Message is for people. None of them holds a key.
	Type, Code, Param, Message string
	// RetryAfter is how long the provider asks to wait; 0 if it does not say.
	RetryAfter time.Duration
	// InStream: the error came after a 200.
	InStream bool
}

func (e *Error) Error() string {
	where := fmt.Sprintf("status %d", e.Status)
	if e.InStream {
		where = "in the stream"
	}
	return fmt.Sprintf("asking the model: %s (%s, %s)", e.Message, e.Class, where)
}

// ClientStatus is the HTTP status for a client once no candidate is left.
//
// It keeps what OpenAI's clients know. What they do not becomes the nearest
// they do: 529 is 503, 402 is 429. A key of ours that the provider refuses is no
// 401 to a client, which would doubt its own: it is 502. An error that came
// inside a 200 stream before anything was sent on gets the status of its class.
func (e *Error) ClientStatus() int {
	switch e.Class {
	case RateLimit, Quota:
		return 429
	case Credential:
		return 502
	case ModelGone:
		return 404
	case Caller:
		if e.Status >= 400 && e.Status < 500 {
			return e.Status
		}
		return 400
	}
	switch {
	case e.Status == 529 || e.Type == "overloaded_error":
		return 503
	case e.Status == 500 || e.Status >= 502 && e.Status <= 504:
		return e.Status
	}
	return 502
}

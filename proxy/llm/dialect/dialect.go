// Package dialect says what it takes to carry a client's exchange with a model
// to a provider that may speak otherwise, and back: the facts that are read off
// a request, the place it goes to, and the machines that turn answers, streams
// and errors round. It carries these values; the dialects below it decide, and
// none of them ever does I/O, reads a clock or keeps anything between calls.
package dialect

import (
	"time"

	"github.com/navehq/nave/proxy/llm/chat"
	"github.com/navehq/nave/proxy/llm/sse"
	"github.com/navehq/nave/proxy/llm/usage"
)

// Operation is what a client asks of a model's API.
type Operation uint8

// The operations.
const (
	Chat Operation = iota
	Completions
	Embeddings
	Responses
	Models
)

var operationNames = [...]string{"chat", "text_completion", "embeddings", "responses", "models"}

// String is the name for gen_ai.operation.name.
func (o Operation) String() string { return operationNames[o] }

// Streams tells whether the operation can answer by a stream of events.
func (o Operation) Streams() bool { return o == Chat || o == Completions || o == Responses }

// Generates tells whether the operation has a model write something, so that
// another provider's answer is as good.
func (o Operation) Generates() bool { return o.Streams() }

// Facts is what was read off a request in the client's dialect.
type Facts struct {
	Op Operation
	// Model is as the client named it; empty if it did not.
	Model  string
	Stream bool
	// IncludeUsage: the client asked for the usage of a stream.
	IncludeUsage bool
	Features     chat.Features
	// State names what only the provider that holds it can resolve.
	State []State
	// MaxTokens is the client's bound on the answer; 0 for none.
	MaxTokens int64
	// InputBytes is the length of the texts that the model would read, for
	// estimates.
	InputBytes int
	// Asked are parameters that are told and not judged.
	Asked Asked
	// Edits are the places in the body for changes by splicing.
	Edits Edits
}

// Asked are parameters as the client wrote them, "" where it did not, or wrote
// no number; they share the body's memory no longer.
type Asked struct {
	Temperature, TopP                 string
	FrequencyPenalty, PresencePenalty string
	Seed, MaxTokens                   string
	// Dimensions and Encoding are an embedding's.
	Dimensions, Encoding string
}

// Edits are offsets into the body that Facts were read off.
type Edits struct {
	Size          int // of that body
	Open          int // just after the first brace
	Model         Span
	StreamOptions Span
	IncludeUsage  Span
}

// Span is a value's place; To is 0 where there is none.
type Span struct{ From, To int }

// Known tells whether there is such a value.
func (s Span) Known() bool { return s.To > 0 }

// State is a reference to something that a provider keeps: such a request is
// not moved to another.
type State struct {
	Kind string // response, conversation, item, reasoning, prompt, file, audio, vector_store, container
	ID   string
}

// Target is where a request goes at a provider, beside its host. Path and Query
// are escaped and begin with neither '?' nor anything but '/'.
type Target struct {
	Method string
	Path   string
	Query  string
	Header []Field
}

// Field is a header to set.
type Field struct{ Name, Value string }

// Options is what the candidate says about a request.
type Options struct {
	// Model is the provider's name for the model; empty leaves the client's.
	Model string
	// MaxTokens is for dialects that want a bound where the client gave none; 0
	// leaves it to the dialect.
	MaxTokens int64
	// NoForcedUsage leaves stream_options alone, for servers that do not know it.
	NoForcedUsage bool
}

// Summary is what an answer was.
type Summary struct {
	ID     string
	Model  string
	Finish chat.Finish
	// Usage is reported or, where nothing was reported, estimated.
	Usage usage.Tokens
}

// Answer is a whole answer in the client's dialect.
type Answer struct {
	Body []byte
	Summary
}

// Note says what an event means for the exchange.
type Note struct {
	// Meaningful: the model has begun to speak; no other may be asked any more.
	Meaningful bool
	// Done: the answer is whole; nothing follows.
	Done bool
	// Err: the answer ends here, unfinished. Nothing of the event is to be sent.
	Err *chat.Error
}

// Stream turns one streamed answer into the client's dialect.
type Stream interface {
	// Event takes the next event and returns what the client gets for it (often
	// nothing), valid until the next call.
	Event(ev sse.Event) (out []byte, n Note)
	// End is for a body that ended before Done: either all that matters was
	// said, or the note holds the error for a cut answer.
	End() (out []byte, n Note)
	// Fail returns the event that ends a begun answer in the client's dialect.
	// No terminator follows it.
	Fail(e *chat.Error) []byte
	// Summary is what was seen until now.
	Summary() Summary
}

// Codec carries exchanges in one client dialect to one provider dialect. It
// keeps nothing: one value serves all requests at once.
type Codec interface {
	// Serves tells whether the operation exists there.
	Serves(op Operation) bool
	// Lacks returns which of the features the given model cannot be asked for.
	Lacks(f chat.Features, model string) chat.Features
	// Begin translates a request for one attempt. The error is a
	// *chat.UnsupportedError for what this dialect cannot carry and another may,
	// else a *chat.Error of class Caller. The body is not changed and must stay
	// while the exchange lasts.
	Begin(f *Facts, body []byte, o Options) (Exchange, error)
}

// Exchange is one attempt at one candidate.
type Exchange interface {
	// Body is the request in the provider's dialect; it may be the client's own.
	Body() []byte
	// Dropped names what the client asked for and the provider's dialect has no
	// word for: hints, whose loss breaks no promise.
	Dropped() []string
	// Answer translates a whole answer that came with a success status. The
	// error is a *chat.Error: an answer can hold one, or be none.
	Answer(body []byte, now time.Time) (Answer, error)
	// Stream begins to translate a streamed answer.
	Stream(now time.Time) Stream
}

// Fault is the error for a request that would fail anywhere. param is the field
// at fault, empty for the body as a whole.
func Fault(param, message string) *chat.Error {
	return &chat.Error{Class: chat.Caller, Status: 400, Type: "invalid_request_error", Param: param, Message: message}
}

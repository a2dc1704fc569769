package model

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// stream opens an event stream; its headers reach the client at once.
func (x *exchange) stream() {
	x.w.Header().Set("content-type", "text/event-stream; charset=utf-8")
	if x.fault.Kind == ContentType {
		x.w.Header().Set("content-type", x.fault.contentType())
	}
	x.w.Header().Set("cache-control", "no-cache")
	x.status = http.StatusOK
	x.w.WriteHeader(http.StatusOK)
	x.flush()
}

// event sends one event and flushes it; name may be empty.
func (x *exchange) event(name string, value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("marshalling an event: %v", err)) // values here are our own
	}
	if name != "" {
		fmt.Fprintf(x.w, "event: %s\n", name)
	}
	fmt.Fprintf(x.w, "data: %s\n\n", raw)
	x.flush()
}

// step comes before each meaningful event: it keeps the pace and lets a fault
// strike in its place. False means that the stream is over.
func (x *exchange) step() bool {
	first, gap := x.pace()
	wait := gap
	if x.said == 0 {
		wait = first
	}
	if !x.sleep(wait) {
		return false
	}
	if x.said == x.fault.After && !x.spoil() {
		return false
	}
	x.said++
	return true
}

// close ends a stream. A fault that was due after more events than there were
// strikes now.
func (x *exchange) close() bool {
	if x.said <= x.fault.After && !x.spoil() {
		return false
	}
	x.finished = true
	return true
}

// spoil plays the fault of a stream; true means that it goes on.
func (x *exchange) spoil() bool {
	switch x.fault.Kind {
	case StreamError:
		x.streamError()
		x.finished = true
		return false
	case Stall:
		return x.sleep(x.fault.stall())
	case Cut:
		x.cut()
		return false
	}
	return true
}

// streamError is the provider's error event inside a stream.
func (x *exchange) streamError() {
	status := x.fault.status()
	failure := x.failure(status, x.code(status), faultWords(status))
	switch {
	case x.dialect == anthropic:
		x.event("error", failure)
	case x.responding():
		x.event("error", object{"type": "error", "code": orNil(openAIType(status)), "message": faultWords(status), "param": nil, "sequence_number": x.said})
	default:
		x.event("", failure)
	}
}

// refuses plays a stream's fault to a request that wants no stream.
func (x *exchange) refuses() bool {
	if x.fault.Kind != StreamError {
		return false
	}
	status := x.fault.status()
	x.fail(status, x.code(status), faultWords(status))
	return true
}

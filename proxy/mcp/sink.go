package mcp

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/message"
)

const (
	kindJSON   = "application/json"
	kindEvents = "text/event-stream"
)

// sink is the answer to one client request: one JSON text where only the last
// word is said, and an event stream from the first word before it on. Many
// goroutines may use it.
type sink struct {
	mu     sync.Mutex
	call   *forward.Call
	now    func() time.Time
	head   message.Header // more fields for the head, e.g. the session id
	events bool           // the client takes event streams
	batch  bool
	wants  int // answers that are still to come

	streaming bool
	answers   [][]byte
	last      time.Time
	err       error
}

// say sends a message that is not the answer. id is the event's, "" for none.
func (s *sink) say(m *jsonrpc.Message, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events {
		s.write(event(id, m))
	}
}

// prime opens the stream with an event that has an id and no data, so that a
// client can come back for the rest.
func (s *sink) prime(id string, retry time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.events {
		return
	}
	text := "id: " + id + "\n"
	if retry > 0 {
		text += "retry: " + strconv.FormatInt(retry.Milliseconds(), 10) + "\n"
	}
	s.write([]byte(text + "data: \n\n"))
}

// beat writes a comment where the stream was silent for that long. A client
// that waits for its first byte gets the stream's head by it.
func (s *sink) beat(silent time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events && s.now().Sub(s.last) >= silent {
		s.write([]byte(": \n\n"))
	}
}

// answer takes one of the answers that the client waits for; with the last one
// the exchange ends.
func (s *sink) answer(m *jsonrpc.Message, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wants--
	if s.streaming {
		s.write(event(id, m))
	} else {
		s.answers = append(s.answers, m.Bytes())
	}
	if s.wants > 0 {
		return
	}
	if s.streaming {
		s.finish()
		return
	}
	body := bytes.Join(s.answers, []byte(","))
	if s.batch {
		body = append(append([]byte("["), body...), ']')
	}
	s.whole(200, kindJSON, body)
}

// whole answers with one body.
func (s *sink) whole(status int, kind string, body []byte) {
	h := s.head.Clone()
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	if s.err = s.call.Start(status, &h, int64(len(body))); s.err != nil {
		return
	}
	if len(body) > 0 {
		_, s.err = s.call.Exchange.Write(body)
	}
	s.finish()
}

// open starts the event stream.
func (s *sink) open() {
	s.streaming = true
	h := s.head.Clone()
	h.Set("Content-Type", kindEvents)
	h.Set("Cache-Control", "no-cache, no-transform")
	s.err = s.call.Start(200, &h, message.UnknownLength)
	for _, a := range s.answers {
		if s.err == nil {
			_, s.err = s.call.Exchange.Write(frame("", a))
		}
	}
	s.answers = nil
}

func (s *sink) write(text []byte) {
	if !s.streaming {
		s.open()
	}
	if s.err == nil {
		_, s.err = s.call.Exchange.Write(text)
	}
	if s.err == nil {
		s.err = s.call.Exchange.Flush()
	}
	s.last = s.now()
}

func (s *sink) finish() {
	if s.err == nil {
		s.err = s.call.Exchange.Finish(nil)
	}
}

// failed tells whether the client can no longer be written to.
func (s *sink) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// event is a message as an event, on one line of data.
func event(id string, m *jsonrpc.Message) []byte {
	return frame(id, jsonrpc.OneLine(m.Bytes()))
}

func frame(id string, data []byte) []byte {
	out := make([]byte, 0, len(data)+len(id)+32)
	out = append(out, "event: message\n"...)
	if id != "" && !strings.ContainsAny(id, "\r\n\x00") {
		out = append(append(append(out, "id: "...), id...), '\n')
	}
	return append(append(append(out, "data: "...), data...), "\n\n"...)
}

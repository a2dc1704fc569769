package model

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is a way to fail.
type Kind string

// The ways to fail.
const (
	// Status answers with Status (default 500), Body or the provider's own words,
	// RetryAfter and Header.
	Status Kind = "status"
	// StreamError sends the provider's error event for Status (default 500) inside
	// a 200 stream after After meaningful events, and ends it. A request that wants
	// no stream gets Status.
	StreamError Kind = "stream-error"
	// StallHeaders answers nothing for For, or until the client leaves.
	StallHeaders Kind = "stall-headers"
	// Stall falls silent after After meaningful events (or half an answer that is
	// no stream) for For, or until the client leaves.
	Stall Kind = "stall"
	// Cut ends the connection after After meaningful events (or half an answer). How
	// is "eof" (closed, the default), "rst" (reset), or "end": a well-formed end
	// without the provider's last event.
	Cut Kind = "cut"
	// Slow adds FirstToken and Gap to the pace.
	Slow Kind = "slow"
	// ContentType says ContentType (default text/html) about an answer that is
	// otherwise right.
	ContentType Kind = "content-type"
	// Garbage answers 200 with Body, or with bytes that are neither JSON nor events.
	Garbage Kind = "garbage"
)

// Fault befalls requests. What matches a fault and is struck by its chance does
// not meet the next ones.
type Fault struct {
	Kind Kind `json:"kind"`
	// Model (as the path or the body names it) and Path (a prefix) narrow what it
	// befalls.
	Model string `json:"model,omitempty"`
	Path  string `json:"path,omitempty"`
	// Count is how many requests it befalls before it is gone; 0 means no end.
	Count int `json:"count,omitempty"`
	// Probability that it strikes, 0 < p ≤ 1; 0 means always.
	Probability float64 `json:"probability,omitempty"`

	Status      int               `json:"status,omitempty"`
	Body        string            `json:"body,omitempty"`
	RetryAfter  string            `json:"retryAfter,omitempty"` // the header's value
	Header      map[string]string `json:"header,omitempty"`
	After       int               `json:"after,omitempty"`
	For         Duration          `json:"for,omitempty"`
	How         string            `json:"how,omitempty"`
	FirstToken  Duration          `json:"firstToken,omitempty"`
	Gap         Duration          `json:"gap,omitempty"`
	ContentType string            `json:"contentType,omitempty"`
}

// Duration is written as in "30ms".
type Duration time.Duration

// MarshalJSON writes d as time.Duration prints it.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads what time.ParseDuration takes.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("reading a duration: %w", err)
	}
	value, err := time.ParseDuration(text)
	*d = Duration(value)
	return err
}

// ParseFault reads a fault from JSON.
func ParseFault(text []byte) (Fault, error) {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	var f Fault
	if err := decoder.Decode(&f); err != nil {
		return Fault{}, fmt.Errorf("reading a fault: %w", err)
	}
	return f, f.validate()
}

func (f Fault) validate() error {
	kinds := []Kind{Status, StreamError, StallHeaders, Stall, Cut, Slow, ContentType, Garbage}
	switch {
	case !slices.Contains(kinds, f.Kind):
		return fmt.Errorf("reading a fault: kind %q is none of %q", f.Kind, kinds)
	case f.Kind == Cut && !slices.Contains([]string{"", "eof", "rst", "end"}, f.How):
		return fmt.Errorf("reading a fault: a cut by %q is none of eof, rst, end", f.How)
	case f.Probability < 0 || f.Probability > 1:
		return fmt.Errorf("reading a fault: probability %v is not in [0, 1]", f.Probability)
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("reading a fault: status %d is not in [200, 599]", f.Status)
	case f.Count < 0 || f.After < 0 || f.For < 0 || f.FirstToken < 0 || f.Gap < 0:
		return fmt.Errorf("reading a fault: a number is negative")
	}
	return nil
}

func (f Fault) status() int {
	if f.Status == 0 {
		return http.StatusInternalServerError
	}
	return f.Status
}

// stall is For, or longer than any client waits.
func (f Fault) stall() time.Duration {
	if f.For == 0 {
		return 24 * time.Hour
	}
	return time.Duration(f.For)
}

func (f Fault) contentType() string {
	if f.ContentType == "" {
		return "text/html; charset=utf-8"
	}
	return f.ContentType
}

// Inject adds a fault behind those in force.
func (s *Simulator) Inject(f Fault) error {
	if err := f.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
	return nil
}

// Heal removes every fault.
func (s *Simulator) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// draw takes the fault that befalls a request.
func (s *Simulator) draw(path, model string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		f := &s.faults[i]
		if !strings.HasPrefix(path, f.Path) || f.Model != "" && f.Model != model {
			continue
		}
		if f.Probability > 0 && s.random.Float64() >= f.Probability {
			continue
		}
		struck := *f
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		s.stats.Faults[string(struck.Kind)]++
		return struck
	}
	return Fault{}
}

// strikes draws the fault and plays what comes before any answer; false means
// that there is no more to do.
func (x *exchange) strikes() bool {
	x.fault = x.sim.draw(x.r.URL.Path, x.record.Model)
	switch x.fault.Kind {
	case StallHeaders:
		return x.sleep(x.fault.stall())
	case Status:
		x.strikeStatus()
		return false
	case Garbage:
		body := x.fault.Body
		if body == "" {
			body = "<html>\x00\xff\xfe not what you asked for"
		}
		x.status, x.finished = http.StatusOK, true
		x.w.Header().Set("content-type", "application/json")
		x.w.Write([]byte(body))
		return false
	}
	return true
}

func (x *exchange) strikeStatus() {
	status := x.fault.status()
	for name, value := range x.fault.Header {
		x.w.Header().Set(name, value)
	}
	if x.fault.RetryAfter != "" {
		x.w.Header().Set("retry-after", x.fault.RetryAfter)
		if seconds, err := strconv.Atoi(x.fault.RetryAfter); err == nil && x.dialect != anthropic {
			x.w.Header().Set("retry-after-ms", strconv.Itoa(seconds*1000))
		}
	}
	if x.fault.Body == "" {
		x.fail(status, x.code(status), faultWords(status))
		return
	}
	x.w.Header().Set("content-type", "application/json")
	x.status, x.finished = status, true
	x.w.WriteHeader(status)
	x.w.Write([]byte(x.fault.Body))
}

func faultWords(status int) string {
	switch status {
	case 429:
		return "Rate limit reached."
	case 529:
		return "Overloaded"
	case 503:
		return "The service is temporarily unavailable."
	}
	return "The server had an error while processing your request."
}

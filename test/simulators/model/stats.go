package model

import (
	"net/http"
	"strings"
)

const (
	keptRequests = 256
	keptBody     = 64 << 10
)

// Stats is what a simulator has seen.
type Stats struct {
	Requests int               `json:"requests"` // begun, administration left out
	InFlight int               `json:"inFlight"`
	Aborted  int               `json:"aborted"`  // the client left before the end
	Statuses map[string]int    `json:"statuses"` // answers by status
	Faults   map[string]int    `json:"faults"`   // strikes by kind
	Models   map[string]Served `json:"models"`
}

// Served counts the answers that a model began to give.
type Served struct {
	Requests     int `json:"requests"`
	InputTokens  int `json:"inputTokens"`
	OutputTokens int `json:"outputTokens"`
}

func newStats() Stats {
	return Stats{Statuses: map[string]int{}, Faults: map[string]int{}, Models: map[string]Served{}}
}

// Request is what reached the simulator, without its credentials.
type Request struct {
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Query      string            `json:"query,omitempty"`
	Host       string            `json:"host"`
	Protocol   string            `json:"protocol"`
	Header     map[string]string `json:"header"`
	Credential string            `json:"credential"` // api-key, x-api-key, bearer, or none
	Model      string            `json:"model,omitempty"`
	Body       string            `json:"body,omitempty"` // its first 64 KiB
	Status     int               `json:"status"`
	Aborted    bool              `json:"aborted,omitempty"`
}

func recordOf(r *http.Request) Request {
	record := Request{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Host: r.Host,
		Protocol: r.Proto, Header: map[string]string{}, Credential: "none",
	}
	for name, values := range r.Header {
		switch name {
		case "Authorization":
			record.Credential, _, _ = strings.Cut(strings.ToLower(values[0]), " ")
		case "Api-Key", "X-Api-Key":
			record.Credential = strings.ToLower(name)
		case "Cookie", "Proxy-Authorization":
		default:
			record.Header[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return record
}

// keep remembers the last requests; the lock is held.
func (s *Simulator) keep(record Request) {
	s.recent = append(s.recent, record)
	if len(s.recent) > keptRequests {
		s.recent = s.recent[len(s.recent)-keptRequests:]
	}
}

// Stats is a copy of the counters.
func (s *Simulator) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := s.stats
	copied.Statuses, copied.Faults, copied.Models = clone(s.stats.Statuses), clone(s.stats.Faults), clone(s.stats.Models)
	return copied
}

// Requests are the last 256, oldest first, as they ended.
func (s *Simulator) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request{}, s.recent...)
}

func clone[V any](m map[string]V) map[string]V {
	copied := make(map[string]V, len(m))
	for k, v := range m {
		copied[k] = v
	}
	return copied
}

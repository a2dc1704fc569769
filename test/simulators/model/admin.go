package model

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// administration serves, to anyone who reaches it:
//
//	GET    /_sim/stats     Stats          DELETE forgets the counters but InFlight, and the requests
//	GET    /_sim/requests  []Request
//	GET    /_sim/faults    []Fault in force
//	POST   /_sim/faults    adds a Fault   DELETE removes all
//	PUT    /_sim/access    {"keys": [], "bearers": []} replaces what is accepted
//	GET    /healthz        200
func (s *Simulator) administration() {
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	s.mux.HandleFunc("GET /_sim/stats", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Stats()) })
	s.mux.HandleFunc("GET /_sim/requests", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Requests()) })
	s.mux.HandleFunc("DELETE /_sim/stats", func(w http.ResponseWriter, _ *http.Request) {
		s.forget()
		w.WriteHeader(http.StatusNoContent)
	})
	s.mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		faults := append([]Fault{}, s.faults...)
		s.mu.Unlock()
		reply(w, faults)
	})
	s.mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.Heal()
		w.WriteHeader(http.StatusNoContent)
	})
	s.mux.HandleFunc("POST /_sim/faults", func(w http.ResponseWriter, r *http.Request) {
		take(w, r, func(body []byte) error {
			f, err := ParseFault(body)
			if err != nil {
				return err
			}
			return s.Inject(f)
		})
	})
	s.mux.HandleFunc("PUT /_sim/access", func(w http.ResponseWriter, r *http.Request) {
		take(w, r, func(body []byte) error {
			var next access
			if err := json.Unmarshal(body, &next); err != nil {
				return fmt.Errorf("reading who has access: %w", err)
			}
			s.Accept(next.Keys, next.Bearers)
			return nil
		})
	})
}

// Accept replaces the keys and bearer tokens that are accepted.
func (s *Simulator) Accept(keys, bearers []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access = access{Keys: keys, Bearers: bearers}
}

func (s *Simulator) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	inFlight := s.stats.InFlight
	s.stats = newStats()
	s.stats.InFlight = inFlight
	s.recent = nil
}

func take(w http.ResponseWriter, r *http.Request, apply func([]byte) error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = apply(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("content-type", "application/json")
	json.NewEncoder(w).Encode(value)
}

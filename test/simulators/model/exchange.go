package model

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type object = map[string]any

// exchange is one request and its answer.
type exchange struct {
	sim     *Simulator
	w       http.ResponseWriter
	r       *http.Request
	dialect dialect
	id      string
	fault   Fault // what befalls it; Kind "" for nothing
	body    object
	record  Request

	status   int
	said     int  // meaningful events so far
	finished bool // the answer was given whole, or spoiled on purpose
}

func (s *Simulator) begin(w http.ResponseWriter, r *http.Request, d dialect) *exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	s.stats.Requests++
	s.stats.InFlight++
	x := &exchange{sim: s, w: w, r: r, dialect: d, id: fmt.Sprintf("%s-%06d", s.options.Name, s.number)}
	x.record = recordOf(r)
	h := w.Header()
	h.Set("x-sim-name", s.options.Name)
	h.Set("x-sim-region", s.options.Region)
	switch d {
	case anthropic:
		h.Set("request-id", "req_"+x.id)
	case openAI:
		h.Set("x-request-id", "req_"+x.id)
		h.Set("openai-processing-ms", strconv.FormatInt(s.options.FirstToken.Milliseconds(), 10))
	default:
		h.Set("x-request-id", "req_"+x.id)
		h.Set("apim-request-id", x.id)
		h.Set("x-ms-region", s.options.Region)
	}
	return x
}

// end counts what became of the request, also when it panics its way out.
func (x *exchange) end() {
	x.sim.mu.Lock()
	defer x.sim.mu.Unlock()
	stats := &x.sim.stats
	stats.InFlight--
	x.record.Status = x.status
	if !x.finished && x.r.Context().Err() != nil {
		stats.Aborted++
		x.record.Aborted = true
	}
	if x.status != 0 {
		stats.Statuses[strconv.Itoa(x.status)]++
	}
	x.sim.keep(x.record)
}

// load takes the body of a POST, and which model it asks for.
func (x *exchange) load() bool {
	if x.r.Method != http.MethodPost {
		return true
	}
	raw, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	if err != nil {
		x.fail(http.StatusRequestEntityTooLarge, "request_too_large", "The request's body is too large or was cut off.")
		return false
	}
	x.record.Body = string(raw[:min(len(raw), keptBody)])
	if json.Unmarshal(raw, &x.body) != nil {
		x.body = nil // understood says so, to whom it may concern
	}
	x.record.Model, _ = x.body["model"].(string)
	if name := x.r.PathValue("deployment"); name != "" {
		x.record.Model = name
	}
	return true
}

// understood checks that a POST is one that can be served.
func (x *exchange) understood() bool {
	if x.r.Method != http.MethodPost {
		return true
	}
	if x.body == nil {
		x.fail(http.StatusBadRequest, "invalid_json", "We could not parse the JSON body of your request.")
		return false
	}
	return x.resolve()
}

// resolve finds the model that is asked for, by the path or by the body.
func (x *exchange) resolve() bool {
	options := x.sim.options
	model := x.record.Model
	if x.dialect == azure || x.dialect == azureDated {
		if behind := options.Deployments[model]; behind != "" {
			model = behind
		} else if len(options.Deployments) > 0 {
			x.fail(http.StatusNotFound, "DeploymentNotFound", "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.")
			return false
		}
	}
	if model == "" {
		x.fail(http.StatusBadRequest, "missing_required_parameter", "you must provide a model parameter")
		return false
	}
	if !x.serves(model) {
		x.fail(http.StatusNotFound, "model_not_found", fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", model))
		return false
	}
	x.record.Model = model
	return true
}

func (x *exchange) serves(model string) bool {
	if len(x.sim.options.Models) == 0 || x.sim.options.Deployments[model] != "" {
		return true
	}
	for _, known := range x.sim.options.Models {
		if known == model {
			return true
		}
	}
	for _, behind := range x.sim.options.Deployments {
		if behind == model {
			return true
		}
	}
	return false
}

// count adds a served answer's tokens to the statistics.
func (x *exchange) count(in, out int) {
	x.sim.mu.Lock()
	defer x.sim.mu.Unlock()
	m := x.sim.stats.Models[x.record.Model]
	m.Requests++
	m.InputTokens += in
	m.OutputTokens += out
	x.sim.stats.Models[x.record.Model] = m
}

// answer gives a whole JSON answer, unless a fault spoils it on the way.
func (x *exchange) answer(status int, value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("marshalling an answer: %v", err)) // values here are our own
	}
	if x.fault.Kind == ContentType {
		x.w.Header().Set("content-type", x.fault.contentType())
	} else {
		x.w.Header().Set("content-type", "application/json")
	}
	x.w.Header().Set("content-length", strconv.Itoa(len(raw)))
	x.status = status
	x.w.WriteHeader(status)
	if status == http.StatusOK && (x.fault.Kind == Cut || x.fault.Kind == Stall) {
		x.w.Write(raw[:len(raw)/2])
		x.flush()
		if x.fault.Kind == Cut {
			x.cut()
			return
		}
		if !x.sleep(x.fault.stall()) {
			return
		}
		raw = raw[len(raw)/2:]
	}
	_, err = x.w.Write(raw)
	x.finished = err == nil
}

// think passes the time that an answer takes which is no stream.
func (x *exchange) think(out int) bool {
	first, gap := x.pace()
	return x.sleep(first + time.Duration(out)*gap)
}

// pace is the time to the first token and between tokens.
func (x *exchange) pace() (first, gap time.Duration) {
	first, gap = x.sim.options.FirstToken, x.sim.options.Gap
	if x.fault.Kind == Slow {
		first += time.Duration(x.fault.FirstToken)
		gap += time.Duration(x.fault.Gap)
	}
	return first, gap
}

// sleep is false if the client left meanwhile.
func (x *exchange) sleep(d time.Duration) bool {
	if d <= 0 {
		return x.r.Context().Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.r.Context().Done():
		return false
	}
}

func (x *exchange) flush() { http.NewResponseController(x.w).Flush() }

// cut ends the connection as the fault says. It may not return.
func (x *exchange) cut() {
	x.finished = true
	switch x.fault.How {
	case "end":
		return
	case "rst":
		conn, _, err := http.NewResponseController(x.w).Hijack()
		if err == nil {
			if tcp, ok := underlying(conn).(interface{ SetLinger(int) error }); ok {
				tcp.SetLinger(0)
			}
			underlying(conn).Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

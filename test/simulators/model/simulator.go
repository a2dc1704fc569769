// Package model is a model provider for tests: it speaks as OpenAI, as Azure
// OpenAI and as Anthropic do, counts what it reads and writes, keeps to a pace,
// and fails in the ways that providers fail, on demand. It understands nothing:
// its answers follow from the request by fixed rules, and they name the simulator
// that gave them.
//
// The rules: an answer repeats what the user said last; "in N words" in the
// prompt makes it N words long; a tool whose name the prompt mentions is called,
// with the prompt's numbers and quoted strings as its arguments; a JSON schema is
// answered by an instance of it. A token is a word: what lies between white space.
package model

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 32 << 20

// Options is what a simulator is made of; the zero value serves any model to
// anyone, at once.
type Options struct {
	Name   string // in x-sim-name, the fingerprint and the answers; default "sim"
	Region string // in x-ms-region and the answers; default "local"
	// Models are those served; none means any.
	Models []string
	// Deployments are Azure's: a name to the model behind it; none means any, each
	// serving the model of its own name.
	Deployments map[string]string
	// Keys are accepted as api-key, x-api-key or (but for Azure's dated paths)
	// Bearer. Bearers are accepted as Bearer, and so is what Bearer approves of.
	// With none of the three, everyone is let in.
	Keys, Bearers []string
	Bearer        func(token string) bool
	// FirstToken passes before a stream's first token, and before an answer that is
	// no stream; Gap between two tokens.
	FirstToken, Gap time.Duration
	// Faults are in force from the start.
	Faults []Fault
	// Seed makes the faults' chances repeatable.
	Seed uint64
}

// Simulator is an http.Handler. Under /_sim/ it is administered, see admin.go.
type Simulator struct {
	options Options
	mux     *http.ServeMux

	mu        sync.Mutex
	random    *rand.Rand
	faults    []Fault
	access    access
	stats     Stats
	recent    []Request
	responses map[string]stored // the Responses API's, by id
	order     []string          // ids in responses, oldest first
	number    int64
}

// New makes a simulator.
func New(options Options) *Simulator {
	if options.Name == "" {
		options.Name = "sim"
	}
	if options.Region == "" {
		options.Region = "local"
	}
	s := &Simulator{
		options:   options,
		mux:       http.NewServeMux(),
		random:    rand.New(rand.NewPCG(options.Seed, 1)),
		faults:    append([]Fault(nil), options.Faults...),
		access:    access{Keys: options.Keys, Bearers: options.Bearers},
		stats:     newStats(),
		responses: map[string]stored{},
	}
	s.routes()
	return s
}

// ServeHTTP answers as the provider whose path it is.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Simulator) routes() {
	for prefix, d := range map[string]dialect{
		"/v1":                               openAI,
		"/openai/v1":                        azure,
		"/api/projects/{project}/openai/v1": azure,
	} {
		s.handle("POST "+prefix+"/chat/completions", d, (*exchange).chat)
		s.handle("POST "+prefix+"/embeddings", d, (*exchange).embeddings)
		s.handle("POST "+prefix+"/responses", d, (*exchange).respond)
		s.handle("POST "+prefix+"/responses/input_tokens", d, (*exchange).inputTokens)
		s.handle("GET "+prefix+"/responses/{id}", d, (*exchange).storedResponse)
		s.handle("DELETE "+prefix+"/responses/{id}", d, (*exchange).deleteResponse)
		s.handle("GET "+prefix+"/models", d, (*exchange).models)
		s.handle("GET "+prefix+"/models/{id}", d, (*exchange).model)
	}
	s.handle("POST /openai/deployments/{deployment}/chat/completions", azureDated, (*exchange).chat)
	s.handle("POST /openai/deployments/{deployment}/embeddings", azureDated, (*exchange).embeddings)
	s.handle("POST /openai/responses", azureDated, (*exchange).respond)
	s.handle("GET /openai/responses/{id}", azureDated, (*exchange).storedResponse)
	s.handle("GET /openai/models", azureDated, (*exchange).models)
	for _, prefix := range []string{"", "/anthropic"} {
		s.handle("POST "+prefix+"/v1/messages", anthropic, (*exchange).messages)
		s.handle("POST "+prefix+"/v1/messages/count_tokens", anthropic, (*exchange).countTokens)
	}
	s.handle("GET /anthropic/v1/models", anthropic, (*exchange).models)
	s.handle("/", openAI, func(x *exchange) {
		x.fail(http.StatusNotFound, "unknown_url", "Invalid URL ("+x.r.Method+" "+x.r.URL.Path+")")
	})
	s.administration()
}

// dialect is whose errors, credentials and versions apply.
type dialect int

const (
	openAI dialect = iota
	azure
	azureDated // with api-version in the query
	anthropic
)

// dialectOf lets /v1/models be asked in either provider's way.
func dialectOf(d dialect, r *http.Request) dialect {
	if d == openAI && strings.HasPrefix(r.URL.Path, "/v1/models") && r.Header.Get("anthropic-version") != "" {
		return anthropic
	}
	return d
}

func (s *Simulator) handle(pattern string, d dialect, serve func(*exchange)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		x := s.begin(w, r, dialectOf(d, r))
		defer x.end()
		if x.load() && x.strikes() && x.admitted() && x.understood() {
			serve(x)
		}
	})
}

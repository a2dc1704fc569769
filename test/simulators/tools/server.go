// Package tools holds MCP servers for tests. The main one is made with the
// official Go kit and is reached by streamable HTTP with sessions, by streamable
// HTTP without, and by SSE; its tools compute, remember, wait, fail, say where
// they are, and ask the client. The other, Math, is a plain JSON server of the
// simplest kind. Neither knows of authentication.
package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// sessionless is the first protocol version that has no sessions.
const sessionless = "2026-07-28"

// Options is what a server is made of.
type Options struct {
	Name   string // default "tools"
	Region string // default "local"
	// JSON makes streamable HTTP answer with application/json instead of events,
	// where it can.
	JSON bool
	// Versions are the protocol versions spoken at /mcp and /sse; nil means all
	// that have sessions. /stateless speaks all.
	Versions []string
}

// Server is an http.Handler:
//
//	/mcp        streamable HTTP, with sessions: an id that it does not know is 404
//	/stateless  streamable HTTP, without
//	/sse        the SSE transport of 2024-11-05
//	/healthz    200
//	GET  /_sim/stats    Stats
//	POST /_sim/forget   ends every session
type Server struct {
	options   Options
	mux       *http.ServeMux
	sessions  *mcp.Server // behind /mcp and /sse
	stateless *mcp.Server

	mu     sync.Mutex
	counts map[*mcp.ServerSession]int
	extra  bool // the tool "extra" is there
	stats  Stats
}

// Stats is what a server has seen.
type Stats struct {
	Name     string         `json:"name"`
	Region   string         `json:"region"`
	Sessions int            `json:"sessions"` // open now
	Methods  map[string]int `json:"methods"`  // messages received, by method
	Tools    map[string]int `json:"tools"`    // calls, by tool
	// Requests are HTTP requests to the MCP paths, by method, path and status.
	Requests map[string]int `json:"requests"`
}

// New makes a server.
func New(options Options) *Server {
	if options.Name == "" {
		options.Name = "tools"
	}
	if options.Region == "" {
		options.Region = "local"
	}
	if options.Versions == nil {
		options.Versions = slices.DeleteFunc(mcp.SupportedProtocolVersions(), func(v string) bool { return v >= sessionless })
	}
	s := &Server{
		options: options, mux: http.NewServeMux(), counts: map[*mcp.ServerSession]int{},
		stats: Stats{Name: options.Name, Region: options.Region, Methods: map[string]int{}, Tools: map[string]int{}, Requests: map[string]int{}},
	}
	s.sessions = s.build(options.Versions)
	s.stateless = s.build(nil)
	s.routes()
	return s
}

func (s *Server) routes() {
	with := func(server *mcp.Server) func(*http.Request) *mcp.Server {
		return func(*http.Request) *mcp.Server { return server }
	}
	// A gateway may pass on a Host of its own: the kit's own protection is off.
	streamable := mcp.StreamableHTTPOptions{JSONResponse: s.options.JSON, DisableLocalhostProtection: true}
	s.mux.Handle("/mcp", s.counted(mcp.NewStreamableHTTPHandler(with(s.sessions), &streamable)))
	streamable.Stateless = true
	s.mux.Handle("/stateless", s.counted(mcp.NewStreamableHTTPHandler(with(s.stateless), &streamable)))
	s.mux.Handle("/sse", s.counted(mcp.NewSSEHandler(with(s.sessions), &mcp.SSEOptions{DisableLocalhostProtection: true})))
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	s.mux.HandleFunc("GET /_sim/stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "application/json")
		json.NewEncoder(w).Encode(s.Stats())
	})
	s.mux.HandleFunc("POST /_sim/forget", func(w http.ResponseWriter, _ *http.Request) {
		s.Forget()
		w.WriteHeader(http.StatusNoContent)
	})
}

// ServeHTTP serves MCP and the simulator's own paths.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Forget ends every session, as a restart would.
func (s *Server) Forget() {
	for session := range s.sessions.Sessions() {
		session.Close()
	}
}

// Stats is a copy of the counters.
func (s *Server) Stats() Stats {
	open := 0
	for range s.sessions.Sessions() {
		open++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := s.stats
	copied.Sessions = open
	copied.Methods, copied.Tools, copied.Requests = clone(copied.Methods), clone(copied.Tools), clone(copied.Requests)
	return copied
}

func clone(m map[string]int) map[string]int {
	copied := make(map[string]int, len(m))
	for k, v := range m {
		copied[k] = v
	}
	return copied
}

func (s *Server) build(versions []string) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: s.options.Name, Title: s.options.Name + " in " + s.options.Region, Version: "1.0.0"}, &mcp.ServerOptions{
		Instructions:              "Tools for tests.",
		CompletionHandler:         s.complete,
		SupportedProtocolVersions: versions,
		SubscribeHandler:          func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler:        func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	server.AddReceivingMiddleware(s.noted)
	s.addTools(server)
	s.addAsking(server)
	s.addContent(server)
	return server
}

// noted counts messages and calls.
func (s *Server) noted(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, request mcp.Request) (mcp.Result, error) {
		s.mu.Lock()
		s.stats.Methods[method]++
		if call, ok := request.(*mcp.CallToolRequest); ok {
			s.stats.Tools[call.Params.Name]++
		}
		s.mu.Unlock()
		return next(ctx, method, request)
	}
}

// counted counts HTTP requests by their outcome.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-sim-name", s.options.Name)
		w.Header().Set("x-sim-region", s.options.Region)
		watched := &watched{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(watched, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stats.Requests[strings.Join([]string{r.Method, r.URL.Path, fmt.Sprint(watched.status)}, " ")]++
	})
}

// watched remembers the status. Unwrap lets events be flushed.
type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is there for who asks by type.
func (w *watched) Flush() { http.NewResponseController(w.ResponseWriter).Flush() }

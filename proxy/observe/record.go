// Package observe turns what a proxy knows of a request into an access-log line
// and metrics, named as agentgateway names them, with Nave's own beside. It
// decides nothing about the request and never writes a secret, a prompt or a
// query string.
package observe

import (
	"net/netip"
	"time"
)

// Record is what is known of one request when it ends. Whoever learns a fact
// writes it here; nobody logs or counts a request by itself.
type Record struct {
	Start    time.Time
	Cluster  string
	Tenant   string
	Gateway  string // namespace/name
	Listener string // section name
	Bind     string // address/port that it came in by
	Route    string // namespace/name
	RuleName string // the rule's section name or index
	Backend  string
	Endpoint string // host:port of the last attempt
	Source   netip.AddrPort
	Method   string
	Host     string
	Path     string
	Version  string
	Status   int
	// ServerName is what TLS asked for.
	ServerName string
	// Protocol is http, llm or mcp.
	Protocol string
	TraceID  string
	SpanID   string
	// Reason is one of the contract's reasons: Upstream, NotFound, NoHealthyBackend, …
	Reason string
	Error  string

	// ServedBy is the key of the candidate that answered, Region where it computes.
	ServedBy string
	Region   string
	Attempts int
	// FailoverReason is why the last move to another candidate was made.
	FailoverReason string
	RequestBytes   int64
	ResponseBytes  int64
	// Processing is time spent before the first attempt; Upstream until the
	// final answer's head.
	Processing time.Duration
	Upstream   time.Duration

	LLM *LLM
	MCP *MCP
}

// LLM is what a record knows of a model call.
type LLM struct {
	Operation     string // chat, embeddings, responses
	Provider      string // gen_ai.provider.name
	RequestModel  string
	ResponseModel string
	Streaming     bool
	InputTokens   int64
	CachedTokens  int64
	CacheWrite    int64
	OutputTokens  int64
	Reasoning     int64
	Estimated     bool
	FirstToken    time.Duration
	PerToken      time.Duration
	// Asked is how the answer is to be made.
	Asked Asked
}

// Asked are parameters of a model call, numbers as the client wrote them; "" is
// what it did not say.
type Asked struct {
	Temperature, TopP                 string
	FrequencyPenalty, PresencePenalty string
	Seed, MaxTokens                   string
	// Dimensions and Encoding are an embedding's.
	Dimensions, Encoding string
}

// MCP is what a record knows of a tool call.
type MCP struct {
	Method       string // JSON-RPC method
	Server       string // target name
	ResourceType string // tool, prompt, resource
	Name         string // tool or prompt name, resource URI
	Session      string // a short hash of the handle, never the id
	ErrorCode    int
	ErrorMessage string
	// Moved is re-initialised or restored where the session moved in this request.
	Moved string
}

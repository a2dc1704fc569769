package table

import (
	"errors"
	"fmt"
	"strings"
)

// BackendKind is what a backend's traffic is.
type BackendKind string

// The kinds of backends.
const (
	BackendAI   BackendKind = "ai"
	BackendMCP  BackendKind = "mcp"
	BackendHTTP BackendKind = "http"
)

// Backend is where rules send requests: model providers in priority groups,
// MCP servers federated behind one endpoint, or plain HTTP.
type Backend struct {
	// Name is Kind namespace/name, a Service's with :port.
	Name   string      `json:"name"`
	Kind   BackendKind `json:"kind"`
	Tenant string      `json:"tenant"`
	// Fleet tells that proxies of other clusters may send here over the link, and
	// that this one may send to them.
	Fleet bool `json:"fleet,omitempty"`
	// Groups are tried in order. An HTTP backend has one group with one member.
	Groups [][]Member `json:"groups,omitempty"`
	// Serves are members that this cluster declares under the backend's name and
	// the table's own declaration does not: never candidates here, but what a
	// request over the link may name.
	Serves   []Member `json:"serves,omitempty"`
	MCP      *MCP     `json:"mcp,omitempty"`
	Failover Failover `json:"failover,omitzero"`
	// Closed answers 500 and says why.
	Closed string `json:"closed,omitempty"`
}

// The causes for which a name means no backend.
var (
	ErrNoBackend    = errors.New("there is no such backend")
	ErrManyBackends = errors.New("several backends have this name; say which")
)

// Called is the backend that people mean by a name: the whole one, or that without
// its kind, or without its namespace besides, where no other is nearer.
func Called(t Table, name string) (*Backend, error) {
	if b := Find[*Backend](t, name); b != nil {
		return b, nil
	}
	var near, far []*Backend
	for b := range Each[*Backend](t) {
		_, rest, _ := strings.Cut(b.Name, " ")
		_, last, _ := strings.Cut(rest, "/")
		switch {
		case name == "":
		case name == rest:
			near = append(near, b)
		case name == last:
			far = append(far, b)
		}
	}
	if len(near) == 0 {
		near = far
	}
	switch len(near) {
	case 0:
		return nil, fmt.Errorf("find backend %q: %w", name, ErrNoBackend)
	case 1:
		return near[0], nil
	}
	var names []string
	for _, b := range near {
		names = append(names, b.Name)
	}
	return nil, fmt.Errorf("find backend %q: %w: %s", name, ErrManyBackends, strings.Join(names, ", "))
}

// ID is backend and the name.
func (b *Backend) ID() ID {
	if b == nil {
		return ID{Kind: KindBackend}
	}
	return ID{KindBackend, b.Name}
}

// Member is one provider of a group, one MCP server, or the plain HTTP target:
// one thing that is served at each of Instances.
type Member struct {
	Name string `json:"name"`
	// Weight is the declared share within the group; 0 where none is declared.
	Weight    int32      `json:"weight,omitempty"`
	Model     *Model     `json:"model,omitempty"`
	Server    *Server    `json:"server,omitempty"`
	Instances []Instance `json:"instances"`
}

// ModelAt is what is declared about the model as the instance's cluster has it.
func (m *Member) ModelAt(i *Instance) *Model {
	if i.Model != nil {
		return i.Model
	}
	return m.Model
}

// ServerAt is what is declared about the server as the instance's cluster has it.
func (m *Member) ServerAt(i *Instance) *Server {
	if i.Server != nil {
		return i.Server
	}
	return m.Server
}

// Instance is a member at one cluster. Exactly one of Dial and Closed is set
// where Cluster is this cluster; no Dial elsewhere, since addresses and
// credentials stay where they are declared. Of an Auth elsewhere only one thing
// is told: that it is the client's own (AuthPassthrough).
type Instance struct {
	Cluster string `json:"cluster"`
	// Region is where the provider computes: its own field or nave.dev/region,
	// "" unknown; the cluster's region where the member is inside the cluster.
	Region string `json:"region,omitempty"`
	Dial   *Dial  `json:"dial,omitempty"`
	Auth   *Auth  `json:"auth,omitempty"`
	// Model and Server are set where this cluster declares them otherwise than
	// the member: another deployment, another path. See Member.ModelAt.
	Model  *Model  `json:"model,omitempty"`
	Server *Server `json:"server,omitempty"`
	// Closed takes the instance out of the candidates and says why.
	Closed string `json:"closed,omitempty"`
}

// Dial says how to reach an endpoint from this cluster.
type Dial struct {
	// Host and Port as declared; Host also gives Host header and SNI.
	Host string `json:"host"`
	Port uint16 `json:"port"`
	// Endpoints names an Endpoints resource to be used instead of resolving Host.
	Endpoints string `json:"endpoints,omitempty"`
	TLS       *TLS   `json:"tls,omitempty"`
	// HTTP2 speaks h2 (h2c without TLS).
	HTTP2          bool     `json:"http2,omitempty"`
	ConnectTimeout Duration `json:"connectTimeout,omitzero"`
	RequestTimeout Duration `json:"requestTimeout,omitzero"`
}

// TLS is how TLS is originated.
type TLS struct {
	ServerName string   `json:"serverName,omitempty"`
	SANs       []string `json:"sans,omitempty"`
	// CA names a Secret resource with ca.crt; "" is the system's roots.
	CA string `json:"ca,omitempty"`
	// Certificate names a Secret with tls.crt and tls.key to show.
	Certificate string   `json:"certificate,omitempty"`
	Insecure    string   `json:"insecure,omitempty"` // "", All, Hostname
	ALPN        []string `json:"alpn,omitempty"`
}

// AuthKind is how a proxy proves itself to a provider.
type AuthKind string

// The kinds of credentials that are built.
const (
	AuthKey          AuthKind = "key"
	AuthPassthrough  AuthKind = "passthrough"
	AuthAzureAmbient AuthKind = "azure"
)

// Auth is the credential for an instance.
type Auth struct {
	Kind AuthKind `json:"kind"`
	// Secret and Key name the entry of a Secret resource.
	Secret string `json:"secret,omitempty"`
	Key    string `json:"key,omitempty"`
	// Location overrides where the provider's dialect puts the key.
	Location *Location `json:"location,omitempty"`
	// Azure's variants: WorkloadIdentity, ManagedIdentity (client, object or resource id), ClientSecret, "" the chain.
	Azure *AzureAuth `json:"azure,omitempty"`
}

// AzureAuth chooses among Azure's credentials.
type AzureAuth struct {
	Type       string `json:"type,omitempty"`
	ClientID   string `json:"clientID,omitempty"`
	ObjectID   string `json:"objectID,omitempty"`
	ResourceID string `json:"resourceID,omitempty"`
}

// Provider names a provider's dialect.
type Provider string

// The providers that are built.
const (
	OpenAI    Provider = "openai"
	Azure     Provider = "azure"
	Anthropic Provider = "anthropic"
)

// Model is what is declared about a model provider.
type Model struct {
	Provider Provider `json:"provider"`
	// Model overrides the request's model.
	Model string `json:"model,omitempty"`
	// Aliases map names that clients use to the provider's, * as wildcard.
	Aliases map[string]string `json:"aliases,omitempty"`
	// Deployment and APIVersion are Azure's.
	Deployment string `json:"deployment,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
	Project    string `json:"project,omitempty"`
	// Path replaces, PathPrefix goes in place of /v1; HostOverride tells that
	// host and port were declared, so the client's path is sent as it is.
	Path         string `json:"path,omitempty"`
	PathPrefix   string `json:"pathPrefix,omitempty"`
	HostOverride bool   `json:"hostOverride,omitempty"`
	// Routes map path suffixes to operations (policies.ai.routes).
	Routes map[string]string `json:"routes,omitempty"`
}

// MCP is what is declared about a federation of servers. The servers are the
// members of the backend's only group.
type MCP struct {
	// FailOpen leaves a server out that cannot be reached.
	FailOpen bool `json:"failOpen,omitempty"`
	// Prefix is Conditional, Always or Never.
	Prefix    string `json:"prefix,omitempty"`
	Stateless bool   `json:"stateless,omitempty"`
}

// Server is what is declared about an MCP server.
type Server struct {
	// SSE is the transport of 2024-11-05; otherwise streamable HTTP.
	SSE  bool   `json:"sse,omitempty"`
	Path string `json:"path"`
}

// OrderBy is the key that orders candidates within a group.
type OrderBy string

// The keys of order.
const (
	ByLatency OrderBy = "Latency"
	ByRegion  OrderBy = "Region"
	ByCost    OrderBy = "Cost"
	Static    OrderBy = "Static"
)

// Trigger is an outcome that moves a request to the next candidate.
type Trigger string

// The triggers.
const (
	OnConnect   Trigger = "ConnectError"
	OnTimeout   Trigger = "Timeout"
	OnServer    Trigger = "ServerError"
	OnRateLimit Trigger = "RateLimited"
	OnOverload  Trigger = "Overloaded"
	OnStream    Trigger = "InStreamError"
	OnDNS       Trigger = "DNSError"
)

// Failover is the policy in force for a backend, defaults filled in.
type Failover struct {
	Order OrderBy `json:"order"`
	// Regions come first, in this order, where Order is Region.
	Regions []string `json:"regions,omitempty"`
	// Margin widens the latency pool: candidates within it of the fastest are equal.
	Margin Duration `json:"margin,omitzero"`
	// AllowedRegions is the hard limit of residency; empty allows all.
	AllowedRegions []string  `json:"allowedRegions,omitempty"`
	Triggers       []Trigger `json:"triggers,omitempty"`
	// Attempts counts the first one too.
	Attempts          int      `json:"attempts"`
	PerAttemptTimeout Duration `json:"perAttemptTimeout,omitzero"`
	// BudgetPercent bounds retries to a share of requests.
	BudgetPercent int `json:"budgetPercent,omitempty"`
	// MaxBody is the largest request body kept for replay, bytes.
	MaxBody      int64    `json:"maxBody"`
	ReplayUnsafe bool     `json:"replayUnsafe,omitempty"`
	Failback     Failback `json:"failback,omitzero"`
	// Disabled serves from the first candidate only.
	Disabled bool `json:"disabled,omitempty"`
}

// Failback says when traffic goes back to a candidate that has recovered.
type Failback struct {
	// Window is how long it must have been well.
	Window Duration `json:"window,omitzero"`
	// Absolute and Percent: both margins must hold before a faster one is preferred anew.
	Absolute Duration `json:"absolute,omitzero"`
	Percent  int      `json:"percent,omitempty"`
	// Ramp is the time over which its share grows from nothing to all: evenly, or
	// by Steps, percentages that each hold for an equal part of it.
	Ramp  Duration `json:"ramp,omitzero"`
	Steps []int    `json:"steps,omitempty"`
}

package table

// Route names the declared route that a rule comes from.
type Route struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Cluster declared it.
	Cluster string `json:"cluster"`
}

func (r Route) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// Rule is one rule of a route with everything that its author wrote about it.
type Rule struct {
	// Name is Kind namespace/name/index.
	Name  string `json:"name"`
	Route Route  `json:"route"`
	Index int    `json:"index"`
	// Section is the rule's own name, where it has one.
	Section string `json:"section,omitempty"`
	// Created orders routes of equal precedence, unix seconds; then namespace/name.
	Created  int64        `json:"created,omitempty"`
	Binds    []Bind       `json:"binds"`
	Matches  []Match      `json:"matches"`
	Filters  []Filter     `json:"filters,omitempty"`
	Backends []BackendRef `json:"backends,omitempty"`
	// Steering is the failover policy in force for those of its backends where a
	// policy speaks of this rule, its route or its listener.
	Steering []Steering `json:"steering,omitempty"`
	// Timeouts; zero is none.
	RequestTimeout Duration `json:"requestTimeout,omitzero"`
	BackendTimeout Duration `json:"backendTimeout,omitzero"`
	Retry          *Retry   `json:"retry,omitempty"`
	// Closed answers every request 500 and says why.
	Closed string `json:"closed,omitempty"`
}

// ID is rule and the name.
func (r *Rule) ID() ID {
	if r == nil {
		return ID{Kind: KindRule}
	}
	return ID{KindRule, r.Name}
}

// Steer is what steers requests of this rule that came by a listener to a
// backend, or nil where the backend's own failover policy does.
func (r *Rule) Steer(backend, listener string) *Steering {
	var any *Steering
	for i := range r.Steering {
		switch s := &r.Steering[i]; {
		case s.Backend != backend:
		case s.Listener == listener:
			return s
		case s.Listener == "":
			any = s
		}
	}
	return any
}

// Steering is the failover policy in force for a backend where a rule sends to
// it, in place of the backend's own.
type Steering struct {
	Backend string `json:"backend"`
	// Listener that it is for; "" is every one without its own.
	Listener string `json:"listener,omitempty"`
	// By names the policies that it is made of, the most specific first. What
	// proxies learn of candidates is kept by it: traffic that is steered
	// otherwise learns by itself.
	By       string   `json:"by"`
	Failover Failover `json:"failover,omitzero"`
	// Closed answers 500 and says why.
	Closed string `json:"closed,omitempty"`
}

// Bind attaches a rule to a listener under the hostnames that both allow;
// the hostname "" is any.
type Bind struct {
	Listener  string   `json:"listener"`
	Hostnames []string `json:"hostnames"`
}

// MatchType is how a value is compared.
type MatchType string

// Exact compares bytes; Prefix compares path elements; Regex is RE2 over the whole value.
const (
	Exact  MatchType = "Exact"
	Prefix MatchType = "Prefix"
	Regex  MatchType = "Regex"
)

// Match is one of a rule's matches: all of its parts must hold.
type Match struct {
	Path    ValueMatch   `json:"path"`
	Headers []NamedMatch `json:"headers,omitempty"`
	Query   []NamedMatch `json:"query,omitempty"`
	Method  string       `json:"method,omitempty"`
}

// ValueMatch compares one value.
type ValueMatch struct {
	Type  MatchType `json:"type"`
	Value string    `json:"value"`
}

// NamedMatch compares the value of a header or query parameter.
type NamedMatch struct {
	Name string `json:"name"`
	ValueMatch
}

// BackendRef is one weighted backend of a rule.
type BackendRef struct {
	// Backend is the name of a Backend resource.
	Backend string   `json:"backend,omitempty"`
	Weight  int32    `json:"weight"`
	Filters []Filter `json:"filters,omitempty"`
	// Closed answers the share of this reference with Status (500) and says why.
	Closed string `json:"closed,omitempty"`
}

// Retry is what a route declares about repeating.
type Retry struct {
	Codes    []int    `json:"codes,omitempty"`
	Attempts int      `json:"attempts"`
	Backoff  Duration `json:"backoff,omitzero"`
}

// Filter has exactly one of its fields set.
type Filter struct {
	RequestHeaders  *HeaderEdit `json:"requestHeaders,omitempty"`
	ResponseHeaders *HeaderEdit `json:"responseHeaders,omitempty"`
	Redirect        *Redirect   `json:"redirect,omitempty"`
	Rewrite         *Rewrite    `json:"rewrite,omitempty"`
	Mirror          *Mirror     `json:"mirror,omitempty"`
	CORS            *CORS       `json:"cors,omitempty"`
}

// HeaderEdit sets, adds and removes fields, in this order: set, add, remove.
type HeaderEdit struct {
	Set    []HeaderValue `json:"set,omitempty"`
	Add    []HeaderValue `json:"add,omitempty"`
	Remove []string      `json:"remove,omitempty"`
}

// HeaderValue is a field to write.
type HeaderValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// PathEdit replaces the whole path, or the prefix that matched.
type PathEdit struct {
	Full   *string `json:"full,omitempty"`
	Prefix *string `json:"prefix,omitempty"`
}

// Redirect answers with a Location; what is empty stays as in the request.
type Redirect struct {
	Scheme   string    `json:"scheme,omitempty"`
	Hostname string    `json:"hostname,omitempty"`
	Path     *PathEdit `json:"path,omitempty"`
	Port     uint16    `json:"port,omitempty"`
	Status   int       `json:"status"`
}

// Rewrite changes authority and path before forwarding.
type Rewrite struct {
	Hostname string    `json:"hostname,omitempty"`
	Path     *PathEdit `json:"path,omitempty"`
}

// Mirror sends a copy, answers ignored, for Numerator of Denominator requests.
type Mirror struct {
	Backend     string `json:"backend"`
	Numerator   int32  `json:"numerator"`
	Denominator int32  `json:"denominator"`
}

// CORS follows HTTPRoute's CORS filter.
type CORS struct {
	AllowOrigins     []string `json:"allowOrigins,omitempty"`
	AllowMethods     []string `json:"allowMethods,omitempty"`
	AllowHeaders     []string `json:"allowHeaders,omitempty"`
	ExposeHeaders    []string `json:"exposeHeaders,omitempty"`
	AllowCredentials bool     `json:"allowCredentials,omitempty"`
	MaxAge           int32    `json:"maxAge,omitempty"`
}

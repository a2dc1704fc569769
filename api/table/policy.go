package table

// Target is what a policy attaches to.
type Target struct {
	// Kind is Gateway, HTTPRoute or AgentgatewayBackend (Service for its port).
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Section is a listener, a rule's name, or a provider or target.
	Section string `json:"section,omitempty"`
}

// Policy is one declared policy, however many rules it touches.
type Policy struct {
	// Name is AgentgatewayPolicy namespace/name, with the cluster before it where it is remote.
	Name          string         `json:"name"`
	Created       int64          `json:"created,omitempty"`
	Targets       []Target       `json:"targets"`
	Authorization *Authorization `json:"authorization,omitempty"`
	APIKey        *APIKey        `json:"apiKey,omitempty"`
	// Closed closes what the policy targets, whatever else can serve it.
	Closed string `json:"closed,omitempty"`
}

// ID is policy and the name.
func (p *Policy) ID() ID {
	if p == nil {
		return ID{Kind: KindPolicy}
	}
	return ID{KindPolicy, p.Name}
}

// Action is what an authorization rule does with those whom it describes.
type Action string

// Deny wins; then every Require must hold; then, where any Allow exists, one must hold.
const (
	Allow   Action = "Allow"
	Deny    Action = "Deny"
	Require Action = "Require"
)

// Authorization is a set of CEL expressions under one action: the action
// applies if any expression is true (Allow, Deny) or all are (Require).
// Expressions that cannot be evaluated count as false, for Deny too.
type Authorization struct {
	Action      Action   `json:"action"`
	Expressions []string `json:"expressions"`
}

// KeyMode says what happens to a request without a valid key.
type KeyMode string

// Strict refuses without a valid key, Optional refuses only an invalid one,
// Permissive refuses nobody.
const (
	Strict     KeyMode = "Strict"
	Optional   KeyMode = "Optional"
	Permissive KeyMode = "Permissive"
)

// APIKey authenticates clients by a key.
type APIKey struct {
	Mode KeyMode `json:"mode"`
	// Secrets name Secret resources; each entry of each is one client: the raw
	// key, or JSON {"key"|"keyHash", "metadata"}.
	Secrets  []string `json:"secrets"`
	Location Location `json:"location,omitzero"`
}

// Location is where a credential stands in a request; the zero value is the
// Authorization header with the prefix "Bearer ".
type Location struct {
	Header string `json:"header,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	Query  string `json:"query,omitempty"`
	Cookie string `json:"cookie,omitempty"`
}

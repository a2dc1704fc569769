package table

import "time"

// Duration is a time.Duration that is written as a Go duration string.
type Duration time.Duration

// MarshalText writes 1.5s, 300ms.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Std is the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Self says whose table this is. There is exactly one in a table, named "self".
type Self struct {
	Cluster string `json:"cluster"`
	Region  string `json:"region"`
	Tenant  string `json:"tenant"`
	// Gateway is namespace/name, or "" for a tenant's proxy without listeners.
	Gateway string `json:"gateway,omitempty"`
	// Home is the cluster that declares the Gateway; another than Cluster where it is placed.
	Home string `json:"home,omitempty"`
	// SessionKeys names the Secret that seals MCP session ids; its data maps
	// key ids to 32 bytes, and "use" to the id to seal with.
	SessionKeys string `json:"sessionKeys,omitempty"`
	// Revoked are identities that the link refuses, and ends where they are in use.
	Revoked []string `json:"revoked,omitempty"`
	// ServedBy turns the response header x-nave-served-by on.
	ServedBy bool `json:"servedBy,omitempty"`
	// Probe is the hex SHA-256 of the key by which this cluster's prober shows
	// itself, so that it is told who served; "" tells nobody.
	Probe string `json:"probe,omitempty"`
	// AllowedAddresses are CIDRs that may be dialed although they are refused
	// otherwise.
	AllowedAddresses []string `json:"allowedAddresses,omitempty"`
	// Standalone admits of loopback what endpoints and hosts of the table name.
	Standalone bool `json:"standalone,omitempty"`
	// AzureName is how gen_ai.provider.name spells Azure OpenAI.
	AzureName string `json:"azureName,omitempty"`
	// Runtime is what proxies are told by AgentgatewayParameters.
	Runtime
}

// Runtime is how a proxy logs and ends.
type Runtime struct {
	// LogLevel is error, warn, info, debug or LogOff; "" leaves the proxy's own.
	LogLevel string `json:"logLevel,omitempty"`
	// LogFormat is json or text, of the proxy's log and of the access log; "" is text.
	LogFormat string `json:"logFormat,omitempty"`
	// Drain bounds how long the proxy takes to end; nil leaves its own bounds.
	Drain *Drain `json:"drain,omitempty"`
}

// LogOff is the level at which nothing is logged.
const LogOff = "off"

// Drain bounds in seconds how long a proxy takes to end: it takes new requests
// for Min, and what is not finished after Max is cut off.
type Drain struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

// ID is always self self.
func (*Self) ID() ID { return ID{KindSelf, "self"} }

// Protocol is what a listener speaks.
type Protocol string

// The protocols of listeners that are built.
const (
	ProtocolHTTP  Protocol = "HTTP"
	ProtocolHTTPS Protocol = "HTTPS"
)

// Listener is one listener of a Gateway.
type Listener struct {
	// Name is namespace/gateway/section.
	Name     string   `json:"name"`
	Gateway  string   `json:"gateway"`
	Section  string   `json:"section"`
	Port     uint16   `json:"port"`
	Protocol Protocol `json:"protocol"`
	// Hostname is "" for any, a name, or "*." and a suffix of at least one label.
	Hostname string `json:"hostname,omitempty"`
	// Certificates name Secrets with tls.crt and tls.key.
	Certificates []string `json:"certificates,omitempty"`
}

// ID is listener and the name.
func (l *Listener) ID() ID {
	if l == nil {
		return ID{Kind: KindListener}
	}
	return ID{KindListener, l.Name}
}

// Endpoints are the addresses behind one port of one Service.
type Endpoints struct {
	// Name is "Service namespace/name:port".
	Name      string    `json:"name"`
	Addresses []Address `json:"addresses,omitempty"`
	// Missing says why there is nobody, with the remedy, where Addresses is empty.
	Missing string `json:"missing,omitempty"`
}

// Address is one ready address, host an IP.
type Address struct {
	Host string `json:"host"`
	Port uint16 `json:"port"`
}

// ID is endpoints and the name.
func (e *Endpoints) ID() ID {
	if e == nil {
		return ID{Kind: KindEndpoints}
	}
	return ID{KindEndpoints, e.Name}
}

// PeerState is what orders and leases say of another cluster, or of this one.
type PeerState string

// The states of a peer. Only Cordoned and Draining keep new work away; a Lost
// lease alone never does.
const (
	PeerReady    PeerState = "Ready"
	PeerCordoned PeerState = "Cordoned"
	PeerDraining PeerState = "Draining"
)

// Peer is a cluster whose proxies can be reached over the link; this cluster
// is among them, for its own replicas.
type Peer struct {
	Cluster string      `json:"cluster"`
	Region  string      `json:"region"`
	State   PeerState   `json:"state"`
	Proxies []LinkProxy `json:"proxies,omitempty"`
}

// LinkProxy is one proxy of a peer that serves the link.
type LinkProxy struct {
	// ID is unique in its cluster and survives a restart of the proxy.
	ID      string `json:"id"`
	Tenant  string `json:"tenant"`
	Gateway string `json:"gateway,omitempty"`
	// Address is host:port as this cluster reaches it.
	Address string `json:"address"`
}

// ID is peer and the cluster.
func (p *Peer) ID() ID {
	if p == nil {
		return ID{Kind: KindPeer}
	}
	return ID{KindPeer, p.Cluster}
}

// Host maps a provider's host name to another address (hub/hosts.yaml).
type Host struct {
	// Name is host:port, the host in lower case.
	Name string `json:"name"`
	// Address is host:port to dial instead.
	Address   string `json:"address"`
	Plaintext bool   `json:"plaintext,omitempty"`
	// CA is PEM, trusted for this host only.
	CA string `json:"ca,omitempty"`
}

// ID is host and the name.
func (h *Host) ID() ID {
	if h == nil {
		return ID{Kind: KindHost}
	}
	return ID{KindHost, h.Name}
}

// Secret is what a proxy needs of a Secret or ConfigMap: never printed, only
// its names and a hash.
type Secret struct {
	// Name is what it is used as, and where it is declared: credential, keys,
	// tls, ca, azure, inline or session, then namespace/name.
	Name string            `json:"name"`
	Data map[string][]byte `json:"data"`
}

// ID is secret and the name.
func (s *Secret) ID() ID {
	if s == nil {
		return ID{Kind: KindSecret}
	}
	return ID{KindSecret, s.Name}
}

package assignment

import (
	"encoding/json"
	"time"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
)

// Facts are what a cluster says about itself. Its region, zone and tenants are
// never among them: the hub has those from its own Cluster object.
type Facts struct {
	Cluster string `json:"cluster"`
	Version string `json:"version"`
	// Gossip is host:port where the spoke gossips, as it sees itself.
	Gossip string `json:"gossip,omitempty"`
	// PublicKey seals secrets to this spoke (HPKE, X25519).
	PublicKey []byte `json:"publicKey,omitempty"`
	// Intermediate is its certificate, DER.
	Intermediate []byte `json:"intermediate,omitempty"`
	// Proxies run here, with their link addresses as they see themselves.
	Proxies []ProxyFacts `json:"proxies,omitempty"`
	// Certificate is when the spoke's identity expires.
	Certificate time.Time `json:"certificate,omitzero"`
}

// ID is facts and the cluster.
func (f *Facts) ID() (Kind, string) { return KindFacts, f.Cluster }

// ProxyFacts are one proxy's.
type ProxyFacts struct {
	table.LinkProxy
	// Home is the cluster that declares its Gateway.
	Home string `json:"home,omitempty"`
	// Listeners are where it serves, name → URLs.
	Listeners map[string][]string `json:"listeners,omitempty"`
	// Revision is the table that it has acknowledged.
	Revision string `json:"revision,omitempty"`
	Ready    bool   `json:"ready"`
	Error    string `json:"error,omitempty"`
	// Serving is told while the cluster drains.
	Serving *Serving `json:"serving,omitempty"`
}

// Serving is what a proxy serves for other clusters at one instant.
type Serving struct {
	// Sessions are those at MCP servers that it owns and that may live elsewhere,
	// Requests those that came over the link and are under way.
	Sessions int `json:"sessions"`
	Requests int `json:"requests"`
}

// Status is the status that a spoke wrote to an object.
type Status struct {
	Key        objects.Key     `json:"key"`
	Generation int64           `json:"generation"`
	Value      json.RawMessage `json:"value"`
}

// ID is status and the object's key.
func (s *Status) ID() (Kind, string) { return KindStatus, ObjectKey(s.Key) }

// Problems are what people must mend in one place.
type Problems struct {
	Place string            `json:"place"`
	List  []objects.Problem `json:"list"`
}

// ID is problems and the place.
func (p *Problems) ID() (Kind, string) { return KindProblems, p.Place }

// Sample is one estimate of a path, as its measurer has it.
type Sample struct {
	// From and To are clusters; Measure is "gossip" or "link".
	From    string `json:"from"`
	To      string `json:"to"`
	Measure string `json:"measure"`
	// RTT is the estimate; Count the samples behind it.
	RTT   table.Duration `json:"rtt"`
	Count int            `json:"count"`
	// At is when the latest sample was taken, by the measurer's clock.
	At time.Time `json:"at"`
	// Lost is set where the path gives no answer now.
	Lost bool `json:"lost,omitempty"`
}

// ID is sample and measure/from/to.
func (s *Sample) ID() (Kind, string) { return KindSample, s.Measure + "/" + s.From + "/" + s.To }

package assignment

import (
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
)

// Fleet is what holds for every cluster.
type Fleet struct {
	// Frozen stops automation.
	Frozen bool `json:"frozen,omitempty"`
	// Failover are the defaults that a FailoverPolicy overrides.
	Failover table.Failover `json:"failover"`
	// Hosts map provider host names to other addresses (hub/hosts.yaml).
	Hosts []table.Host `json:"hosts,omitempty"`
	// Revoked are identities (URIs, or serial numbers) that nobody may accept.
	Revoked []string `json:"revoked,omitempty"`
	// AzureName spells gen_ai.provider.name for Azure OpenAI.
	AzureName string `json:"azureName,omitempty"`
	// DefaultTenant admits namespaces that no Tenant claims; "" once a Tenant exists.
	DefaultTenant string `json:"defaultTenant,omitempty"`
	// GossipKeys seal gossip; the first is used, the others are accepted.
	GossipKeys [][]byte `json:"gossipKeys,omitempty"`
}

// ID is fleet fleet.
func (*Fleet) ID() (Kind, string) { return KindFleet, "fleet" }

// Tenant is one tenant as this cluster needs to know it.
type Tenant struct {
	Name string `json:"name"`
	// NotAdmitted is set where the cluster does not take the tenant in: its
	// namespaces are nobody's then, and not the default tenant's.
	NotAdmitted bool `json:"notAdmitted,omitempty"`
	// Namespaces of this cluster that are its own; All where the tenant owns every one.
	Namespaces []string `json:"namespaces,omitempty"`
	All        bool     `json:"all,omitempty"`
	// Elsewhere are its namespaces in other clusters, by cluster: namesakes merge
	// only within one tenant. Where all are silent about a cluster, a namespace
	// there is the fleet's default tenant's, or else belongs to whom it belongs to
	// here.
	Elsewhere        map[string][]string `json:"elsewhere,omitempty"`
	AllowedRegions   []string            `json:"allowedRegions,omitempty"`
	AllowedHostnames []string            `json:"allowedHostnames,omitempty"`
	AllowedProviders []string            `json:"allowedProviders,omitempty"`
	// AllowedAddresses are CIDRs that its backends may dial although refused otherwise.
	AllowedAddresses []string `json:"allowedAddresses,omitempty"`
	DefaultPlacement string   `json:"defaultPlacement,omitempty"`
	ServedBy         bool     `json:"servedBy,omitempty"`
	// Failover is the tenant's default, nil where it has none and the fleet's holds.
	Failover *FailoverDefault `json:"failover,omitempty"`
	// Grants are this cluster's share of the tenant's limits; nil is unlimited.
	Gateways *int32 `json:"gateways,omitempty"`
	Routes   *int32 `json:"routes,omitempty"`
	Backends *int32 `json:"backends,omitempty"`
	Proxies  *int32 `json:"proxies,omitempty"`
}

// FailoverDefault is what a FailoverPolicy of the hub says for a tenant.
type FailoverDefault struct {
	// Settings are whole, over the fleet's; AllowedRegions among them.
	Settings table.Failover `json:"settings"`
	// Regions are those of providers, by name.
	Regions map[string]string `json:"regions,omitempty"`
	// PolicyDrift lets instances stand in for each other whose restrictions differ.
	PolicyDrift bool `json:"policyDrift,omitempty"`
	// Closed says why the tenant's backends are: the policy cannot be read, and
	// could limit residency.
	Closed string `json:"closed,omitempty"`
}

// ID is tenant and its name.
func (t *Tenant) ID() (Kind, string) { return KindTenant, t.Name }

// Lease is how lately a cluster was heard of.
type Lease string

// The states of a lease. None of them moves traffic by itself.
const (
	Connected Lease = "Connected"
	Suspect   Lease = "Suspect"
	Lost      Lease = "Lost"
)

// Peer is a cluster of the fleet as the receiving cluster reaches it.
type Peer struct {
	Cluster string          `json:"cluster"`
	Region  string          `json:"region"`
	Zone    string          `json:"zone,omitempty"`
	State   table.PeerState `json:"state"`
	// Gossip is host:port of its leading spoke as the receiver reaches it.
	Gossip string `json:"gossip,omitempty"`
	// PublicKey seals secrets to its spoke (HPKE, X25519).
	PublicKey []byte `json:"publicKey,omitempty"`
	// Intermediate is the cluster's certificate, DER: what it declares is signed
	// with its key.
	Intermediate []byte            `json:"intermediate,omitempty"`
	Proxies      []table.LinkProxy `json:"proxies,omitempty"`
}

// ID is peer and the cluster.
func (p *Peer) ID() (Kind, string) { return KindPeer, p.Cluster }

// Placement says that a cluster hosts a Gateway of another cluster; the
// declarations that it needs come beside it.
type Placement struct {
	Home      string `json:"home"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Tenant    string `json:"tenant"`
	// Hosts are all clusters that the Gateway is placed in, the home cluster too
	// where it is not excluded.
	Hosts []string `json:"hosts"`
}

// ID is placement and home/namespace/name.
func (p *Placement) ID() (Kind, string) {
	return KindPlacement, p.Home + "/" + p.Namespace + "/" + p.Name
}

// Verdict is what the hub has to say about an object of the receiving cluster.
type Verdict struct {
	Key objects.Key `json:"key"`
	// Generation is the object's generation that the verdict speaks of.
	Generation int64       `json:"generation"`
	Conditions []Condition `json:"conditions,omitempty"`
	// Annotations to write, e.g. nave.dev/addresses.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Refused keeps the object from serving; the conditions say why.
	Refused bool `json:"refused,omitempty"`
}

// ID is verdict and the object's key.
func (v *Verdict) ID() (Kind, string) { return KindVerdict, ObjectKey(v.Key) }

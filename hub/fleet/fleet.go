// Package fleet holds what the hub knows at one instant, as values: clusters,
// tenants, what each cluster declared and reported, orders and claims. It
// decides nothing; hub/plan does.
package fleet

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
)

// Cluster is a registered cluster: what its Cluster object declares with the
// orders in force for it.
type Cluster struct {
	Name   string
	Region string
	Zone   string
	// Provider is what runs it.
	Provider string
	// Tenants that it admits; empty admits all.
	Tenants []string
	// State is the safer of what is declared and what is ordered.
	State table.PeerState
}

// Admits tells whether a tenant may be hosted there.
func (c Cluster) Admits(tenant string) bool {
	return len(c.Tenants) == 0 || slices.Contains(c.Tenants, tenant)
}

// Equal compares every field.
func (c Cluster) Equal(o Cluster) bool {
	return c.Name == o.Name && c.Region == o.Region && c.Zone == o.Zone && c.Provider == o.Provider &&
		c.State == o.State && slices.Equal(c.Tenants, o.Tenants)
}

// Claim gives some namespaces of some clusters to a tenant.
type Claim struct {
	// Clusters that it speaks of; empty is all.
	Clusters   []string
	Namespaces []string
}

// Tenant is a tenant as the fleet needs to know it.
type Tenant struct {
	Name             string
	Claims           []Claim
	AllowedRegions   []string
	AllowedHostnames []string
	AllowedProviders []string
	AllowedAddresses []string
	DefaultPlacement string
	ServedBy         bool
}

// Namespaces lists the tenant's namespaces in a cluster.
func (t Tenant) Namespaces(cluster string) []string {
	var out []string
	for _, c := range t.Claims {
		if len(c.Clusters) == 0 || slices.Contains(c.Clusters, cluster) {
			out = append(out, c.Namespaces...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// DeclarationID names a declaration in the fleet.
type DeclarationID struct {
	Cluster string
	Key     objects.Key
}

// Compare orders by key, then by cluster.
func (d DeclarationID) Compare(o DeclarationID) int {
	if c := d.Key.Compare(o.Key); c != 0 {
		return c
	}
	return strings.Compare(d.Cluster, o.Cluster)
}

// Declaration is what a spoke pushed, with what the plan reads of it.
type Declaration struct {
	ID         DeclarationID
	Generation int64
	// Hash is the envelope's content hash.
	Hash string
	// Body is the resource as it came, to be passed on as it is.
	Body *assignment.Declaration
	// Placement is a Gateway's nave.dev/placement, "" where it declares none.
	Placement string
	// Class is a Gateway's class.
	Class string
	// Fleet is set on a backend that other clusters may serve.
	Fleet bool
	// Parents are the Gateways that a route attaches to.
	Parents []objects.Key
	// Targets are what a policy attaches to.
	Targets []objects.Key
}

// View is how one cluster sees addresses of others: an address within From is
// reached at the same place within To (prefixes of one length). It stands for
// NAT, and for a simulated WAN.
type View struct {
	Viewer string
	From   netip.Prefix
	To     netip.Prefix
}

// Translate gives the address, host:port, as a viewer reaches it.
func Translate(views []View, viewer, address string) string {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	for _, v := range views {
		if v.Viewer == viewer && v.From.Contains(ap.Addr()) && v.From.Bits() == v.To.Bits() {
			return netip.AddrPortFrom(move(ap.Addr(), v.To), ap.Port()).String()
		}
	}
	return address
}

// move keeps the host bits of a and takes the network bits of to.
func move(a netip.Addr, to netip.Prefix) netip.Addr {
	host, network := a.AsSlice(), to.Masked().Addr().AsSlice()
	if len(host) != len(network) {
		return a
	}
	for i := range host {
		bits := min(max(to.Bits()-8*i, 0), 8)
		mask := byte(0xff << (8 - bits))
		host[i] = network[i]&mask | host[i]&^mask
	}
	moved, _ := netip.AddrFromSlice(host)
	return moved
}

// Package pki decides who is who in a fleet: how identities are written into
// certificates, which chains prove them, which peers each port and each dial
// admits, and what a cluster's signature on a declaration is worth. It holds
// no key of its own, reads no file, no clock and no randomness: those are
// passed in by the identity packages of hub, spoke and proxy.
//
// A fleet has one root. It signs the hub, the supervisor of a standalone fleet,
// and for every cluster one intermediate, which only signs inside that cluster:
// the spoke itself and the proxies. Chains are checked by these names and not
// by X.509 name constraints, whose form for URIs sees a host and no path.
package pki

import (
	"fmt"
	"net/url"
	"strings"
)

// Role is what a name stands for.
type Role string

// The roles of a fleet.
const (
	Hub        Role = "hub"
	Supervisor Role = "supervisor"
	Spoke      Role = "spoke"
	Proxy      Role = "proxy"
)

const trustDomain = "nave"

// Name is an identity, as the one URI of a certificate says it:
//
//	spiffe://nave/<fleet>/hub
//	spiffe://nave/<fleet>/supervisor
//	spiffe://nave/<fleet>/cluster/<cluster>
//	spiffe://nave/<fleet>/cluster/<cluster>/tenant/<tenant>/gateway/<namespace>/<gateway>/proxy/<id>
//
// The third is a cluster's intermediate and its spoke.
type Name struct {
	Role  Role
	Fleet string
	// Cluster is set for a spoke and a proxy, the rest for a proxy.
	Cluster                           string
	Tenant, Namespace, Gateway, Proxy string
}

// HubName names the hub of a fleet.
func HubName(fleet string) Name { return Name{Role: Hub, Fleet: fleet} }

// SupervisorName names the supervisor of a standalone fleet.
func SupervisorName(fleet string) Name { return Name{Role: Supervisor, Fleet: fleet} }

// SpokeName names a cluster and its spoke.
func SpokeName(fleet, cluster string) Name { return Name{Role: Spoke, Fleet: fleet, Cluster: cluster} }

// URI is the name as it stands in a certificate.
func (n Name) URI() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: trustDomain, Path: "/" + n.path()}
}

func (n Name) String() string { return n.URI().String() }

func (n Name) path() string {
	switch n.Role {
	case Hub, Supervisor:
		return n.Fleet + "/" + string(n.Role)
	case Spoke:
		return n.Fleet + "/cluster/" + n.Cluster
	}
	return strings.Join([]string{n.Fleet, "cluster", n.Cluster, "tenant", n.Tenant, "gateway", n.Namespace, n.Gateway, "proxy", n.Proxy}, "/")
}

// Check tells what is wrong with the parts of a name.
func (n Name) Check() error {
	parts := []struct{ what, is string }{{"fleet", n.Fleet}}
	switch n.Role {
	case Hub, Supervisor:
	case Spoke:
		parts = append(parts, struct{ what, is string }{"cluster", n.Cluster})
	case Proxy:
		parts = append(parts, []struct{ what, is string }{
			{"cluster", n.Cluster}, {"tenant", n.Tenant}, {"namespace", n.Namespace}, {"gateway", n.Gateway}, {"proxy", n.Proxy},
		}...)
	default:
		return fmt.Errorf("identity has the unknown role %q", n.Role)
	}
	for _, p := range parts {
		if !segment(p.is) {
			return fmt.Errorf("identity's %s %q: want 1 to 253 letters, digits, '-', '_' or '.'", p.what, p.is)
		}
	}
	return nil
}

// segment admits what can stand between two slashes and mean only itself.
func segment(s string) bool {
	if s == "" || len(s) > 253 || s == "." || s == ".." {
		return false
	}
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// ParseName reads a name from its URI. Only the form that URI writes is taken.
func ParseName(uri string) (Name, error) {
	rest, ok := strings.CutPrefix(uri, "spiffe://"+trustDomain+"/")
	if !ok || len(uri) > 2048 {
		return Name{}, fmt.Errorf("parsing the identity %.80q: want spiffe://%s/…", uri, trustDomain)
	}
	p := strings.Split(rest, "/")
	n := Name{Fleet: p[0]}
	switch {
	case len(p) == 2 && (p[1] == string(Hub) || p[1] == string(Supervisor)):
		n.Role = Role(p[1])
	case len(p) == 3 && p[1] == "cluster":
		n.Role, n.Cluster = Spoke, p[2]
	case len(p) == 10 && p[1] == "cluster" && p[3] == "tenant" && p[5] == "gateway" && p[8] == "proxy":
		n.Role, n.Cluster, n.Tenant = Proxy, p[2], p[4]
		n.Namespace, n.Gateway, n.Proxy = p[6], p[7], p[9]
	default:
		return Name{}, fmt.Errorf("parsing the identity %.200q: not of a known form", uri)
	}
	if err := n.Check(); err != nil {
		return Name{}, fmt.Errorf("parsing the identity %.200q: %w", uri, err)
	}
	return n, nil
}

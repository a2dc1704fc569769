package session

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"

	"github.com/navehq/nave/api/table"
)

// Owners orders the proxies of a cluster by how well they are suited to own
// the session at a server: the first owns it, the second takes over. It is
// rendezvous hashing: whoever asks gets the same order, and a proxy that comes
// or goes moves only the sessions that are its own.
func Owners(h Handle, server string, proxies []table.LinkProxy) []table.LinkProxy {
	type scored struct {
		proxy table.LinkProxy
		score [sha256.Size]byte
	}
	all := make([]scored, 0, len(proxies))
	for _, p := range proxies {
		text := append(h[:len(h):len(h)], server...)
		text = append(append(text, 0), p.ID...)
		all = append(all, scored{p, sha256.Sum256(text)})
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(bytes.Compare(b.score[:], a.score[:]), cmp.Compare(a.proxy.ID, b.proxy.ID))
	})
	out := make([]table.LinkProxy, len(all))
	for i := range all {
		out[i] = all[i].proxy
	}
	return out
}

// Eligible are the proxies of a peer that may own sessions of a tenant's
// gateway: the gateway's own where it has any there, else all of the tenant's.
func Eligible(p *table.Peer, tenant, gateway string) []table.LinkProxy {
	if p == nil {
		return nil
	}
	var same, others []table.LinkProxy
	for _, x := range p.Proxies {
		switch {
		case x.Tenant != tenant:
		case x.Gateway == gateway:
			same = append(same, x)
		default:
			others = append(others, x)
		}
	}
	if len(same) > 0 {
		return same
	}
	return others
}

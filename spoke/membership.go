package spoke

import (
	"fmt"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/spoke/gossip"
)

// member is what a cluster signs to prove its name in gossip: a resource of no
// content, whose kind is never a declaration's.
func member(cluster string) stream.Resource {
	return stream.Resource{Kind: "member", Key: cluster, Origin: cluster, Hash: stream.HashOf(nil)}
}

// openGossip makes the membership, which begins to speak when the assignment
// brings its keys.
func (s *Spoke) openGossip() error {
	if s.ports.gossip == nil {
		return nil
	}
	signed, err := s.identity.Sign(member(s.opts.Cluster))
	if err != nil {
		return fmt.Errorf("sign the name for gossip: %w", err)
	}
	s.gossip = gossip.New(gossip.Options{
		Cluster: s.opts.Cluster, Meta: signed.Signature, Now: s.deps.Now, Log: s.deps.Log, Registerer: s.deps.Registry,
		Transport: gossip.NewTransport(s.ports.gossip, s.ports.packets, s.deps.Dial, s.deps.Log),
		Verify: func(cluster string, meta []byte) error {
			r := member(cluster)
			r.Signature = meta
			return s.uplink.Verify(r)
		},
		Sample: s.heard,
	})
	return nil
}

// revoke takes the fleet's list of revoked identities, and ends what they hold.
func (s *Spoke) revoke(ids pki.Revoked) {
	s.identity.Revoke(ids)
	s.publisher.Revoke(ids)
	s.uplink.Revoke(ids)
}

// meet tells gossip where the other clusters' spokes are.
func (s *Spoke) meet(peers map[string]*assignment.Peer) {
	if s.gossip == nil {
		return
	}
	at := map[string]string{}
	for cluster, p := range peers {
		if cluster != s.opts.Cluster && p.Gossip != "" {
			at[cluster] = p.Gossip
		}
	}
	s.gossip.SetPeers(at)
}

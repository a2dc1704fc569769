package spoke

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/spoke/keys"
)

// renewal is how often session keys are looked at for their age.
const renewal = time.Minute

// renew lets session keys change in their time, until ctx ends.
func (d *desk) renew(ctx context.Context) error {
	tick := time.NewTicker(renewal)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		d.mu.Lock()
		d.giveKeys()
		d.sealKeys()
		d.mu.Unlock()
	}
}

// unseal takes the keys of a Gateway that is at home elsewhere.
func (d *desk) unseal(x *assignment.Sealed) {
	place := "keys/" + x.From + "/" + x.Purpose
	if err := d.s.keys.Take(x); err != nil {
		d.problem(place, []objects.Problem{{
			Cluster: d.s.opts.Cluster, Reason: "SessionKeyNotOpened", Message: err.Error(),
			Remedy: "if this cluster was made anew, remove it from keys.json in the state folder of cluster " + x.From,
		}})
		return
	}
	d.problem(place, nil)
}

// giveKeys gives each table the keys that seal its sessions, where they changed.
func (d *desk) giveKeys() {
	for _, name := range d.translator.Tables() {
		_, info, _ := d.translator.Table(name)
		if info.Gateway == (objects.Key{}) {
			continue
		}
		set, ok := d.keySet(name, info.Home)
		sum := fingerprint(set)
		if !ok || d.given[name] == sum {
			continue
		}
		d.given[name] = sum
		next, result := d.translator.SetSessionKeys(name, set)
		d.take(next, result)
	}
}

func (d *desk) keySet(name, home string) (keys.Set, bool) {
	if home != d.s.opts.Cluster {
		return d.s.keys.Given(home, name)
	}
	set, err := d.s.keys.Own(name)
	if err != nil {
		d.s.deps.Log.Error("make a session key", "gateway", name, "err", err)
		return nil, false
	}
	return set, true
}

// fingerprint tells one set of keys from another. Maps are encoded in the order
// of their names.
func fingerprint(set keys.Set) string {
	data, err := json.Marshal(set)
	if err != nil {
		return ""
	}
	return stream.HashOf(data)
}

// sealKeys seals the keys of own Gateways to the clusters that host them.
func (d *desk) sealKeys() {
	for _, p := range d.placed {
		gateway := p.Namespace + "/" + p.Name
		if p.Home != d.s.opts.Cluster {
			continue
		}
		for _, host := range p.Hosts {
			if peer := d.peers[host]; host != p.Home && peer != nil && len(peer.PublicKey) > 0 {
				d.seal(gateway, peer)
			}
		}
	}
}

func (d *desk) seal(gateway string, host *assignment.Peer) {
	set, ok := d.keySet(gateway, d.s.opts.Cluster)
	at, sum := gateway+"@"+host.Cluster, fingerprint(set)+string(host.PublicKey)
	if !ok || d.sealed[at] == sum {
		return
	}
	d.sealed[at] = sum
	sealed, err := d.s.keys.Seal(gateway, host.Cluster, host.PublicKey)
	switch {
	case errors.Is(err, keys.ErrPinned):
		d.problem("keys/"+at, []objects.Problem{{
			Cluster: d.s.opts.Cluster, Object: "Gateway " + gateway, Reason: "PublicKeyChanged", Message: err.Error(),
			Remedy: "if cluster " + host.Cluster + " was made anew, remove it from pinned in keys.json of this cluster's state folder, and start the spoke again",
		}})
	case err != nil:
		d.s.deps.Log.Error("seal session keys", "err", err)
	default:
		d.problem("keys/"+at, nil)
		d.s.uplink.Tell(sealed)
	}
}

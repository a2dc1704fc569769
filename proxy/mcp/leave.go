package mcp

import (
	"slices"
	"time"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/mcp/session"
	"github.com/navehq/nave/proxy/pick"
)

// begin counts a call that uses the session of that turn; h.mu is held.
func (h *held) begin(turn int) {
	if h.busy == nil {
		h.busy = map[int]int{}
	}
	h.busy[turn]++
}

// done counts it out again, and ends what it was the last call of.
func (o *owner) done(h *held, turn int) {
	h.mu.Lock()
	if h.busy[turn]--; h.busy[turn] == 0 {
		delete(h.busy, turn)
	}
	h.mu.Unlock()
	o.finish(h)
}

// part takes leave of a session at the server that lives in another cluster
// now: its stream ends at once, the rest with its last call.
func (o *owner) part(h *held) {
	h.mu.Lock()
	f := h.feed
	h.feed = nil
	h.mu.Unlock()
	if f != nil {
		f.end()
		f.stop()
	}
	o.finish(h)
}

// finish ends the sessions at the server that were parted with and that no call
// uses any more.
func (o *owner) finish(h *held) {
	h.mu.Lock()
	var over []live
	h.parted = slices.DeleteFunc(h.parted, func(l live) bool {
		free := h.busy[l.turn] == 0
		if free {
			over = append(over, l)
		}
		return free
	})
	h.mu.Unlock()
	for _, l := range over {
		if l.legacy != nil {
			l.legacy.close()
		}
		if l.id != "" {
			o.endAt(h, l)
		}
	}
}

// underWay is the session that answers and notifications belong to: the one
// that is live, or the last that was parted with and is still used.
func (h *held) underWay() (live, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state.Phase == session.Live {
		return live{turn: h.state.Turn, id: h.state.ID, version: h.state.Version, legacy: h.legacy}, true
	}
	if n := len(h.parted); n > 0 {
		return h.parted[n-1], true
	}
	return live{}, false
}

// drains tells whether orders take what is in a cluster elsewhere.
func drains(find func(table.ID) table.Resource, cluster string) bool {
	peer, _ := find(table.ID{Kind: table.KindPeer, Name: cluster}).(*table.Peer)
	return peer != nil && peer.State == table.PeerDraining
}

// roomPace is how often an owner looks whether its cluster drains.
const roomPace = time.Second

// makeRoom ends streams from a cluster that drains, so that the entry proxies look
// anew where to have them. What else there is goes with its next request: where to
// is for the proxy to say where it enters.
func (o *owner) makeRoom() {
	tick := time.NewTicker(roomPace)
	defer tick.Stop()
	for {
		select {
		case <-o.p.life.Done():
			return
		case <-tick.C:
		}
		self, _ := o.p.find(table.ID{Kind: table.KindSelf, Name: "self"}).(*table.Self)
		if self == nil || !drains(o.p.find, self.Cluster) {
			continue
		}
		for _, h := range o.held.values() {
			o.letGo(h)
		}
	}
}

// letGo ends a session's stream once it is not new, where another cluster seems
// ready for it.
func (o *owner) letGo(h *held) {
	h.mu.Lock()
	f, since := h.feed, h.fed
	h.mu.Unlock()
	if f == nil || o.p.now().Sub(since) < o.p.limits.Linger || !o.wantedElsewhere(h) {
		return
	}
	f.end()
	f.stop()
}

// wantedElsewhere tells whether another cluster is ready for the session.
func (o *owner) wantedElsewhere(h *held) bool {
	call := h.calling()
	o.p.renew(call)
	h.mu.Lock()
	own := h.to.Key()
	h.mu.Unlock()
	return len(o.p.sender.Decide(call, pick.Needs{Member: h.place.server, Holds: own, Explain: true}).Order) > 1
}

// Sessions is how many sessions at servers that could live in other clusters are
// used here: listened to, with calls under way, or lately.
func (p *Protocol) Sessions() (n int) {
	for _, h := range p.owner.held.values() {
		h.mu.Lock()
		used := h.feed != nil || len(h.busy) > 0 || p.now().Sub(h.used) < p.limits.Linger
		if h.call != nil && h.call.Backend.Fleet && used && (h.state.Phase == session.Live || len(h.parted) > 0) {
			n++
		}
		h.mu.Unlock()
	}
	return n
}

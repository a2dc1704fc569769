// Package gossip keeps the spokes of a fleet aware of each other: who is there,
// and how long a round trip to each takes. What it says are facts that
// corroborate; it decides nothing and authorizes nothing. Members are reached by
// name at the address that the assignment gives for them, which differs by
// viewer; what a member calls its own address is never dialled.
package gossip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/latency"
)

// The paces of a fleet of few members, some of them far away: a member is
// probed each second in turn, and counts as gone after about five seconds of
// silence that others confirm.
const (
	probeEvery   = time.Second
	probeTimeout = 800 * time.Millisecond
	spreadEvery  = 500 * time.Millisecond
	syncEvery    = 15 * time.Second
	suspicion    = 4
	streamLimit  = 3 * time.Second
	joinEvery    = 3 * time.Second
	leaveLimit   = 500 * time.Millisecond
	stale        = 30 * time.Second
	port         = 7946
)

// Options of a Gossip. Cluster, Meta, Verify, Transport and Log are required.
type Options struct {
	Cluster string
	// Meta proves to others that this is the cluster; Verify holds another
	// member's against its name.
	Meta   []byte
	Verify func(cluster string, meta []byte) error
	// Transport carries the packets and streams; it is closed with Run.
	Transport *Transport
	// Sample takes each round trip's estimate, and a Lost one when a member is
	// gone. It must not block.
	Sample     func(*assignment.Sample)
	Registerer prometheus.Registerer
	Now        func() time.Time
	Log        *slog.Logger
}

// Gossip is one spoke's membership. It is safe for concurrent use.
type Gossip struct {
	opts    Options
	changed chan struct{}

	mu      sync.Mutex
	keys    [][]byte
	peers   map[string]string
	members map[string]bool
	book    latency.Book
}

// New is silent until it has keys and runs.
func New(opts Options) *Gossip {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	g := &Gossip{
		opts: opts, changed: make(chan struct{}, 1), peers: map[string]string{}, members: map[string]bool{},
		book: latency.New(stale),
	}
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(gauges{g})
	}
	return g
}

// SetPeers takes the addresses of the other clusters' spokes, host:port by
// cluster, as this one reaches them.
func (g *Gossip) SetPeers(peers map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if maps.Equal(g.peers, peers) {
		return
	}
	g.peers = maps.Clone(peers)
	g.opts.Transport.setPeers(g.peers)
	g.poke()
}

// keyLength is AES-256's, bytes.
const keyLength = 32

// SetKeys takes the fleet's keys, 32 bytes each: the first seals, all open. Others
// are left out.
func (g *Gossip) SetKeys(keys [][]byte) {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k []byte) bool {
		if len(k) != keyLength {
			g.opts.Log.Warn("leave out a gossip key", "bytes", len(k), "wanted", keyLength)
		}
		return len(k) != keyLength
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.EqualFunc(g.keys, keys, bytes.Equal) {
		return
	}
	g.keys = keys
	g.poke()
}

func (g *Gossip) poke() {
	select {
	case g.changed <- struct{}{}:
	default: // a look is due already
	}
}

// Members are the other clusters that are there now, by name.
func (g *Gossip) Members() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.members))
}

// RTT is the estimated round trip to another cluster's spoke.
func (g *Gossip) RTT(cluster string) latency.Estimate {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.book.Estimate(cluster, g.opts.Now())
}

// Run takes part until ctx ends, from the moment there are keys.
func (g *Gossip) Run(ctx context.Context) error {
	defer g.opts.Transport.close()
	defer context.AfterFunc(ctx, g.opts.Transport.hangUp)()
	var ring *memberlist.Keyring
	var list *memberlist.Memberlist
	tick := time.NewTicker(joinEvery)
	defer tick.Stop()
	for {
		if keys := g.wanted(); len(keys) > 0 {
			var err error
			if list == nil {
				ring, list, err = g.begin(keys)
			} else {
				err = rotate(ring, keys)
			}
			if err != nil {
				return err
			}
			g.join(list)
		}
		select {
		case <-ctx.Done():
			return end(list)
		case <-g.changed:
		case <-tick.C:
		}
	}
}

func (g *Gossip) wanted() [][]byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.keys
}

func end(list *memberlist.Memberlist) error {
	if list == nil {
		return nil
	}
	// Others find out all the same, only later.
	_ = list.Leave(leaveLimit)
	if err := list.Shutdown(); err != nil {
		return fmt.Errorf("end gossip: %w", err)
	}
	return nil
}

func (g *Gossip) begin(keys [][]byte) (*memberlist.Keyring, *memberlist.Memberlist, error) {
	ring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return nil, nil, fmt.Errorf("begin gossip: %w", err)
	}
	c := memberlist.DefaultWANConfig()
	c.Name, c.Transport, c.Keyring, c.RequireNodeNames = g.opts.Cluster, g.opts.Transport, ring, true
	c.AdvertiseAddr, c.AdvertisePort = standIn(g.opts.Cluster).String(), port
	c.Delegate, c.Events, c.Alive, c.Ping = delegate{g}, delegate{g}, delegate{g}, delegate{g}
	c.ProbeInterval, c.ProbeTimeout, c.SuspicionMult = probeEvery, probeTimeout, suspicion
	c.GossipInterval, c.PushPullInterval, c.TCPTimeout = spreadEvery, syncEvery, streamLimit
	c.DeadNodeReclaimTime = time.Millisecond
	c.Logger = newLogger(g.opts.Log)
	list, err := memberlist.Create(c)
	if err != nil {
		return nil, nil, fmt.Errorf("begin gossip: %w", err)
	}
	return ring, list, nil
}

// rotate brings the ring in line: what is new opens first, then the first key
// seals, and what is no longer listed goes.
func rotate(ring *memberlist.Keyring, keys [][]byte) error {
	for _, k := range keys {
		if err := ring.AddKey(k); err != nil {
			return fmt.Errorf("take a gossip key: %w", err)
		}
	}
	if err := ring.UseKey(keys[0]); err != nil {
		return fmt.Errorf("use a gossip key: %w", err)
	}
	for _, k := range ring.GetKeys() {
		if !slices.ContainsFunc(keys, func(w []byte) bool { return bytes.Equal(w, k) }) {
			if err := ring.RemoveKey(bytes.Clone(k)); err != nil {
				return fmt.Errorf("remove a gossip key: %w", err)
			}
		}
	}
	return nil
}

// join calls on the peers that are not members: new ones, and those that a
// partition took away for longer than memberlist remembers.
func (g *Gossip) join(list *memberlist.Memberlist) {
	g.mu.Lock()
	var missing []string
	for cluster := range g.peers {
		if !g.members[cluster] {
			missing = append(missing, cluster+"/"+net.JoinHostPort(standIn(cluster).String(), fmt.Sprint(port)))
		}
	}
	g.mu.Unlock()
	var wg sync.WaitGroup
	for _, at := range missing {
		wg.Go(func() {
			if _, err := list.Join([]string{at}); err != nil {
				g.opts.Log.Debug("join a peer's gossip", "peer", at, "err", err)
			}
		})
	}
	wg.Wait()
}

// standIn is the address that a cluster's spoke goes by in gossip, where every
// member has to have one: of the cluster's name alone, so that a spoke that
// comes back elsewhere is no conflict. Nobody dials it.
func standIn(cluster string) net.IP {
	sum := sha256.Sum256([]byte(cluster))
	return append(net.IP{0xfd}, sum[:net.IPv6len-1]...)
}

var errForeign = errors.New("it is no peer")

// verify lets a member count only if it proves its name.
func (g *Gossip) verify(n *memberlist.Node) error {
	if n.Name == g.opts.Cluster {
		if !bytes.Equal(n.Meta, g.opts.Meta) {
			return fmt.Errorf("verify gossip member %q: it uses this cluster's own name", n.Name)
		}
		return nil
	}
	g.mu.Lock()
	_, known := g.peers[n.Name]
	g.mu.Unlock()
	if !known {
		return fmt.Errorf("verify gossip member %q: %w", n.Name, errForeign)
	}
	return g.opts.Verify(n.Name, n.Meta)
}

func (g *Gossip) came(cluster string) {
	if cluster == g.opts.Cluster {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members[cluster] = true
	g.opts.Log.Info("gossip member comes", "cluster", cluster)
}

func (g *Gossip) left(cluster string) {
	if cluster == g.opts.Cluster {
		return
	}
	g.mu.Lock()
	delete(g.members, cluster)
	e := g.book.Estimate(cluster, g.opts.Now())
	g.mu.Unlock()
	g.opts.Log.Info("gossip member goes", "cluster", cluster)
	g.tell(cluster, e, true)
	g.poke()
}

func (g *Gossip) measured(cluster string, rtt time.Duration) {
	g.mu.Lock()
	g.book = g.book.Add(cluster, g.opts.Now(), rtt)
	e := g.book.Estimate(cluster, g.opts.Now())
	g.mu.Unlock()
	g.tell(cluster, e, false)
}

func (g *Gossip) tell(cluster string, e latency.Estimate, lost bool) {
	if g.opts.Sample == nil {
		return
	}
	g.opts.Sample(&assignment.Sample{
		From: g.opts.Cluster, To: cluster, Measure: "gossip", RTT: table.Duration(e.Value), Count: 1,
		At: g.opts.Now().Add(-e.Age), Lost: lost,
	})
}

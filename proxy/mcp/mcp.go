// Package mcp carries MCP between clients and servers: the streamable HTTP
// endpoint that clients see, the way from there to the proxy that owns the
// session at a server, and that owner's sessions with the servers themselves.
// It never decides where a server may be reached (pick does), which of its
// names is whose (catalog) or what a session may do next (session).
package mcp

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/mcp/jsonrpc"
	"github.com/navehq/nave/proxy/mcp/session"
)

// Limits bound what clients and servers can make a proxy keep. Zero fields take
// the defaults that are named.
type Limits struct {
	// Body is the largest request of a client, bytes [4 MiB]; Answer the largest
	// answer, or event, of a server [16 MiB].
	Body, Answer int
	// Depth is how deep JSON may nest [64]; Batch how many messages a batch may
	// hold, for the protocol version that has batches [32].
	Depth, Batch int
	// Sessions is how many sessions at servers this proxy owns at most; the
	// longest unused ends first [20,000]. Copies of others' sessions count too.
	Sessions int
	// Streams is how many GET streams one session may have open here [4].
	Streams int
	// Life is how long a session id is good for [24 h]; Idle how long a session
	// at a server is kept unused [30 min].
	Life, Idle time.Duration
	// Initialise bounds beginning a session at a server [10 s]; Ask bounds
	// asking other owners what they know of a session [500 ms].
	Initialise, Ask time.Duration
	// Linger is how long a stream stays open in a cluster that drains, where another
	// is ready for it, and how long after its last request a session counts as used
	// [10 s].
	Linger time.Duration
	// Heartbeat is how often a silent event stream gets a comment [15 s].
	Heartbeat time.Duration
}

func (l Limits) filled() Limits {
	number(&l.Body, 4<<20)
	number(&l.Answer, 16<<20)
	number(&l.Depth, 64)
	number(&l.Batch, 32)
	number(&l.Sessions, 20_000)
	number(&l.Streams, 4)
	number(&l.Life, 24*time.Hour)
	number(&l.Idle, 30*time.Minute)
	number(&l.Initialise, 10*time.Second)
	number(&l.Ask, 500*time.Millisecond)
	number(&l.Linger, 10*time.Second)
	number(&l.Heartbeat, 15*time.Second)
	return l
}

func number[N int | time.Duration](n *N, otherwise N) {
	if *n <= 0 {
		*n = otherwise
	}
}

// Options is what New needs. Only Sender must be given.
type Options struct {
	Sender forward.Sender
	// Proxy is this proxy's own table.LinkProxy.ID.
	Proxy string
	// Version is told to clients as the gateway's.
	Version string
	Log     *slog.Logger
	// Metrics is where the package's metrics are registered; nil keeps them silent.
	Metrics prometheus.Registerer
	Now     func() time.Time
	// Find looks up the table that is obeyed now; nil knows of nothing.
	Find func(table.ID) table.Resource
	// Rand is a source of random bytes fit for keys.
	Rand   io.Reader
	Limits Limits
}

// Protocol serves MCP backends: what clients send, and what other proxies send
// over the link to the sessions that this one owns.
type Protocol struct {
	sender  forward.Sender
	proxy   string
	version string
	log     *slog.Logger
	now     func() time.Time
	find    func(table.ID) table.Resource
	rand    io.Reader
	limits  Limits
	metrics *metrics

	owner   *owner
	rings   rings
	hints   *lru[place, string]           // the cluster that last served a session at a server
	tools   *lru[target, map[string]bool] // which tools of a server may be repeated
	whose   *lru[named, string]           // the server of a name, where prefixes do not tell
	ended   *lru[session.Handle, time.Time]
	suspect *lru[string, time.Time] // proxies that lately could not be reached
	streams counter

	stop context.CancelFunc
	life context.Context
	work sync.WaitGroup
}

// place is a session at a server.
type place struct {
	handle  session.Handle
	backend string
	server  string
}

// target is a server of a backend.
type target struct{ backend, server string }

// named is a name in one of a backend's lists.
type named struct{ backend, list, name string }

var _ forward.Protocol = (*Protocol)(nil)

// New makes a Protocol. Close ends what it has begun.
func New(o Options) *Protocol {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Find == nil {
		o.Find = func(table.ID) table.Resource { return nil }
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	p := &Protocol{
		sender: o.Sender, proxy: o.Proxy, version: o.Version, log: o.Log,
		now: o.Now, find: o.Find, rand: o.Rand, limits: o.Limits.filled(), metrics: newMetrics(o.Metrics),
		hints:   newLRU[place, string](100_000, nil),
		tools:   newLRU[target, map[string]bool](1024, nil),
		whose:   newLRU[named, string](16_384, nil),
		ended:   newLRU[session.Handle, time.Time](100_000, nil),
		suspect: newLRU[string, time.Time](1024, nil),
		streams: counter{open: map[session.Handle]int{}},
	}
	p.life, p.stop = context.WithCancel(context.Background())
	p.owner = newOwner(p)
	p.work.Go(p.owner.reap)
	p.work.Go(p.owner.copies.run)
	p.work.Go(p.owner.makeRoom)
	return p
}

// Close ends the sessions' connections and waits for the package's goroutines.
// Sessions at servers are left to the proxies that take over.
func (p *Protocol) Close() {
	p.stop()
	p.work.Wait()
}

// Serve answers one call: another proxy's to a session that this one owns, or
// a client's.
func (p *Protocol) Serve(ctx context.Context, call *forward.Call) {
	if call.Only != nil {
		p.owner.serveLink(ctx, call)
		return
	}
	p.serveClient(ctx, call)
}

// caught keeps a panic of a goroutine from ending the process: what it worked on
// is lost, nothing else. It is to be deferred itself.
func (p *Protocol) caught(doing string) {
	if r := recover(); r != nil {
		p.log.Error("a panic was caught", "doing", doing, "panic", r, "stack", string(debug.Stack()))
	}
}

// request are the limits for what a client sends.
func (p *Protocol) request(batches bool) jsonrpc.Limits {
	l := jsonrpc.Limits{Bytes: p.limits.Body, Depth: p.limits.Depth}
	if batches {
		l.Batch = p.limits.Batch
	}
	return l
}

// answer are the limits for what a server sends.
func (p *Protocol) answer() jsonrpc.Limits {
	return jsonrpc.Limits{Bytes: p.limits.Answer, Depth: p.limits.Depth, Batch: 256, Lenient: true}
}

// rings keeps the ring made of each Secret, since making one derives keys.
type rings struct {
	mu    sync.Mutex
	from  *table.Secret
	ring  *session.Ring
	local *session.Ring
}

// ring is the ring of the table that the call was matched by. Where the table
// names no keys, this process makes its own: its sessions then end with it.
func (p *Protocol) ring(call *forward.Call) (*session.Ring, error) {
	p.rings.mu.Lock()
	defer p.rings.mu.Unlock()
	name := ""
	if call.Self != nil {
		name = call.Self.SessionKeys
	}
	secret, _ := call.Find(table.ID{Kind: table.KindSecret, Name: name}).(*table.Secret)
	if secret == nil {
		return p.localRing(name)
	}
	if secret == p.rings.from {
		return p.rings.ring, nil
	}
	ring, err := session.NewRing(secret.Data)
	if err != nil {
		return nil, err
	}
	p.rings.from, p.rings.ring = secret, ring
	return ring, nil
}

func (p *Protocol) localRing(missing string) (*session.Ring, error) {
	if p.rings.local != nil {
		return p.rings.local, nil
	}
	raw := make([]byte, session.KeySize)
	if _, err := io.ReadFull(p.rand, raw); err != nil {
		return nil, err
	}
	ring, err := session.NewRing(map[string][]byte{"use": []byte("local"), "local": raw})
	if err != nil {
		return nil, err
	}
	p.log.Warn("mcp sessions end with this proxy: its table holds no session keys", "secret", missing)
	p.rings.local = ring
	return ring, nil
}

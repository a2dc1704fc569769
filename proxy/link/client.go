package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/forward"
	"github.com/navehq/nave/proxy/http2"
	"github.com/navehq/nave/proxy/latency"
	"github.com/navehq/nave/proxy/message"
)

// Options of a Client. Cluster, Tenant and TLS are required.
type Options struct {
	// Cluster, Tenant, Gateway and Proxy say who this proxy is.
	Cluster, Tenant, Gateway, Proxy string
	// TLS admits only proxies of this tenant in that cluster (pki.Party.LinkClient).
	TLS func(cluster string) *tls.Config
	// Dial opens connections [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the time [time.Now]; Word a random word [math/rand].
	Now  func() time.Time
	Word func() uint64
	// Registerer gets the metrics; nil is silent. Log [none].
	Registerer prometheus.Registerer
	Log        *slog.Logger
}

// Client holds a connection to each proxy of the tenant in other clusters, and
// to the other replicas in its own. It is safe for concurrent use.
type Client struct {
	opt  Options
	out  *gauges
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu    sync.Mutex
	peers map[string]map[string]*peer // by cluster, by the proxy's id
	// retiring carry what was in flight when they were no longer wanted.
	retiring map[*peer]bool
	book     latency.Book
}

var _ forward.Link = (*Client)(nil)

// rttStale is when a round trip is unknown again.
const rttStale = 10 * time.Second

// NewClient makes a client without peers; Close ends it.
func NewClient(o Options) *Client {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Word == nil {
		o.Word = rand.Uint64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	c := &Client{
		opt: o, peers: map[string]map[string]*peer{}, retiring: map[*peer]bool{}, book: latency.New(rttStale),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.out = newGauges(c)
	if o.Registerer != nil {
		o.Registerer.MustRegister(c.out)
	}
	return c
}

// SetPeers makes the connections those of the table: proxies come, go and
// change their addresses. A peer that stays keeps its connection; one whose
// address changes is reached at the old one until the new one answers; what is in
// flight to one that goes may end.
func (c *Client) SetPeers(peers []*table.Peer) {
	wanted := map[string]map[string]table.LinkProxy{}
	for _, p := range peers {
		m := map[string]table.LinkProxy{}
		for _, x := range p.Proxies {
			self := p.Cluster == c.opt.Cluster && x.ID == c.opt.Proxy
			if x.Tenant == c.opt.Tenant && !self && x.Address != "" {
				m[x.ID] = x
			}
		}
		wanted[p.Cluster] = m
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	for cluster, m := range c.peers {
		for id, p := range m {
			if _, ok := wanted[cluster][id]; !ok {
				c.retire(p)
				delete(m, id)
			}
		}
		if len(m) == 0 {
			delete(c.peers, cluster)
		}
	}
	for cluster, m := range wanted {
		for id, x := range m {
			if c.peers[cluster] == nil {
				c.peers[cluster] = map[string]*peer{}
			}
			switch old := c.peers[cluster][id]; {
			case old == nil:
				c.peers[cluster][id] = c.start(cluster, x)
			case old.proxy != x:
				c.peers[cluster][id] = c.start(cluster, x)
				c.peers[cluster][id].before = c.keepOne(old)
			}
		}
	}
}

// start begins to keep a connection; c.mu is held.
func (c *Client) start(cluster string, x table.LinkProxy) *peer {
	p := &peer{client: c, cluster: cluster, proxy: x, why: errors.New("not connected yet"), poke: make(chan struct{}, 1)}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(c.ctx)
	c.work.Go(func() { p.keep(ctx) })
	return p
}

// keepOne keeps of a peer and the one before it that which answers; c.mu is held.
func (c *Client) keepOne(p *peer) *peer {
	before := p.before
	p.before = nil
	if before == nil {
		return p
	}
	if p.up() {
		p, before = before, p
	}
	c.retire(p)
	return before
}

// arrived is told when a peer answers: the one before it is no longer needed.
func (c *Client) arrived(p *peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.before != nil {
		c.retire(p.before)
		p.before = nil
	}
}

// retire gives a peer nothing new, and ends it when what is in flight has ended;
// c.mu is held.
func (c *Client) retire(p *peer) {
	if p.before != nil {
		c.retire(p.before)
		p.before = nil
	}
	c.retiring[p] = true
	c.work.Go(func() {
		p.drain(c.ctx)
		p.stop()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.retiring, p)
	})
}

// Close ends all connections and waits for it.
func (c *Client) Close() {
	c.mu.Lock()
	c.stop()
	c.mu.Unlock()
	c.work.Wait()
}

// Recheck closes connections whose peers would not be accepted any more.
func (c *Client) Recheck() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.peers {
		for _, p := range m {
			p.recheck()
			if p.before != nil {
				p.before.recheck()
			}
		}
	}
	for p := range c.retiring {
		p.recheck()
	}
}

// Send sends a request to a proxy of the head's cluster.
func (c *Client) Send(ctx context.Context, head forward.Head, r *message.Request) (*message.Response, string, error) {
	p, via, err := c.choose(head)
	if err != nil {
		return nil, "", &message.SendError{
			Stage: message.StageConnect, Address: head.Cluster, Unprocessed: true, Err: err,
		}
	}
	defer p.done()
	own := r.Header
	r.Header = own.Clone()
	write(&r.Header, head, c.opt.Now())
	resp, err := via.Do(ctx, r)
	r.Header = own
	if err != nil {
		p.suspect()
		c.out.sent.WithLabelValues(head.Cluster, "failed").Inc()
		return nil, p.proxy.Address, fmt.Errorf("sending over the link to %q: %w", head.Cluster, err)
	}
	if why, refused := resp.Header.Lookup(headRefused); refused {
		if resp.Body != nil {
			_ = resp.Body.Close() // it is empty
		}
		c.out.sent.WithLabelValues(head.Cluster, "refused").Inc()
		text, err := unescape(why)
		if err != nil {
			text = "unreadable reason"
		}
		return nil, p.proxy.Address, &message.SendError{
			Stage: message.StageAwait, Address: p.proxy.Address, Unprocessed: true, Err: errors.New("the other proxy refused: " + text),
		}
	}
	c.out.sent.WithLabelValues(head.Cluster, "answered").Inc()
	return resp, p.proxy.Address, nil
}

// choose picks among a cluster's connected proxies: the replica that is meant,
// else one of the same Gateway if there is any, the less loaded of two.
func (c *Client) choose(head forward.Head) (*peer, *http2.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var same, other []*peer
	why := fmt.Errorf("no proxy of tenant %q is known in cluster %q", c.opt.Tenant, head.Cluster)
	for id, p := range c.peers[head.Cluster] {
		if head.Replica != "" && id != head.Replica {
			continue
		}
		p = p.answering()
		switch {
		case !p.up():
			why = p.cause()
		case p.proxy.Gateway == head.Gateway:
			same = append(same, p)
		default:
			other = append(other, p)
		}
	}
	if len(same) == 0 {
		same = other
	}
	if len(same) == 0 {
		return nil, nil, why
	}
	word := c.opt.Word()
	n := uint64(len(same))
	a := same[word%n]
	if n > 1 {
		if b := same[(word%n+1+(word>>32)%(n-1))%n]; b.load() < a.load() {
			a = b
		}
	}
	via := a.begin()
	if via == nil {
		return nil, nil, a.cause()
	}
	return a, via, nil
}

// Reachable is false while no connection to the cluster is up, with the reason.
func (c *Client) Reachable(cluster string) (bool, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	why := "no proxy of this tenant is known there"
	for _, p := range c.peers[cluster] {
		if p = p.answering(); p.up() {
			return true, ""
		}
		why = p.cause().Error()
	}
	return false, why
}

// RTT is the round trip to a cluster's proxies.
func (c *Client) RTT(cluster string) latency.Estimate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.book.Estimate(cluster, c.opt.Now())
}

// Book is what was measured, by cluster.
func (c *Client) Book() latency.Book {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.book
}

func (c *Client) sample(cluster string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.book = c.book.Add(cluster, c.opt.Now(), d)
}

// clusters lists those that there are peers in.
func (c *Client) clusters() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for name := range c.peers {
		out = append(out, name)
	}
	return out
}

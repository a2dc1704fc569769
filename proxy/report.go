package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/wire"
)

// The paces of what a proxy tells: samples are looked at often, and told when
// they have changed or are growing old.
const (
	samplePace = time.Second
	sampleLife = 5 * time.Second
)

// report tells the spoke how the proxy is.
func (p *Proxy) report() {
	t := p.subscription.Table()
	self := table.Find[*table.Self](t, "self")
	facts := assignment.ProxyFacts{
		LinkProxy: table.LinkProxy{ID: p.opts.ID, Tenant: p.opts.Tenant, Gateway: p.opts.Gateway, Address: p.linkAddress()},
		Revision:  p.subscription.Revision(), Ready: p.ready.Load(),
	}
	if self != nil {
		facts.Home = self.Home
	}
	if facts.Serving = p.serving(); facts.Serving != nil {
		p.told.Store(facts.Serving)
	}
	p.mu.Lock()
	facts.Listeners = p.bound
	var failed []string
	for _, f := range p.failures {
		failed = append(failed, f.Error())
	}
	p.mu.Unlock()
	facts.Error = strings.Join(failed, "; ")
	payload, err := json.Marshal(facts)
	if err != nil {
		p.deps.Log.Error("report to the spoke", "err", err)
		return
	}
	p.subscription.Tell(string(assignment.KindFacts), p.opts.ID, payload)
}

// serving is what is served for other clusters while this one drains, nil while
// it does not.
func (p *Proxy) serving() *assignment.Serving {
	peer, _ := p.find(table.ID{Kind: table.KindPeer, Name: p.opts.Cluster}).(*table.Peer)
	if peer == nil || peer.State != table.PeerDraining {
		return nil
	}
	return &assignment.Serving{Sessions: p.tools.Sessions(), Requests: p.linkServer.Foreign()}
}

// linkAddress is where other proxies reach this one's link.
func (p *Proxy) linkAddress() string {
	addr, ok := p.ports["link"].Addr().(*net.TCPAddr)
	if !ok {
		return p.ports["link"].Addr().String()
	}
	host := addr.IP.String()
	if addr.IP.IsUnspecified() && p.opts.Advertise != "" {
		host = p.opts.Advertise
	}
	return net.JoinHostPort(host, strconv.Itoa(addr.Port))
}

// told is what was last said of a path.
type told struct {
	rtt  time.Duration
	lost bool
	at   time.Time
}

// tell tells the spoke how the proxy is and what its links measure, until ctx ends.
func (p *Proxy) tell(ctx context.Context) error {
	last := map[string]told{}
	tick := time.NewTicker(samplePace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
			p.report()
			continue
		case <-tick.C:
		}
		if now, was := p.serving(), p.told.Load(); now != nil && was != nil && *now != *was {
			p.report()
		}
		for peer := range table.Each[*table.Peer](p.subscription.Table()) {
			if peer.Cluster != p.opts.Cluster {
				p.sample(peer.Cluster, last)
			}
		}
	}
}

func (p *Proxy) sample(cluster string, last map[string]told) {
	now := p.deps.Now()
	estimate := p.link.RTT(cluster)
	reachable, _ := p.link.Reachable(cluster)
	was := last[cluster]
	if !estimate.Known && !was.lost && reachable {
		return
	}
	moved := (estimate.Value - was.rtt).Abs() > max(200*time.Microsecond, was.rtt/50)
	if !moved && was.lost == !reachable && now.Sub(was.at) < sampleLife {
		return
	}
	last[cluster] = told{estimate.Value, !reachable, now}
	s := &assignment.Sample{From: p.opts.Cluster, To: cluster, Measure: "link", RTT: table.Duration(estimate.Value), Count: 1, At: now.Add(-estimate.Age), Lost: !reachable}
	payload, err := assignment.Encode(s)
	if err != nil {
		p.deps.Log.Error("report a sample", "cluster", cluster, "err", err)
		return
	}
	_, key := s.ID()
	p.subscription.Tell(string(assignment.KindSample), key, payload)
}

// answer answers the spoke's questions.
func (p *Proxy) answer(_ context.Context, path string, body []byte) ([]byte, error) {
	switch path {
	case "explain":
		var ask struct {
			Backend string `json:"backend"`
		}
		if err := json.Unmarshal(body, &ask); err != nil {
			return nil, &wire.Refusal{Status: 400, Message: fmt.Sprintf("read the question: %v", err)}
		}
		text, err := p.forwarder.Explain(ask.Backend)
		if err != nil {
			return nil, &wire.Refusal{Status: 404, Message: err.Error()}
		}
		return json.Marshal(map[string]string{"proxy": p.opts.ID, "text": text})
	case "latency":
		out := map[string]any{}
		for peer := range table.Each[*table.Peer](p.subscription.Table()) {
			reachable, why := p.link.Reachable(peer.Cluster)
			estimate := p.link.RTT(peer.Cluster)
			out[peer.Cluster] = map[string]any{"rtt": table.Duration(estimate.Value), "age": table.Duration(estimate.Age), "known": estimate.Known, "reachable": reachable, "why": why}
		}
		return json.Marshal(out)
	}
	return nil, &wire.Refusal{Status: 404, Message: fmt.Sprintf("a proxy does not answer %q", path)}
}

package proxy

import (
	"sync"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/proxy/latency"
	"github.com/navehq/nave/proxy/link"
)

// believed is how old what others measured may be.
const believed = 30 * time.Second

// paths are the links to other clusters. A path that no link of this proxy has
// measured yet counts as long as the cluster's spoke finds it.
type paths struct {
	*link.Client
	now func() time.Time

	mu   sync.Mutex
	told map[string]*assignment.Sample
}

// learn takes what the spoke measured.
func (p *paths) learn(s *assignment.Sample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told == nil {
		p.told = map[string]*assignment.Sample{}
	}
	p.told[s.To] = s
}

// RTT is the round trip to a cluster's proxies.
func (p *paths) RTT(cluster string) latency.Estimate {
	own := p.Client.RTT(cluster)
	if own.Known {
		return own
	}
	p.mu.Lock()
	s := p.told[cluster]
	p.mu.Unlock()
	if s == nil || s.Lost {
		return own
	}
	age := max(0, p.now().Sub(s.At))
	return latency.Estimate{Value: s.RTT.Std(), Age: age, Known: age <= believed}
}

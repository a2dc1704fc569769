package spoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/report"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/spoke/answer"
)

// view is the fleet as this spoke knows it: its own cluster whole, of others
// what its assignment and gossip say.
type view struct{ s *Spoke }

// Status implements answer.Fleet.
func (v view) Status() report.Status {
	peers, statuses, problems := v.s.desk.known()
	own := v.s.opts.Cluster
	proxies := v.s.facts().Proxies
	r := report.Status{
		Clusters: []report.Cluster{}, Gateways: report.Gateways(own, proxies, statuses), Problems: problems, By: own,
	}
	there, heard := v.s.uplink.Hub()
	r.HubSilent, r.HubHeard = !there, heard
	r.Routes, r.Backends = report.Objects(own, statuses)
	for _, p := range peers {
		c := report.Cluster{Name: p.Cluster, Region: p.Region, Zone: p.Zone, State: string(p.State), Lease: v.lease(p.Cluster)}
		if p.Cluster == own {
			c.Heard, c.Version, c.Certificate = v.s.deps.Now(), version.Version, v.s.identity.Intermediate().NotAfter
			c.Proxies = report.Proxies(proxies, true)
			c.Drain = report.Draining(c.State, proxies, true)
		}
		r.Clusters = append(r.Clusters, c)
	}
	return r
}

// lease is what gossip knows of a cluster; the hub's own judgement is the hub's.
func (v view) lease(cluster string) string {
	switch {
	case cluster == v.s.opts.Cluster, v.s.gossip != nil && slices.Contains(v.s.gossip.Members(), cluster):
		return string(assignment.Connected)
	case v.s.gossip == nil:
		return "Unknown"
	}
	return string(assignment.Suspect)
}

// Latency implements answer.Fleet.
func (v view) Latency() []report.Path {
	out := []report.Path{}
	for _, s := range v.s.samples.list() {
		out = append(out, report.PathOf(s, v.s.deps.Now()))
	}
	return out
}

// Explain implements answer.Fleet.
func (v view) Explain(ctx context.Context, backend string) ([]report.Explanation, error) {
	tables, err := v.s.desk.backends(backend)
	if err != nil {
		return nil, err
	}
	var out []report.Explanation
	var failed error
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		question, err := json.Marshal(map[string]string{"backend": tables[name]})
		if err != nil {
			return nil, err
		}
		e := report.Explanation{}
		text, err := v.s.publisher.Ask(ctx, name, "explain", question)
		if err == nil {
			err = json.Unmarshal(text, &e)
		}
		if err != nil {
			failed = err
			continue
		}
		e.Cluster = v.s.opts.Cluster
		out = append(out, e)
	}
	if len(out) == 0 && failed != nil {
		return nil, failed
	}
	return out, nil
}

// known is what the desk holds for those who ask.
func (d *desk) known() (peers []*assignment.Peer, statuses []*assignment.Status, problems []objects.Problem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, cluster := range slices.Sorted(maps.Keys(d.peers)) {
		peers = append(peers, d.peers[cluster])
	}
	for _, key := range slices.SortedFunc(maps.Keys(d.statuses), objects.Key.Compare) {
		statuses = append(statuses, &assignment.Status{Key: key, Generation: d.statuses[key].Generation, Value: d.statuses[key].dated})
	}
	problems = []objects.Problem{}
	for _, place := range slices.Sorted(maps.Keys(d.problems)) {
		problems = append(problems, d.problems[place]...)
	}
	return peers, statuses, problems
}

// backends lists the tables that hold the backend of a name, with its whole name.
func (d *desk) backends(name string) (map[string]string, error) {
	t := *d.current.Load()
	out := map[string]string{}
	for _, tableName := range t.Tables() {
		tab, _, _ := t.Table(tableName)
		b, err := table.Called(tab, name)
		if errors.Is(err, table.ErrNoBackend) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[tableName] = b.Name
	}
	return out, nil
}

// answer answers the hub's questions.
func (s *Spoke) answer(ctx context.Context, path string, body []byte) ([]byte, error) {
	if asksProber(path) {
		return s.probe(path, body)
	}
	out, err := s.answers.Ask(ctx, path, body)
	if err == nil {
		return out, nil
	}
	if refusal := (*wire.Refusal)(nil); errors.As(err, &refusal) {
		return nil, refusal
	}
	return nil, &wire.Refusal{Status: answer.Code(err), Message: fmt.Sprintf("cluster %q: %v", s.opts.Cluster, err)}
}

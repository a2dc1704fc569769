package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/supervise/relay"
)

// wanName is in the hub's folder.
const wanName = "wan.yaml"

// hubEnd is what the file calls the hub, as an end of a link.
const hubEnd = "hub"

func (s *Supervisor) wanPath() string { return filepath.Join(s.opts.Dir, "hub", wanName) }

// wanFile says how far clusters are from each other.
type wanFile struct {
	Links []wanLink `json:"links"`
}

type wanLink struct {
	// Between is both ways, From and To one way.
	Between   []string `json:"between,omitempty"`
	From      string   `json:"from,omitempty"`
	To        string   `json:"to,omitempty"`
	Delay     string   `json:"delay,omitempty"`
	Jitter    string   `json:"jitter,omitempty"`
	Loss      float64  `json:"loss,omitempty"`
	Partition bool     `json:"partition,omitempty"`
}

// readWAN reads wan.yaml as the relay wants it, each direction by itself, and
// tells what is wrong; links are nil where the file cannot be obeyed.
func readWAN(path string, clusters []string) ([]relay.Link, []objects.Problem) {
	problem := func(field, message, remedy string) []objects.Problem {
		return []objects.Problem{{File: wanName, Field: field, Reason: objects.ReasonInvalidValue, Message: message, Remedy: remedy}}
	}
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return []relay.Link{}, nil
	}
	if err != nil {
		return nil, problem("", err.Error(), before)
	}
	var file wanFile
	if wrong := objects.Settings("", wanName, data, &file, holds); len(wrong) > 0 {
		return nil, wrong
	}
	links := map[[2]string]relay.Link{}
	var strange []objects.Problem
	for i, l := range file.Links {
		field := fmt.Sprintf("links[%d]", i)
		for _, pair := range l.pairs() {
			if pair[0] == "" || pair[1] == "" || pair[0] == pair[1] {
				return nil, problem(field, "does not name two ends", "name both, by between: [a, b] or from and to; "+holds)
			}
			for _, end := range pair {
				if end != hubEnd && !slices.Contains(clusters, end) && len(strange) == 0 {
					strange = problem(field, fmt.Sprintf("there is no cluster %q", end), "name a folder of clusters/, or hub")
				}
			}
			next, err := l.over(links[pair], pair)
			if err != nil {
				return nil, problem(field, err.Error(), before)
			}
			links[pair] = next
		}
	}
	out := slices.AppendSeq([]relay.Link{}, maps.Values(links))
	slices.SortFunc(out, func(a, b relay.Link) int { return slices.Compare([]string{a.From, a.To}, []string{b.From, b.To}) })
	return out, strange
}

// Where nothing of a file is obeyed, before is the remedy, and holds what is then.
const (
	before = "mend it; " + holds
	holds  = "what the file said before holds"
)

// pairs are the directions that an entry is about.
func (l wanLink) pairs() [][2]string {
	if len(l.Between) == 2 {
		return [][2]string{{l.Between[0], l.Between[1]}, {l.Between[1], l.Between[0]}}
	}
	return [][2]string{{l.From, l.To}}
}

// over adds an entry to what earlier ones said of the same direction.
func (l wanLink) over(base relay.Link, pair [2]string) (relay.Link, error) {
	base.From, base.To = pair[0], pair[1]
	for _, d := range []struct {
		text string
		into *relay.Duration
	}{{l.Delay, &base.Delay}, {l.Jitter, &base.Jitter}} {
		if d.text == "" {
			continue
		}
		v, err := time.ParseDuration(d.text)
		if err != nil || v < 0 {
			return base, fmt.Errorf("%q is no duration such as 33ms", d.text)
		}
		*d.into = relay.Duration(v)
	}
	if l.Loss < 0 || l.Loss >= 1 {
		return base, fmt.Errorf("loss %g is not a share from 0 to 1", l.Loss)
	}
	if l.Loss > 0 {
		base.Loss = l.Loss
	}
	base.Partition = base.Partition || l.Partition
	return base, nil
}

// relayLimit is how long the simulated network may take to be there.
const relayLimit = 5 * time.Second

// startRelay starts the simulated network's process, and waits until it carries:
// before that nobody behind it reaches the hub.
func (s *Supervisor) startRelay(ctx context.Context) error {
	path := filepath.Join(s.opts.Bin, "nave")
	p := &program{name: "relay", path: path, args: []string{"relay", "--socket", s.relaySocket()}, dir: s.opts.Dir, env: []string{s.mark()}, log: s.state("logs", "relay.log"), slog: s.opts.Log}
	s.mu.Lock()
	s.relay = p
	p.start()
	s.mu.Unlock()
	for end := time.Now().Add(relayLimit); !s.route(ctx) && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
	// One that is there and cannot carry all of it is a problem for people to mend.
	if _, err := relay.FetchStatus(ctx, s.relaySocket()); err != nil && ctx.Err() == nil {
		return fmt.Errorf("start the simulated network: %w; its log says: %s", err, p.tail())
	}
	return nil
}

func (s *Supervisor) relaySocket() string { return s.state("run", "r.sock") }

// ports that cross between clusters: the link's and gossip's.
var ports = []struct {
	network string
	port    int
}{{"tcp", 15443}, {"tcp", 7946}, {"udp", 7946}}

// network is what the relay is to carry, and how clusters see each other by it.
func (s *Supervisor) network(known []string) (relay.Config, []fleet.View) {
	links, problems := readWAN(s.wanPath(), known)
	s.problems.set("wan", problems...)
	if links != nil {
		s.links = links
	}
	config := relay.Config{Links: s.links}
	var views []fleet.View
	pairs := map[[2]string]bool{}
	for _, l := range s.links {
		pairs[[2]string{l.From, l.To}], pairs[[2]string{l.To, l.From}] = true, true
	}
	for pair := range pairs {
		viewer, target := pair[0], pair[1]
		if !slices.Contains(known, viewer) || !slices.Contains(known, target) {
			continue
		}
		own, seen := s.addresses.prefix(target)
		prefix := seen(viewer)
		views = append(views, fleet.View{Viewer: viewer, From: netip.MustParsePrefix(own), To: netip.MustParsePrefix(prefix)})
		for name, ip := range s.addresses.list(target) {
			config.Routes = append(config.Routes, routes(viewer, target, name, ip, prefix)...)
		}
	}
	config.Routes = append(config.Routes, s.toHub()...)
	slices.SortFunc(views, func(a, b fleet.View) int {
		return slices.Compare([]string{a.Viewer, a.To.String()}, []string{b.Viewer, b.To.String()})
	})
	slices.SortFunc(config.Routes, func(a, b relay.Route) int {
		return slices.Compare([]string{a.Listen, a.Network}, []string{b.Listen, b.Network})
	})
	return config, views
}

// toHub are the ways to the hub of the regions that reach it through the
// simulated network.
func (s *Supervisor) toHub() []relay.Route {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []relay.Route
	for name, r := range s.regions {
		if r.via != "" {
			out = append(out, relay.Route{From: name, To: hubEnd, Network: "tcp", Listen: r.via, Target: s.ports.streams})
		}
	}
	return out
}

func routes(viewer, target, process, ip, prefix string) []relay.Route {
	var out []relay.Route
	for _, p := range ports {
		if (p.port == 7946) != (process == "spoke") {
			continue
		}
		out = append(out, relay.Route{From: viewer, To: target, Network: p.network, Listen: at(through(ip, prefix), p.port), Target: at(ip, p.port)})
	}
	return out
}

// route brings the relay and the hub in line with wan.yaml and the processes
// that there are; it does nothing while nothing changed. A relay that was started
// anew knows nothing. It tells whether the relay carries what it should.
func (s *Supervisor) route(ctx context.Context) bool {
	run := s.relay.runs.Load()
	known, err := s.clusters()
	if err != nil {
		return false
	}
	config, views := s.network(known)
	data, err := json.Marshal(struct {
		C relay.Config
		V []fleet.View
	}{config, views})
	if err != nil {
		s.opts.Log.Error("set the simulated network", "err", err)
		return false
	}
	text := string(data)
	if text == s.routed && run == s.routedRun {
		return true
	}
	if err := relay.Push(ctx, s.relaySocket(), config); err != nil {
		s.opts.Log.Debug("set the simulated network", "err", err)
		if s.unrouted.IsZero() {
			s.unrouted = time.Now()
		}
		if ctx.Err() == nil && time.Since(s.unrouted) > relayLimit {
			s.problems.set("relay", objects.Problem{Object: "process relay", Reason: "NotReady", Message: strings.ReplaceAll(err.Error(), "\n", "; "), Remedy: "see `nave logs relay`; clusters reach each other as they did before"})
		}
		return false
	}
	s.unrouted = time.Time{}
	s.problems.set("relay")
	if s.routedRun = run; text == s.routed {
		return true
	}
	s.routed = text
	select {
	case s.views <- views:
	case <-ctx.Done():
	}
	return true
}

// superviseHub holds the stream to the hub, by which drills kill and restart.
func (s *Supervisor) superviseHub(ctx context.Context) error {
	authority, err := s.authority()
	if err != nil {
		return err
	}
	session := wire.New(wire.Options{
		Name: "supervisor", Build: version.Version, Heartbeat: s.opts.Heartbeat, Log: s.opts.Log,
		Handler: wire.Handler{OnAsk: s.asked},
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case views := <-s.views:
				tell(session, "views", views)
			case <-s.problems.changed:
				tell(session, "problems", s.problems.list())
			}
		}
	}()
	dialer := wire.Dialer{Address: s.ports.streams, TLS: authority.SupervisorParty().HubClient()}
	err = wire.Loop{Session: session, Open: dialer.OpenSupervise, Backoff: wire.LocalBackoff, Log: s.opts.Log}.Run(ctx)
	<-done
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// tell gives the hub one thing that only the supervisor knows.
func tell(session *wire.Session, kind string, v any) {
	payload, err := json.Marshal(v)
	if err != nil {
		return
	}
	session.Update(func(src *stream.Source) {
		if src.Set(stream.Resource{Kind: kind, Key: "fleet", Payload: payload}) == nil {
			src.Mark(kind+" "+stream.HashOf(payload), true)
		}
	})
}

// longestKill is for how long the hub may have a cluster killed, seconds.
const longestKill = 24 * 3600

// asked does what the hub orders.
func (s *Supervisor) asked(_ context.Context, path string, body []byte) ([]byte, error) {
	var order struct {
		Cluster string `json:"cluster"`
		// Seconds is for how long at most a cluster is killed.
		Seconds int `json:"seconds"`
	}
	if err := json.Unmarshal(body, &order); err != nil {
		return nil, &wire.Refusal{Status: 400, Message: err.Error()}
	}
	var err error
	switch path {
	case "process/kill":
		if order.Seconds <= 0 || order.Seconds > longestKill {
			return nil, &wire.Refusal{Status: 400, Message: fmt.Sprintf("a cluster is killed for 1 to %d seconds, not for %d", longestKill, order.Seconds)}
		}
		err = s.Kill(order.Cluster, time.Duration(order.Seconds)*time.Second)
	case "process/restart":
		err = s.Restart(order.Cluster)
	default:
		return nil, &wire.Refusal{Status: 404, Message: fmt.Sprintf("the supervisor does not do %q", path)}
	}
	if err != nil {
		return nil, &wire.Refusal{Status: 409, Message: err.Error()}
	}
	s.out.print("drill    %s: %s", path, order.Cluster)
	return []byte("{}"), nil
}

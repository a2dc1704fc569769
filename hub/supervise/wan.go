package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

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

// readWAN reads wan.yaml as the relay wants it: each direction by itself.
func readWAN(path string) ([]relay.Link, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	var file wanFile
	if err == nil {
		err = yaml.UnmarshalStrict(data, &file)
	}
	if err != nil {
		return nil, fmt.Errorf("hub/wan.yaml: %w", err)
	}
	links := map[[2]string]relay.Link{}
	for i, l := range file.Links {
		pairs := [][2]string{{l.From, l.To}}
		if len(l.Between) == 2 {
			pairs = [][2]string{{l.Between[0], l.Between[1]}, {l.Between[1], l.Between[0]}}
		}
		for _, pair := range pairs {
			if pair[0] == "" || pair[1] == "" {
				return nil, fmt.Errorf("hub/wan.yaml: links[%d]: name both ends, by between: [a, b] or from and to", i)
			}
			next, err := l.over(links[pair], pair)
			if err != nil {
				return nil, fmt.Errorf("hub/wan.yaml: links[%d]: %w", i, err)
			}
			links[pair] = next
		}
	}
	out := make([]relay.Link, 0, len(links))
	for _, l := range links {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b relay.Link) int { return slices.Compare([]string{a.From, a.To}, []string{b.From, b.To}) })
	return out, nil
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

// startRelay starts the simulated network's process.
func (s *Supervisor) startRelay(ctx context.Context) {
	path := filepath.Join(s.opts.Bin, "nave")
	s.relay = &program{name: "relay", path: path, args: []string{"relay", "--socket", s.relaySocket()}, dir: s.opts.Dir, log: s.state("logs", "relay.log"), slog: s.opts.Log}
	s.relay.start()
	s.route(ctx)
}

func (s *Supervisor) relaySocket() string { return s.state("run", "r.sock") }

// ports that cross between clusters: the link's and gossip's.
var ports = []struct {
	network string
	port    int
}{{"tcp", 15443}, {"tcp", 7946}, {"udp", 7946}}

// network is what the relay is to carry, and how clusters see each other by it.
func (s *Supervisor) network() (relay.Config, []fleet.View, error) {
	links, err := readWAN(s.wanPath())
	if err != nil {
		return relay.Config{}, nil, err
	}
	config := relay.Config{Links: links}
	var views []fleet.View
	pairs := map[[2]string]bool{}
	for _, l := range links {
		pairs[[2]string{l.From, l.To}], pairs[[2]string{l.To, l.From}] = true, true
	}
	known := s.clusters()
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
	if exists(s.wanPath()) {
		for _, viewer := range known {
			config.Routes = append(config.Routes, relay.Route{
				From: viewer, To: hubEnd, Network: "tcp", Listen: at(s.addresses.hubFrom(viewer), 9443), Target: at(s.addresses.hub(), 9443),
			})
		}
	}
	slices.SortFunc(views, func(a, b fleet.View) int {
		return slices.Compare([]string{a.Viewer, a.To.String()}, []string{b.Viewer, b.To.String()})
	})
	slices.SortFunc(config.Routes, func(a, b relay.Route) int {
		return slices.Compare([]string{a.Listen, a.Network}, []string{b.Listen, b.Network})
	})
	return config, views, nil
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
// anew knows nothing.
func (s *Supervisor) route(ctx context.Context) {
	run := s.relay.runs.Load()
	config, views, err := s.network()
	text := ""
	if err == nil {
		data, marshalErr := json.Marshal(struct {
			C relay.Config
			V []fleet.View
		}{config, views})
		text, err = string(data), marshalErr
	}
	if err != nil {
		if err.Error() != s.routed {
			s.out.print("problem  %v; mend the file, what it said before holds", err)
			s.routed = err.Error()
		}
		return
	}
	if text == s.routed && run == s.routedRun {
		return
	}
	if err := relay.Push(ctx, s.relaySocket(), config); err != nil {
		s.opts.Log.Debug("set the simulated network", "err", err)
		return
	}
	if s.routedRun = run; text == s.routed {
		return
	}
	s.routed = text
	s.views <- views
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
				tellViews(session, views)
			}
		}
	}()
	dialer := wire.Dialer{Address: at(s.addresses.hub(), 9443), TLS: authority.SupervisorParty().HubClient()}
	err = wire.Loop{Session: session, Open: dialer.OpenSupervise, Backoff: wire.LocalBackoff, Log: s.opts.Log}.Run(ctx)
	<-done
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func tellViews(session *wire.Session, views []fleet.View) {
	payload, err := json.Marshal(views)
	if err != nil {
		return
	}
	session.Update(func(src *stream.Source) {
		if src.Set(stream.Resource{Kind: "views", Key: "fleet", Payload: payload}) == nil {
			src.Mark(stream.HashOf(payload), true)
		}
	})
}

// asked does what the hub orders.
func (s *Supervisor) asked(_ context.Context, path string, body []byte) ([]byte, error) {
	var order struct {
		Cluster string `json:"cluster"`
	}
	if err := json.Unmarshal(body, &order); err != nil {
		return nil, &wire.Refusal{Status: 400, Message: err.Error()}
	}
	var err error
	switch path {
	case "process/kill":
		err = s.Kill(order.Cluster)
	case "process/restart":
		err = s.Restart(order.Cluster)
	default:
		return nil, &wire.Refusal{Status: 404, Message: fmt.Sprintf("the supervisor does not do %q", path)}
	}
	if err != nil {
		return nil, &wire.Refusal{Status: 409, Message: err.Error()}
	}
	s.out.print("%s  %s", path, order.Cluster)
	return []byte("{}"), nil
}

// Package supervise is `nave up`: it runs a fleet from a folder, one process
// each for the hub, the spokes and the proxies, with an address of its own on
// the loopback network; it restarts what dies, and kills and restarts a region
// on a drill's order. It starts the simulated wide-area network, which nobody
// else knows of. It decides nothing about traffic.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/supervise/relay"
)

// Options of a Supervisor.
type Options struct {
	// Dir is the folder of the fleet.
	Dir string
	// Bin is where the programs are.
	Bin string
	// Out gets what people read; Log what the supervisor itself has to say.
	Out io.Writer
	Log *slog.Logger
	// Heartbeat on every stream [1 s].
	Heartbeat time.Duration
}

// Supervisor runs one folder's fleet.
type Supervisor struct {
	opts      Options
	addresses *addresses
	out       *lines

	// problems are what people must mend.
	problems *problems
	// ports are the hub's; they stand before anything else runs.
	ports hubPorts

	mu       sync.Mutex
	regions  map[string]*region
	hub      *program
	relay    *program
	slot     io.Closer // holds the fleet's addresses; nil where they are shared
	stopping bool

	// links are what wan.yaml said when it could be read last, routed what the relay
	// was last told, in its run of that number, and unrouted since when it cannot be
	// told. One goroutine at a time looks after the network.
	links     []relay.Link
	routed    string
	routedRun int64
	unrouted  time.Time
	// views are for the hub.
	views chan []fleet.View
}

// New reads what was kept of the folder.
func New(opts Options) (*Supervisor, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	opts.Dir = dir
	if _, err := os.Stat(filepath.Join(dir, "clusters")); err != nil {
		return nil, fmt.Errorf("start the fleet of %s: it has no folder clusters/; see docs/guides/standalone.md", opts.Dir)
	}
	if opts.Heartbeat <= 0 {
		opts.Heartbeat = time.Second
	}
	for _, sub := range []string{"run", "logs"} {
		if err := os.MkdirAll(filepath.Join(dir, ".nave", sub), 0o700); err != nil {
			return nil, fmt.Errorf("make the state folder: %w", err)
		}
	}
	a, err := openAddresses(filepath.Join(dir, ".nave", "addresses.json"))
	if err != nil {
		return nil, err
	}
	return &Supervisor{opts: opts, addresses: a, out: newLines(opts.Out), regions: map[string]*region{}, problems: newProblems(), views: make(chan []fleet.View, 1)}, nil
}

func (s *Supervisor) state(parts ...string) string {
	return filepath.Join(append([]string{s.opts.Dir, ".nave"}, parts...)...)
}

// errLocked is another supervisor on the same folder.
var errLocked = errors.New("the fleet of this folder is running already")

// Run runs the fleet until ctx ends; then nothing of it is left.
func (s *Supervisor) Run(ctx context.Context) error {
	unlock, err := lock(s.state("run", "lock"))
	if err != nil {
		return fmt.Errorf("start the fleet of %s: %w", s.opts.Dir, err)
	}
	defer unlock()
	s.endLeftovers()
	defer s.stopAll()
	g, ctx := errgroup.WithContext(ctx)
	if err := s.startHub(ctx); err != nil {
		return err
	}
	l, err := s.listen()
	if err != nil {
		return err
	}
	g.Go(func() error { return s.serve(ctx, l) })
	g.Go(func() error { return s.superviseHub(ctx) })
	g.Go(func() error { return s.narrate(ctx) })
	g.Go(func() error {
		if err := s.startRegions(ctx); err != nil {
			return err
		}
		return s.follow(ctx)
	})
	return g.Wait()
}

// follow brings what runs in line with the folder: clusters, their programs and
// the simulated network.
func (s *Supervisor) follow(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s.followRegions(ctx, &wg)
		s.followPrograms(ctx, &wg)
		s.route(ctx)
		s.tellFaults()
		s.rejoin(ctx)
		s.followHub()
	}
}

// stopAll ends everything, politely at first.
func (s *Supervisor) stopAll() {
	s.mu.Lock()
	s.stopping = true
	all := []*program{s.hub, s.relay}
	for _, r := range s.regions {
		all = append(all, r.all()...)
	}
	s.mu.Unlock()
	stopEach(all)
	if s.slot != nil {
		_ = s.slot.Close() // nothing was served
	}
}

// Kill kills a region: its spoke, proxies and programs, with SIGKILL. It is given
// back when life is over, or the hub that ordered it ends, if nobody does so before.
func (s *Supervisor) Kill(cluster string, life time.Duration) error {
	s.mu.Lock()
	r := s.regions[cluster]
	if r == nil {
		s.mu.Unlock()
		return fmt.Errorf("kill cluster %q: there is no such cluster", cluster)
	}
	r.killed, r.order = true, s.hub.runs.Load()
	if r.due != nil {
		r.due.Stop()
	}
	r.due = time.AfterFunc(life, func() { s.giveBack(cluster, "its time is over") })
	all := r.all()
	s.mu.Unlock()
	for _, p := range all {
		p.kill()
	}
	return nil
}

// giveBack restarts a region that is still killed.
func (s *Supervisor) giveBack(cluster, why string) {
	s.mu.Lock()
	r := s.regions[cluster]
	killed := r != nil && r.killed && !s.stopping
	s.mu.Unlock()
	if !killed {
		return
	}
	s.out.print("cluster  %s is given back: %s", cluster, why)
	if err := s.Restart(cluster); err != nil {
		s.opts.Log.Error("give a killed cluster back", "cluster", cluster, "err", err)
	}
}

// followHub gives back what a hub had killed that has ended since: whoever comes
// after it knows nothing of that.
func (s *Supervisor) followHub() {
	s.mu.Lock()
	var left []string
	for name, r := range s.regions {
		if r.killed && r.order != s.hub.runs.Load() {
			left = append(left, name)
		}
	}
	s.mu.Unlock()
	for _, name := range left {
		s.giveBack(name, "the hub that had it killed has ended")
	}
}

// stopEach ends processes, all at once; nil is none.
func stopEach(all []*program) {
	var wg sync.WaitGroup
	for _, p := range all {
		if p != nil {
			wg.Go(p.stop)
		}
	}
	wg.Wait()
}

// Restart gives a killed region back: programs first, then the spoke, and the
// proxies as they were.
func (s *Supervisor) Restart(cluster string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.regions[cluster]
	if r == nil {
		return fmt.Errorf("restart cluster %q: there is no such cluster", cluster)
	}
	r.killed = false
	if r.due != nil {
		r.due.Stop()
	}
	for _, p := range r.programs {
		p.revive()
	}
	if r.spoke != nil {
		r.spoke.revive()
	}
	for _, p := range r.proxies {
		p.revive()
	}
	return nil
}

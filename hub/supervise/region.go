package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/spoke"
)

// region is one cluster's processes. The supervisor's lock guards it.
type region struct {
	name     string
	spoke    *program // nil until the programs before it are ready
	proxies  map[string]*program
	programs []*program
	files    programs
	// rolling is held while its proxies are started again one after another.
	rolling sync.Mutex
	// killed regions are not restarted until they are given back.
	killed bool
	// due gives a killed region back when its time is over; order is the run of the
	// hub that had it killed, and takes it back with it when it ends.
	due   *time.Timer
	order int64
	// api is where its spoke answers people.
	api string
	// via is where the simulated network leads to the hub from here; regions without
	// one reach it directly.
	via string
	// joined is when its spoke got a token last, if it needed one.
	joined time.Time
	// gone regions have no folder any more.
	gone bool
}

// all are the processes that there are.
func (r *region) all() []*program {
	out := slices.AppendSeq(slices.Clone(r.programs), maps.Values(r.proxies))
	if r.spoke != nil {
		out = append(out, r.spoke)
	}
	return out
}

// clusterFolders lists the folders of clusters, and those that are none.
func clusterFolders(dir string) (names []string, problems []objects.Problem, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, "clusters"))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(dir, "clusters", e.Name())) // follows links
		if err != nil || !info.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		wrong := ""
		switch {
		case e.Name() == hubEnd:
			wrong = "the hub itself is called so in wan.yaml"
		case len(validation.IsDNS1123Label(e.Name())) > 0:
			wrong = "it takes lower-case letters, digits and dashes, at most 63"
		}
		if wrong != "" {
			problems = append(problems, objects.Problem{
				Object: "folder clusters/" + e.Name(), Reason: objects.ReasonInvalidValue,
				Message: "is no name of a cluster: " + wrong, Remedy: "rename the folder",
			})
			continue
		}
		names = append(names, e.Name())
	}
	return names, problems, nil
}

// clusters lists the clusters of the folder, by name.
func (s *Supervisor) clusters() ([]string, error) {
	names, wrong, err := clusterFolders(s.opts.Dir)
	if err != nil {
		s.problems.set("folders", objects.Problem{
			Object: "folder clusters", Reason: "Unreadable", Message: err.Error(), Remedy: "let it be read; what runs is left alone",
		})
		return nil, err
	}
	s.problems.set("folders", wrong...)
	return names, nil
}

// addRegion takes a cluster in, with an address for its spoke.
func (s *Supervisor) addRegion(ctx context.Context, name string) (*region, error) {
	ip, err := s.addresses.of(name, "spoke")
	if err != nil {
		return nil, err
	}
	r := &region{name: name, proxies: map[string]*program{}, api: s.open(ctx, "the spoke of "+name, at(ip, 8080))}
	if exists(s.wanPath()) {
		r.via = s.hubVia(ctx, name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regions[name] = r
	return r, nil
}

// startRegions starts every cluster that there is, all at once, after the network
// between them.
func (s *Supervisor) startRegions(ctx context.Context) error {
	names, err := s.clusters()
	if err != nil {
		return err
	}
	if err := s.addresses.retain(names); err != nil {
		return err
	}
	var added []*region
	for _, name := range names {
		r, err := s.addRegion(ctx, name)
		s.problems.set("cluster "+name, refused(name, err, "mend the cause; it is tried again")...)
		if err == nil {
			added = append(added, r)
		}
	}
	if err := s.startRelay(ctx); err != nil {
		return err
	}
	var g errgroup.Group
	for _, r := range added {
		g.Go(func() error { return s.startRegion(ctx, r) })
	}
	return g.Wait()
}

// startRegion starts a cluster: its programs, then its spoke.
func (s *Supervisor) startRegion(ctx context.Context, r *region) error {
	s.readPrograms(ctx, r)
	path, err := s.spokeOptions(ctx, r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || r.gone {
		return nil
	}
	r.spoke = s.program("spoke-"+r.name, "nave-spoke", path)
	r.spoke.held, r.joined = r.killed, time.Now()
	r.spoke.start()
	return nil
}

// spokeOptions writes the options of a cluster's spoke.
func (s *Supervisor) spokeOptions(ctx context.Context, r *region) (path string, err error) {
	ip, err := s.addresses.of(r.name, "spoke")
	if err != nil {
		return "", err
	}
	state := s.state("clusters", r.name)
	s.mu.Lock()
	hubAt := cmp.Or(r.via, s.ports.streams)
	s.mu.Unlock()
	opts := spoke.Options{
		Cluster: r.name, Hub: hubAt, Dir: filepath.Join(s.opts.Dir, "clusters", r.name), State: state,
		Statuses: filepath.Join(state, "statuses"), Config: at(ip, 9978), Metrics: at(ip, 9092), Health: at(ip, 9093),
		API: r.api, APIToken: s.state("token"), Gossip: at(ip, 7946),
		Supervisor: s.socket(), Heartbeat: s.opts.Heartbeat, AnyPort: true,
	}
	if !exists(filepath.Join(state, "identity.json")) {
		if opts.Token, err = s.joinToken(ctx, r.name); err != nil {
			return "", err
		}
	}
	return s.options("spoke-"+r.name, opts)
}

// hubVia is an address for the simulated network to take a cluster's streams to
// the hub at.
func (s *Supervisor) hubVia(ctx context.Context, cluster string) string {
	return s.open(ctx, "the network from "+cluster+" to the hub", at(s.addresses.hubFrom(cluster), 9443))
}

// followRegions starts clusters whose folders are new, ends those whose folders
// are gone, and gives the simulated network those that did not have it.
func (s *Supervisor) followRegions(ctx context.Context, wg *sync.WaitGroup) {
	names, err := s.clusters()
	if err != nil {
		return
	}
	s.mu.Lock()
	before := maps.Clone(s.regions)
	s.mu.Unlock()
	for _, name := range names {
		if before[name] != nil {
			continue
		}
		r, err := s.addRegion(ctx, name)
		s.problems.set("cluster "+name, refused(name, err, "mend the cause; it is tried again")...)
		if err != nil {
			continue
		}
		wg.Go(func() {
			s.problems.set("cluster "+name, refused(name, s.startRegion(ctx, r), "mend the cause and start the fleet anew")...)
		})
	}
	for name, r := range before {
		if !slices.Contains(names, name) {
			s.endRegion(r, wg)
		}
	}
	if exists(s.wanPath()) {
		s.relayRegions(ctx, before)
	}
}

func refused(cluster string, err error, remedy string) []objects.Problem {
	if err == nil {
		return nil
	}
	return []objects.Problem{{Cluster: cluster, Object: "folder clusters/" + cluster, Reason: "NotStarted", Message: err.Error(), Remedy: remedy}}
}

// endRegion ends the processes of a cluster; it is known until they have ended,
// so that they do not meet their successors.
func (s *Supervisor) endRegion(r *region, wg *sync.WaitGroup) {
	s.mu.Lock()
	ending := r.gone
	r.gone = true
	all := r.all()
	s.mu.Unlock()
	if ending {
		return
	}
	s.out.print("cluster  %s has no folder any more; its processes end", r.name)
	wg.Go(func() {
		stopEach(all)
		for _, p := range all {
			s.problems.set("process " + p.name)
			s.problems.set("ready " + p.name)
		}
		s.problems.set("programs " + r.name)
		if err := os.Remove(s.state("run", "spoke-"+r.name+".json")); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.opts.Log.Warn("forget a cluster's spoke", "cluster", r.name, "err", err)
		}
		s.problems.set("cluster " + r.name)
		if err := s.addresses.forget(r.name); err != nil {
			s.opts.Log.Warn("forget a cluster's addresses", "cluster", r.name, "err", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.regions, r.name)
	})
}

// relayRegions has regions that were started before there was a simulated network
// reach the hub through it.
func (s *Supervisor) relayRegions(ctx context.Context, all map[string]*region) {
	var late []*region
	s.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if r := all[name]; r.via == "" && !r.gone && r.spoke != nil {
			r.via = s.hubVia(ctx, name)
			late = append(late, r)
		}
	}
	s.mu.Unlock()
	if len(late) == 0 {
		return
	}
	s.route(ctx)
	for _, r := range late {
		if _, err := s.spokeOptions(ctx, r); err != nil {
			s.opts.Log.Error("put a cluster behind the simulated network", "cluster", r.name, "err", err)
			continue
		}
		r.spoke.restart()
	}
}

// tellFaults says which processes do not stay up.
func (s *Supervisor) tellFaults() {
	s.mu.Lock()
	of := map[*program]string{s.hub: "", s.relay: ""}
	for _, r := range s.regions {
		for _, p := range r.all() {
			of[p] = r.name
		}
	}
	s.mu.Unlock()
	delete(of, nil)
	for p, cluster := range of {
		err := p.fault()
		if err == nil {
			s.problems.set("process " + p.name)
			continue
		}
		problem := objects.Problem{
			Cluster: cluster, Object: "process " + p.name, Reason: "Ends",
			Message: fmt.Sprintf("ends again and again: %v", err), Remedy: "mend the cause; `nave logs " + p.name + "` says more",
		}
		if errors.Is(err, errNotStarted) {
			problem.Reason, problem.Message, problem.Remedy = "NotStarted", err.Error(), "let its command be a program that is there, by its path or in $PATH"
		}
		if p.listed {
			problem.File = programsFile
		}
		s.problems.set("process "+p.name, problem)
	}
}

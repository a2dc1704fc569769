package spoke

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"

	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/objects/folder"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/api/schema"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/spoke/answer"
	"github.com/navehq/nave/spoke/gossip"
	"github.com/navehq/nave/spoke/identity"
	"github.com/navehq/nave/spoke/keys"
	"github.com/navehq/nave/spoke/probe"
	"github.com/navehq/nave/spoke/provision/process"
	"github.com/navehq/nave/spoke/publish"
	"github.com/navehq/nave/spoke/uplink"
)

// Spoke is a spoke that is ready to run.
type Spoke struct {
	opts Options
	deps Deps

	identity   *identity.Identity
	tickets    *identity.Tickets
	keys       *keys.Ring
	source     *folder.Source
	statuses   folder.Statuses
	uplink     *uplink.Uplink
	publisher  *publish.Publisher
	supervisor *process.Supervisor
	prober     *probe.Prober
	probeKey   string
	desk       *desk
	samples    *samples
	gossip     *gossip.Gossip // nil: none
	answers    *answer.Answers
	server     *grpc.Server
	ports      ports

	// wanted and reported are signals: other proxies may be wanted; what proxies
	// report has changed.
	wanted, reported signal
	// scanned is closed after the first scan: before it, what was not read yet
	// would be taken for deleted, by proxies, the supervisor and the hub.
	scanned chan struct{}
	first   sync.Once
	// resumed: there was an assignment on disk, so that this is a restart.
	resumed bool
}

// signal has room for one: something is to be looked at again.
type signal chan struct{}

func (s signal) signal() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// New joins the hub (or loads who it is) and opens its ports.
func New(ctx context.Context, opts Options, deps Deps) (*Spoke, error) {
	opts.fill()
	deps.fill()
	s := &Spoke{opts: opts, deps: deps, wanted: make(signal, 1), reported: make(signal, 1), scanned: make(chan struct{})}
	for _, step := range []func(context.Context) error{s.openState, s.openIdentity, s.openPorts, s.openStreams, s.openUplink} {
		if err := step(ctx); err != nil {
			s.ports.close()
			return nil, fmt.Errorf("start the spoke of cluster %q: %w", opts.Cluster, err)
		}
	}
	return s, nil
}

func (s *Spoke) openState(context.Context) (err error) {
	if err := os.MkdirAll(s.opts.State, 0o700); err != nil {
		return err
	}
	if s.keys, err = keys.Open(keys.Options{
		Cluster: s.opts.Cluster, Keeper: keep.NewFile(filepath.Join(s.opts.State, "keys.json")), Period: s.opts.KeyPeriod, Now: s.deps.Now,
	}); err != nil {
		return err
	}
	if s.probeKey, err = probeKey(filepath.Join(s.opts.State, "probe.key")); err != nil {
		return err
	}
	s.prober = probe.New(probe.Options{
		Cluster: s.opts.Cluster, Key: s.probeKey, Targets: s.targets, Dial: s.deps.Dial, Now: s.deps.Now, Log: s.deps.Log,
	})
	s.supervisor = process.New(s.opts.Supervisor)
	s.statuses = folder.Statuses{Dir: s.opts.Statuses, Now: s.deps.Now}
	schemas := schema.New()
	s.source, err = folder.Open(folder.Options{
		Dir: s.opts.Dir, State: filepath.Join(s.opts.State, "objects"), Cluster: s.opts.Cluster,
		Skip: []string{"processes.yaml"}, Now: s.deps.Now,
		Decode: func(file string, data []byte) ([]*objects.Object, []objects.Problem) {
			return objects.Decode(file, data, objects.Options{Cluster: s.opts.Cluster, Env: s.deps.Env, Schemas: schemas})
		},
	})
	return err
}

func (s *Spoke) openIdentity(ctx context.Context) (err error) {
	s.identity, err = identity.Open(ctx, identity.Options{
		Cluster: s.opts.Cluster, Keeper: keep.NewFile(filepath.Join(s.opts.State, "identity.json")), Hub: s.opts.Hub, Token: s.opts.Token,
		Info: map[string]string{"version": version.Version}, Now: s.deps.Now, Log: s.deps.Log,
		Dial: func(ctx context.Context, address string) (net.Conn, error) { return s.deps.Dial(ctx, "tcp", address) },
	})
	if err != nil {
		return err
	}
	s.tickets = identity.NewTickets(s.identity)
	return s.identity.Register(s.deps.Registry)
}

// openStreams makes what serves the proxies, the hub's questions and the CLI's.
func (s *Spoke) openStreams(context.Context) error {
	s.desk, s.samples = newDesk(s), newSamples(s.deps.Now)
	s.publisher = publish.New(publish.Options{
		Name: s.identity.Name().String(), Heartbeat: s.opts.Heartbeat, Registerer: s.deps.Registry, Log: s.deps.Log,
		Table: s.desk.table, Changed: s.reported.signal, Refused: s.desk.refused, Sample: s.sample,
	})
	s.answers = answer.New(answer.Options{Fleet: view{s}, TokenFile: s.opts.APIToken, Log: s.deps.Log})
	opts := wire.ServerOptions(s.identity.Party().SpokeServer(s.opts.Cluster, identity.ProxyGrace), 0)
	opts = append(opts, wire.Authorize(s.identity.Party(), identity.ProxyGrace, wire.SpokeAccess)...)
	s.server = grpc.NewServer(opts...)
	wire.RegisterSpokeIdentityServer(s.server, identity.NewServer(s.identity, s.tickets.Admit))
	wire.RegisterSpokeServer(s.server, s.publisher)
	return s.openGossip()
}

// openUplink loads the last good assignment; the desk has to be there, and the
// uplink is there for the desk only after that.
func (s *Spoke) openUplink(context.Context) error {
	key, err := hashKey(filepath.Join(s.opts.State, "hash.key"))
	if err != nil {
		return err
	}
	var kept []uplink.Change
	early := true
	s.uplink = uplink.New(uplink.Options{
		Cluster: s.opts.Cluster, Identity: s.identity, Heartbeat: s.opts.Heartbeat, Cache: filepath.Join(s.opts.State, "assignment.json"),
		Key: key, Ask: s.answer, Backoff: wire.LocalBackoff, Log: s.deps.Log, Now: s.deps.Now,
		Assign: func(list []uplink.Change) {
			if early {
				kept = append(kept, list...)
				return
			}
			s.desk.assign(list)
		},
	})
	early = false
	s.resumed = len(kept) > 0
	if s.resumed {
		s.deps.Log.Info("obey the last good assignment", "resources", len(kept))
		s.desk.assign(kept)
	}
	return nil
}

// hashKey is the key of the hashes that stand for secrets.
func hashKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(key) == 32 {
		return key, nil
	}
	key = make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make the key of hashes: %w", err)
	}
	if err := atomicfile.Replace(path, key); err != nil {
		return nil, fmt.Errorf("keep the key of hashes: %w", err)
	}
	return key, nil
}

package hub

import (
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/objects/folder"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/api/schema"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/hub/audit"
	"github.com/navehq/nave/hub/board"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/identity"
	"github.com/navehq/nave/hub/platform"
	"github.com/navehq/nave/hub/rehearse"
	"github.com/navehq/nave/hub/store"
)

// resyncs is how many spokes may resync at one time.
const resyncs = 16

// Hub is a hub that is ready to run.
type Hub struct {
	opts      Options
	deps      Deps
	authority *identity.Authority
	store     *store.Folder
	board     *board.Board
	platform  *platform.Platform
	drills    *rehearse.Rehearsals
	audit     *audit.Log
	streams   *grpc.Server
	listeners listeners
	// supervisor is the session of a standalone fleet's supervisor, nil without.
	supervisor atomic.Pointer[wire.Session]
	// troubles are the problems that the supervisor tells of.
	troubles atomic.Pointer[[]objects.Problem]
	dates    dates
	resyncs  *prometheus.CounterVec
	// orders are those that were kept.
	orders fleet.Orders
	// token is what the CLI shows.
	token string
}

type listeners struct{ streams, api, metrics, health net.Listener }

func (l *listeners) close() {
	for _, x := range []net.Listener{l.streams, l.api, l.metrics, l.health} {
		if x != nil {
			_ = x.Close() // nothing was served
		}
	}
}

// New opens the state and the ports.
func New(opts Options, deps Deps) (*Hub, error) {
	opts.fill()
	deps.fill()
	h := &Hub{opts: opts, deps: deps}
	for _, step := range []func() error{h.openAudit, h.openIdentity, h.openBoard, h.openPlatform, h.openDrills, h.openToken, h.openPorts} {
		if err := step(); err != nil {
			h.listeners.close()
			return nil, fmt.Errorf("start the hub: %w", err)
		}
	}
	h.serveStreams()
	return h, nil
}

func (h *Hub) openIdentity() (err error) {
	h.authority, err = identity.Open(identity.Options{
		Keeper: keep.NewFile(filepath.Join(h.opts.State, "authority.json")),
		Fleet:  h.opts.Fleet, Now: h.deps.Now, Log: h.deps.Log,
	})
	if err != nil {
		return err
	}
	return h.authority.Register(h.deps.Registry)
}

func (h *Hub) openBoard() error {
	kept, state, err := store.Open(filepath.Join(h.opts.State, "store"), h.deps.Log)
	if err != nil {
		return err
	}
	h.store, h.orders = kept, state.Operations
	h.resyncs = newResyncs()
	admission := wire.NewAdmission(resyncs, time.Second)
	h.board, err = board.New(board.Options{
		Store: kept, State: state, Log: h.deps.Log, Now: h.deps.Now,
		Hear: h.opts.Hear, Suspect: h.opts.Suspect, Lost: h.opts.Lost,
		Session: func(cluster string, held []stream.Version, handler wire.Handler) *wire.Session {
			return wire.New(wire.Options{
				Name: "hub", Build: version.Version, Handler: h.countResyncs(handler), Held: held,
				Heartbeat: h.opts.Heartbeat, Admission: admission, Log: h.deps.Log.With("cluster", cluster),
			})
		},
	})
	if err != nil {
		return err
	}
	h.deps.Registry.MustRegister(h.resyncs, fleetGauges{h})
	return nil
}

func (h *Hub) openPlatform() error {
	schemas := schema.New()
	source, err := folder.Open(folder.Options{
		Dir: h.opts.Dir, State: filepath.Join(h.opts.State, "objects"),
		Skip: []string{platform.HostsFile, "wan.yaml"}, Now: h.deps.Now,
		Decode: func(file string, data []byte) ([]*objects.Object, []objects.Problem) {
			return objects.Decode(file, data, objects.Options{Schemas: schemas})
		},
	})
	if err != nil {
		return err
	}
	h.platform = platform.New(platform.Options{
		Source: source, Dir: h.opts.Dir, Clusters: h.opts.Clusters, Board: h.board, Store: h.store, Authority: h.authority,
		Ended: h.ended, Log: h.deps.Log, Now: h.deps.Now,
	})
	return nil
}

func (h *Hub) openPorts() error {
	for _, p := range []struct {
		address string
		into    *net.Listener
		what    string
	}{
		{h.opts.Streams, &h.listeners.streams, "streams"},
		{h.opts.API, &h.listeners.api, "console"},
		{h.opts.Metrics, &h.listeners.metrics, "metrics"},
		{h.opts.Health, &h.listeners.health, "health"},
	} {
		l, err := h.deps.Listen("tcp", p.address)
		if err != nil {
			return fmt.Errorf("listen for %s: %w", p.what, err)
		}
		*p.into = l
	}
	return nil
}

// Authority is the hub's certificate authority.
func (h *Hub) Authority() *identity.Authority { return h.authority }

// Streams is where spokes connect.
func (h *Hub) Streams() net.Addr { return h.listeners.streams.Addr() }

// API is where the console answers.
func (h *Hub) API() net.Addr { return h.listeners.api.Addr() }

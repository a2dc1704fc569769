package hub

import (
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/version"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/identity"
)

// streamServer takes the streams of spokes and of the supervisor.
type streamServer struct {
	wire.UnimplementedHubServer
	hub *Hub
}

func (h *Hub) serveStreams() {
	opts := wire.ServerOptions(h.authority.TLS(), 0)
	opts = append(opts, wire.Authorize(h.authority.Party(), h.authority.Grace(), wire.HubAccess)...)
	h.streams = grpc.NewServer(opts...)
	wire.RegisterHubIdentityServer(h.streams, identity.NewServer(h.authority))
	wire.RegisterHubServer(h.streams, &streamServer{hub: h})
}

// Connect serves a spoke: the cluster that its certificate names.
func (s *streamServer) Connect(str grpc.BidiStreamingServer[wire.Frame, wire.Frame]) error {
	id, ok := wire.Caller(str.Context())
	if !ok {
		return status.Error(codes.Unauthenticated, "no identity")
	}
	if err := s.hub.authority.Known(id); err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	session := s.hub.board.Session(id.Cluster)
	if session == nil {
		return status.Errorf(codes.FailedPrecondition, "cluster %q is not registered; declare a Cluster of that name in the hub", id.Cluster)
	}
	s.hub.deps.Log.Info("spoke connects", "cluster", id.Cluster)
	return ended(session.Run(str.Context(), str))
}

// Supervise serves the supervisor of a standalone fleet.
func (s *streamServer) Supervise(str grpc.BidiStreamingServer[wire.Frame, wire.Frame]) error {
	session := wire.New(wire.Options{
		Name: "hub", Build: version.Version, Log: s.hub.deps.Log, Heartbeat: s.hub.opts.Heartbeat,
		Handler: wire.Handler{OnChanges: s.hub.supervised},
	})
	s.hub.supervisor.Store(session)
	defer s.hub.supervisor.CompareAndSwap(session, nil)
	return ended(session.Run(str.Context(), str))
}

func ended(err error) error {
	var later *wire.RetryLaterError
	if err == nil || errors.As(err, &later) {
		return nil
	}
	return status.Error(codes.Unavailable, err.Error())
}

// supervised takes how clusters see each other's addresses, and what people must
// mend of what the supervisor runs.
func (h *Hub) supervised(r stream.Release) []stream.Nack {
	var nacks []stream.Nack
	for _, c := range r.Changes {
		if err := h.superviseChange(c); err != nil {
			nacks = append(nacks, stream.Nack{ID: c.ID(), Hash: c.Hash, Error: fmt.Sprintf("read %s: %v", c.Kind, err)})
		}
	}
	return nacks
}

func (h *Hub) superviseChange(c stream.Change) error {
	var views []fleet.View
	var problems []objects.Problem
	into := map[string]any{"views": &views, "problems": &problems}[c.Kind]
	if into == nil {
		return nil // a newer supervisor may tell more
	}
	if !c.Deleted {
		if err := json.Unmarshal(c.Payload, into); err != nil {
			return err
		}
	}
	if c.Kind == "views" {
		h.board.SetViews(views)
	} else {
		h.troubles.Store(&problems)
	}
	return nil
}

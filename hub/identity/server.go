package identity

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/wire"
)

// Server answers the calls by which clusters get their certificates. It is to
// be registered on a server with wire.Authorize and wire.HubAccess.
type Server struct {
	wire.UnimplementedHubIdentityServer
	authority *Authority
	log       *slog.Logger
}

// NewServer serves an authority.
func NewServer(a *Authority) *Server { return &Server{authority: a, log: a.opts.Log} }

// Join is the one call for those that have no certificate.
func (s *Server) Join(_ context.Context, r *wire.JoinRequest) (*wire.JoinResponse, error) {
	cert, err := s.authority.Join(r.GetToken(), r.GetCluster(), r.GetCsr())
	if err != nil {
		return nil, s.refuse("join", r.GetCluster(), err)
	}
	return &wire.JoinResponse{Chain: [][]byte{cert.Raw}, Roots: pki.Raw(s.authority.Roots()), Fleet: s.authority.Fleet()}, nil
}

// Renew gives a cluster its identity again.
func (s *Server) Renew(ctx context.Context, r *wire.RenewRequest) (*wire.RenewResponse, error) {
	id, ok := wire.Caller(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, pki.ErrNoIdentity.Error())
	}
	cert, err := s.authority.Renew(id, r.GetCsr())
	if err != nil {
		return nil, s.refuse("renew", id.Cluster, err)
	}
	return &wire.RenewResponse{Chain: [][]byte{cert.Raw}, Roots: pki.Raw(s.authority.Roots())}, nil
}

// refuse tells the peer why in the words that it may know.
func (s *Server) refuse(what, cluster string, err error) error {
	s.log.Warn("certificate is refused", "call", what, "cluster", cluster, "cause", err)
	for _, cause := range []error{pki.ErrTokenUnknown, pki.ErrTokenExpired, pki.ErrRevoked, ErrUnknown, ErrOtherCluster} {
		if errors.Is(err, cause) {
			return status.Error(codes.PermissionDenied, cause.Error())
		}
	}
	return status.Error(codes.FailedPrecondition, "no certificate is issued; the hub's log says why")
}

var expiry = prometheus.NewDesc("nave_certificate_expiry_seconds",
	"Seconds until the certificate of a cluster ends; negative after that.", []string{"cluster"}, nil)

type collector struct{ a *Authority }

// Register adds the metrics of the clusters' certificates; nil registers nothing.
func (a *Authority) Register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	return r.Register(collector{a})
}

func (c collector) Describe(out chan<- *prometheus.Desc) { out <- expiry }

func (c collector) Collect(out chan<- prometheus.Metric) {
	now := c.a.opts.Now()
	for _, cluster := range c.a.Clusters() {
		if !cluster.Revoked {
			out <- prometheus.MustNewConstMetric(expiry, prometheus.GaugeValue, cluster.NotAfter.Sub(now).Seconds(), cluster.Name)
		}
	}
}

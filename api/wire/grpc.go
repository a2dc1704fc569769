package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/navehq/nave/api/pki"
)

const (
	maxMessage    = 4 << 20
	keepaliveTime = 30 * time.Second
	keepaliveWait = 10 * time.Second
	connectWithin = 10 * time.Second
)

// ServerOptions are those of the hub's and a spoke's gRPC server. age is how
// long a connection may live before the peer is asked to connect again (which,
// with several hubs, spreads the spokes over them; gRPC adds a tenth of jitter);
// 0 is for ever.
func ServerOptions(config *tls.Config, age time.Duration) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(config)),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: keepaliveTime, Timeout: keepaliveWait, MaxConnectionAge: age, MaxConnectionAgeGrace: keepaliveWait,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveWait, PermitWithoutStream: true}),
		grpc.ConnectionTimeout(connectWithin),
	}
}

// Dialer makes connections to one server.
type Dialer struct {
	// Address is host:port, or a gRPC target.
	Address string
	TLS     *tls.Config
	// Dial opens the network connection; nil: TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Conn makes a connection, which is established with the first call on it.
func (d Dialer) Conn() (*grpc.ClientConn, error) {
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(d.TLS)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveWait, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectWithin}),
	}
	target := d.Address
	if d.Dial != nil {
		target = "passthrough:///" + d.Address
		opts = append(opts, grpc.WithContextDialer(d.Dial))
	}
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		return nil, fmt.Errorf("dialling %q: %w", d.Address, err)
	}
	return conn, nil
}

// OpenHub opens a spoke's stream to the hub, for Loop. Every attempt has a
// connection of its own, so that it meets another replica, or a renewed
// certificate, at once.
func (d Dialer) OpenHub(ctx context.Context) (Stream, func(), error) {
	return d.open(func(c *grpc.ClientConn) (Stream, error) { return NewHubClient(c).Connect(ctx) })
}

// OpenSupervise opens the supervisor's stream to the hub.
func (d Dialer) OpenSupervise(ctx context.Context) (Stream, func(), error) {
	return d.open(func(c *grpc.ClientConn) (Stream, error) { return NewHubClient(c).Supervise(ctx) })
}

// OpenSpoke opens a proxy's stream to its spoke.
func (d Dialer) OpenSpoke(ctx context.Context) (Stream, func(), error) {
	return d.open(func(c *grpc.ClientConn) (Stream, error) { return NewSpokeClient(c).Connect(ctx) })
}

func (d Dialer) open(f func(*grpc.ClientConn) (Stream, error)) (Stream, func(), error) {
	conn, err := d.Conn()
	if err != nil {
		return nil, nil, err
	}
	stream, err := f(conn)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return stream, func() { _ = conn.Close() }, nil
}

// Access is who may call a method.
type Access struct {
	// Anonymous admits who has no certificate; nobody is checked then.
	Anonymous bool
	// Expired admits who was known until recently.
	Expired bool
	// Roles admitted.
	Roles []pki.Role
}

// HubAccess is who may call what on a hub.
var HubAccess = map[string]Access{
	HubIdentity_Join_FullMethodName:  {Anonymous: true},
	HubIdentity_Renew_FullMethodName: {Expired: true, Roles: []pki.Role{pki.Spoke, pki.Supervisor}},
	Hub_Connect_FullMethodName:       {Roles: []pki.Role{pki.Spoke}},
	Hub_Supervise_FullMethodName:     {Roles: []pki.Role{pki.Supervisor}},
}

// SpokeAccess is who may call what on a spoke.
var SpokeAccess = map[string]Access{
	SpokeIdentity_Enrol_FullMethodName: {Anonymous: true},
	SpokeIdentity_Renew_FullMethodName: {Expired: true, Roles: []pki.Role{pki.Proxy}},
	Spoke_Connect_FullMethodName:       {Roles: []pki.Role{pki.Proxy}},
}

type callerKey struct{}

// Caller is who calls, as Authorize has established; false for an anonymous one.
func Caller(ctx context.Context) (pki.Identity, bool) {
	id, ok := ctx.Value(callerKey{}).(pki.Identity)
	return id, ok
}

// Authorize identifies the caller of every method by its certificate, as of
// now, and refuses those that access does not name, and methods that it does
// not. grace is that of the server's TLS configuration.
func Authorize(party pki.Party, grace time.Duration, access map[string]Access) []grpc.ServerOption {
	check := func(ctx context.Context, method string) (context.Context, error) {
		a, ok := access[method]
		if !ok {
			return nil, status.Errorf(codes.PermissionDenied, "nobody may call %s", method)
		}
		if a.Anonymous {
			return ctx, nil
		}
		id, err := identify(ctx, party, grace)
		if err != nil {
			return nil, status.Error(codes.Unauthenticated, err.Error())
		}
		if err := a.admit(id); err != nil {
			return nil, status.Error(codes.PermissionDenied, err.Error())
		}
		return context.WithValue(ctx, callerKey{}, id), nil
	}
	unary := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := check(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
	streams := func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := check(ss.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		return next(srv, &identified{ss, ctx})
	}
	return []grpc.ServerOption{grpc.UnaryInterceptor(unary), grpc.StreamInterceptor(streams)}
}

func identify(ctx context.Context, party pki.Party, grace time.Duration) (pki.Identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return pki.Identity{}, pki.ErrNoIdentity
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return pki.Identity{}, pki.ErrNoIdentity
	}
	return party.Identify(info.State, grace)
}

func (a Access) admit(id pki.Identity) error {
	if id.Expired && !a.Expired {
		return fmt.Errorf("%q: %w", id.Name, pki.ErrExpired)
	}
	for _, r := range a.Roles {
		if r == id.Role {
			return nil
		}
	}
	return fmt.Errorf("%q: %w", id.Name, pki.ErrNotAdmitted)
}

type identified struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *identified) Context() context.Context { return s.ctx }

// Status is the end of Run as a server's method returns it.
func Status(err error) error {
	later := (*RetryLaterError)(nil)
	switch {
	case err == nil, errors.Is(err, errEnded):
		return nil
	case errors.As(err, &later):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, ErrProtocol):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, pki.ErrRevoked), errors.Is(err, pki.ErrNotAdmitted):
		return status.Error(codes.PermissionDenied, err.Error())
	case errors.Is(err, ErrSuperseded):
		return status.Error(codes.Aborted, err.Error())
	case errors.Is(err, ErrSilent), errors.Is(err, ErrClosed):
		return status.Error(codes.Unavailable, err.Error())
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}

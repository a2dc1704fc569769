package subscribe_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"net"

	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/proxy/subscribe"
)

// obeyer obeys every table but those with a backend named "bad", or both "x" and
// "y", or "needs-NAME" without "the-NAME".
type obeyer struct{ revisions chan string }

func (o obeyer) check(t table.Table, _ []table.Change) error {
	var names []string
	for b := range table.Each[*table.Backend](t) {
		names = append(names, b.Name)
		if b.Name == "bad" {
			return errors.New("backend is bad")
		}
		if name, needs := strings.CutPrefix(b.Name, "needs-"); needs && table.Find[*table.Backend](t, "the-"+name) == nil {
			return fmt.Errorf("%s has not what it needs", b.Name)
		}
	}
	if fmt.Sprint(names) == "[x y]" {
		return errors.New("x and y do not go together")
	}
	return nil
}

func (o obeyer) obey(t table.Table, c []table.Change, revision string) error {
	if err := o.check(t, c); err != nil {
		return err
	}
	o.revisions <- fmt.Sprintf("%s %d", revision, t.Len())
	return nil
}

// spoke is the other end: a session behind a server in memory.
type spoke struct {
	wire.UnimplementedSpokeServer
	session *wire.Session
}

func (s *spoke) Connect(str grpc.BidiStreamingServer[wire.Frame, wire.Frame]) error {
	return s.session.Run(str.Context(), str)
}

type rig struct {
	t      *testing.T
	spoke  *spoke
	acked  chan []stream.Nack
	obeyer obeyer
	cache  string
	dial   func(context.Context) (net.Conn, error)
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, acked: make(chan []stream.Nack, 16), obeyer: obeyer{make(chan string, 16)}, cache: filepath.Join(t.TempDir(), "table.json")}
	r.spoke = &spoke{session: wire.New(wire.Options{Name: "spoke", Handler: wire.Handler{
		OnAcked: func(_ string, nacks []stream.Nack, _ string) { r.acked <- nacks },
	}})}
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	wire.RegisterSpokeServer(server, r.spoke)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	r.dial = func(ctx context.Context) (net.Conn, error) { return l.DialContext(ctx) }
	return r
}

// start runs a subscription until the test ends or stop is called.
func (r *rig) start() (s *subscribe.Subscription, stop func()) {
	r.t.Helper()
	s = subscribe.New(subscribe.Options{Name: "proxy", Cache: r.cache, Log: slog.New(slog.DiscardHandler), Obey: r.obeyer.obey, Check: r.obeyer.check})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.RunWith(ctx, func(ctx context.Context) (wire.Stream, func(), error) {
			c, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return r.dial(ctx) }))
			if err != nil {
				return nil, nil, err
			}
			str, err := wire.NewSpokeClient(c).Connect(ctx)
			return str, func() { _ = c.Close() }, err
		})
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("ends with %v", err)
		}
	}
	r.t.Cleanup(stop)
	return s, stop
}

func (r *rig) send(mark string, put, remove []string) {
	r.t.Helper()
	r.spoke.session.Update(func(src *stream.Source) {
		for _, name := range put {
			payload, err := table.Encode(&table.Backend{Name: name})
			if err != nil {
				r.t.Error(err)
			}
			if err := src.Set(stream.Resource{Kind: "backend", Key: name, Payload: payload}); err != nil {
				r.t.Error(err)
			}
		}
		for _, name := range remove {
			src.Delete(stream.ID{Kind: "backend", Key: name})
		}
		src.Mark(mark, false)
	})
}

func wait[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("%s does not come", what)
		panic("unreachable")
	}
}

func (r *rig) wantRevision(want string) {
	r.t.Helper()
	if got := wait(r.t, "revision "+want, r.obeyer.revisions); got != want {
		r.t.Fatalf("revision %q is obeyed, want %q", got, want)
	}
}

func (r *rig) wantRefused(want ...string) {
	r.t.Helper()
	var got []string
	for _, n := range wait(r.t, "an answer", r.acked) {
		got = append(got, n.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Fatalf("refused (-want +got):\n%s", diff)
	}
}

func TestARefusedRevisionChangesNothing(t *testing.T) {
	r := newRig(t)
	s, _ := r.start()
	r.send("1", []string{"a"}, nil)
	r.wantRevision("1 1")
	r.wantRefused()
	r.send("2", []string{"b", "bad"}, nil)
	r.wantRefused("bad")
	if s.Revision() != "1" || s.Table().Len() != 1 {
		t.Errorf("revision %q with %d resources is in force, want 1 with 1", s.Revision(), s.Table().Len())
	}
	r.send("3", []string{"c"}, []string{"bad"})
	r.wantRevision("3 3")
	r.wantRefused()
}

func TestWhoNeedsWhatComesWithItIsNotBlamed(t *testing.T) {
	r := newRig(t)
	r.start()
	r.send("1", []string{"needs-cert", "the-cert", "needs-more", "bad", "a"}, nil)
	r.wantRefused("bad", "needs-more")
	r.send("2", nil, []string{"bad", "needs-more"})
	r.wantRevision("2 3")
}

func TestOfWhatCannotBeTogetherTheLaterIsRefused(t *testing.T) {
	r := newRig(t)
	r.start()
	r.send("1", []string{"x", "y"}, nil)
	r.wantRefused("y")
	r.send("2", nil, []string{"y"})
	r.wantRevision("2 1")
}

func TestTheLastGoodTableOutlivesARestart(t *testing.T) {
	r := newRig(t)
	_, stop := r.start()
	r.send("1", []string{"a", "b"}, nil)
	r.wantRevision("1 2")
	stop()
	r.dial = func(context.Context) (net.Conn, error) { return nil, errors.New("the spoke is gone") }
	s, _ := r.start()
	r.wantRevision("1 2")
	if s.Revision() != "1" {
		t.Errorf("alone, revision %q is in force, want 1", s.Revision())
	}
}

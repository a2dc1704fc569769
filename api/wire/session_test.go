package wire_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/wire"
)

// store is what one end has of the other's, and what it was told.
type store struct {
	mu     sync.Mutex
	has    map[string]string
	marks  []string
	synced int
	acked  []string
	gone   []error
	beats  []wire.Beat
	holds  []string
	hellos []wire.Greeting
	nack   string        // a key to refuse
	slow   time.Duration // of taking a release into effect
}

func newStore() *store { return &store{has: map[string]string{}} }

func (s *store) handler() wire.Handler {
	locked := func(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }
	return wire.Handler{
		OnHello:      func(g wire.Greeting) error { locked(func() { s.hellos = append(s.hellos, g) }); return nil },
		OnChanges:    s.take,
		OnHold:       func(r string) { locked(func() { s.holds = append(s.holds, r) }) },
		OnSynced:     func() { locked(func() { s.synced++ }) },
		OnHeartbeat:  func(b wire.Beat) { locked(func() { s.beats = append(s.beats, b) }) },
		OnDisconnect: func(err error) { locked(func() { s.gone = append(s.gone, err) }) },
		OnAcked: func(mark string, nacks []stream.Nack, hold string) {
			line := mark
			for _, n := range nacks {
				line += " nack " + n.Key + ": " + n.Error
			}
			if hold != "" {
				line += " held"
			}
			locked(func() { s.acked = append(s.acked, line) })
		},
	}
}

func (s *store) take(r stream.Release) (nacks []stream.Nack) {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range r.Changes {
		switch {
		case c.Deleted:
			delete(s.has, c.Key)
		case c.Key == s.nack:
			nacks = append(nacks, stream.Nack{ID: c.ID(), Hash: c.Hash, Error: "no such filter"})
		default:
			s.has[c.Key] = string(c.Payload)
		}
	}
	s.marks = append(s.marks, r.Mark)
	return nacks
}

// ends are the reasons for which connections ended so far.
func (s *store) ends() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.gone)
}

func (s *store) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for k, v := range s.has {
		keys = append(keys, k+"="+v)
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// world is a hub and one spoke, over a network in memory.
type world struct {
	t          *testing.T
	lis        *bufconn.Listener
	server     *grpc.Server
	hub, spoke *wire.Session
	hubHas     *store
	spokeHas   *store
	cancel     context.CancelFunc
	done       chan error
	mu         sync.Mutex
	conns      []net.Conn
	// wrap, if set, stands between the hub's session and its stream.
	wrap func(wire.Stream) wire.Stream
}

type hubService struct {
	wire.UnimplementedHubServer
	w *world
}

func (h hubService) Connect(s grpc.BidiStreamingServer[wire.Frame, wire.Frame]) error {
	var str wire.Stream = s
	if h.w.wrap != nil {
		str = h.w.wrap(str)
	}
	return wire.Status(h.w.hub.Run(s.Context(), str))
}

func newWorld(t *testing.T, change func(hub, spoke *wire.Options)) *world {
	w := &world{t: t, lis: bufconn.Listen(1 << 20), hubHas: newStore(), spokeHas: newStore(), done: make(chan error, 1)}
	hub := wire.Options{Name: "hub", Handler: w.hubHas.handler()}
	spoke := wire.Options{Name: "east", Handler: w.spokeHas.handler(), Guard: stream.DefaultGuard}
	if change != nil {
		change(&hub, &spoke)
	}
	w.hub, w.spoke = wire.New(hub), wire.New(spoke)
	w.server = grpc.NewServer()
	wire.RegisterHubServer(w.server, hubService{w: w})
	go func() { _ = w.server.Serve(w.lis) }()
	return w
}

func (w *world) open(ctx context.Context) (wire.Stream, func(), error) {
	conn, err := grpc.NewClient("passthrough:///hub", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			c, err := w.lis.DialContext(ctx)
			if err == nil {
				w.mu.Lock()
				w.conns = append(w.conns, c)
				w.mu.Unlock()
			}
			return c, err
		}))
	if err != nil {
		return nil, nil, err
	}
	str, err := wire.NewHubClient(conn).Connect(ctx)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return str, func() { conn.Close() }, nil
}

func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.done <- wire.Loop{Session: w.spoke, Open: w.open}.Run(ctx) }()
	synctest.Wait()
}

// cut breaks the network connection that is in use.
func (w *world) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

func (w *world) stop() {
	w.cancel()
	if err := <-w.done; !errors.Is(err, context.Canceled) {
		w.t.Errorf("the loop ended with %v", err)
	}
	w.hub.Close()
	w.server.Stop()
	w.lis.Close()
}

func publish(s *wire.Session, mark string, set map[string]string, del ...string) {
	s.Update(func(src *stream.Source) {
		for k, v := range set {
			if err := src.Set(stream.Resource{Kind: "R", Key: k, Payload: []byte(v)}); err != nil {
				panic(err)
			}
		}
		for _, k := range del {
			src.Delete(stream.ID{Kind: "R", Key: k})
		}
		src.Mark(mark, false)
	})
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

func TestBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		publish(w.hub, "h1", map[string]string{"assignment": "1"})
		publish(w.spoke, "s1", map[string]string{"gateway": "1", "route": "1"})
		w.start()
		defer w.stop()
		want(t, "spoke has", w.spokeHas.String(), "assignment=1")
		want(t, "hub has", w.hubHas.String(), "gateway=1 route=1")
		publish(w.spoke, "s2", map[string]string{"route": "2"}, "gateway")
		synctest.Wait()
		want(t, "hub has", w.hubHas.String(), "route=2")
		want(t, "spoke was answered", fmt.Sprint(w.spokeHas.acked), "[s1 s2]")
		for name, s := range map[string]*wire.Session{"hub": w.hub, "spoke": w.spoke} {
			if st := s.Standing(); !st.Up || !st.Synced || !st.Settled || !st.Behind.IsZero() {
				t.Errorf("%s stands at %+v", name, st)
			}
		}
		if w.hubHas.synced != 1 || w.spokeHas.synced != 1 {
			t.Errorf("synced %d and %d times, want once", w.hubHas.synced, w.spokeHas.synced)
		}
		want(t, "hub was greeted by", w.hubHas.hellos[0].ID, "east")
	})
}

func TestReconnectSendsTheDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		publish(w.hub, "h1", map[string]string{"a": "1", "b": "1"})
		publish(w.spoke, "s1", nil)
		w.start()
		defer w.stop()
		w.cut()
		synctest.Wait()
		publish(w.hub, "h2", map[string]string{"b": "2", "c": "1"}, "a")
		if st := w.hub.Standing(); st.Up || st.Behind.IsZero() {
			t.Fatalf("hub stands at %+v without a connection and behind", st)
		}
		want(t, "spoke has, alone", w.spokeHas.String(), "a=1 b=1")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want(t, "spoke has", w.spokeHas.String(), "b=2 c=1")
		want(t, "hub was greeted with", w.hubHas.hellos[1].Reason, "lost")
		if len(w.spokeHas.ends()) != 1 || len(w.hubHas.ends()) != 1 {
			t.Errorf("disconnects: spoke %v, hub %v", w.spokeHas.ends(), w.hubHas.ends())
		}
		want(t, "marks at the spoke", fmt.Sprint(w.spokeHas.marks), "[h1 h2]")
	})
}

// A peer comes back before its loss was noticed: the new connection wins.
func TestSupersede(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		publish(w.hub, "h1", map[string]string{"a": "1"})
		publish(w.spoke, "s1", nil)
		w.start()
		defer w.stop()
		other := newStore()
		twin := wire.New(wire.Options{Name: "east", Handler: other.handler()})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		str, closeStream, err := w.open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- twin.Run(ctx, str) }()
		synctest.Wait()
		want(t, "the twin has", other.String(), "a=1")
		if !errors.Is(w.hubHas.ends()[0], wire.ErrSuperseded) {
			t.Fatalf("the first connection ended with %v", w.hubHas.ends()[0])
		}
		cancel()
		<-ended
		closeStream()
	})
}

func TestNack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.spokeHas.nack = "bad"
		publish(w.hub, "h1", map[string]string{"good": "1", "bad": "1"})
		w.start()
		defer w.stop()
		want(t, "spoke has", w.spokeHas.String(), "good=1")
		want(t, "hub was answered", fmt.Sprint(w.hubHas.acked), "[h1 nack bad: no such filter]")
	})
}

func TestMassDeleteIsHeldUntilConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		all := map[string]string{}
		var keys []string
		for i := range 40 {
			k := fmt.Sprintf("k%02d", i)
			all[k] = "1"
			keys = append(keys, k)
		}
		publish(w.hub, "h1", all)
		w.start()
		defer w.stop()
		publish(w.hub, "h2", nil, keys[:30]...)
		synctest.Wait()
		if len(w.spokeHas.has) != 40 || len(w.spokeHas.holds) != 1 {
			t.Fatalf("spoke has %d resources and holds %v", len(w.spokeHas.has), w.spokeHas.holds)
		}
		if st := w.hub.Standing(); st.Hold == "" || st.Behind.IsZero() {
			t.Fatalf("hub stands at %+v", st)
		}
		w.hub.Update(func(s *stream.Source) { s.Mark("h2", true) })
		synctest.Wait()
		if len(w.spokeHas.has) != 10 {
			t.Fatalf("spoke has %d resources after the confirmation", len(w.spokeHas.has))
		}
		want(t, "hub was answered", fmt.Sprint(w.hubHas.acked), "[h1 h2 held h2]")
	})
}

// A slow receiver gets the last of many revisions, and nobody waits for it.
func TestSlowPeerCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		publish(w.hub, "h0", map[string]string{"a": "0"})
		w.spokeHas.slow = 5 * time.Second
		began := time.Now()
		w.start()
		defer w.stop()
		for i := 1; i <= 1000; i++ {
			publish(w.hub, fmt.Sprintf("h%d", i), map[string]string{"a": fmt.Sprint(i)})
		}
		if time.Since(began) != 0 {
			t.Fatal("publishing waited for the peer")
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		want(t, "spoke has", w.spokeHas.String(), "a=1000")
		want(t, "marks at the spoke", fmt.Sprint(w.spokeHas.marks), "[h0 h1000]")
		if len(w.spokeHas.ends()) != 0 {
			t.Fatalf("the connection was lost over a slow callback: %v", w.spokeHas.ends())
		}
	})
}

// Twenty megabytes arrive in portions, as one state.
func TestLargeState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		all := map[string]string{}
		for i := range 80 {
			all[fmt.Sprint(i)] = strings.Repeat("x", 256<<10)
		}
		publish(w.hub, "h1", all)
		w.start()
		defer w.stop()
		if len(w.spokeHas.has) != 80 || len(w.spokeHas.marks) != 1 {
			t.Fatalf("spoke has %d resources by %d marks", len(w.spokeHas.has), len(w.spokeHas.marks))
		}
	})
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(hub, _ *wire.Options) { hub.Build = "v9" })
		publish(w.hub, "h1", nil)
		publish(w.spoke, "s1", nil)
		w.start()
		defer w.stop()
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if len(w.hubHas.beats) != 3 || len(w.spokeHas.beats) != 3 {
			t.Fatalf("%d and %d heartbeats in 35 s, want 3", len(w.hubHas.beats), len(w.spokeHas.beats))
		}
		b := w.spokeHas.beats[2]
		if b.Mark != "s1" || b.Build != "v9" || !b.Clock.Equal(b.Received) {
			t.Fatalf("the hub's heartbeat: %+v", b)
		}
	})
}

// mute is a stream whose frames get lost from some point on, as on a link that
// is half open.
type mute struct {
	wire.Stream
	mu     sync.Mutex
	silent bool
}

func (m *mute) Send(f *wire.Frame) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.silent {
		return nil
	}
	return m.Stream.Send(f)
}

func TestSilentPeerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var muted *mute
		w.wrap = func(s wire.Stream) wire.Stream {
			m := &mute{Stream: s}
			if muted == nil {
				muted = m
			}
			return m
		}
		publish(w.hub, "h1", map[string]string{"a": "1"})
		publish(w.spoke, "s1", nil)
		w.start()
		defer w.stop()
		muted.mu.Lock()
		muted.silent = true
		muted.mu.Unlock()
		publish(w.hub, "h2", map[string]string{"a": "2"})
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if len(w.spokeHas.ends()) != 0 {
			t.Fatalf("left early: %v", w.spokeHas.ends())
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if len(w.spokeHas.ends()) != 1 || !errors.Is(w.spokeHas.ends()[0], wire.ErrSilent) {
			t.Fatalf("left with %v, want silence", w.spokeHas.ends())
		}
		want(t, "spoke has, back again", w.spokeHas.String(), "a=2")
	})
}

func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(hub, spoke *wire.Options) {
			spoke.Handler.OnAsk = func(ctx context.Context, path string, body []byte) ([]byte, error) {
				switch path {
				case "/echo":
					return body, nil
				case "/slow":
					<-ctx.Done()
					return nil, ctx.Err()
				case "/large":
					return make([]byte, 4<<20), nil
				}
				return nil, &wire.Refusal{Status: 404, Message: "no such path"}
			}
		})
		ctx := context.Background()
		if _, err := w.hub.Ask(ctx, "/echo", nil); !errors.Is(err, wire.ErrDisconnected) {
			t.Fatalf("asked nobody: %v", err)
		}
		w.start()
		defer w.stop()
		for i := range 50 {
			got, err := w.hub.Ask(ctx, "/echo", fmt.Appendf(nil, `{"n":%d}`, i))
			if err != nil || string(got) != fmt.Sprintf(`{"n":%d}`, i) {
				t.Fatalf("answered %q, %v", got, err)
			}
		}
		var refusal *wire.Refusal
		if _, err := w.hub.Ask(ctx, "/other", nil); !errors.As(err, &refusal) || refusal.Status != 404 {
			t.Fatalf("an unknown path: %v", err)
		}
		if _, err := w.hub.Ask(ctx, "/large", nil); !errors.As(err, &refusal) || refusal.Status != 500 {
			t.Fatalf("an answer that is too large: %v", err)
		}
		if _, err := w.spoke.Ask(ctx, "/x", nil); !errors.As(err, &refusal) || refusal.Status != 404 {
			t.Fatalf("a side that answers nothing: %v", err)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := w.hub.Ask(short, "/slow", nil); err == nil {
			t.Fatal("a slow answer came in time")
		}
		synctest.Wait() // the other side has given up too
		var wg sync.WaitGroup
		errs := make([]error, 40)
		for i := range errs {
			wg.Go(func() { _, errs[i] = w.hub.Ask(ctx, "/slow", nil) })
		}
		synctest.Wait()
		w.cut()
		wg.Wait()
		busy, lost := 0, 0
		for _, err := range errs {
			switch {
			case errors.As(err, &refusal) && refusal.Status == 429:
				busy++
			case errors.Is(err, wire.ErrDisconnected):
				lost++
			}
		}
		if busy != 8 || lost != 32 {
			t.Fatalf("of 40 asks %d were too many and %d were lost with the connection", busy, lost)
		}
	})
}

func TestAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := wire.NewAdmission(1, 4*time.Second)
		w := newWorld(t, func(hub, _ *wire.Options) { hub.Admission = gate })
		blocker := newWorld(t, func(hub, spoke *wire.Options) {
			hub.Admission = gate
			hub.Handler.OnChanges = func(stream.Release) []stream.Nack { time.Sleep(6 * time.Second); return nil }
		})
		publish(blocker.spoke, "s1", nil)
		blocker.start()
		defer blocker.stop()
		publish(w.hub, "h1", map[string]string{"a": "1"})
		publish(w.spoke, "s1", nil)
		w.start()
		defer w.stop()
		if w.hub.Standing().Up {
			t.Fatal("two peers resync at a time, one is allowed")
		}
		time.Sleep(17 * time.Second)
		synctest.Wait()
		want(t, "spoke has, later", w.spokeHas.String(), "a=1")
	})
}

func TestRefusedGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("you are not east")
		w := newWorld(t, func(hub, _ *wire.Options) {
			hub.Handler.OnHello = func(g wire.Greeting) error { return refused }
		})
		publish(w.hub, "h1", map[string]string{"a": "1"})
		w.start()
		defer w.stop()
		if st := w.spoke.Standing(); st.Synced || w.spokeHas.String() != "" {
			t.Fatalf("a refused peer got %q, %+v", w.spokeHas.String(), st)
		}
	})
}

// A greeting has to agree with the certificate.
func TestPeerClaimsAnotherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(hub, _ *wire.Options) { hub.Peer = "west" })
		publish(w.spoke, "s1", map[string]string{"a": "1"})
		w.start()
		defer w.stop()
		want(t, "hub has of one that says it is east", w.hubHas.String(), "")
	})
}

// A revoked peer's live stream is closed, and it is told why.
func TestDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		publish(w.hub, "h1", map[string]string{"a": "1"})
		publish(w.spoke, "s1", nil)
		w.start()
		defer w.stop()
		w.hub.Disconnect(pki.ErrRevoked)
		synctest.Wait()
		if len(w.spokeHas.ends()) != 1 || status.Code(w.spokeHas.ends()[0]) != codes.PermissionDenied {
			t.Fatalf("the spoke was left with %v", w.spokeHas.ends())
		}
	})
}

// Whatever is cut when, both ends have the same of each other in the end.
func TestRandomCutsConverge(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t, nil)
			sides := []*wire.Session{w.hub, w.spoke}
			has := []map[string]string{{}, {}}
			for _, s := range sides {
				publish(s, "start", nil)
			}
			w.start()
			defer w.stop()
			for step := range 100 {
				switch i := r.IntN(5); i {
				case 0, 1:
					k, v := fmt.Sprint(r.IntN(10)), strings.Repeat("x", r.IntN(300<<10))
					has[i][k] = v
					publish(sides[i], fmt.Sprint(step), map[string]string{k: v})
				case 2:
					k, i := fmt.Sprint(r.IntN(10)), r.IntN(2)
					delete(has[i], k)
					publish(sides[i], fmt.Sprint(step), nil, k)
				case 3:
					w.cut()
				case 4:
					time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
				}
				if r.IntN(3) == 0 {
					synctest.Wait()
				}
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if !maps.Equal(has[0], w.spokeHas.has) || !maps.Equal(has[1], w.hubHas.has) {
				t.Fatalf("seed %d: the ends differ", seed)
			}
			for i, s := range sides {
				if st := s.Standing(); !st.Settled || !st.Behind.IsZero() {
					t.Fatalf("seed %d: side %d stands at %+v", seed, i, st)
				}
			}
		})
	}
}

func TestEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_, spoke *wire.Options) { spoke.Epoch = stream.Epoch{Number: 7} })
		w.hub.Update(func(s *stream.Source) { s.SetEpoch(stream.Epoch{Number: 6, Term: 4}) })
		publish(w.hub, "h1", map[string]string{"a": "1"})
		w.start()
		defer w.stop()
		want(t, "a spoke that has obeyed a newer hub has", w.spokeHas.String(), "")
		if len(w.spokeHas.ends()) == 0 || !errors.Is(w.spokeHas.ends()[0], stream.ErrStale) {
			t.Fatalf("it left with %v", w.spokeHas.ends())
		}
		if seen := w.hubHas.hellos[0].Seen; seen.Number != 7 {
			t.Fatalf("the hub was told of epoch %+v", seen)
		}
		w.hub.Update(func(s *stream.Source) { s.SetEpoch(stream.Epoch{Number: 8, Term: 1}) })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		want(t, "and after a new one was minted", w.spokeHas.String(), "a=1")
	})
}

func TestBackoff(t *testing.T) {
	b := wire.DefaultBackoff
	tests := []struct {
		failures int
		bound    time.Duration
	}{{1, time.Second}, {2, 2 * time.Second}, {6, 32 * time.Second}, {7, time.Minute}, {1000, time.Minute}}
	for _, tc := range tests {
		if got := b.Delay(tc.failures, 0); got != 0 {
			t.Errorf("after %d failures at least %s, want 0 (full jitter)", tc.failures, got)
		}
		if got := b.Delay(tc.failures, ^uint64(0)); got > tc.bound || got < tc.bound*99/100 {
			t.Errorf("after %d failures at most %s, want %s", tc.failures, got, tc.bound)
		}
	}
}

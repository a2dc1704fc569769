package board_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/hub/board"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/plan"
	"github.com/navehq/nave/hub/store"
)

const (
	hear, suspect, lost = 5 * time.Second, 30 * time.Second, 90 * time.Second
)

// desk is a board with a clock of its own, and the ends of its sessions that
// clusters would talk to.
type desk struct {
	*board.Board
	t        *testing.T
	now      time.Time
	store    *store.Folder
	handlers map[string]wire.Handler
	held     map[string][]stream.Version
}

func newDesk(t *testing.T, dir string) *desk {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	kept, state, err := store.Open(filepath.Join(dir, "store"), quiet)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, now: time.Unix(1e9, 0), store: kept, handlers: map[string]wire.Handler{}, held: map[string][]stream.Version{}}
	d.Board, err = board.New(board.Options{
		Store: kept, State: state, Log: quiet, Now: func() time.Time { return d.now }, Hear: hear, Suspect: suspect, Lost: lost,
		Session: func(cluster string, held []stream.Version, h wire.Handler) *wire.Session {
			d.handlers[cluster], d.held[cluster] = h, held
			return wire.New(wire.Options{Name: "hub", Handler: h, Held: held})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(); kept.Close() })
	return d
}

func clusters(names ...string) (out []fleet.Cluster) {
	for _, n := range names {
		out = append(out, fleet.Cluster{Name: n, Region: n, State: table.PeerReady})
	}
	return out
}

// push hands the board what a cluster's stream would, and gives what it refused.
func (d *desk) push(cluster string, list ...stream.Change) map[string]string {
	out := map[string]string{}
	for _, n := range d.handlers[cluster].OnChanges(stream.Release{Changes: list, Mark: "m"}) {
		out[n.ID.String()] = n.Error
	}
	return out
}

func (d *desk) member(name string) board.Member {
	d.t.Helper()
	for _, m := range d.Members() {
		if m.Cluster.Name == name {
			return m
		}
	}
	d.t.Fatalf("cluster %q is not shown", name)
	return board.Member{}
}

func resource(t *testing.T, r assignment.Resource, origin string) stream.Change {
	t.Helper()
	payload, err := assignment.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	kind, key := r.ID()
	return stream.Change{Resource: stream.Resource{Kind: string(kind), Key: key, Payload: payload, Hash: stream.HashOf(payload), Origin: origin, Signature: []byte("of " + origin)}}
}

func gatewayKey(name string) objects.Key {
	return objects.Key{Group: "gateway.networking.k8s.io", Kind: "Gateway", Namespace: "ns", Name: name}
}

// gateway is a declared Gateway that is placed everywhere.
func gateway(t *testing.T, cluster, name string) stream.Change {
	t.Helper()
	object := `{"metadata":{"name":"` + name + `","namespace":"ns","annotations":{"nave.dev/placement":"Fleet"}},"spec":{"gatewayClassName":"nave","listeners":[]}}`
	return resource(t, &assignment.Declaration{Cluster: cluster, Key: gatewayKey(name), Generation: 1, Object: json.RawMessage(object)}, cluster)
}

func gone(c stream.Change) stream.Change {
	return stream.Change{Resource: stream.Resource{Kind: c.Kind, Key: c.Key}, Deleted: true}
}

func TestALeaseGoesByTheTimeSinceAClusterWasHeard(t *testing.T) {
	d := newDesk(t, t.TempDir())
	d.SetClusters(clusters("west"))
	is := func(why string, want assignment.Lease) {
		t.Helper()
		if got := d.member("west").Lease; got != want {
			t.Errorf("%s: the lease is %s, want %s", why, got, want)
		}
	}
	is("never heard", assignment.Lost)
	if err := d.handlers["west"].OnHello(wire.Greeting{}); err != nil {
		t.Fatal(err)
	}
	is("greeted", assignment.Connected)
	d.now = d.now.Add(suspect - 1)
	is("just not silent for too long", assignment.Connected)
	d.now = d.now.Add(1)
	is("silent", assignment.Suspect)
	d.handlers["west"].OnHeartbeat(wire.Beat{})
	is("heard again", assignment.Connected)
	d.now = d.now.Add(lost - 1)
	is("silent for long", assignment.Suspect)
	d.now = d.now.Add(1)
	is("silent for too long", assignment.Lost)
	d.push("west", resource(t, &assignment.Facts{Cluster: "west"}, ""))
	is("a push is a sign of life", assignment.Connected)
	heard := d.member("west").Heard
	d.now = d.now.Add(time.Second)
	d.handlers["west"].OnDisconnect(io.EOF)
	if got := d.member("west"); got.Lease != assignment.Connected || got.Heard != heard {
		t.Errorf("a lost stream alone makes the lease %s, heard %s", got.Lease, got.Heard)
	}
}

func TestAClusterSpeaksForItselfOnly(t *testing.T) {
	d := newDesk(t, t.TempDir())
	d.SetClusters(clusters("west", "east"))
	own := gateway(t, "west", "g")
	if refused := d.push("west", own); len(refused) > 0 {
		t.Fatal(refused)
	}
	lying := gateway(t, "west", "g2")
	lying.Origin = "east"
	hidden := gateway(t, "east", "g3")
	hidden.Origin = "west"
	wrongKey := gateway(t, "east", "g4")
	wrongKey.Key = gateway(t, "east", "g5").Key
	broken := gateway(t, "east", "g6")
	broken.Payload = []byte("{")
	id := stream.ID{Kind: own.Kind, Key: own.Key}
	unknown := stream.Change{Resource: stream.Resource{Kind: "of-a-later-version", Key: "k", Payload: []byte("?")}}
	for _, c := range []struct {
		why     string
		change  stream.Change
		refused bool
	}{
		{"its own declaration", gateway(t, "east", "mine"), false},
		{"another cluster's declaration", gateway(t, "west", "g1"), true},
		{"another cluster's under its own origin", lying, true},
		{"its own under another's origin", hidden, true},
		{"a key that is not what it holds", wrongKey, true},
		{"a payload that cannot be read", broken, true},
		{"another cluster's facts", resource(t, &assignment.Facts{Cluster: "west"}, ""), true},
		{"another cluster's sample", resource(t, &assignment.Sample{From: "west", To: "east", Measure: "link"}, ""), true},
		{"its own sample", resource(t, &assignment.Sample{From: "east", To: "west", Measure: "link"}, ""), false},
		{"another cluster's secret", resource(t, &assignment.Sealed{From: "west", To: "east", Purpose: "p"}, ""), true},
		{"its own secret, which another signed", resource(t, &assignment.Sealed{From: "east", To: "west", Purpose: "p"}, "west"), true},
		{"the end of another cluster's secret", gone(resource(t, &assignment.Sealed{From: "west", To: "east", Purpose: "p"}, "")), true},
		{"the end of its own secret", gone(resource(t, &assignment.Sealed{From: "east", To: "west", Purpose: "p"}, "")), false},
		{"the end of another cluster's declaration", gone(own), false}, // it held none such
		{"the word that another cluster deleted", stream.Change{Resource: stream.Tombstone(id, "west", 1)}, true},
		{"the same under its own name", stream.Change{Resource: stream.Tombstone(id, "east", 1)}, true},
		{"the fleet's settings", resource(t, &assignment.Fleet{Frozen: true}, ""), true},
		{"a tenant", resource(t, &assignment.Tenant{Name: "mine", All: true}, ""), true},
		{"a peer", resource(t, &assignment.Peer{Cluster: "east"}, ""), true},
		{"a placement", resource(t, &assignment.Placement{Home: "east", Namespace: "ns", Name: "g"}, ""), true},
		{"a kind of a later version", unknown, false},
	} {
		if refused := d.push("east", c.change); (len(refused) > 0) != c.refused {
			t.Errorf("%s is refused: %v, want %v", c.why, refused, c.refused)
		}
	}
	if got := d.Declared("west"); !slices.Equal(got, []objects.Key{gatewayKey("g")}) {
		t.Errorf("west declares %v after all this", got)
	}
	if got := d.member("west").Facts; got != nil {
		t.Errorf("west has facts %+v", got)
	}
	if got := d.Declared("east"); !slices.Equal(got, []objects.Key{gatewayKey("mine")}) {
		t.Errorf("east declares %v", got)
	}
}

func TestNothingIsPublishedBeforeTheClustersWereHeard(t *testing.T) {
	for _, c := range []struct {
		why  string
		then func(*desk)
		open bool
	}{
		{"none has synced", func(d *desk) { d.Open() }, false},
		{"one of two has synced", func(d *desk) { d.handlers["west"].OnSynced() }, false},
		{"both have synced", func(d *desk) { d.handlers["west"].OnSynced(); d.handlers["east"].OnSynced() }, true},
		{"time is nearly up", func(d *desk) { d.now = d.now.Add(hear - 1); d.Open() }, false},
		{"time is up", func(d *desk) { d.now = d.now.Add(hear); d.Open() }, true},
	} {
		d := newDesk(t, t.TempDir())
		d.Edit(plan.PutSettings(assignment.Fleet{}))
		d.SetClusters(clusters("west", "east"))
		c.then(d)
		if mark := d.Session("west").Standing().Mark; (mark != "") != c.open {
			t.Errorf("%s: the assignment is named %q", c.why, mark)
		}
	}
}

func TestARestartTakesUpWhatWasPushed(t *testing.T) {
	dir := t.TempDir()
	d := newDesk(t, dir)
	d.SetClusters(clusters("west", "east"))
	d.push("west", gateway(t, "west", "g"), resource(t, &assignment.Facts{Cluster: "west", Version: "v"}, ""))
	d.push("east", gateway(t, "east", "g")) // later: west holds the name
	d.store.Close()

	again := newDesk(t, dir)
	again.SetClusters(clusters("west", "east"))
	if m := again.member("west"); !slices.Equal(again.Declared("west"), []objects.Key{gatewayKey("g")}) || m.Facts == nil || m.Facts.Version != "v" || m.Lease != assignment.Lost {
		t.Errorf("after a restart west is %+v", m)
	}
	if len(again.held["west"]) != 2 || len(again.held["east"]) != 1 {
		t.Errorf("after a restart the hub holds %v", again.held)
	}
	p := &peer{t: t}
	p.connect(again.Session("east"))
	again.now = again.now.Add(hear)
	again.Open()
	p.await("the placement of west's Gateway", func() bool { return p.has("placement", "west/ns/g") })
	if got := p.release().Epoch.Number; got != 2 {
		t.Errorf("the second start publishes under epoch %d", got)
	}
}

func TestOtherClustersDeclarationsArriveAsTheyWereSigned(t *testing.T) {
	d := newDesk(t, t.TempDir())
	d.SetClusters(clusters("west", "east"))
	d.Edit(plan.PutSettings(assignment.Fleet{}))
	p := &peer{t: t}
	p.connect(d.Session("east"))
	d.now = d.now.Add(hear)
	d.Open()
	g := gateway(t, "west", "g")
	d.push("west", g)
	p.await("west's Gateway", func() bool { return p.has(g.Kind, g.Key) })
	if got := p.get(g.Kind, g.Key); got.Origin != "west" || string(got.Signature) != "of west" || string(got.Payload) != string(g.Payload) {
		t.Errorf("it arrives as %+v", got)
	}
	secret := resource(t, &assignment.Sealed{From: "west", To: "east", Purpose: "p", Ciphertext: []byte("c")}, "west")
	d.push("west", secret)
	p.await("west's secret", func() bool { return p.has(secret.Kind, secret.Key) })
	if got := p.get(secret.Kind, secret.Key); got.Origin != "west" || string(got.Signature) != "of west" {
		t.Errorf("it arrives as %+v", got)
	}
	// A deletion goes with its origin's word for it.
	tombstone := stream.Tombstone(g.ID(), "west", 2)
	tombstone.Signature = []byte("of west")
	d.push("west", stream.Change{Resource: tombstone}, gone(g))
	p.await("the end of west's Gateway", func() bool { return !p.has(g.Kind, g.Key) })
	if !p.has(tombstone.Kind, tombstone.Key) {
		t.Error("the deletion comes without its origin's word")
	}
	// Declared anew, it is there again.
	d.push("west", gone(stream.Change{Resource: tombstone}), g)
	p.await("west's Gateway again", func() bool { return p.has(g.Kind, g.Key) })
}

func TestTheFirstClaimHoldsIfItsNamespaceIsATenants(t *testing.T) {
	for _, c := range []struct {
		why     string
		tenants []fleet.Tenant
		holder  string
	}{
		{"both may", nil, "east"},
		{"the first may not", []fleet.Tenant{{Name: "blue", Claims: []fleet.Claim{{Clusters: []string{"west"}, Namespaces: []string{"ns"}}}}}, "west"},
		{"the second may not", []fleet.Tenant{{Name: "blue", Claims: []fleet.Claim{{Clusters: []string{"east"}, Namespaces: []string{"ns"}}}}}, "east"},
		{"two tenants", []fleet.Tenant{
			{Name: "blue", Claims: []fleet.Claim{{Clusters: []string{"west"}, Namespaces: []string{"ns"}}}},
			{Name: "red", Claims: []fleet.Claim{{Clusters: []string{"east"}, Namespaces: []string{"ns"}}}},
		}, "east"},
	} {
		d := newDesk(t, t.TempDir())
		d.SetClusters(clusters("west", "east"))
		d.Edit(plan.PutSettings(assignment.Fleet{}))
		for _, tenant := range c.tenants {
			d.Edit(plan.PutTenant(tenant))
		}
		d.now = d.now.Add(hear)
		d.Open()
		p := &peer{t: t}
		p.connect(d.Session("east"))
		d.push("east", gateway(t, "east", "g"))
		d.push("west", gateway(t, "west", "g"))
		p.await(c.why+": a placement of "+c.holder, func() bool { return p.has("placement", c.holder+"/ns/g") })
		for _, other := range []string{"west", "east"} {
			if other != c.holder && p.has("placement", other+"/ns/g") {
				t.Errorf("%s: %s holds the name too", c.why, other)
			}
		}
		// Given up, it is the other's who may.
		d.push(c.holder, gone(gateway(t, c.holder, "g")))
		p.await(c.why+": its end", func() bool { return !p.has("placement", c.holder+"/ns/g") })
	}
}

func TestAHeldAssignmentWaitsForAPerson(t *testing.T) {
	d := newDesk(t, t.TempDir())
	d.SetClusters(clusters("west"))
	if err := d.Confirm("west"); err == nil {
		t.Error("nothing was held, and it is confirmed")
	}
	d.handlers["west"].OnAcked("1.1", []stream.Nack{{ID: stream.ID{Kind: "declaration", Key: "k"}, Error: "no"}}, "deletes too much")
	m := d.member("west")
	if m.Hold != "deletes too much" || len(m.Problems) != 1 || !strings.Contains(m.Problems[0].Message, "no") {
		t.Errorf("it is shown as %q with problems %v", m.Hold, m.Problems)
	}
	before := d.Session("west").Standing().Mark
	if err := d.Confirm("west"); err != nil {
		t.Error(err)
	}
	if d.member("west").Hold != "" || d.Session("west").Standing().Mark == before {
		t.Error("the confirmation was not passed on")
	}
	if err := d.Confirm("none"); err == nil {
		t.Error("a cluster that there is not is confirmed")
	}
}

func TestAClusterThatIsNoLongerRegisteredHasNoSession(t *testing.T) {
	d := newDesk(t, t.TempDir())
	d.SetClusters(clusters("west", "east"))
	p := &peer{t: t}
	p.connect(d.Session("east"))
	d.SetClusters(clusters("west"))
	if d.Session("east") != nil || len(d.Members()) != 1 || len(d.Clusters()) != 1 {
		t.Errorf("the clusters are %v", d.Clusters())
	}
	select {
	case err := <-p.ended:
		if err == nil || !strings.Contains(err.Error(), "no longer registered") {
			t.Errorf("its stream ends with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("its stream goes on")
	}
}

// TestAClusterThatLeavesLeavesNothing: the names that it held are others', and it
// begins anew if it comes back; also where it left while there was no hub.
func TestAClusterThatLeavesLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	d := newDesk(t, dir)
	d.SetClusters(clusters("west", "south", "east"))
	d.Edit(plan.PutSettings(assignment.Fleet{}))
	d.now = d.now.Add(hear)
	d.Open()
	p := &peer{t: t}
	p.connect(d.Session("east"))
	for _, cluster := range []string{"west", "south", "east"} {
		d.push(cluster, gateway(t, cluster, "g"))
	}
	holds := func(holder string) func() bool {
		return func() bool {
			for _, cluster := range []string{"west", "south", "east"} {
				if p.has("placement", cluster+"/ns/g") != (cluster == holder) {
					return false
				}
			}
			return true
		}
	}
	p.await("the first one's", holds("west"))
	d.SetClusters(clusters("south", "east"))
	p.await("another one's, and one's only", holds("east"))
	d.SetClusters(clusters("south", "east", "west"))
	if got := d.Declared("west"); len(got) > 0 || len(d.held["west"]) > 0 {
		t.Errorf("back, it has declared %v, and %v is held of it", got, d.held["west"])
	}
	d.push("west", gateway(t, "west", "g"), gateway(t, "west", "only"))
	d.Close()
	d.store.Close()

	again := newDesk(t, dir)
	again.SetClusters(clusters("south", "west"))
	again.Edit(plan.PutSettings(assignment.Fleet{}))
	again.now = again.now.Add(hear)
	again.Open()
	p = &peer{t: t}
	p.connect(again.Session("south"))
	p.await("the next one's", holds("south"))
	if len(again.held["west"]) == 0 {
		t.Error("what a cluster that stayed had declared is lost")
	}
	again.Close()
	again.store.Close()
	_, state, err := store.Open(filepath.Join(dir, "store"), slog.New(slog.DiscardHandler))
	if err != nil || len(state.Clusters["east"]) > 0 || state.Claims[plan.ClaimName(gatewayKey("g"))] != "south" || state.Claims[plan.ClaimName(gatewayKey("only"))] != "west" {
		t.Errorf("%v, %v, %v", state.Claims, state.Clusters["east"], err)
	}
}

// peer is a spoke's end of a session, over frames in memory.
type peer struct {
	t     *testing.T
	ended chan error

	mu   sync.Mutex
	all  map[stream.ID]stream.Resource
	last stream.Release
}

// pipe is one end of a stream of frames.
type pipe struct {
	ctx context.Context
	in  <-chan *wire.Frame
	out chan<- *wire.Frame
}

func (p pipe) Context() context.Context { return p.ctx }

func (p pipe) Send(f *wire.Frame) error {
	select {
	case p.out <- f:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

func (p pipe) Recv() (*wire.Frame, error) {
	select {
	case f := <-p.in:
		return f, nil
	case <-p.ctx.Done():
		return nil, p.ctx.Err()
	}
}

// connect runs the hub's session against one of the peer's, until the test ends.
func (p *peer) connect(hub *wire.Session) {
	p.all, p.ended = map[stream.ID]stream.Resource{}, make(chan error, 1)
	own := wire.New(wire.Options{Name: "spoke", Handler: wire.Handler{OnChanges: func(r stream.Release) []stream.Nack {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range r.Changes {
			if p.all[c.ID()] = c.Resource; c.Deleted {
				delete(p.all, c.ID())
			}
		}
		p.last = r
		return nil
	}}})
	ctx, cancel := context.WithCancel(context.Background())
	down, up := make(chan *wire.Frame), make(chan *wire.Frame)
	var done sync.WaitGroup
	done.Go(func() { p.ended <- hub.Run(ctx, pipe{ctx, up, down}) })
	done.Go(func() {
		if err := own.Run(ctx, pipe{ctx, down, up}); err != nil && !errors.Is(err, context.Canceled) {
			p.t.Errorf("the spoke's end: %v", err)
		}
	})
	p.t.Cleanup(func() { cancel(); done.Wait() })
	p.await("the greeting", func() bool { return hub.Standing().Up })
}

func (p *peer) await(what string, f func() bool) {
	p.t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%s does not come", what)
		}
	}
}

func (p *peer) get(kind, key string) stream.Resource {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[stream.ID{Kind: kind, Key: key}]
}

func (p *peer) has(kind, key string) bool { return p.get(kind, key).Key != "" }

func (p *peer) release() stream.Release {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

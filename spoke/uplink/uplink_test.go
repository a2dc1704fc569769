package uplink_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/spoke/identity"
	"github.com/navehq/nave/spoke/uplink"
)

// cluster is a cluster of the fleet with its key.
type cluster struct {
	name         string
	key          ed25519.PrivateKey
	intermediate *x509.Certificate
}

// world is a hub, the root that all are known by, and east's uplink.
type world struct {
	wire.UnimplementedHubServer
	t         *testing.T
	dir       string
	root      pki.Issuer
	clusters  map[string]cluster
	listening *bufconn.Listener
	hub       *wire.Session
	uplink    *uplink.Uplink
	identity  *identity.Identity

	mu sync.Mutex
	// pushed is what the hub has; assigned what the spoke was given; nacks what
	// it refused, holds why it asks.
	pushed   map[stream.ID]stream.Resource
	assigned map[string]assignment.Resource
	nacks    map[string]string
	mark     string
	hold     string
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), clusters: map[string]cluster{}}
	var err error
	w.root, err = pki.NewRoot("f", rand.Reader, time.Now())
	check(t, err)
	for _, name := range []string{"east", "west", "north"} {
		c := cluster{name: name}
		c.key, err = pki.NewKey(rand.Reader)
		check(t, err)
		c.intermediate, err = w.root.Intermediate(pki.SpokeName("f", name), "uid-"+name, c.key.Public(), rand.Reader, time.Now(), time.Hour)
		check(t, err)
		w.clusters[name] = c
	}
	blob, err := pki.Credentials{Key: w.clusters["east"].key, Chain: []*x509.Certificate{w.clusters["east"].intermediate}, Roots: []*x509.Certificate{w.root.Certificate}}.Encode()
	check(t, err)
	keeper := keep.NewFile(filepath.Join(w.dir, "identity.json"))
	_, err = keeper.Save(blob, "")
	check(t, err)
	w.identity, err = identity.Open(t.Context(), identity.Options{Cluster: "east", Keeper: keeper, Hub: "hub",
		Dial: func(ctx context.Context, _ string) (net.Conn, error) { return w.listening.DialContext(ctx) }})
	check(t, err)
	return w
}

func (w *world) cache() string { return filepath.Join(w.dir, "assignment.json") }

// start makes an uplink of what is on disk; it is not connected.
func (w *world) start() {
	w.assigned = map[string]assignment.Resource{}
	w.uplink = uplink.New(uplink.Options{
		Cluster: "east", Identity: w.identity, Heartbeat: time.Second, Cache: w.cache(), Key: []byte(strings.Repeat("k", 32)),
		Backoff: wire.LocalBackoff, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Ask: func(_ context.Context, path string, _ []byte) ([]byte, error) { return json.Marshal(path) },
		Assign: func(list []uplink.Change) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, c := range list {
				id := string(c.Kind) + " " + c.Key
				if w.assigned[id] = c.Resource; c.Resource == nil {
					delete(w.assigned, id)
				}
			}
		},
	})
}

// Connect serves the spoke as the hub does.
func (w *world) Connect(s grpc.BidiStreamingServer[wire.Frame, wire.Frame]) error {
	return wire.Status(w.hub.Run(s.Context(), s))
}

// connect runs the hub and the uplink until the returned end is called.
func (w *world) connect() (end func()) {
	w.t.Helper()
	key, err := pki.NewKey(rand.Reader)
	check(w.t, err)
	leaf, err := w.root.Leaf(pki.HubName("f"), key.Public(), rand.Reader, time.Now(), time.Hour)
	check(w.t, err)
	own := pki.Credentials{Key: key, Chain: []*x509.Certificate{leaf}}
	roots := func() []*x509.Certificate { return []*x509.Certificate{w.root.Certificate} }
	party := pki.Party{Certificate: func() (*tls.Certificate, error) { return own.TLS(w.root.Certificate), nil }, Roots: roots, Revoked: func() pki.Revoked { return nil }, Now: time.Now}
	w.pushed, w.nacks, w.mark, w.hold = map[stream.ID]stream.Resource{}, map[string]string{}, "", ""
	w.hub = wire.New(wire.Options{Name: "hub", Heartbeat: time.Second, Handler: wire.Handler{
		OnChanges: func(r stream.Release) []stream.Nack {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, c := range r.Changes {
				if w.pushed[c.ID()] = c.Resource; c.Deleted {
					delete(w.pushed, c.ID())
				}
			}
			return nil
		},
		OnAcked: func(mark string, nacks []stream.Nack, hold string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.mark, w.hold, w.nacks = mark, hold, map[string]string{}
			for _, n := range nacks {
				w.nacks[n.Key] = n.Error
			}
		},
	}})
	w.listening = bufconn.Listen(1 << 20)
	server := grpc.NewServer(append(wire.ServerOptions(party.HubServer(0), 0), wire.Authorize(party, 0, wire.HubAccess)...)...)
	wire.RegisterHubServer(server, w)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(w.listening) })
	done.Go(func() {
		if err := w.uplink.Run(ctx); err != nil {
			w.t.Errorf("the uplink ended with %v", err)
		}
	})
	end = sync.OnceFunc(func() { cancel(); w.hub.Close(); server.Stop(); done.Wait() })
	w.t.Cleanup(end)
	w.await("the stream", func() bool { there, _ := w.uplink.Hub(); return there })
	return end
}

func (w *world) await(what string, f func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if f() {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s does not come to pass", what)
		}
	}
}

// assign has the hub assign, and waits for the spoke's answer.
func (w *world) assign(mark string, list []stream.Resource, deleted ...stream.ID) {
	w.t.Helper()
	w.hub.Update(func(src *stream.Source) {
		for _, r := range list {
			check(w.t, src.Set(r))
		}
		for _, id := range deleted {
			src.Delete(id)
		}
		src.Mark(mark, false)
	})
	w.await("the answer to "+mark, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.mark == mark })
}

func (w *world) has(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.assigned[id] != nil
}

func (w *world) nack(key string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nacks[key]
}

func own(t *testing.T, r assignment.Resource) stream.Resource {
	t.Helper()
	payload, err := assignment.Encode(r)
	check(t, err)
	kind, key := r.ID()
	return stream.Resource{Kind: string(kind), Key: key, Payload: payload, Hash: stream.HashOf(payload)}
}

func (w *world) peer(name string) stream.Resource {
	return own(w.t, &assignment.Peer{Cluster: name, Region: name, Intermediate: w.clusters[name].intermediate.Raw})
}

// declared is a route of a cluster, signed by another or the same.
func (w *world) declared(of, name, by string) stream.Resource {
	w.t.Helper()
	d := &assignment.Declaration{Cluster: of, Key: routeKey(name), Generation: 1, Object: json.RawMessage(`{"kind":"HTTPRoute"}`)}
	r := own(w.t, d)
	r.Origin, r.Generation = of, 1
	signed, err := pki.SignDeclaration(r, w.clusters[by].key)
	check(w.t, err)
	return signed
}

func routeKey(name string) objects.Key {
	return objects.Key{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute", Namespace: "ns", Name: name}
}

func TestOnlyTheOriginsWordIsTaken(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.connect()
	altered := w.declared("west", "altered", "west")
	altered.Payload = []byte(strings.Replace(string(altered.Payload), "HTTPRoute\"}", "HTTPRoute\" }", 1))
	altered.Hash = stream.HashOf(altered.Payload)
	renamed := w.declared("west", "renamed", "west")
	renamed.Origin = "north"
	older := w.declared("west", "older", "west")
	older.Generation = 7
	unsigned := w.declared("west", "unsigned", "west")
	unsigned.Signature = nil
	list := []stream.Resource{
		w.declared("west", "good", "west"), w.declared("west", "by-east", "east"), w.declared("west", "by-north", "north"),
		altered, renamed, older, unsigned, w.peer("west"), w.peer("north"), own(t, &assignment.Fleet{}),
	}
	w.assign("1", list)
	for _, r := range list {
		id := r.Kind + " " + r.Key
		good := r.Kind != "declaration" || strings.HasSuffix(r.Key, "/good")
		if w.has(id) != good || (w.nack(r.Key) == "") != good {
			t.Errorf("%s: taken %v, refused by %q", id, w.has(id), w.nack(r.Key))
		}
	}
}

func TestADeclarationWaitsForItsClustersCertificate(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.connect()
	good, forged := w.declared("west", "good", "west"), w.declared("west", "forged", "north")
	w.assign("1", []stream.Resource{good, forged})
	if w.has("declaration " + good.Key) {
		t.Error("it is obeyed before its signature can be checked")
	}
	// One that another cluster's certificate is passed off for stays out.
	wrong := own(t, &assignment.Peer{Cluster: "west", Intermediate: w.clusters["north"].intermediate.Raw})
	w.assign("2", []stream.Resource{wrong})
	if w.has("declaration " + good.Key) {
		t.Error("another cluster's certificate speaks for it")
	}
	w.assign("3", []stream.Resource{w.peer("west")})
	if !w.has("declaration "+good.Key) || w.has("declaration "+forged.Key) {
		t.Errorf("with the certificate there are %v", slices.Sorted(maps.Keys(w.assigned)))
	}
	r := stream.Resource{Kind: "member", Key: "west", Hash: stream.HashOf(nil), Origin: "west"}
	signed, err := pki.SignDeclaration(r, w.clusters["west"].key)
	check(t, err)
	if err := w.uplink.Verify(signed); err != nil {
		t.Errorf("west's word is not taken: %v", err)
	}
	w.assign("4", nil, stream.ID{Kind: "peer", Key: "west"}, good.ID())
	if err := w.uplink.Verify(signed); err == nil {
		t.Error("a cluster that has left the fleet is still believed")
	}
}

func TestAMassDeleteNeedsTheOriginsWord(t *testing.T) {
	for _, c := range []struct {
		why, by string // "": no tombstones
		taken   bool
	}{
		{"nobody says that it deleted them", "", false},
		{"another cluster says so", "north", false},
		{"their origin says so", "west", true},
	} {
		w := newWorld(t)
		w.start()
		end := w.connect()
		list := []stream.Resource{w.peer("west"), w.peer("north")}
		var deleted []stream.ID
		var words []stream.Resource
		for i := range 30 {
			r := w.declared("west", fmt.Sprint("r", i), "west")
			list, deleted = append(list, r), append(deleted, r.ID())
			if c.by != "" {
				word := stream.Tombstone(r.ID(), c.by, 2)
				word, err := pki.SignDeclaration(word, w.clusters[c.by].key)
				check(t, err)
				words = append(words, word)
			}
		}
		w.assign("1", list)
		w.assign("2", words, deleted...)
		if w.has("declaration "+deleted[0].Key) == c.taken || (w.hold == "") != c.taken {
			t.Errorf("%s: %d resources are left, held for %q", c.why, len(w.assigned), w.hold)
		}
		end()
	}
}

func TestTheLastGoodAssignmentOutlivesTheHubAndTheSpoke(t *testing.T) {
	w := newWorld(t)
	w.start()
	end := w.connect()
	good := w.declared("west", "good", "west")
	w.assign("1", []stream.Resource{w.peer("west"), good, own(t, &assignment.Fleet{Frozen: true}), {Kind: "of-a-later-version", Key: "k", Payload: []byte("?")}})
	end()
	info, err := os.Stat(w.cache())
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the cache has mode %v", info.Mode())
	}
	whole, err := os.ReadFile(w.cache())
	check(t, err)
	var kept struct {
		Resources []stream.Resource `json:"resources"`
	}
	check(t, json.Unmarshal(whole, &kept))
	if len(kept.Resources) != 4 {
		t.Errorf("the cache holds %d resources: what this version does not know is kept too", len(kept.Resources))
	}
	tampered := func(from, to string) string {
		changed := kept
		changed.Resources = slices.Clone(kept.Resources)
		for i, r := range changed.Resources {
			changed.Resources[i].Payload = []byte(strings.Replace(string(r.Payload), from, to, 1))
		}
		out, err := json.Marshal(changed)
		check(t, err)
		return string(out)
	}
	for _, c := range []struct {
		why, text  string
		good, rest bool
	}{
		{"whole", string(whole), true, true},
		{"empty", "", false, false},
		{"cut", string(whole[:len(whole)/2]), false, false},
		{"garbage", "\x00\xff{", false, false},
		{"another shape", `[]`, false, false},
		{"another shape within", `{"resources":[7]}`, false, false},
		{"resources of nothing", `{"resources":[{},{"kind":"peer","key":"x","payload":"AAAA"}]}`, false, false},
		{"a declaration that was changed", tampered(`"kind":"HTTPRoute"`, `"kind":"HTTPRout3"`), false, true},
		{"the hub's word that was changed", tampered(`"frozen":true`, `"frozen":null`), true, false},
	} {
		check(t, os.WriteFile(w.cache(), []byte(c.text), 0o600))
		w.start()
		if w.has("declaration "+good.Key) != c.good || w.has("fleet fleet") != c.rest {
			t.Errorf("%s: begins with %v", c.why, slices.Sorted(maps.Keys(w.assigned)))
		}
		// The hub mends whatever is missing.
		end := w.connect()
		w.assign("2", []stream.Resource{w.peer("west"), good, own(t, &assignment.Fleet{Frozen: true})})
		if !w.has("declaration "+good.Key) || !w.has("fleet fleet") {
			t.Errorf("%s: ends with %v", c.why, slices.Sorted(maps.Keys(w.assigned)))
		}
		end()
	}
	check(t, os.Remove(w.cache()))
	w.start()
	if len(w.assigned) != 0 {
		t.Errorf("without a cache there is %v", w.assigned)
	}
}

func decode(t *testing.T, yaml string) []objects.Change {
	t.Helper()
	list, problems := objects.Decode("own.yaml", []byte(yaml), objects.Options{Cluster: "east"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var out []objects.Change
	for _, o := range list {
		out = append(out, objects.Change{Key: o.Key, Object: o})
	}
	return out
}

const declared = `apiVersion: v1
kind: Secret
metadata: {name: key, namespace: ns}
stringData: {Authorization: the-providers-key}
---
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayBackend
metadata: {name: b, namespace: ns}
spec: {ai: {provider: {openai: {}}}, policies: {auth: {key: the-inline-key}}}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: ns}
spec: {ports: [{port: 80}]}
`

func (w *world) hubHas(part string) (stream.Resource, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, r := range w.pushed {
		if strings.Contains(id.String(), part) {
			return r, true
		}
	}
	return stream.Resource{}, false
}

func TestWhatIsPushedIsSignedAndHoldsNoSecret(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.connect()
	w.uplink.Declare(decode(t, declared))
	w.await("the push", func() bool { _, ok := w.hubHas("Service./ns/s"); return ok })
	signer, err := pki.NewSigner(w.clusters["east"].intermediate, []*x509.Certificate{w.root.Certificate}, nil, time.Now())
	check(t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pushed) != 2 {
		t.Errorf("the hub has %v", slices.Collect(maps.Keys(w.pushed)))
	}
	for id, r := range w.pushed {
		if err := signer.Verify(r); err != nil || r.Origin != "east" {
			t.Errorf("%s of %q: %v", id, r.Origin, err)
		}
		if strings.Contains(string(r.Payload), "the-") {
			t.Errorf("%s holds a secret: %s", id, r.Payload)
		}
	}
}

func TestADeletionIsSaidAndTakenBack(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.connect()
	changes := decode(t, declared)[2:]
	w.uplink.Declare(changes)
	declaration := stream.ID{Kind: "declaration", Key: assignment.DeclarationKey("east", changes[0].Key)}
	there := func(id stream.ID) bool { w.mu.Lock(); defer w.mu.Unlock(); _, ok := w.pushed[id]; return ok }
	w.await("the declaration", func() bool { return there(declaration) })
	w.uplink.Declare([]objects.Change{{Key: changes[0].Key}})
	w.await("its end", func() bool { return !there(declaration) })
	w.mu.Lock()
	word, ok := w.pushed[stream.TombstoneID(declaration)]
	w.mu.Unlock()
	signer, err := pki.NewSigner(w.clusters["east"].intermediate, []*x509.Certificate{w.root.Certificate}, nil, time.Now())
	check(t, err)
	if err := signer.Verify(word); !ok || err != nil {
		t.Errorf("the deletion is not signed: %v, %v", ok, err)
	}
	w.uplink.Declare(changes)
	w.await("the declaration again", func() bool { return there(declaration) && !there(stream.TombstoneID(declaration)) })
}

func TestFactsAreToldAndTakenBack(t *testing.T) {
	w := newWorld(t)
	w.start()
	end := w.connect()
	w.uplink.Tell(&assignment.Facts{Cluster: "east", Version: "1"}, &assignment.Problems{Place: "file/x"})
	w.await("the facts", func() bool { _, ok := w.hubHas("facts east"); return ok })
	w.uplink.Untell(assignment.KindProblems, "file/x")
	w.await("an end of the problems", func() bool { _, ok := w.hubHas("problems"); return !ok })
	if out, err := w.hub.Ask(t.Context(), "status", nil); err != nil || string(out) != `"status"` {
		t.Errorf("the hub is answered %q, %v", out, err)
	}
	// What is told while the hub is away is there when it comes back.
	end()
	if there, heard := w.uplink.Hub(); there || time.Since(heard).Abs() > time.Minute {
		t.Errorf("with the hub away: there %v, heard %s", there, heard)
	}
	w.uplink.Tell(&assignment.Facts{Cluster: "east", Version: "2"})
	w.connect()
	w.await("the newer facts", func() bool {
		r, ok := w.hubHas("facts east")
		return ok && strings.Contains(string(r.Payload), `"2"`)
	})
}

// sealed is a secret from one cluster for this one, signed by another or the same.
func (w *world) sealed(from, purpose, by string) stream.Resource {
	w.t.Helper()
	r := own(w.t, &assignment.Sealed{From: from, To: "east", Purpose: purpose, Ciphertext: []byte("c")})
	r.Origin = from
	signed, err := pki.SignDeclaration(r, w.clusters[by].key)
	check(w.t, err)
	return signed
}

// TestSecretsAreTheirSendersWord: the hub carries sealed keys, and can neither
// make nor change any.
func TestSecretsAreTheirSendersWord(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.connect()
	unsigned := w.sealed("west", "unsigned", "west")
	unsigned.Signature = nil
	list := []stream.Resource{w.sealed("west", "good", "west"), w.sealed("west", "by-north", "north"), unsigned, w.peer("west"), w.peer("north")}
	w.assign("1", list)
	for _, r := range list {
		good := r.Kind != "sealed" || strings.HasSuffix(r.Key, "/good")
		if id := r.Kind + " " + r.Key; w.has(id) != good || (w.nack(r.Key) == "") != good {
			t.Errorf("%s: taken %v, refused by %q", id, w.has(id), w.nack(r.Key))
		}
	}
	w.uplink.Tell(&assignment.Sealed{From: "east", To: "west", Purpose: "mine", Ciphertext: []byte("c")})
	w.await("its own secret", func() bool {
		r, ok := w.hubHas("east/west/mine")
		if ok && (r.Origin != "east" || len(r.Signature) == 0) {
			t.Errorf("it goes out as %+v", r)
		}
		return ok
	})
}

// TestASignatureIsTriedAgainWithTheNextCertificate: a cluster that joined anew signs
// by another key, and its declaration may come before its certificate.
func TestASignatureIsTriedAgainWithTheNextCertificate(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.connect()
	w.assign("1", []stream.Resource{w.peer("west"), w.declared("west", "old", "west")})
	c := w.clusters["west"]
	var err error
	c.key, err = pki.NewKey(rand.Reader)
	check(t, err)
	c.intermediate, err = w.root.Intermediate(pki.SpokeName("f", "west"), "uid-2", c.key.Public(), rand.Reader, time.Now(), time.Hour)
	check(t, err)
	w.clusters["west"] = c
	fresh := w.declared("west", "new", "west")
	w.assign("2", []stream.Resource{fresh})
	if w.has("declaration " + fresh.Key) {
		t.Error("it is taken under a certificate that is not its own")
	}
	w.assign("3", []stream.Resource{w.peer("west")})
	w.await("the declaration with its certificate", func() bool { return w.has("declaration " + fresh.Key) })
}

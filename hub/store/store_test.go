package store_test

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/store"
)

func resource(kind, key, payload string) stream.Resource {
	return stream.Resource{Kind: kind, Key: key, Origin: "a", Generation: 3, Hash: stream.HashOf([]byte(payload)), Payload: []byte(payload), Signature: []byte{1}}
}

func open(t *testing.T, dir string) (*store.Folder, store.State) {
	t.Helper()
	f, s, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return f, s
}

func TestWhatIsKeptOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	f, _ := open(t, dir)
	one := resource("declaration", "a/HTTPRoute.g/ns/x", `{"x":1}`)
	two := resource("declaration", "a/HTTPRoute.g/ns/y", `{}`)
	f.Put("a", []stream.Change{{Resource: one}, {Resource: two}, {Resource: resource("sample", "gossip/a/b", `{}`)}})
	f.Put("a", []stream.Change{{Resource: two, Deleted: true}})
	order := &v1alpha1.Operation{Spec: v1alpha1.OperationSpec{Kind: v1alpha1.OperationCordon, Cluster: "a", Who: "me"}}
	views := []fleet.View{{Viewer: "a", From: netip.MustParsePrefix("127.11.0.0/16"), To: netip.MustParsePrefix("127.101.0.0/16")}}
	for _, err := range []error{
		f.SetViews(views), f.SetEpoch(stream.Epoch{Number: 7}), f.SetClaim("gateway/ns/g", "a"), f.SetClaim("gone", "a"), f.SetClaim("gone", ""), f.SetOperation("cordon-a", order),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	_, got := open(t, dir)
	want := store.State{
		Epoch: stream.Epoch{Number: 7}, Claims: map[string]string{"gateway/ns/g": "a"},
		Operations: map[string]*v1alpha1.Operation{"cordon-a": order},
		Clusters:   map[string][]stream.Resource{"a": {one}},
		Views:      views,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestForgottenClustersAreGone(t *testing.T) {
	dir := t.TempDir()
	f, _ := open(t, dir)
	f.Put("a", []stream.Change{{Resource: resource("facts", "a", `{}`)}})
	if err := f.Forget("a"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, got := open(t, dir); len(got.Clusters) != 0 {
		t.Errorf("a forgotten cluster is still there: %v", got.Clusters)
	}
}

func TestABrokenStoreIsSaid(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hub.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Open(dir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a broken store is opened without an error")
	}
}

// TestABrokenPartIsLeftOut: what a spoke sends again is no reason not to start.
func TestABrokenPartIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	f, _, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range []string{"east", "west"} {
		f.Put(cluster, []stream.Change{{Resource: stream.Resource{Kind: "declaration", Key: "a/B/ns/x", Payload: []byte("p")}}})
	}
	f.Close()
	parts, err := filepath.Glob(filepath.Join(dir, "clusters", "east", "*"))
	if err != nil || len(parts) != 1 || os.Truncate(parts[0], 5) != nil {
		t.Fatal(parts, err)
	}
	var log strings.Builder
	_, state, err := store.Open(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || len(state.Clusters["east"]) != 0 || len(state.Clusters["west"]) != 1 {
		t.Errorf("%+v, %v", state.Clusters, err)
	}
	if !strings.Contains(log.String(), "cluster=east") {
		t.Errorf("not said: %s", log.String())
	}
}

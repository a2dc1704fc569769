package hub

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/platform"
)

// began is a hub that has read its folder and serves nobody.
func began(t *testing.T, dir string) *Hub {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "hub"), 0o700); err != nil {
		t.Fatal(err)
	}
	cluster := "apiVersion: nave.dev/v1alpha1\nkind: Cluster\nmetadata: {name: west}\nspec: {region: west, provider: standalone}\n"
	if err := os.WriteFile(filepath.Join(dir, "hub", "fleet.yaml"), []byte(cluster), 0o600); err != nil {
		t.Fatal(err)
	}
	const free = "127.0.0.1:0"
	h, err := New(Options{Fleet: "test", Dir: filepath.Join(dir, "hub"), State: filepath.Join(dir, "state"), Streams: free, API: free, Metrics: free, Health: free},
		Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.platform.Start(h.orders, h.opts.State); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.board.Close()
		h.store.Close()
	})
	return h
}

// TestADrillsOrderIsItsOwn: a drill takes back what it ordered and nothing that a
// person did, a person takes back both, and no drill outlives its hub.
func TestADrillsOrderIsItsOwn(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	h := began(t, dir)
	expect := func(when string, who ...string) {
		t.Helper()
		orders := h.platform.Orders()
		if len(orders) != len(who) {
			t.Fatalf("%s: %d orders, want those of %v", when, len(orders), who)
		}
		for i, o := range orders {
			if o.Spec.Who != who[i] {
				t.Errorf("%s: an order of %s, want %s", when, o.Spec.Who, who[i])
			}
		}
	}
	for _, mode := range []v1alpha1.DrillMode{v1alpha1.DrillModeCordon, v1alpha1.DrillModeDrain} {
		kind := v1alpha1.OperationKind(mode)
		lose := func() {
			t.Helper()
			if err := h.lose(context.Background(), mode, "west", "drill x", time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		lose()
		if o := h.platform.Orders()[0]; o.Spec.ExpiresAt == nil || time.Until(o.Spec.ExpiresAt.Time) > time.Minute {
			t.Errorf("%s: the order ends at %v", mode, o.Spec.ExpiresAt)
		}
		if _, err := h.platform.Order(platform.Person, kind, "west", "ann", "I must mend it", 0); err != nil {
			t.Fatal(err)
		}
		expect("both", "ann", byDrill)
		if err := h.restore(context.Background(), mode, "west"); err != nil {
			t.Fatal(err)
		}
		expect("the drill is over", "ann")
		lose()
		if _, err := h.platform.Recall(platform.Person, "west", kind); err != nil {
			t.Fatal(err)
		}
		expect("a person took it back")
	}
	if err := h.lose(context.Background(), v1alpha1.DrillModeCordon, "west", "drill x", time.Minute); err != nil {
		t.Fatal(err)
	}
	h.board.Close()
	h.store.Close()
	h = began(t, dir)
	expect("after a restart")
}

// TestDamagedReportsAreSetAside: they are no reason not to start.
func TestDamagedReportsAreSetAside(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "drills.json"), []byte(`{"x": {"phase"`), 0o600); err != nil {
		t.Fatal(err)
	}
	h := began(t, dir)
	if len(h.drills.Reports()) != 0 {
		t.Error("half a report is shown")
	}
	if _, err := os.Stat(filepath.Join(state, "drills.json.bad")); err != nil {
		t.Error(err)
	}
}

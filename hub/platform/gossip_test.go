package platform

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/navehq/nave/api/pki"
)

// TestGossipKeys: keys outlive a restart, a revocation makes another one, and the
// one before is accepted for a moment only.
func TestGossipKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gossip.json")
	start := time.Unix(1e9, 0)
	var before [][]byte
	for i, step := range []struct {
		why     string
		after   time.Duration
		revoked pki.Revoked
		same    bool // the key in use is the one of the step before
		keys    int
	}{
		{"at first", 0, nil, false, 1},
		{"kept", time.Hour, nil, true, 1},
		{"revoked", 2 * time.Hour, pki.Revoked{"a"}, false, 2},
		{"known already", 2*time.Hour + time.Second, pki.Revoked{"a"}, true, 2},
		{"another one", 2*time.Hour + 2*time.Second, pki.Revoked{"a", "b"}, false, 2},
		{"it is long ago", 3 * time.Hour, pki.Revoked{"a", "b"}, true, 1},
	} {
		g, err := openGossip(path)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := g.under(step.revoked, start.Add(step.after))
		if err != nil || len(keys) != step.keys {
			t.Fatalf("%s: %d keys, %v", step.why, len(keys), err)
		}
		if i > 0 && slices.Equal(keys[0], before[0]) != step.same {
			t.Errorf("%s: the key in use is the same: %t", step.why, !step.same)
		}
		if !step.same && len(keys) > 1 && !slices.Equal(keys[1], before[0]) {
			t.Errorf("%s: the key before is not accepted", step.why)
		}
		before = keys
	}
	if err := os.WriteFile(path, []byte(`{"keys": ["YQ=="]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := openGossip(path)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := g.under(nil, start); err != nil || len(keys) != 1 || len(keys[0]) != gossipKey {
		t.Errorf("after a damage: %v, %v", keys, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

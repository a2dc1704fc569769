package keys_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/spoke/keys"
)

const (
	gateway = "ns/gw"
	day     = 24 * time.Hour
)

// clock is the time that a ring goes by.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)} }

func open(t testing.TB, dir, cluster string, c *clock) *keys.Ring {
	t.Helper()
	r, err := keys.Open(keys.Options{
		Cluster: cluster, Keeper: keep.NewFile(filepath.Join(dir, cluster, "keys.json")),
		Period: 30 * day, Spread: time.Hour, Life: 2 * day, Now: func() time.Time { return c.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func own(t *testing.T, r *keys.Ring) keys.Set {
	t.Helper()
	set, err := r.Own(gateway)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func seal(t *testing.T, r *keys.Ring, to string, public []byte) *assignment.Sealed {
	t.Helper()
	s, err := r.Seal(gateway, to, public)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHostOpensWhatTheHomeSeals(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	home, host := open(t, dir, "west", c), open(t, dir, "east", c)
	s := seal(t, home, "east", host.PublicKey())
	for _, secret := range own(t, home) {
		if len(secret) == 32 && bytes.Contains(s.Ciphertext, secret) {
			t.Error("the ciphertext holds the key")
		}
	}
	if err := host.Take(s); err != nil {
		t.Fatal(err)
	}
	got, ok := host.Given("west", gateway)
	if d := cmp.Diff(own(t, home), got); !ok || d != "" {
		t.Errorf("given %v: %s", ok, d)
	}
	// Both come back with the same.
	again, _ := open(t, dir, "east", c).Given("west", gateway)
	if d := cmp.Diff(own(t, open(t, dir, "west", c)), again); d != "" {
		t.Error("after a restart:", d)
	}
	info, err := os.Stat(filepath.Join(dir, "east", "keys.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kept with mode %v, %v", info.Mode(), err)
	}
}

func TestWhatIsNotSealedHereIsRefused(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	home, host, other := open(t, dir, "west", c), open(t, dir, "east", c), open(t, dir, "south", c)
	good := seal(t, home, "east", host.PublicKey())
	for name, change := range map[string]func(*assignment.Sealed){
		"another home":    func(s *assignment.Sealed) { s.From = "south" },
		"another gateway": func(s *assignment.Sealed) { s.Purpose = "session/ns/other" },
		"damaged":         func(s *assignment.Sealed) { s.Ciphertext[len(s.Ciphertext)-1] ^= 1 },
		"short":           func(s *assignment.Sealed) { s.Ciphertext = s.Ciphertext[:8] },
		"empty":           func(s *assignment.Sealed) { s.Ciphertext = nil },
		"another spoke":   func(s *assignment.Sealed) { *s = *seal(t, home, "south", other.PublicKey()); s.To = "east" },
	} {
		s := *good
		s.Ciphertext = bytes.Clone(good.Ciphertext)
		change(&s)
		if err := host.Take(&s); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	foreign := *good
	foreign.Purpose = "provider/ns/key"
	if err := host.Take(&foreign); err != nil {
		t.Errorf("another purpose is left alone, got %v", err)
	}
	if _, ok := host.Given("west", gateway); ok {
		t.Error("something was taken")
	}
}

// What somebody else sealed to this spoke under the right names is still not
// taken where it is no set of keys.
func TestOnlySetsOfKeysAreTaken(t *testing.T) {
	host := open(t, t.TempDir(), "east", newClock())
	public, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(host.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []string{``, `{}`, `[]`, `{"use":"YQ=="}`, `{"a":"YQ==","use":"YQ=="}`, `{"a":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","use":"YQ=="}`} {
		text, err := hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte("nave session keys\x00west\x00east\x00"+gateway), []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if err := host.Take(&assignment.Sealed{From: "west", To: "east", Purpose: "session/" + gateway, Ciphertext: text}); err == nil {
			t.Errorf("%s: taken", plain)
		}
	}
}

func TestPublicKeysArePinned(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	home, host, thief := open(t, dir, "west", c), open(t, dir, "east", c), open(t, t.TempDir(), "east", c)
	seal(t, home, "east", host.PublicKey())
	if _, err := open(t, dir, "west", c).Seal(gateway, "east", thief.PublicKey()); !errors.Is(err, keys.ErrPinned) {
		t.Errorf("sealed to another key: %v", err)
	}
	if _, err := home.Seal(gateway, "south", []byte("short")); err == nil {
		t.Error("sealed to no key")
	}
}

func TestRotation(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	r := open(t, dir, "west", c)
	first := own(t, r)
	old := string(first["use"])
	for _, step := range []struct {
		name    string
		after   time.Duration
		keys    int
		usesOld bool
	}{
		{"a day on: the same", day, 1, true},
		{"its time is over: a new one is accepted", 29 * day, 2, true},
		{"the spread is not over", 59 * time.Minute, 2, true},
		{"then the new one is used, the old accepted", time.Minute, 2, false},
		{"as long as a session lives", 2*day - time.Second, 2, false},
		{"and no longer", time.Second, 1, false},
	} {
		c.now = c.now.Add(step.after)
		r = open(t, dir, "west", c) // as after a restart
		set := own(t, r)
		if len(set) != step.keys+1 || (string(set["use"]) == old) != step.usesOld || len(set[string(set["use"])]) != 32 {
			t.Fatalf("%s: %d keys, uses the old one: %v", step.name, len(set)-1, string(set["use"]) == old)
		}
		if _, kept := set[old]; kept != (step.usesOld || step.keys == 2) {
			t.Errorf("%s: the old key is there: %v", step.name, kept)
		}
	}
}

func TestDamagedStateIsAnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(keys.Options{Cluster: "west", Keeper: keep.NewFile(path)}); err == nil {
		t.Error("opened")
	}
}

package keys_test

import (
	"crypto/ecdh"
	"crypto/hpke"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/pki/keep"
	"github.com/navehq/nave/spoke/keys"
)

// FuzzTake: what is no ciphertext for this spoke is not taken, and neither is what
// is one and holds no set of keys, whoever sealed it.
func FuzzTake(f *testing.F) {
	f.Add("west", "session/"+gateway, []byte("no ciphertext"))
	f.Add("", "", []byte(nil))
	f.Add("west", "session/"+gateway, []byte(`{"a":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","use":"YQ=="}`))
	f.Add("east", "session/", []byte(`{"use":"dXNl"}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, from, purpose string, data []byte) {
		host := open(t, dir, "east", newClock())
		public, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(host.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		if err := host.Take(&assignment.Sealed{From: from, To: "east", Purpose: purpose, Ciphertext: data}); err == nil && len(purpose) > 8 && purpose[:8] == "session/" {
			t.Errorf("what nobody sealed is taken: %q", data)
		}
		sealed, err := hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte("nave session keys\x00"+from+"\x00east\x00"+gateway), data)
		if err != nil {
			t.Fatal(err)
		}
		if host.Take(&assignment.Sealed{From: from, To: "east", Purpose: "session/" + gateway, Ciphertext: sealed}) != nil {
			return
		}
		set, given := host.Given(from, gateway)
		if used := set[string(set["use"])]; !given || len(set) < 2 || len(used) != 32 {
			t.Errorf("a set is taken that cannot be used: %v", set)
		}
	})
}

// FuzzOpen: a ring opens what it kept, or says that it cannot, and then makes keys
// that it gives again.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "east", "keys.json")
	r := open(f, dir, "east", newClock())
	if _, err := r.Own(gateway); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{whole, whole[:len(whole)/2], nil, []byte("{}"), []byte("null"), []byte(`{"private":"AAAA"}`), []byte(`{"own":{"ns/gw":[{}]}}`), []byte(`{"own":null,"given":null,"pinned":null}`)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c := newClock()
		r, err := keys.Open(keys.Options{Cluster: "east", Keeper: keep.NewFile(path), Period: 30 * day, Life: 2 * day, Now: func() time.Time { return c.now }})
		if err != nil {
			return
		}
		first, err := r.Own(gateway)
		if err != nil {
			return
		}
		if again, err := r.Own(gateway); err != nil || len(again) != len(first) || len(first[string(first["use"])]) != 32 {
			t.Errorf("it gives %v, then %v, %v", first, again, err)
		}
		if err := r.Take(&assignment.Sealed{From: "west", To: "east", Purpose: "session/" + gateway}); err == nil {
			t.Error("nothing is taken for keys")
		}
	})
}

package session_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/mcp/session"
)

var (
	began = time.Unix(1_800_000_000, 0)
	nonce = [session.NonceSize]byte{1, 2, 3}
	facts = session.Facts{
		Handle: session.Handle{9, 8, 7}, Gateway: "ns/gw", Tenant: "acme", Backend: "AgentgatewayBackend ns/tools",
		Principal: session.PrincipalHash("acme", "ann"), Version: "2025-06-18", Asked: "2025-11-25",
		Capabilities: []byte(`{"sampling":{},"roots":{"listChanged":true}}`), Client: []byte(`{"name":"agent","version":"1"}`),
		Home: "west", Began: began.Unix(), Served: map[string]string{"math": "west"},
	}
	want = session.Want{Gateway: "ns/gw", Tenant: "acme", Backend: "AgentgatewayBackend ns/tools", Principal: "ann", Now: began.Add(time.Hour), Life: 24 * time.Hour}
)

func ring(t testing.TB, use string, ids ...string) *session.Ring {
	data := map[string][]byte{"use": []byte(use)}
	for _, id := range ids {
		data[id] = []byte(strings.Repeat(id, 32)[:32])
	}
	r, err := session.NewRing(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSealOpens(t *testing.T) {
	r := ring(t, "a", "a")
	id, err := r.Seal(facts, nonce)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(id) {
		if id[i] < 0x21 || id[i] > 0x7e {
			t.Fatalf("byte %q is not visible ASCII", id[i])
		}
	}
	got, err := r.Open(id, want)
	if diff := cmp.Diff(facts, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	r := ring(t, "a", "a")
	id, _ := r.Seal(facts, nonce)
	tests := []struct {
		why  string
		with func(*session.Want)
	}{
		{"another gateway", func(w *session.Want) { w.Gateway = "ns/other" }},
		{"another tenant", func(w *session.Want) { w.Tenant = "other" }},
		{"another backend", func(w *session.Want) { w.Backend = "other" }},
		{"another principal", func(w *session.Want) { w.Principal = "bob" }},
		{"nobody", func(w *session.Want) { w.Principal = "" }},
		{"its life has ended", func(w *session.Want) { w.Now = began.Add(25 * time.Hour) }},
		{"from the future", func(w *session.Want) { w.Now = began.Add(-time.Hour) }},
	}
	for _, tt := range tests {
		w := want
		tt.with(&w)
		if _, err := r.Open(id, w); err == nil {
			t.Errorf("%s: was taken", tt.why)
		}
	}
	if _, err := ring(t, "b", "b").Open(id, want); err == nil {
		t.Error("another key opened it")
	}
	if _, err := r.Open(id[:len(id)-1]+"_", want); err == nil {
		t.Error("a changed id was taken")
	}
}

func TestRotation(t *testing.T) {
	before, both, after := ring(t, "a", "a"), ring(t, "a", "a", "b"), ring(t, "b", "a", "b")
	old, _ := before.Seal(facts, nonce)
	fresh, _ := after.Seal(facts, nonce)
	if old == fresh {
		t.Fatal("both keys sealed alike")
	}
	for _, r := range []*session.Ring{both, after} {
		for _, id := range []string{old, fresh} {
			if _, err := r.Open(id, want); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestNewRingRefuses(t *testing.T) {
	for why, data := range map[string]map[string][]byte{
		"nothing":                        {},
		"a short key":                    {"use": []byte("a"), "a": []byte("short")},
		"a key to use that is not there": {"use": []byte("b"), "a": make([]byte, 32)},
	} {
		if _, err := session.NewRing(data); err == nil {
			t.Errorf("%s was taken", why)
		}
	}
}

func TestSealKeepsItsSize(t *testing.T) {
	r := ring(t, "a", "a")
	f := facts
	f.Client = []byte(`{"name":"` + strings.Repeat("n", 3000) + `","version":"2","icons":[]}`)
	f.Capabilities = []byte(`{"sampling":{"x":"` + strings.Repeat("y", 3000) + `"},"experimental":{}}`)
	f.Served = map[string]string{}
	for i := range 100 {
		f.Served[fmt.Sprint("server", i)] = "west"
	}
	id, err := r.Seal(f, nonce)
	if err != nil || len(id) > session.MaxID {
		t.Fatalf("%d bytes, %v", len(id), err)
	}
	got, err := r.Open(id, want)
	if err != nil || string(got.Capabilities) != `{"sampling":{}}` || !strings.Contains(string(got.Client), `"version":"2"`) {
		t.Errorf("capabilities %s, client %s, %v", got.Capabilities, got.Client, err)
	}
}

func TestTokens(t *testing.T) {
	type ref struct{ Server, ID string }
	r := ring(t, "a", "a")
	one, _ := r.Token(session.ForRequest, facts.Handle, ref{"math", "7"})
	two, _ := r.Token(session.ForRequest, facts.Handle, ref{"math", "7"})
	if one != two {
		t.Error("equal values have different tokens")
	}
	var got ref
	if err := r.OpenToken(session.ForRequest, facts.Handle, one, &got); err != nil || got != (ref{"math", "7"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if err := r.OpenToken(session.ForEvent, facts.Handle, one, &got); err == nil {
		t.Error("a token of another purpose was taken")
	}
	if err := r.OpenToken(session.ForRequest, session.Handle{1}, one, &got); err == nil {
		t.Error("a token of another session was taken")
	}
}

func TestOwners(t *testing.T) {
	var proxies []table.LinkProxy
	for i := range 5 {
		proxies = append(proxies, table.LinkProxy{ID: fmt.Sprint("p", i), Tenant: "acme", Gateway: "ns/gw"})
	}
	reversed := []table.LinkProxy{proxies[4], proxies[3], proxies[2], proxies[1], proxies[0]}
	count := map[string]int{}
	for i := range 500 {
		h := session.Handle{byte(i), byte(i >> 8)}
		all := session.Owners(h, "math", proxies)
		if diff := cmp.Diff(all, session.Owners(h, "math", reversed)); diff != "" {
			t.Fatal("order depends on the input's:", diff)
		}
		count[all[0].ID]++
		if all[0].ID == "p4" {
			continue
		}
		if less := session.Owners(h, "math", proxies[:4]); less[0].ID != all[0].ID {
			t.Fatal("a proxy that went took a session that was not its own")
		}
	}
	for id, n := range count {
		if n < 60 || n > 140 {
			t.Errorf("%s owns %d of 500", id, n)
		}
	}
}

func TestEligible(t *testing.T) {
	p := &table.Peer{Proxies: []table.LinkProxy{
		{ID: "1", Tenant: "acme", Gateway: "ns/gw"}, {ID: "2", Tenant: "acme"}, {ID: "3", Tenant: "other", Gateway: "ns/gw"},
	}}
	for gateway, want := range map[string]string{"ns/gw": "1", "ns/none": "1 2"} {
		var got []string
		for _, x := range session.Eligible(p, "acme", gateway) {
			got = append(got, x.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("for %s got %v, want %s", gateway, got, want)
		}
	}
}

// FuzzOpen holds that no text but a sealed one is ever opened.
func FuzzOpen(f *testing.F) {
	r := ring(f, "a", "a", "b")
	id, err := r.Seal(facts, nonce)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(id, 0, byte(0))
	f.Add(id, 30, byte(1))
	f.Add(id, 3, byte(0x80))
	f.Add("AQFh", 0, byte(0))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte{1, 255, 0}), 1, byte(7))
	f.Fuzz(func(t *testing.T, text string, at int, flip byte) {
		b := []byte(text)
		if len(b) > 0 {
			b[((at%len(b))+len(b))%len(b)] ^= flip
		}
		got, err := r.Open(string(b), want)
		if err == nil && string(b) != id {
			t.Fatalf("%q opened as %+v", b, got)
		}
		var v any
		if r.OpenToken(session.ForEvent, facts.Handle, string(b), &v) == nil {
			t.Fatalf("%q was taken as a token", b)
		}
	})
}

// FuzzLaw holds that what is sealed opens to the same facts.
func FuzzLaw(f *testing.F) {
	f.Add("gw", "acme", "back", "ann", "2025-06-18", "west", []byte("nonce0123456"))
	f.Fuzz(func(t *testing.T, gateway, tenant, backend, principal, version, home string, chance []byte) {
		r := ring(t, "b", "a", "b")
		in := session.Facts{
			Gateway: strings.ToValidUTF8(gateway, ""), Tenant: strings.ToValidUTF8(tenant, ""), Backend: strings.ToValidUTF8(backend, ""),
			Principal: session.PrincipalHash(strings.ToValidUTF8(tenant, ""), principal),
			Version:   strings.ToValidUTF8(version, ""), Home: strings.ToValidUTF8(home, ""), Began: began.Unix(),
		}
		var n [session.NonceSize]byte
		copy(n[:], chance)
		copy(in.Handle[:], chance)
		id, err := r.Seal(in, n)
		if err != nil {
			return // too long
		}
		w := want
		w.Gateway, w.Tenant, w.Backend, w.Principal = in.Gateway, in.Tenant, in.Backend, principal
		got, err := r.Open(id, w)
		if diff := cmp.Diff(in, got); diff != "" || err != nil || len(id) > session.MaxID {
			t.Fatal(diff, err, len(id))
		}
	})
}

// FuzzCopy holds that no text panics and that what is read is written alike.
func FuzzCopy(f *testing.F) {
	data, _ := session.Upstream{Cluster: "west", Phase: session.Live, ID: "s", Level: "debug"}.Copy(facts.Handle, "math").Encode()
	f.Add(data)
	f.Add([]byte(`{"handle":"zz"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := session.DecodeCopy(data)
		if err != nil {
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := session.DecodeCopy(again)
		if diff := cmp.Diff(c, back); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
	})
}

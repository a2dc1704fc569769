package apikey_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/filter/apikey"
	"github.com/navehq/nave/proxy/message"
)

func compile(t *testing.T, mode table.KeyMode, at table.Location, data map[string]string) *apikey.Keys {
	t.Helper()
	k, err := try(mode, at, data)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func try(mode table.KeyMode, at table.Location, data map[string]string) (*apikey.Keys, error) {
	s := &table.Secret{Name: "ns/keys", Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	p := &table.APIKey{Mode: mode, Secrets: []string{"ns/keys"}, Location: at}
	return apikey.Compile(p, func(name string) *table.Secret {
		if name == s.Name {
			return s
		}
		return nil
	})
}

func hash(key string) string {
	h := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(h[:])
}

func TestModes(t *testing.T) {
	data := map[string]string{"alice": "k1", "bob": `{"keyHash":"` + hash("k2") + `","metadata":{"team":"x"}}`}
	for _, c := range []struct {
		mode   table.KeyMode
		sent   string
		client string
		refuse bool
	}{
		{table.Strict, "", "", true},
		{table.Strict, "Bearer wrong", "", true},
		{table.Strict, "Basic k1", "", true},
		{table.Strict, "Bearer k1", "ns/keys/alice", false},
		{table.Strict, "bearer k2", "ns/keys/bob", false},
		{table.Optional, "", "", false},
		{table.Optional, "Bearer wrong", "", true},
		{table.Optional, "Bearer k1", "ns/keys/alice", false},
		{table.Permissive, "", "", false},
		{table.Permissive, "Bearer wrong", "", false},
		{table.Permissive, "Bearer k1", "ns/keys/alice", false},
	} {
		var r message.Request
		if c.sent != "" {
			r.Header.Add("Authorization", c.sent)
		}
		got := compile(t, c.mode, table.Location{}, data).Check(&r)
		name := ""
		if got.Client != nil {
			name = got.Client.Name
		}
		if name != c.client || got.Refused != c.refuse {
			t.Errorf("%s, %q: got client %q, refused %v", c.mode, c.sent, name, got.Refused)
		}
		if stays := r.Header.Has("Authorization"); stays != (c.sent != "" && c.client == "") {
			t.Errorf("%s, %q: Authorization stays: %v", c.mode, c.sent, stays)
		}
	}
}

func TestMetadata(t *testing.T) {
	k := compile(t, table.Strict, table.Location{Header: "x-key"}, map[string]string{
		"bob": `{"key":"k2","metadata":{"team":"x"}}`,
	})
	var r message.Request
	r.Header.Add("X-Key", "k2")
	got := k.Check(&r)
	if got.Client == nil || got.Client.Metadata["team"] != "x" || got.Key != "k2" || r.Header.Len() != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestLocations(t *testing.T) {
	k := compile(t, table.Strict, table.Location{Query: "key"}, map[string]string{"a": "k 1"})
	r := message.Request{Query: "a=1&key=k%201&b=2&ke%79=again", HasQuery: true}
	if k.Check(&r).Refused || r.Query != "a=1&b=2" {
		t.Errorf("query left: %q", r.Query)
	}
	k = compile(t, table.Strict, table.Location{Cookie: "key"}, map[string]string{"a": "k1"})
	r = message.Request{}
	r.Header.Add("Cookie", "x=1; key=k1; y=2")
	if k.Check(&r).Refused || r.Header.Get("Cookie") != "x=1; y=2" {
		t.Errorf("cookie left: %q", r.Header.Get("Cookie"))
	}
}

func TestBadEntriesCloseThePolicy(t *testing.T) {
	for name, value := range map[string]string{
		"empty": " ", "json": "{", "both": `{"key":"topsecret","keyHash":"` + hash("b") + `"}`,
		"neither": `{"metadata":{}}`, "hash": `{"keyHash":"md5:00"}`,
	} {
		_, err := try(table.Strict, table.Location{}, map[string]string{"ok": "k", name: value})
		if err == nil || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := apikey.Compile(&table.APIKey{Secrets: []string{"gone"}}, func(string) *table.Secret { return nil }); err == nil {
		t.Error("a missing secret compiled")
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("Bearer k1", "key=k1&%zz=1", "key=k1;;=; a")
	f.Fuzz(func(t *testing.T, auth, query, cookie string) {
		for _, at := range []table.Location{{}, {Query: "key"}, {Cookie: "key"}} {
			k, err := try(table.Strict, at, map[string]string{"a": "k1"})
			if err != nil {
				t.Fatal(err)
			}
			r := message.Request{Query: query}
			r.Header.Add("Authorization", auth)
			r.Header.Add("Cookie", cookie)
			if got := k.Check(&r); !got.Refused && !k.Check(&r).Refused {
				t.Error("the credential was not taken off")
			}
		}
	})
}

// Package apikey decides whether a request shows a key that its policy knows,
// and whose it is. Keys are kept as SHA-256 hashes only. It never says why a
// key was refused and never keeps a request's key.
package apikey

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/proxy/message"
)

// Client is who holds a key.
type Client struct {
	// Name is secret/entry, the stable name of the principal.
	Name string
	// Metadata is what the entry says about its holder: apiKey.<field> in CEL.
	Metadata map[string]any
}

type entry struct {
	hash   [sha256.Size]byte
	client *Client
}

// Keys are the compiled keys of one policy.
type Keys struct {
	mode   table.KeyMode
	at     table.Location
	byHash map[[sha256.Size]byte]entry
}

// Compile reads the entries of the policy's secrets; secret gives one by name,
// or nil. Any secret that is missing or entry that cannot be read is an error,
// because a policy that is only partly built must close what it protects. Of
// two entries with one key the first counts, in the order of secrets and names.
func Compile(p *table.APIKey, secret func(name string) *table.Secret) (*Keys, error) {
	k := &Keys{mode: p.Mode, at: Normal(p.Location), byHash: map[[sha256.Size]byte]entry{}}
	for _, name := range p.Secrets {
		s := secret(name)
		if s == nil {
			return nil, fmt.Errorf("reading the keys of secret %q: not in the table", name)
		}
		for _, key := range slices.Sorted(maps.Keys(s.Data)) {
			e, err := read(name+"/"+key, s.Data[key])
			if err != nil {
				return nil, fmt.Errorf("reading entry %q of secret %q: %w", key, name, err)
			}
			if _, taken := k.byHash[e.hash]; !taken {
				k.byHash[e.hash] = e
			}
		}
	}
	return k, nil
}

// Normal fills in the default: the Authorization header after "Bearer ".
func Normal(l table.Location) table.Location {
	if l == (table.Location{}) {
		return table.Location{Header: "Authorization", Prefix: "Bearer "}
	}
	return l
}

// Names of what is wrong with an entry; none of them quotes it, since it holds a secret.
var (
	errEmpty = fmt.Errorf("no key")
	errJSON  = fmt.Errorf("neither a key nor JSON {key|keyHash, metadata}")
	errHash  = fmt.Errorf(`keyHash is not "sha256:" and 64 hexadecimal digits`)
	errBoth  = fmt.Errorf("key and keyHash exclude each other")
)

func read(name string, value []byte) (entry, error) {
	text := strings.TrimSpace(string(value))
	e := entry{client: &Client{Name: name}}
	if !strings.HasPrefix(text, "{") {
		if text == "" {
			return e, errEmpty
		}
		e.hash = sha256.Sum256([]byte(text))
		return e, nil
	}
	var declared struct {
		Key      string         `json:"key"`
		KeyHash  string         `json:"keyHash"`
		Metadata map[string]any `json:"metadata"`
	}
	if json.Unmarshal([]byte(text), &declared) != nil {
		return e, errJSON
	}
	e.client.Metadata = declared.Metadata
	switch {
	case declared.Key != "" && declared.KeyHash != "":
		return e, errBoth
	case declared.Key != "":
		e.hash = sha256.Sum256([]byte(declared.Key))
		return e, nil
	case declared.KeyHash == "":
		return e, errEmpty
	}
	digits, ok := strings.CutPrefix(declared.KeyHash, "sha256:")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != sha256.Size {
		return e, errHash
	}
	copy(e.hash[:], raw)
	return e, nil
}

// Result is what came of looking at one request.
type Result struct {
	// Client is nil where no valid key was shown.
	Client *Client
	// Key is the valid key that was shown and taken off the request, for
	// backends that are sent the client's own credential.
	Key string
	// Refused requests are answered 401.
	Refused bool
}

// Check looks for a key where the policy says and takes a valid one off the
// request, so that it is not forwarded. An unknown one stays where it is: in
// mode Permissive it may be meant for the backend.
func (k *Keys) Check(r *message.Request) Result {
	shown, ok := find(k.at, r)
	if !ok {
		return Result{Refused: k.mode == table.Strict}
	}
	hash := sha256.Sum256([]byte(shown))
	e, known := k.byHash[hash]
	if !known || subtle.ConstantTimeCompare(e.hash[:], hash[:]) != 1 {
		return Result{Refused: k.mode != table.Permissive}
	}
	strip(k.at, r)
	return Result{Client: e.client, Key: shown}
}

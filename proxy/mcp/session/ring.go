// Package session decides what an MCP session is across proxies: what its id
// holds and who may use it, which proxy owns the session at a server, what a
// session at a server goes through, and what of it is copied so that another
// proxy can go on. It holds no session, sends nothing, and takes chance and
// time as arguments.
package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeySize is the size of a sealing key: AES-256.
const KeySize = 32

// NonceSize is the size of the random nonce that Seal takes.
const NonceSize = 12

// Ring holds the keys that open, and names the one that seals. It is never
// changed once made.
type Ring struct {
	use  string
	keys map[string]key
}

type key struct {
	id    cipher.AEAD // session ids, by the raw key
	token cipher.AEAD // tokens, by a key derived from it
	nonce []byte      // makes the nonces of tokens
}

// NewRing takes the data of the Secret that seals sessions: key ids of 1 to 32
// bytes with 32 bytes each, and "use" with the id of the key to seal with.
// Rotation adds a key everywhere first and changes "use" after.
func NewRing(data map[string][]byte) (*Ring, error) {
	r := &Ring{use: string(data["use"]), keys: map[string]key{}}
	for id, raw := range data {
		if id == "use" {
			continue
		}
		if len(id) == 0 || len(id) > 32 {
			return nil, fmt.Errorf("reading the session keys: the id %q is not of 1 to 32 bytes", id)
		}
		k, err := newKey(raw)
		if err != nil {
			return nil, fmt.Errorf("reading the session key %q: %w", id, err)
		}
		r.keys[id] = k
	}
	if _, ok := r.keys[r.use]; !ok {
		return nil, fmt.Errorf("reading the session keys: the key to use, %q, is not among them", r.use)
	}
	return r, nil
}

func newKey(raw []byte) (key, error) {
	if len(raw) != KeySize {
		return key{}, fmt.Errorf("%d bytes long, not %d", len(raw), KeySize)
	}
	id, err := aead(raw)
	if err != nil {
		return key{}, err
	}
	token, err := aead(derive(raw, "nave mcp token"))
	if err != nil {
		return key{}, err
	}
	return key{id, token, derive(raw, "nave mcp token nonce")}, nil
}

func aead(raw []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// derive is HMAC-SHA256 of the purpose under the key.
func derive(raw []byte, purpose string) []byte {
	h := hmac.New(sha256.New, raw)
	h.Write([]byte(purpose))
	return h.Sum(nil)
}

var errSeal = errors.New("not sealed by this gateway")

// head begins a sealed text: a format byte and the key's id with its length.
func head(format byte, id string) []byte {
	return append([]byte{format, byte(len(id))}, id...)
}

// cut takes the head off and finds its key.
func (r *Ring) cut(format byte, sealed []byte) (k key, head, rest []byte, err error) {
	if len(sealed) < 2 || sealed[0] != format || len(sealed) < 2+int(sealed[1])+NonceSize {
		return key{}, nil, nil, errSeal
	}
	n := 2 + int(sealed[1])
	k, ok := r.keys[string(sealed[2:n])]
	if !ok {
		return key{}, nil, nil, errSeal
	}
	return k, sealed[:n], sealed[n:], nil
}

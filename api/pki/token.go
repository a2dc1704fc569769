package pki

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"
)

// TokenLife is how long a join token may be used.
const TokenLife = time.Hour

// The reasons for which a token buys nothing.
var (
	ErrTokenUnknown = errors.New("token is unknown, or was used before")
	ErrTokenExpired = errors.New("token has expired")
)

const tokenPrefix = "nave1"

// Token is what a new member is given, once: a secret, and the hash of the root
// key by which it recognises the other side before it has any certificate. It
// is handed over by environment, file or stdin, never in an argument list, and
// String is the only form that holds the secret.
type Token struct {
	secret [32]byte
	// Pin is the KeyHash of the fleet's root.
	Pin string
}

// NewToken makes a token with 256 random bits.
func NewToken(random io.Reader, pin string) (Token, error) {
	t := Token{Pin: pin}
	if raw, err := hex.DecodeString(pin); err != nil || len(raw) != sha256.Size {
		return Token{}, errors.New("making a token: the pin is not a key's hash")
	}
	if _, err := io.ReadFull(random, t.secret[:]); err != nil {
		return Token{}, fmt.Errorf("making a token: %w", err)
	}
	return t, nil
}

// Secret is what is sent to redeem the token; the pin stays at home.
func (t Token) Secret() string { return base64.RawURLEncoding.EncodeToString(t.secret[:]) }

// Format writes the whole token, for the one who is to use it.
func (t Token) Format() string {
	pin, _ := hex.DecodeString(t.Pin)
	return strings.Join([]string{tokenPrefix, t.Secret(), base64.RawURLEncoding.EncodeToString(pin)}, ".")
}

// String keeps the secret out of logs.
func (t Token) String() string { return "token (hidden)" }

// ParseToken reads what Format wrote.
func ParseToken(s string) (Token, error) {
	bad := errors.New("parsing a token: want nave1.<secret>.<pin>")
	parts := strings.Split(strings.TrimSpace(s), ".")
	if len(parts) != 3 || parts[0] != tokenPrefix || len(s) > 256 {
		return Token{}, bad
	}
	secret, err1 := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	pin, err2 := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err1 != nil || err2 != nil || len(secret) != 32 || len(pin) != sha256.Size {
		return Token{}, bad
	}
	t := Token{Pin: hex.EncodeToString(pin)}
	copy(t.secret[:], secret)
	return t, nil
}

// Grant is what a token stands for, kept by the one who redeems it.
type Grant struct {
	// Subject is whom the token admits: a cluster, or an identity's URI.
	Subject string    `json:"subject"`
	Expires time.Time `json:"expires"`
}

// Grants are open tokens by the hash of their secret, so that who reads them
// cannot use them. The zero value is ready; it is an immutable value.
type Grants map[string]Grant

// hash is over the secret's text, under a label of its own.
func hash(secret string) string {
	sum := sha256.Sum256([]byte("nave token\x00" + secret))
	return hex.EncodeToString(sum[:])
}

// Add returns the grants with one more, and without those that have expired.
func (g Grants) Add(secret string, grant Grant, now time.Time) Grants {
	out := make(Grants, len(g)+1)
	for k, v := range g {
		if now.Before(v.Expires) {
			out[k] = v
		}
	}
	out[hash(secret)] = grant
	return out
}

// Redeem returns what the secret stands for and the grants without it, whether
// it had expired or not.
func (g Grants) Redeem(secret string, now time.Time) (Grant, Grants, error) {
	h := hash(secret)
	grant, ok := g[h]
	if !ok {
		return Grant{}, g, ErrTokenUnknown
	}
	out := maps.Clone(g)
	delete(out, h)
	if !now.Before(grant.Expires) {
		return Grant{}, out, ErrTokenExpired
	}
	return grant, out, nil
}

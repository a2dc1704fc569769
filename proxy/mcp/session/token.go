package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Purpose keeps tokens of one use from being taken for another.
type Purpose byte

// The purposes of tokens: ids of servers' requests, progress tokens of servers'
// requests, ids of events.
const (
	ForRequest  Purpose = 'r'
	ForProgress Purpose = 'p'
	ForEvent    Purpose = 'e'
)

const formatToken = 2

// maxToken bounds a token's text in bytes.
const maxToken = 8 << 10

// Token seals a small value for one session, so that a client can carry it and
// neither read nor change it nor use it in another session. Equal values have
// equal tokens, whichever proxy seals them under the same key: a server's
// cancellation of a request must name the id that its request got.
func (r *Ring) Token(p Purpose, h Handle, value any) (string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("sealing a token: %w", err)
	}
	k := r.keys[r.use]
	top := head(formatToken, r.use)
	about := append(append([]byte{byte(p)}, h[:]...), top...)
	mac := hmac.New(sha256.New, k.nonce)
	mac.Write(about)
	mac.Write(data)
	nonce := mac.Sum(nil)[:NonceSize]
	text := base64.RawURLEncoding.EncodeToString(k.token.Seal(append(top, nonce...), nonce, data, about))
	if len(text) > maxToken {
		return "", fmt.Errorf("sealing a token: longer than %d bytes", maxToken)
	}
	return text, nil
}

// OpenToken reads what Token sealed into value.
func (r *Ring) OpenToken(p Purpose, h Handle, text string, value any) error {
	if len(text) > maxToken {
		return fmt.Errorf("opening a token: %w", errSeal)
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return fmt.Errorf("opening a token: %w", errSeal)
	}
	k, top, rest, err := r.cut(formatToken, sealed)
	if err != nil {
		return fmt.Errorf("opening a token: %w", err)
	}
	about := append(append([]byte{byte(p)}, h[:]...), top...)
	data, err := k.token.Open(nil, rest[:NonceSize], rest[NonceSize:], about)
	if err != nil {
		return fmt.Errorf("opening a token: %w", errSeal)
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("opening a token: %w", errSeal)
	}
	return nil
}

package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Handle is a session's name among proxies: 128 random bits that clients never see.
type Handle [16]byte

// MarshalText writes the handle in hexadecimal.
func (h Handle) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h[:])), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Handle) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(h) {
		return errors.New("reading a handle: not 32 hexadecimal digits")
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// Short is a name for logs that cannot be used in place of the handle.
func (h Handle) Short() string {
	sum := sha256.Sum256(h[:])
	return hex.EncodeToString(sum[:6])
}

// Facts are what a session's id holds: all that another proxy needs to go on
// with the session. They hold no address.
type Facts struct {
	Handle  Handle `json:"h"`
	Gateway string `json:"g"`
	Tenant  string `json:"t"`
	Backend string `json:"b"`
	// Principal is PrincipalHash of who began the session.
	Principal string `json:"p"`
	// Version is what was negotiated with the client.
	Version string `json:"v"`
	// Asked, Capabilities and Client are what the client initialised with.
	Asked        string         `json:"a"`
	Capabilities jsontext.Value `json:"c,omitempty"`
	Client       jsontext.Value `json:"i,omitempty"`
	// Home is the cluster that the session began in.
	Home string `json:"o"`
	// Began is in unix seconds.
	Began int64 `json:"s"`
	// Served tells the cluster that first served each server.
	Served map[string]string `json:"w,omitempty"`
}

// MaxID bounds a session id in bytes.
const MaxID = 2048

// maxFacts bounds the facts of an id so that the id keeps to MaxID.
const maxFacts = MaxID/4*3 - 2 - 32 - NonceSize - 16

// PrincipalHash is how a principal stands in the facts.
func PrincipalHash(tenant, principal string) string {
	sum := sha256.Sum256([]byte(tenant + "\x00" + principal))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

const formatID = 1

// Seal makes the session id of the facts: visible ASCII of at most MaxID bytes.
// Where the facts are too long, what is least needed goes first: Served, then
// what the client said of itself beyond its name and version, then the details
// of its capabilities. nonce is random and never used twice.
func (r *Ring) Seal(f Facts, nonce [NonceSize]byte) (string, error) {
	for _, shorten := range []func(*Facts){
		func(*Facts) {},
		func(f *Facts) { f.Served = nil },
		func(f *Facts) { f.Client = brief(f.Client) },
		func(f *Facts) { f.Capabilities = bare(f.Capabilities) },
	} {
		shorten(&f)
		data, err := json.Marshal(f)
		if err != nil {
			return "", fmt.Errorf("sealing a session: %w", err)
		}
		if len(data) > maxFacts {
			continue
		}
		h := head(formatID, r.use)
		sealed := r.keys[r.use].id.Seal(append(h, nonce[:]...), nonce[:], data, h)
		return base64.RawURLEncoding.EncodeToString(sealed), nil
	}
	return "", fmt.Errorf("sealing a session: its facts are longer than %d bytes", maxFacts)
}

// brief keeps name and version of a client's word about itself, 64 bytes each.
func brief(client jsontext.Value) jsontext.Value {
	var c struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	if json.Unmarshal(client, &c) != nil {
		return nil
	}
	c.Name, c.Version = clip(c.Name), clip(c.Version)
	data, err := json.Marshal(c)
	if err != nil {
		return nil
	}
	return data
}

func clip(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return s
}

// bare keeps which of MCP's own capabilities a client has.
func bare(capabilities jsontext.Value) jsontext.Value {
	var c map[string]jsontext.Value
	if json.Unmarshal(capabilities, &c) != nil {
		return nil
	}
	kept := map[string]struct{}{}
	for _, name := range []string{"roots", "sampling", "elicitation"} {
		if _, ok := c[name]; ok {
			kept[name] = struct{}{}
		}
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return nil
	}
	return data
}

// Want is what the facts of an id must say to be taken.
type Want struct {
	Gateway, Tenant, Backend, Principal string
	Now                                 time.Time
	// Life is how long a session may live at most.
	Life time.Duration
}

// Open reads what Seal wrote, with any key of the ring, and checks it. Whatever
// is wrong, the session is not known; the error tells the operator why and
// holds nothing of the id.
func (r *Ring) Open(id string, w Want) (Facts, error) {
	f, err := r.open(id)
	if err != nil {
		return Facts{}, fmt.Errorf("opening a session id: %w", err)
	}
	switch age := w.Now.Sub(time.Unix(f.Began, 0)); {
	case f.Gateway != w.Gateway, f.Tenant != w.Tenant, f.Backend != w.Backend:
		err = errors.New("it belongs to another gateway or backend")
	case f.Principal != PrincipalHash(w.Tenant, w.Principal):
		err = errors.New("it belongs to another principal")
	case age > w.Life:
		err = errors.New("its life has ended")
	case age < -clockSkew:
		err = errors.New("it began in the future")
	}
	if err != nil {
		return Facts{}, fmt.Errorf("opening a session id: %w", err)
	}
	return f, nil
}

// clockSkew is how far clusters' clocks may differ.
const clockSkew = 10 * time.Minute

func (r *Ring) open(id string) (f Facts, err error) {
	if len(id) > MaxID {
		return f, errSeal
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil {
		return f, errSeal
	}
	k, head, rest, err := r.cut(formatID, sealed)
	if err != nil {
		return f, err
	}
	data, err := k.id.Open(nil, rest[:NonceSize], rest[NonceSize:], head)
	if err != nil {
		return f, errSeal
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return Facts{}, errSeal
	}
	return f, nil
}

package session

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Copy is what an owner tells other proxies of a session at a server, so that
// they can go on with it: all that is not in the session's id.
type Copy struct {
	Handle Handle `json:"handle"`
	Server string `json:"server"`
	// Cluster is whose owner wrote the copy; Live tells that the session lives there.
	Cluster string `json:"cluster"`
	Live    bool   `json:"live,omitempty"`
	// Moves is how often the session was initialised anew; of two copies the one
	// with more moves is right, and of equals the one of the lesser cluster.
	Moves int `json:"moves,omitempty"`
	// ID and Version are of the session at the server. Another proxy of the same
	// cluster can use them; the ID is "" where the server gave none, or where
	// the session is bound to one connection.
	ID      string `json:"id,omitempty"`
	Version string `json:"version,omitempty"`
	// Stateless tells that the server keeps no session.
	Stateless     bool     `json:"stateless,omitempty"`
	Level         string   `json:"level,omitempty"`
	Subscriptions []string `json:"subscriptions,omitempty"`
	// Digest is of the tools that the client was last shown.
	Digest string `json:"digest,omitempty"`
}

// Bounds of what is remembered of one session at one server.
const (
	MaxSubscriptions = 64
	MaxURI           = 1024
	maxCopy          = 128 << 10
)

// Encode writes the copy.
func (c Copy) Encode() ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing a copy of a session: %w", err)
	}
	return data, nil
}

// DecodeCopy reads what Encode wrote.
func DecodeCopy(data []byte) (c Copy, err error) {
	if len(data) > maxCopy {
		return c, fmt.Errorf("reading a copy of a session: longer than %d bytes", maxCopy)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return Copy{}, fmt.Errorf("reading a copy of a session: %w", err)
	}
	if c.Cluster == "" || c.Server == "" || c.Moves < 0 || len(c.Subscriptions) > MaxSubscriptions {
		return Copy{}, errors.New("reading a copy of a session: it names no cluster or server, or is out of bounds")
	}
	return c, nil
}

// beats tells whether what c says outdoes a session of that many moves that
// lives in cluster.
func (c Copy) beats(moves int, cluster string) bool {
	return c.Moves > moves || c.Moves == moves && c.Cluster < cluster
}

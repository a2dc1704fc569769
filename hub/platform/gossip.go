package platform

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/pki"
)

const (
	// gossipKey is the length of a key that seals gossip: AES-256.
	gossipKey = 32
	// gossipOverlap is how long the key before is still accepted, so that spokes
	// which hear of the new one one after the other understand each other.
	gossipOverlap = 30 * time.Second
)

// gossipKeys are the keys that seal gossip, kept in a file of mode 0600. Whenever
// something is revoked there is a new one, which the revoked does not get.
type gossipKeys struct {
	path string
	kept struct {
		// Keys hold the one in use first.
		Keys [][]byte `json:"keys"`
		// Since is when the one in use was made, Revoked what was revoked then.
		Since   time.Time   `json:"since"`
		Revoked pki.Revoked `json:"revoked,omitempty"`
	}
}

// openGossip reads what was kept; keys that cannot be read are made anew, and
// spokes meet under those.
func openGossip(path string) (*gossipKeys, error) {
	g := &gossipKeys{path: path}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the gossip keys: %w", err)
	}
	bad := func(k []byte) bool { return len(k) != gossipKey }
	if err != nil || json.Unmarshal(data, &g.kept) != nil || slices.ContainsFunc(g.kept.Keys, bad) {
		g.kept.Keys = nil
	}
	return g, nil
}

// under gives the keys, the one in use first, while these ids are revoked. The
// keys before are given with an error.
func (g *gossipKeys) under(revoked pki.Revoked, now time.Time) ([][]byte, error) {
	next := g.kept
	fresh := func(id string) bool { return !slices.Contains(next.Revoked, id) }
	switch {
	case len(next.Keys) == 0 || slices.ContainsFunc(revoked, fresh):
		key := make([]byte, gossipKey)
		if _, err := rand.Read(key); err != nil {
			return g.kept.Keys, fmt.Errorf("make a gossip key: %w", err)
		}
		next.Keys = append([][]byte{key}, next.Keys[:min(1, len(next.Keys))]...)
		next.Since, next.Revoked = now, revoked
	case len(next.Keys) > 1 && now.Sub(next.Since) >= gossipOverlap:
		next.Keys = next.Keys[:1:1]
	default:
		return next.Keys, nil
	}
	data, err := json.Marshal(next)
	if err == nil {
		err = atomicfile.ReplaceSynced(g.path, data)
	}
	if err != nil {
		return g.kept.Keys, fmt.Errorf("keep the gossip keys: %w", err)
	}
	g.kept = next
	return next.Keys, nil
}

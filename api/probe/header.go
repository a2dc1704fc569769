package probe

import (
	"crypto/sha256"
	"encoding/hex"
)

// The headers between a prober and the proxies of its own cluster.
const (
	// Key is a request's: with the cluster's own, the answer tells more.
	Key = "x-nave-probe"
	// ServedBy is cluster/backend/member, Attempts how many it took.
	ServedBy = "x-nave-served-by"
	Attempts = "x-nave-attempts"
	// SessionMoved is set where this request made an MCP session move:
	// Reinitialised, or "restored".
	SessionMoved = "x-nave-session-moved"
)

// Reinitialised is said of a session that a server was asked to begin anew.
const Reinitialised = "reinitialised"

// Hash is what of a key stands in a table.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

package identity

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/navehq/nave/api/pki"
)

// Known tells whether a proved identity is the cluster's current one. Whoever
// accepts a spoke's stream asks.
func (a *Authority) Known(id pki.Identity) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.known(id)
}

// Revoke ends identities: of a cluster by its name, all that it ever had; or
// of one certificate by its serial number. It returns the ids that are revoked
// now and were not before. Live streams are closed by who holds them, on Changed.
func (a *Authority) Revoke(what, by string) ([]string, error) {
	var added []string
	err := a.change(func(s *state) error {
		ids, err := s.idsOf(what)
		if err != nil {
			return err
		}
		added = s.revoke(ids, what, by, a.opts.Now())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("revoking %q: %w", what, err)
	}
	a.opts.Log.Warn("identity is revoked", "what", what, "by", by, "ids", added)
	return added, nil
}

// Revoked is the list that rides in every assignment.
func (a *Authority) Revoked() pki.Revoked {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.revoked()
}

// Changed is closed when the revoked change; to be asked again then.
func (a *Authority) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// Cluster is one that has joined.
type Cluster struct {
	Name string
	// UID is the current identity's.
	UID      string
	Serial   string
	Joined   time.Time
	NotAfter time.Time
	Revoked  bool
}

// Clusters are those that have joined, by name.
func (a *Authority) Clusters() []Cluster {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Cluster
	revoked := a.state.revoked()
	for _, name := range slices.Sorted(maps.Keys(a.state.Clusters)) {
		c := a.state.Clusters[name]
		out = append(out, Cluster{
			Name: name, UID: c.UID, Serial: c.Serial, Joined: c.Joined, NotAfter: c.NotAfter,
			Revoked: revoked.Has(c.UID, c.Serial),
		})
	}
	return out
}

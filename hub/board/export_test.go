package board

import (
	"slices"

	"github.com/navehq/nave/api/objects"
)

// Declared are the declarations that a cluster pushed.
func (b *Board) Declared(cluster string) []objects.Key {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []objects.Key
	for _, envelope := range b.member(cluster).raw {
		if d, err := declared(envelope); err == nil {
			out = append(out, d.ID.Key)
		}
	}
	slices.SortFunc(out, objects.Key.Compare)
	return out
}

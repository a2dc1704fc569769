package supervise

import (
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/navehq/nave/api/objects"
)

// problems are what people must mend of what the supervisor itself reads and
// runs, by the place where they were found.
type problems struct {
	mu sync.Mutex
	at map[string][]objects.Problem
	// changed has one element while somebody has yet to look.
	changed chan struct{}
}

func newProblems() *problems {
	return &problems{at: map[string][]objects.Problem{}, changed: make(chan struct{}, 1)}
}

// set says what is wrong at a place now; nothing means that it is mended.
func (p *problems) set(place string, list ...objects.Problem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(list) == 0 && len(p.at[place]) == 0 || reflect.DeepEqual(p.at[place], list) {
		return
	}
	if p.at[place] = list; len(list) == 0 {
		delete(p.at, place)
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// list gives all of them, by place.
func (p *problems) list() []objects.Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []objects.Problem{}
	for _, place := range slices.Sorted(maps.Keys(p.at)) {
		out = append(out, p.at[place]...)
	}
	return out
}

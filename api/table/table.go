// Package table holds what a proxy obeys: listeners, rules, policies, backends,
// endpoints, peers and secrets, each a resource of its own that names its
// parents, and the Table that gathers them. It decides which policy wins over
// which (Effective) and how all of it is printed; it never decides where a
// request goes, and nothing in it is a measurement.
package table

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/benbjohnson/immutable"
)

// Kind is the kind of a resource.
type Kind string

// The kinds of resources. Printing and hashing go in this order.
const (
	KindSelf      Kind = "self"
	KindListener  Kind = "listener"
	KindRule      Kind = "rule"
	KindPolicy    Kind = "policy"
	KindBackend   Kind = "backend"
	KindEndpoints Kind = "endpoints"
	KindPeer      Kind = "peer"
	KindHost      Kind = "host"
	KindSecret    Kind = "secret"
)

var kinds = []Kind{
	KindSelf, KindListener, KindRule, KindPolicy, KindBackend,
	KindEndpoints, KindPeer, KindHost, KindSecret,
}

func (k Kind) rank() int {
	for i, x := range kinds {
		if x == k {
			return i
		}
	}
	return len(kinds)
}

// ID names a resource within a table.
type ID struct {
	Kind Kind
	Name string
}

func (id ID) String() string { return string(id.Kind) + " " + id.Name }

// Compare orders by kind, then by name.
func (id ID) Compare(other ID) int {
	return cmp.Or(
		cmp.Compare(id.Kind.rank(), other.Kind.rank()),
		strings.Compare(string(id.Kind), string(other.Kind)),
		strings.Compare(id.Name, other.Name),
	)
}

// Resource is one of *Self, *Listener, *Rule, *Policy, *Backend, *Endpoints,
// *Peer, *Host, *Secret. A resource is never changed once it is in a table.
type Resource interface {
	ID() ID
}

// ErrUnknownKind is returned by Decode for a kind this build does not know.
var ErrUnknownKind = errors.New("unknown kind of resource")

// Encode gives the canonical bytes of a resource: JSON, fields in declared
// order, map keys sorted. Equal resources have equal bytes.
func Encode(r Resource) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // nobody puts it into a page, and < takes six bytes so
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("encode %s: %w", r.ID(), err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Decode reads what Encode wrote. Fields it does not know are ignored, since a
// newer spoke may send them; the name inside must be the name asked for.
func Decode(id ID, data []byte) (Resource, error) {
	r := blank(id.Kind)
	if r == nil {
		return nil, fmt.Errorf("decode %s: %w", id, ErrUnknownKind)
	}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("decode %s: %w", id, err)
	}
	if r.ID() != id {
		return nil, fmt.Errorf("decode %s: holds %s", id, r.ID())
	}
	return r, nil
}

func blank(k Kind) Resource {
	switch k {
	case KindSelf:
		return &Self{}
	case KindListener:
		return &Listener{}
	case KindRule:
		return &Rule{}
	case KindPolicy:
		return &Policy{}
	case KindBackend:
		return &Backend{}
	case KindEndpoints:
		return &Endpoints{}
	case KindPeer:
		return &Peer{}
	case KindHost:
		return &Host{}
	case KindSecret:
		return &Secret{}
	}
	return nil
}

// Change puts a resource, or removes the one of that ID where Resource is nil.
type Change struct {
	ID       ID
	Resource Resource
}

// Put is the change that puts r.
func Put(r Resource) Change { return Change{r.ID(), r} }

// Remove is the change that removes id.
func Remove(id ID) Change { return Change{ID: id} }

type byID struct{}

func (byID) Compare(a, b ID) int { return a.Compare(b) }

// Table is an immutable, ordered set of resources. The zero value is not
// usable: begin with New.
type Table struct {
	resources *immutable.SortedMap[ID, Resource]
}

// New gathers resources into a table.
func New(resources ...Resource) Table {
	t := Table{immutable.NewSortedMap[ID, Resource](byID{})}
	for _, r := range resources {
		t.resources = t.resources.Set(r.ID(), r)
	}
	return t
}

// Apply returns the table with the changes made; t itself stays as it is and
// both share what did not change.
func (t Table) Apply(changes ...Change) Table {
	m := t.resources
	for _, c := range changes {
		if c.Resource == nil {
			m = m.Delete(c.ID)
		} else {
			m = m.Set(c.ID, c.Resource)
		}
	}
	return Table{m}
}

// Len is the number of resources.
func (t Table) Len() int { return t.resources.Len() }

// Get returns the resource of that ID, or nil.
func (t Table) Get(id ID) Resource {
	r, _ := t.resources.Get(id)
	return r
}

// All yields every resource in order.
func (t Table) All() iter.Seq[Resource] {
	return func(yield func(Resource) bool) {
		for it := t.resources.Iterator(); !it.Done(); {
			if _, r, _ := it.Next(); !yield(r) {
				return
			}
		}
	}
}

// Each yields the resources of one Go type, in order.
func Each[R Resource](t Table) iter.Seq[R] {
	return func(yield func(R) bool) {
		var none R
		kind := none.ID().Kind
		it := t.resources.Iterator()
		it.Seek(ID{Kind: kind})
		for !it.Done() {
			_, r, _ := it.Next()
			typed, ok := r.(R)
			if !ok || !yield(typed) {
				return
			}
		}
	}
}

// Find returns the resource of that Go type and name, or nil.
func Find[R Resource](t Table, name string) R {
	var none R
	r, _ := t.Get(ID{none.ID().Kind, name}).(R)
	return r
}

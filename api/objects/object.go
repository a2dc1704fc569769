// Package objects holds declared objects as values: a Set that is immutable and
// sorted, Decode from YAML, the Problems that people must be told of, and the
// Status owed to each object. It never reads a file or a cluster: its children
// folder and kube do.
package objects

import (
	"cmp"
	"iter"
	"strings"
	"time"

	"github.com/benbjohnson/immutable"
)

// Key names an object within its cluster. Two API versions of a kind are the
// same object.
type Key struct {
	Group, Kind, Namespace, Name string
}

// String is Kind namespace/name, as it stands in messages.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}
	return k.Kind + " " + k.Namespace + "/" + k.Name
}

// Compare orders by kind, group, namespace and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		strings.Compare(k.Kind, o.Kind), strings.Compare(k.Group, o.Group),
		strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Name, o.Name),
	)
}

// Object is one declared object. It is never changed once it is in a Set.
type Object struct {
	Key
	// Cluster declares it; "" is the hub.
	Cluster    string
	UID        string
	Generation int64
	// Created is when it was first seen, by its own cluster's clock.
	Created     time.Time
	Labels      map[string]string
	Annotations map[string]string
	// Value is the typed object, e.g. *gatewayv1.HTTPRoute.
	Value any
	// JSON is the object as declared, without status, managedFields and
	// last-applied; for a Secret it holds its data.
	JSON []byte
	// Hash is of JSON, labels and annotations included.
	Hash string
	// File is where it was read from, path:line, in a folder.
	File string
	// Invalid says why it cannot be obeyed as it stands. Such an object is kept,
	// its Value as far as it could be read, so that what it would restrict can be
	// closed and its status can say so.
	Invalid []Problem
}

// Change puts an object, or removes the one of that key where Object is nil.
type Change struct {
	Key    Key
	Object *Object
}

// Problem is something that a person must mend: which file, object and field,
// why, and how.
type Problem struct {
	Cluster string `json:"cluster,omitempty"`
	File    string `json:"file,omitempty"`
	Object  string `json:"object,omitempty"`
	Field   string `json:"field,omitempty"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
	// Severity is SeverityInfo for what is worth knowing and nothing to mend.
	Severity string `json:"severity,omitempty"`
}

// SeverityInfo marks a Problem that needs nobody's action.
const SeverityInfo = "Info"

// String is the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.File, p.Object, p.Field} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(p.Message)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

type byKey struct{}

func (byKey) Compare(a, b Key) int { return a.Compare(b) }

// Set is an immutable, sorted set of objects of one cluster.
type Set struct {
	m *immutable.SortedMap[Key, *Object]
}

// NewSet gathers objects; of two with one key the later stays.
func NewSet(list ...*Object) Set {
	s := Set{immutable.NewSortedMap[Key, *Object](byKey{})}
	for _, o := range list {
		s.m = s.m.Set(o.Key, o)
	}
	return s
}

// Apply returns the set with the changes made and shares what did not change.
func (s Set) Apply(changes ...Change) Set {
	m := s.m
	for _, c := range changes {
		if c.Object == nil {
			m = m.Delete(c.Key)
		} else {
			m = m.Set(c.Key, c.Object)
		}
	}
	return Set{m}
}

// Len is the number of objects.
func (s Set) Len() int { return s.m.Len() }

// Get returns the object of that key, or nil.
func (s Set) Get(k Key) *Object {
	o, _ := s.m.Get(k)
	return o
}

// All yields the objects in order.
func (s Set) All() iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		for it := s.m.Iterator(); !it.Done(); {
			if _, o, _ := it.Next(); !yield(o) {
				return
			}
		}
	}
}

// Diff lists the changes that lead from s to next, objects compared by hash and
// generation.
func (s Set) Diff(next Set) []Change {
	var changes []Change
	for o := range s.All() {
		if next.Get(o.Key) == nil {
			changes = append(changes, Change{Key: o.Key})
		}
	}
	for o := range next.All() {
		old := s.Get(o.Key)
		if old == nil || old.Hash != o.Hash || old.Generation != o.Generation {
			changes = append(changes, Change{o.Key, o})
		}
	}
	return changes
}

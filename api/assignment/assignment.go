// Package assignment holds what travels between a hub and a spoke as values:
// down, what the hub gives one cluster (its assignment: the fleet's settings,
// tenants, peers, placements, other clusters' declarations, verdicts); up, what
// a cluster tells (its declarations without secrets, facts about itself,
// statuses, samples). Each is a resource of its own on the stream. It decides
// nothing.
package assignment

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/navehq/nave/api/objects"
)

// Kind is the kind of a resource on the hub's stream.
type Kind string

// Kinds that go down, up, or both ways.
const (
	KindFleet       Kind = "fleet"       // down, one, key "fleet"
	KindTenant      Kind = "tenant"      // down, key its name
	KindPeer        Kind = "peer"        // down, key the cluster; this cluster is one of them
	KindPlacement   Kind = "placement"   // down, key home/namespace/name
	KindVerdict     Kind = "verdict"     // down, key of the own object
	KindDeclaration Kind = "declaration" // both, key cluster/Kind.group/namespace/name
	KindSealed      Kind = "sealed"      // both, key from/to/purpose
	KindFacts       Kind = "facts"       // up, one, key the cluster
	KindStatus      Kind = "status"      // up, key of the object
	KindProblems    Kind = "problems"    // up, key "file/…" or "object/…"
	KindSample      Kind = "sample"      // up, key kind/peer; never part of a plan
)

// Resource is one of the types below, as a pointer.
type Resource interface {
	// ID gives kind and key.
	ID() (Kind, string)
}

// ErrUnknownKind is returned by Decode for a kind this build does not know.
var ErrUnknownKind = errors.New("unknown kind of resource")

// Encode gives the canonical bytes of a resource.
func Encode(r Resource) ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		kind, key := r.ID()
		return nil, fmt.Errorf("encode %s %q: %w", kind, key, err)
	}
	return data, nil
}

// Decode reads what Encode wrote; the key inside must be the key asked for.
func Decode(kind Kind, key string, data []byte) (Resource, error) {
	r := blank(kind)
	if r == nil {
		return nil, fmt.Errorf("decode %s %q: %w", kind, key, ErrUnknownKind)
	}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("decode %s %q: %w", kind, key, err)
	}
	if k, name := r.ID(); k != kind || name != key {
		return nil, fmt.Errorf("decode %s %q: holds %s %q", kind, key, k, name)
	}
	return r, nil
}

var blanks = map[Kind]func() Resource{
	KindFleet:       func() Resource { return &Fleet{} },
	KindTenant:      func() Resource { return &Tenant{} },
	KindPeer:        func() Resource { return &Peer{} },
	KindPlacement:   func() Resource { return &Placement{} },
	KindVerdict:     func() Resource { return &Verdict{} },
	KindDeclaration: func() Resource { return &Declaration{} },
	KindSealed:      func() Resource { return &Sealed{} },
	KindFacts:       func() Resource { return &Facts{} },
	KindStatus:      func() Resource { return &Status{} },
	KindProblems:    func() Resource { return &Problems{} },
	KindSample:      func() Resource { return &Sample{} },
}

func blank(k Kind) Resource {
	if f := blanks[k]; f != nil {
		return f()
	}
	return nil
}

// Declaration is one declared object on its way, without secrets: each field
// that is marked secret is replaced by a keyed hash of its value. Its envelope
// (stream.Resource) carries origin, generation and the origin's signature.
type Declaration struct {
	Cluster    string      `json:"cluster"`
	Key        objects.Key `json:"key"`
	Generation int64       `json:"generation"`
	// Created is by the origin's clock, for that cluster's own precedence only.
	Created time.Time `json:"created"`
	// Object is the whole object as JSON.
	Object json.RawMessage `json:"object"`
}

// ID is the declaration's kind and key.
func (d *Declaration) ID() (Kind, string) { return KindDeclaration, DeclarationKey(d.Cluster, d.Key) }

// DeclarationKey is cluster/Kind.group/namespace/name.
func DeclarationKey(cluster string, k objects.Key) string {
	return cluster + "/" + ObjectKey(k)
}

// ObjectKey is Kind.group/namespace/name.
func ObjectKey(k objects.Key) string {
	return k.Kind + "." + k.Group + "/" + k.Namespace + "/" + k.Name
}

// Sealed is a secret for one cluster's spoke, encrypted to its public key; the
// hub carries it and cannot read it.
type Sealed struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Purpose string `json:"purpose"`
	// Recipient is the hash of the public key that it is sealed to.
	Recipient  string `json:"recipient"`
	Ciphertext []byte `json:"ciphertext"`
}

// ID is the sealed secret's kind and key.
func (s *Sealed) ID() (Kind, string) { return KindSealed, s.From + "/" + s.To + "/" + s.Purpose }

// Condition is a metav1.Condition without a time.
type Condition struct {
	Type    string                 `json:"type"`
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`
}

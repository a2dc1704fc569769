package translate

import (
	"fmt"

	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
)

// Nack is a resource that a proxy has refused.
type Nack struct {
	ID table.ID
	// Hash is the refused content's, as stream.HashOf has it. With other content
	// the resource is tried anew.
	Hash  string
	Error string
}

// Refuse closes what proxies have refused, so that one bad resource holds back
// no revision and what it would restrict is not served without it. A Nack
// without hash takes an earlier one back.
func (t Translator) Refuse(list []Nack) (Translator, Result) {
	return t.apply(func(tx *derive.Tx) {
		for _, n := range list {
			if n.Hash == "" {
				t.schema.nacks.Delete(tx, n.ID)
				continue
			}
			t.schema.nacks.Set(tx, n.ID, n)
		}
	})
}

func refusedPlace(n node) string { return "refused/" + n.id.String() }

// deriveAllowed is a piece as proxies take it.
func (s *schema) deriveAllowed(l *derive.Look, n node) piece {
	p := s.derivePiece(l, n)
	nack, ok := s.nacks.Get(l, n.id)
	if !ok || p.resource == nil {
		return p
	}
	data, err := table.Encode(p.resource)
	if err != nil || stream.HashOf(data) != nack.Hash {
		return p
	}
	object := n.key.String()
	if n.key.Kind == "" {
		object = n.id.String()
	}
	return piece{
		resource: closedResource(p.resource, "RefusedByProxy: "+nack.Error),
		refused: &objects.Problem{
			Cluster: s.options.Cluster, Object: object, Reason: "RefusedByProxy",
			Message: fmt.Sprintf("a proxy cannot obey %s: %s", n.id, nack.Error), Remedy: "correct what it is declared by; it is closed until then",
		},
	}
}

// closedResource is what stands in for a resource that proxies refuse: closed
// where it serves or restricts, and nothing where others fail without it.
func closedResource(r table.Resource, why string) table.Resource {
	switch r := r.(type) {
	case *table.Rule:
		closed := closedRule(*r, why)
		closed.Binds = r.Binds
		return &closed
	case *table.Policy:
		return &table.Policy{Name: r.Name, Created: r.Created, Targets: r.Targets, Closed: why}
	case *table.Backend:
		return &table.Backend{Name: r.Name, Kind: r.Kind, Tenant: r.Tenant, Fleet: r.Fleet, Failover: r.Failover, Closed: why}
	case *table.Endpoints:
		return &table.Endpoints{Name: r.Name, Missing: why}
	}
	return nil
}

package translate

import (
	"fmt"
	"slices"
	"strings"

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
	// needs is the signature of what the resource needed beside it: with other
	// content of that it is tried anew too.
	needs string
}

// mostRefusals bounds what is remembered of one resource's refused contents; the
// oldest go first.
const mostRefusals = 32

// Refuse closes what proxies have refused, so that one bad resource holds back
// no revision and what it would restrict is not served without it. A Nack
// without hash takes the earlier ones back.
func (t Translator) Refuse(list []Nack) (Translator, Result) {
	needs := t.needsOf(list)
	return t.apply(func(tx *derive.Tx) {
		refused := map[table.ID][]Nack{}
		for _, n := range list {
			if n.Hash == "" {
				refused[n.ID] = nil
				t.schema.nacks.Delete(tx, n.ID)
				continue
			}
			all, begun := refused[n.ID]
			if !begun {
				before, _ := t.schema.nacks.At(t.state, n.ID)
				all = slices.Clone(before)
			}
			for _, n.needs = range needs[n.ID] {
				if !slices.ContainsFunc(all, func(o Nack) bool { return o.Hash == n.Hash && o.needs == n.needs }) {
					all = append(all, n)
				}
			}
			all = all[max(0, len(all)-mostRefusals):]
			refused[n.ID] = all
			t.schema.nacks.Set(tx, n.ID, all)
		}
	})
}

// needsOf finds the signatures of what refused resources need, one for each
// table that has them otherwise.
func (t Translator) needsOf(list []Nack) map[table.ID][]string {
	out := map[table.ID][]string{}
	for _, n := range list {
		out[n.ID] = nil
	}
	for it := t.holders.Iterator(); !it.Done(); {
		n, _, _ := it.Next()
		sums, asked := out[n.id]
		if !asked {
			continue
		}
		p, _ := t.schema.pieces.Get(t.state, n)
		sum := signature(p.needs, func(n node) piece {
			p, _ := t.schema.pieces.Get(t.state, n)
			return p
		})
		if !slices.Contains(sums, sum) {
			out[n.id] = append(sums, sum)
		}
	}
	for id, sums := range out {
		if len(sums) == 0 {
			out[id] = []string{""}
		}
	}
	return out
}

// signature tells apart what stands behind a resource.
func signature(needs []node, of func(node) piece) string {
	var b strings.Builder
	for _, n := range needs {
		b.WriteString(n.id.String() + " " + hashOf(of(n).resource) + "\n")
	}
	if b.Len() == 0 {
		return ""
	}
	return stream.HashOf([]byte(b.String()))
}

func hashOf(r table.Resource) string {
	if r == nil {
		return ""
	}
	data, err := table.Encode(r)
	if err != nil {
		return ""
	}
	return stream.HashOf(data)
}

func refusedPlace(n node) string { return "refused/" + n.id.String() }

// deriveAllowed is a piece as it can be sent and proxies take it: where it is too
// large, or was refused with what it needs, the first of its stand-ins that was
// not refused too, and never what was.
func (s *schema) deriveAllowed(l *derive.Look, n node) piece {
	p := s.derivePiece(l, n)
	if p.resource == nil {
		return p
	}
	refused, _ := s.nacks.Get(l, n.id)
	needs := ""
	if len(refused) > 0 {
		needs = signature(p.needs, func(n node) piece { return s.allowed.Get(l, n) })
	}
	why := objection(p.resource, needs, refused)
	if why == nil {
		return p
	}
	out := piece{refused: &objects.Problem{
		Cluster: s.options.Cluster, Object: n.key.String(), Reason: why.reason, Message: why.message, Remedy: why.remedy,
	}}
	if why.reason == reasonRefused {
		out.refused.Message = fmt.Sprintf("a proxy cannot obey %s: %s", n.id, why.message)
	}
	if n.key.Kind == "" {
		out.refused.Object = n.id.String()
	}
	for _, r := range standIns(p.resource, why.reason+": "+why.message) {
		if out.resource = r; objection(r, "", refused) == nil {
			break
		}
	}
	return out
}

// objection is why a resource cannot be sent to proxies, nil where it can.
func objection(r table.Resource, needs string, refused []Nack) *fault {
	data, err := table.Encode(r)
	if err != nil {
		return &fault{reason: reasonTooLarge, message: fmt.Sprintf("%s cannot be sent to a proxy: %v", r.ID(), err), remedy: "correct what it is declared by; it is closed until then"}
	}
	if f := tooLarge(r.ID(), len(data)); f != nil {
		return f
	}
	if len(refused) == 0 {
		return nil
	}
	hash := stream.HashOf(data)
	for _, n := range refused {
		if n.Hash == hash && n.needs == needs {
			return &fault{reason: reasonRefused, message: n.Error,
				remedy: "correct what it is declared by; it is closed until then"}
		}
	}
	return nil
}

// reasonTooLarge says that a resource does not fit into what a proxy is sent.
const reasonTooLarge = "TooLarge"

func tooLarge(id table.ID, size int) *fault {
	if size <= stream.MaxPayload {
		return nil
	}
	return &fault{reason: reasonTooLarge, message: fmt.Sprintf("%s takes %d bytes, of at most %d that a proxy is sent of one thing", id, size, stream.MaxPayload),
		remedy: "divide it, or shorten it; it is closed until then"}
}

// oversize is the fault of a resource that is too large, for the status of the
// object that it is of.
func oversize(r table.Resource) *fault {
	if data, err := table.Encode(r); err == nil {
		return tooLarge(r.ID(), len(data))
	}
	return nil
}

// standIns are what stands in for a resource that cannot be obeyed, each with
// less in it than the one before: closed where it serves or restricts, and
// nothing where others fail without it.
func standIns(r table.Resource, why string) []table.Resource {
	switch r := r.(type) {
	case *table.Rule:
		closed := closedRule(*r, why)
		closed.Binds = r.Binds
		bare := closed
		bare.Matches = []table.Match{{Path: table.ValueMatch{Type: table.Prefix, Value: "/"}}}
		bare.Closed = reasonRefused
		return []table.Resource{&closed, &bare}
	case *table.Policy:
		return []table.Resource{
			&table.Policy{Name: r.Name, Created: r.Created, Targets: r.Targets, Closed: why},
			&table.Policy{Name: r.Name, Targets: r.Targets, Closed: reasonRefused},
		}
	case *table.Backend:
		return []table.Resource{
			&table.Backend{Name: r.Name, Kind: r.Kind, Tenant: r.Tenant, Fleet: r.Fleet, Failover: r.Failover, Closed: why},
			&table.Backend{Name: r.Name, Kind: r.Kind, Tenant: r.Tenant, Closed: reasonRefused},
		}
	case *table.Endpoints:
		return []table.Resource{&table.Endpoints{Name: r.Name, Missing: why}, &table.Endpoints{Name: r.Name, Missing: reasonRefused}}
	}
	return nil
}

// reasonRefused is all that is left of why something is closed.
const reasonRefused = "RefusedByProxy"

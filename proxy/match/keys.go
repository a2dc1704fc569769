package match

import (
	"hash/maphash"

	"github.com/navehq/nave/api/table"
)

// seed is of this process: hashes order nothing that anybody sees.
var seed = maphash.MakeSeed()

type texts struct{}

func (texts) Hash(s string) uint32   { return uint32(maphash.String(seed, s)) }
func (texts) Equal(a, b string) bool { return a == b }

type numbers struct{}

func (numbers) Hash(n uint16) uint32   { return uint32(n) * 0x9e3779b1 }
func (numbers) Equal(a, b uint16) bool { return a == b }

type ids struct{}

func (ids) Hash(id table.ID) uint32 {
	return uint32(maphash.String(seed, id.Name)) + uint32(maphash.String(seed, string(id.Kind)))
}
func (ids) Equal(a, b table.ID) bool { return a == b }

type targets struct{}

func (targets) Hash(t table.Target) uint32   { return uint32(maphash.Comparable(seed, t)) }
func (targets) Equal(a, b table.Target) bool { return a == b }

// place is a rule as it is reached through a listener.
type place struct{ listener, rule string }

type places struct{}

func (places) Hash(p place) uint32 {
	return uint32(maphash.String(seed, p.listener))*31 + uint32(maphash.String(seed, p.rule))
}
func (places) Equal(a, b place) bool { return a == b }

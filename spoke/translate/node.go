package translate

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
)

// ref names an object in the fleet.
type ref struct {
	cluster string
	objects.Key
}

func compareRef(a, b ref) int {
	if c := a.Key.Compare(b.Key); c != 0 {
		return c
	}
	return strings.Compare(a.cluster, b.cluster)
}

// node names a resource that some table needs: who declares it (view), for
// which table where that makes a difference, and what it is of.
type node struct {
	view  string
	table string
	id    table.ID
	// key is the object that it comes from, index its rule or port.
	key   objects.Key
	index int
	// entry is a secret's entry.
	entry string
}

// piece is a resource as it stands, with what it needs beside it. Resource is
// nil where there is nothing to show (yet).
type piece struct {
	resource table.Resource
	needs    []node
	// refused is the problem of a resource that a proxy has refused.
	refused *objects.Problem
}

// root puts a node into a table.
type root struct {
	table string
	node  node
}

// listenerID is a listener of a Gateway of this cluster.
type listenerID struct {
	gateway  objects.Key
	listener string
}

// product is what one declared object, placement or tenant contributes.
type product struct {
	// table exists because of it.
	table *TableInfo
	roots []root
	// attached are the listeners that a route is attached to.
	attached []listenerID
	status   *objects.Status
	problems []objects.Problem
}

var seed = maphash.MakeSeed()

// hasher hashes comparable keys for the persistent maps.
type hasher[K comparable] struct{ seed maphash.Seed }

func (h hasher[K]) Hash(k K) uint32 {
	x := maphash.Comparable(h.seed, k)
	return uint32(x ^ x>>32)
}

func (hasher[K]) Equal(a, b K) bool { return a == b }

func compareNode(a, b node) int {
	if c := a.id.Compare(b.id); c != 0 {
		return c
	}
	return strings.Compare(a.view+"\x00"+a.table, b.view+"\x00"+b.table)
}

// uniqueNodes sorts and drops repetitions.
func uniqueNodes(list []node) []node {
	slices.SortFunc(list, compareNode)
	return slices.Compact(list)
}

func backendNode(view, tableName string, k objects.Key, port int) node {
	return node{view: view, table: tableName, id: table.ID{Kind: table.KindBackend, Name: backendName(k, port)}, key: k, index: port}
}

// backendName is Kind namespace/name, a Service's with :port.
func backendName(k objects.Key, port int) string {
	if k.Kind == kindService {
		return fmt.Sprintf("%s:%d", k, port)
	}
	return k.String()
}

func endpointsNode(k objects.Key, port int) node {
	return node{id: table.ID{Kind: table.KindEndpoints, Name: backendName(k, port)}, key: k, index: port}
}

// What a Secret resource holds of a Secret or ConfigMap: one credential, the
// keys of clients, a key pair, a CA, Azure's client secret, a key that stands
// in a declaration, or the keys that seal sessions.
const (
	useCredential = "credential"
	useKeys       = "keys"
	usePair       = "tls"
	useCA         = "ca"
	useAzure      = "azure"
	useInline     = "inline"
	useSession    = "session"
)

func secretNode(use string, k objects.Key, entry string) node {
	name := use + " " + k.Namespace + "/" + k.Name
	if k.Kind != kindSecret {
		name = use + " " + k.String()
	}
	if entry != "" {
		name += "/" + entry
	}
	return node{id: table.ID{Kind: table.KindSecret, Name: name}, key: k, entry: entry}
}

func use(n node) string {
	u, _, _ := strings.Cut(n.id.Name, " ")
	return u
}

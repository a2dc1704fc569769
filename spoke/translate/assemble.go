package translate

import (
	"maps"
	"reflect"
	"slices"

	"github.com/benbjohnson/immutable"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/derive"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/table"
)

// tableState is one table with its digest.
type tableState struct {
	info   TableInfo
	table  table.Table
	digest table.Digest
}

// holding is a node in a table: by how many roots and other nodes it is wanted
// there, and the piece that the table shows.
type holding struct {
	count int
	piece *piece
}

// pending is a resource to be put (nil: removed) and the node whose it is.
type pending struct {
	node     node
	resource table.Resource
}

// run is one Apply under way: what of derived values changed is carried into
// the tables, at the cost of the change. A table holds what its roots need and
// what those need in turn; each is counted, and goes with its last user.
type run struct {
	Translator
	before  Translator
	want    map[node]bool
	pending map[string]map[table.ID]pending
	places  map[string]bool
	infos   map[string]*TableInfo
	touched map[objects.Key]bool
	runs    int
}

func (t Translator) apply(set func(*derive.Tx)) (Translator, Result) {
	r := &run{
		Translator: t, before: t,
		want:    map[node]bool{},
		pending: map[string]map[table.ID]pending{},
		places:  map[string]bool{},
		infos:   map[string]*TableInfo{},
		touched: map[objects.Key]bool{},
	}
	for set != nil {
		tx := r.state.Begin()
		set(tx)
		old := r.state
		next, changes := tx.Commit()
		r.state, r.runs = next, r.runs+tx.Runs()
		r.carry(old, changes)
		set = r.demand()
	}
	return r.finish()
}

// demand turns what came to be wanted, or no longer is, into the next change.
func (r *run) demand() func(*derive.Tx) {
	if len(r.want) == 0 {
		return nil
	}
	want := r.want
	r.want = map[node]bool{}
	return func(tx *derive.Tx) {
		for n := range want {
			if _, held := r.holders.Get(n); held {
				r.schema.wanted.Set(tx, n, struct{}{})
			} else {
				r.schema.wanted.Delete(tx, n)
			}
		}
	}
}

func (r *run) carry(old derive.State, c derive.Changes) {
	s := r.schema
	for _, n := range s.pieces.Changed(c) {
		r.repiece(n)
	}
	for _, k := range s.products.Changed(c) {
		was, _ := s.products.Get(old, k)
		is, _ := s.products.Get(r.state, k)
		r.swap(was, is)
		if k.cluster == s.options.Cluster {
			r.touched[k.Key] = true
		}
	}
	for _, out := range []*derive.Output[string, product]{s.placed, s.tenantProducts} {
		for _, k := range out.Changed(c) {
			was, _ := out.Get(old, k)
			is, _ := out.Get(r.state, k)
			r.swap(was, is)
			r.report(was.problems, is.problems)
		}
	}
}

// report replaces the problems of a placement, whose place is in each.
func (r *run) report(was, is []objects.Problem) {
	for _, p := range was {
		r.settle("placement/"+p.Object, nil)
	}
	for _, p := range is {
		r.settle("placement/"+p.Object, []objects.Problem{p})
	}
}

// settle replaces the problems of one place.
func (r *run) settle(place string, list []objects.Problem) {
	r.places[place] = true
	if len(list) == 0 {
		r.problems = r.problems.Delete(place)
	} else {
		r.problems = r.problems.Set(place, list)
	}
}

func (r *run) swap(was, is product) {
	if was.table != nil && (is.table == nil || is.table.Name != was.table.Name) && r.infos[was.table.Name] == nil {
		r.infos[was.table.Name] = &TableInfo{}
	}
	if is.table != nil {
		r.infos[is.table.Name] = is.table
	}
	for _, x := range without(is.roots, was.roots) {
		r.hold(x.table, x.node)
	}
	for _, x := range without(was.roots, is.roots) {
		r.release(x.table, x.node)
	}
	for _, id := range is.attached {
		r.count(id, 1)
	}
	for _, id := range was.attached {
		r.count(id, -1)
	}
}

// without are the elements of a that b does not have.
func without[T comparable](a, b []T) []T {
	if len(a) == 0 || len(b) == 0 {
		return a
	}
	has := make(map[T]bool, len(b))
	for _, x := range b {
		has[x] = true
	}
	var out []T
	for _, x := range a {
		if !has[x] {
			out = append(out, x)
		}
	}
	return out
}

func (r *run) count(id listenerID, by int) {
	n, _ := r.attached.Get(id)
	if n += by; n == 0 {
		r.attached = r.attached.Delete(id)
	} else {
		r.attached = r.attached.Set(id, n)
	}
	r.touched[id.gateway] = true
}

// hold counts one more user of a node in a table.
func (r *run) hold(name string, n node) {
	in, ok := r.holders.Get(n)
	if !ok {
		in = immutable.NewMap[string, holding](nil)
		r.want[n] = true
	}
	h, _ := in.Get(name)
	h.count++
	r.holders = r.holders.Set(n, in.Set(name, h))
	if h.count == 1 {
		r.show(name, n)
	}
}

// release counts one user less; with the last one goes what it needed.
func (r *run) release(name string, n node) {
	in, ok := r.holders.Get(n)
	if !ok {
		return
	}
	h, _ := in.Get(name)
	if h.count--; h.count > 0 {
		r.holders = r.holders.Set(n, in.Set(name, h))
		return
	}
	if in = in.Delete(name); in.Len() == 0 {
		r.holders = r.holders.Delete(n)
		r.want[n] = true
	} else {
		r.holders = r.holders.Set(n, in)
	}
	if h.piece == nil {
		return
	}
	if h.piece.refused != nil && in.Len() == 0 {
		r.settle(refusedPlace(n), nil)
	}
	if h.piece.resource != nil {
		r.put(name, n, nil)
	}
	for _, need := range h.piece.needs {
		r.release(name, need)
	}
}

// repiece brings every table that holds a node up to its piece.
func (r *run) repiece(n node) {
	in, ok := r.holders.Get(n)
	if !ok {
		return
	}
	for it := in.Iterator(); !it.Done(); {
		name, _, _ := it.Next()
		r.show(name, n)
	}
}

// show brings a node of one table up to its piece, if that is derived already.
func (r *run) show(name string, n node) {
	p, ok := r.schema.pieces.Get(r.state, n)
	in, held := r.holders.Get(n)
	if !ok || !held {
		return
	}
	h, _ := in.Get(name)
	was := h.piece
	h.piece = &p
	r.holders = r.holders.Set(n, in.Set(name, h))
	if was == nil {
		was = &piece{}
	}
	if p.refused != nil {
		r.settle(refusedPlace(n), []objects.Problem{*p.refused})
	} else if was.refused != nil {
		r.settle(refusedPlace(n), nil)
	}
	if p.resource != nil || was.resource != nil {
		r.put(name, n, p.resource)
	}
	for _, need := range without(p.needs, was.needs) {
		r.hold(name, need)
	}
	for _, need := range without(was.needs, p.needs) {
		r.release(name, need)
	}
}

// put notes a resource of a table. A resource that another node of the same
// name has put in this change is not taken away by the one that gives way.
func (r *run) put(name string, n node, resource table.Resource) {
	p := r.pending[name]
	if p == nil {
		p = map[table.ID]pending{}
		r.pending[name] = p
	}
	if there, ok := p[n.id]; ok && resource == nil && there.node != n && there.resource != nil {
		return
	}
	p[n.id] = pending{n, resource}
}

// finish makes the tables, statuses and problems of what was carried.
func (r *run) finish() (Translator, Result) {
	result := Result{Tables: map[string]TableChange{}, Runs: r.runs}
	names := map[string]bool{}
	for name := range r.pending {
		names[name] = true
	}
	for name := range r.infos {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		r.finishTable(name, &result)
	}
	r.finishStatuses(&result)
	r.finishProblems(&result)
	return r.Translator, result
}

func (r *run) finishTable(name string, result *Result) {
	old, existed := r.tables.Get(name)
	if !existed {
		old = &tableState{table: table.New()}
	}
	next := *old
	if info := r.infos[name]; info != nil {
		next.info = *info
	}
	if next.info.Name == "" {
		r.tables = r.tables.Delete(name)
		if existed {
			result.Tables[name] = TableChange{Info: old.info, Removed: true}
		}
		return
	}
	change := TableChange{Info: next.info, Created: !existed}
	for id, p := range r.pending[name] {
		if now := old.table.Get(id); !table.Same(now, p.resource) {
			change.Changes = append(change.Changes, table.Change{ID: id, Resource: p.resource})
		}
	}
	slices.SortFunc(change.Changes, func(a, b table.Change) int { return a.ID.Compare(b.ID) })
	next.digest = old.digest.Apply(old.table, change.Changes...)
	next.table = old.table.Apply(change.Changes...)
	change.Revision = next.digest.String()
	r.tables = r.tables.Set(name, &next)
	if !existed || len(change.Changes) > 0 || !reflect.DeepEqual(old.info, next.info) {
		result.Tables[name] = change
	}
}

func (r *run) finishStatuses(result *Result) {
	keys := slices.SortedFunc(maps.Keys(r.touched), objects.Key.Compare)
	for _, k := range keys {
		p, _ := r.schema.products.Get(r.state, ref{r.schema.options.Cluster, k})
		r.settle("object/"+assignment.ObjectKey(k), p.problems)
		was, had := r.statuses.Get(k)
		if p.status == nil {
			if r.statuses = r.statuses.Delete(k); had {
				result.Gone = append(result.Gone, k)
			}
			continue
		}
		is := r.withCounts(*p.status)
		if had && reflect.DeepEqual(was, is) {
			continue
		}
		r.statuses = r.statuses.Set(k, is)
		result.Statuses = append(result.Statuses, is)
	}
}

func (r *run) finishProblems(result *Result) {
	for _, place := range slices.Sorted(maps.Keys(r.places)) {
		was, _ := r.before.problems.Get(place)
		is, _ := r.problems.Get(place)
		if !slices.Equal(was, is) {
			result.Problems = append(result.Problems, assignment.Problems{Place: place, List: is})
		}
	}
}

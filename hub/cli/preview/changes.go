package preview

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/plan"
)

// Change is one resource that would be another than it is.
type Change struct {
	Cluster string `json:"cluster"`
	// Table is the table that it is in; "" is the hub's assignment.
	Table string `json:"table,omitempty"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	// Lines are what goes, after "- ", and what comes, after "+ ".
	Lines []string `json:"lines"`
}

// place is where a resource is: a table, or the assignment, of a cluster.
type place struct{ cluster, table string }

// text is a resource as people read it.
type text struct{ kind, name, body string }

// Changes lists what the fleet that keeps its state there would do otherwise if it
// obeyed this preview: what its spokes were assigned last and its proxies obeyed
// last, whether they run now or not. Addresses and keys of a running fleet are
// left out.
func (p Preview) Changes(state string) ([]Change, error) {
	was, err := obeyed(state)
	if err != nil {
		return nil, fmt.Errorf("read what the fleet obeys: %w", err)
	}
	will := map[place][]text{}
	for _, t := range p.Tables {
		at := place{t.Cluster, t.Name}
		for r := range t.Table.All() {
			will[at] = appendResource(will[at], r)
		}
	}
	for _, a := range p.Assigned {
		at := place{a.Cluster, ""}
		if will[at], err = appendAssigned(will[at], a); err != nil {
			return nil, err
		}
	}
	places := map[place]bool{}
	for _, all := range []map[place][]text{was, will} {
		for at := range all {
			places[at] = true
		}
	}
	out := []Change{}
	for _, at := range slices.SortedFunc(maps.Keys(places), func(a, b place) int {
		return cmp.Or(strings.Compare(a.cluster, b.cluster), strings.Compare(a.table, b.table))
	}) {
		out = append(out, compare(at, was[at], will[at])...)
	}
	return out, nil
}

// compare lists what differs in one place.
func compare(at place, was, will []text) []Change {
	type id struct{ kind, name string }
	before, after := map[id]string{}, map[id]string{}
	var order []id
	for _, t := range was {
		before[id{t.kind, t.name}] = t.body
		order = append(order, id{t.kind, t.name})
	}
	for _, t := range will {
		after[id{t.kind, t.name}] = t.body
		if _, known := before[id{t.kind, t.name}]; !known {
			order = append(order, id{t.kind, t.name})
		}
	}
	slices.SortStableFunc(order, func(a, b id) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.name, b.name))
	})
	var out []Change
	for _, x := range order {
		if lines := differ(before[x], after[x]); len(lines) > 0 {
			out = append(out, Change{at.cluster, at.table, x.kind, x.name, lines})
		}
	}
	return out
}

// appendResource adds a resource of a table; what only a running fleet knows is
// left out.
func appendResource(list []text, r table.Resource) []text {
	switch x := r.(type) {
	case *table.Self:
		plain := *x
		plain.SessionKeys, plain.Probe, plain.Revoked = "", "", nil
		r = &plain
	case *table.Peer:
		plain := *x
		plain.Proxies = nil
		r = &plain
	case *table.Secret:
		if strings.HasPrefix(x.Name, "session ") {
			return list
		}
	}
	return append(list, text{string(r.ID().Kind), r.ID().Name, table.Line(r)})
}

// appendAssigned adds a resource of an assignment.
func appendAssigned(list []text, a plan.Assigned) ([]text, error) {
	r := a.Resource
	switch x := r.(type) {
	case *assignment.Fleet:
		plain := *x
		plain.GossipKeys, plain.Revoked = nil, nil
		r = &plain
	case *assignment.Peer:
		r = &assignment.Peer{Cluster: x.Cluster, Region: x.Region, Zone: x.Zone, State: x.State}
	case *assignment.Declaration:
		plain, err := withoutSecrets(x)
		if err != nil {
			return nil, err
		}
		r = plain
	case *assignment.Verdict:
		plain := *x
		plain.Annotations = nil
		// How many clusters obey a placement already is not a matter of the folder.
		plain.Conditions = slices.DeleteFunc(slices.Clone(x.Conditions), func(c assignment.Condition) bool { return c.Type == v1alpha1.ConditionPlaced })
		r = &plain
	case *assignment.Sealed:
		return list, nil
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, data, "", "  "); err != nil {
		return nil, err
	}
	return append(list, text{string(a.Kind), a.Key, indented.String() + "\n"}), nil
}

// withoutSecrets replaces what stands for secrets, which every cluster makes by a
// key of its own.
func withoutSecrets(d *assignment.Declaration) (*assignment.Declaration, error) {
	o, _ := objects.FromJSON(d.Object, objects.Options{Cluster: d.Cluster})
	if o == nil {
		return d, nil
	}
	raw, err := objects.Redact(o, func(string) string { return redacted })
	if err != nil {
		return nil, err
	}
	plain := *d
	plain.Object = raw
	return &plain, nil
}

// obeyed reads what the spokes and the proxies keep.
func obeyed(state string) (map[place][]text, error) {
	out := map[place][]text{}
	assignments, err := filepath.Glob(filepath.Join(state, "clusters", "*", "assignment.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range assignments {
		cluster := filepath.Base(filepath.Dir(path))
		if !exists(filepath.Join(state, "run", "spoke-"+cluster+".json")) {
			continue // the cluster has left
		}
		err := resources(path, func(r stream.Resource) error {
			read, err := assignment.Decode(assignment.Kind(r.Kind), r.Key, r.Payload)
			if err != nil {
				return err
			}
			at := place{cluster, ""}
			out[at], err = appendAssigned(out[at], plan.Assigned{Cluster: cluster, Kind: assignment.Kind(r.Kind), Key: r.Key, Resource: read})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	tables, err := filepath.Glob(filepath.Join(state, "clusters", "*", "proxies", "*", "table.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range tables {
		if err := obeyedTable(state, path, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// obeyedTable reads what one proxy keeps; of several of one Gateway, the first.
func obeyedTable(state, path string, out map[place][]text) error {
	proxy := filepath.Base(filepath.Dir(path))
	cluster := filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(path))))
	if !exists(filepath.Join(state, "run", "proxy-"+cluster+"-"+proxy+".json")) {
		return nil // it is no longer wanted
	}
	// Its name is its table's, namespace.name, and its number.
	name := proxy[:max(0, strings.LastIndexByte(proxy, '-'))]
	at := place{cluster, strings.Replace(name, ".", "/", 1)}
	if out[at] != nil {
		return nil
	}
	return resources(path, func(r stream.Resource) error {
		read, err := table.Decode(table.ID{Kind: table.Kind(r.Kind), Name: r.Key}, r.Payload)
		if err == nil {
			out[at] = appendResource(out[at], read)
		}
		return err
	})
}

// resources gives each that a file keeps.
func resources(path string, take func(stream.Resource) error) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var kept struct {
		Resources []stream.Resource `json:"resources"`
	}
	if err := json.Unmarshal(data, &kept); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, r := range kept.Resources {
		if err := take(r); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

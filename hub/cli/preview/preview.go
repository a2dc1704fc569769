// Package preview reads a fleet's folder as its hub and its spokes would, tells
// what every proxy would obey and what people must mend, and compares that with
// what a fleet obeys by its own files. It asks nobody, starts nothing and writes
// nothing that stays; what only a running fleet knows, proxies' addresses and
// sessions' keys, is not in it.
package preview

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/objects/folder"
	"github.com/navehq/nave/api/schema"
	"github.com/navehq/nave/api/stream"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/plan"
	"github.com/navehq/nave/hub/platform"
	"github.com/navehq/nave/hub/store"
	"github.com/navehq/nave/spoke/translate"
)

// Options say what is read: Dir, or Files.
type Options struct {
	// Dir is the fleet's folder.
	Dir string
	// Files are those of one cluster that there is not, with what the hub would
	// need; Dir is "" then.
	Files []string
	// State holds what a fleet of the folder kept: ages, claims, orders
	// [Dir/.nave].
	State string
	// Env gives the variables that Secrets may name.
	Env func(string) (string, bool)
	Now func() time.Time
}

// Preview is what the folder comes to.
type Preview struct {
	Tables []Table
	// Assigned is what the hub would give the clusters.
	Assigned []plan.Assigned
	Problems []objects.Problem
}

// Table is what the proxies of one Gateway in one cluster would obey, or of one
// tenant that has no Gateway there.
type Table struct {
	Cluster string
	Name    string
	Table   table.Table
}

// redacted stands for a secret.
const redacted = "redacted"

// reader gathers.
type reader struct {
	opts Options
	// temp holds copies of the state, since a scan writes to it.
	temp     string
	schemas  *schema.Checker
	plan     plan.Plan
	clusters []string
	own      map[string][]objects.Change
	kept     store.State
	out      Preview
}

// Read reads a folder. The error tells that it is none.
func Read(opts Options) (Preview, error) {
	if opts.Env == nil {
		opts.Env = os.LookupEnv
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.State == "" && opts.Dir != "" {
		opts.State = filepath.Join(opts.Dir, ".nave")
	}
	temp, err := os.MkdirTemp("", "nave-preview-")
	if err != nil {
		return Preview{}, fmt.Errorf("read the fleet of %s: %w", opts.Dir, err)
	}
	defer func() { _ = os.RemoveAll(temp) }() // what stays is only clutter
	r := &reader{opts: opts, temp: temp, schemas: schema.New(), plan: plan.New(), own: map[string][]objects.Change{}}
	for _, step := range []func() error{r.names, r.platform, r.declare, r.translate} {
		if err := step(); err != nil {
			return Preview{}, fmt.Errorf("read the fleet of %s: %w", cmp.Or(opts.Dir, strings.Join(opts.Files, ", ")), err)
		}
	}
	return r.out, nil
}

// names finds the clusters, and what the hub keeps.
func (r *reader) names() (err error) {
	if r.opts.Dir == "" {
		r.clusters = []string{nowhere}
		return nil
	}
	if r.kept, err = store.Peek(filepath.Join(r.opts.State, "hub", "store")); err != nil {
		return err
	}
	list, err := os.ReadDir(filepath.Join(r.opts.Dir, "clusters"))
	if err != nil {
		return err
	}
	for _, x := range list {
		if info, err := os.Stat(filepath.Join(r.opts.Dir, "clusters", x.Name())); err == nil && info.IsDir() && len(validation.IsDNS1123Label(x.Name())) == 0 {
			r.clusters = append(r.clusters, x.Name())
		}
	}
	return nil
}

// scan reads the objects of one folder, with the ages that they have in a fleet
// that ran here.
func (r *reader) scan(dir, state, cluster string, skip ...string) (folder.Scan, error) {
	if r.opts.Dir == "" {
		return r.loose(cluster)
	}
	temp := filepath.Join(r.temp, state)
	kept := filepath.Join(r.opts.State, state)
	if err := os.CopyFS(temp, os.DirFS(kept)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return folder.Scan{}, err
	}
	source, err := folder.Open(folder.Options{
		Dir: filepath.Join(r.opts.Dir, dir), State: temp, Cluster: cluster, Skip: skip, Now: r.opts.Now,
		Decode: func(file string, data []byte) ([]*objects.Object, []objects.Problem) {
			return objects.Decode(file, data, objects.Options{Cluster: cluster, Env: r.opts.Env, Schemas: r.schemas})
		},
	})
	if err != nil {
		return folder.Scan{}, err
	}
	scan, err := source.Scan()
	r.out.Problems = append(r.out.Problems, scan.Problems...)
	return scan, err
}

// platform reads what the platform team says.
func (r *reader) platform() error {
	scan, err := r.scan("hub", "hub/objects", "", platform.HostsFile, "wan.yaml")
	if err != nil {
		return err
	}
	read := fleet.ReadPlatform(scan.Set, r.kept.Operations, r.clusters, r.opts.Now())
	r.out.Problems = append(r.out.Problems, read.Problems...)
	if r.opts.Dir != "" {
		hosts, problems, _ := platform.ReadHosts(filepath.Join(r.opts.Dir, "hub"))
		r.out.Problems = append(r.out.Problems, problems...)
		read.Settings.Hosts = hosts
	}
	edits := []plan.Edit{plan.PutSettings(read.Settings), plan.PutFailover(read.Failover)}
	for _, c := range read.Clusters {
		edits = append(edits, plan.PutCluster(c), plan.PutFacts(&assignment.Facts{Cluster: c.Name}))
	}
	for _, t := range read.Tenants {
		edits = append(edits, plan.PutTenant(t))
	}
	r.plan, _ = r.plan.Apply(edits...)
	return nil
}

// declare reads what each cluster declares, and gives it to the plan.
func (r *reader) declare() error {
	type claim struct {
		name, cluster string
		since         time.Time
	}
	var edits []plan.Edit
	var claims []claim
	held := map[string]bool{}
	for _, cluster := range r.clusters {
		scan, err := r.scan(filepath.Join("clusters", cluster), filepath.Join("clusters", cluster, "objects"), cluster, "processes.yaml")
		if err != nil {
			return err
		}
		r.own[cluster] = scan.Changes
		for o := range scan.Set.All() {
			d, err := declaration(cluster, o)
			if err != nil {
				return err
			}
			edits = append(edits, plan.PutDeclaration(d))
			if d.ID.Key.Kind == "Gateway" && d.Placement != "" && d.Placement != "Local" {
				claims = append(claims, claim{plan.ClaimName(d.ID.Key), cluster, o.Created})
			}
		}
	}
	// A name stays with who holds it, as long as that one declares it.
	for _, c := range claims {
		if r.kept.Claims[c.name] == c.cluster {
			edits = append(edits, plan.PutClaim(c.name, c.cluster))
			held[c.name] = true
		}
	}
	slices.SortFunc(claims, func(a, b claim) int { return cmp.Or(a.since.Compare(b.since), strings.Compare(a.cluster, b.cluster)) })
	for _, c := range claims {
		if !held[c.name] {
			edits = append(edits, plan.PutClaim(c.name, c.cluster))
		}
		held[c.name] = true
	}
	r.plan, _ = r.plan.Apply(edits...)
	return nil
}

func declaration(cluster string, o *objects.Object) (*fleet.Declaration, error) {
	raw, err := objects.Redact(o, func(string) string { return redacted })
	if err != nil {
		return nil, err
	}
	return fleet.Read(&assignment.Declaration{Cluster: cluster, Key: o.Key, Generation: o.Generation, Created: o.Created, Object: raw}, stream.HashOf(raw))
}

// translate makes each cluster's tables of what it declares and is assigned.
func (r *reader) translate() error {
	assigned := map[string][]translate.AssignmentChange{}
	r.out.Assigned = r.plan.All()
	for _, a := range r.out.Assigned {
		assigned[a.Cluster] = append(assigned[a.Cluster], translate.AssignmentChange{Kind: a.Kind, Key: a.Key, Resource: a.Resource})
	}
	for _, cluster := range r.clusters {
		t, _ := translate.New(translate.Options{Cluster: cluster, Standalone: true}).Apply(r.own[cluster], assigned[cluster])
		for _, name := range t.Tables() {
			made, _, _ := t.Table(name)
			r.out.Tables = append(r.out.Tables, Table{cluster, name, made})
		}
		r.out.Problems = append(r.out.Problems, t.Problems()...)
	}
	return nil
}

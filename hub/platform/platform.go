// Package platform follows what the platform team declares (the folder hub/,
// hosts.yaml) and orders (cordon, drain, freeze), and tells the board. What is
// wrong in it is kept as problems for people; the rest is obeyed. It decides
// nothing: hub/fleet reads, hub/plan plans.
package platform

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/objects"
	"github.com/navehq/nave/api/objects/folder"
	"github.com/navehq/nave/api/pki"
	"github.com/navehq/nave/api/table"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/hub/board"
	"github.com/navehq/nave/hub/fleet"
	"github.com/navehq/nave/hub/identity"
	"github.com/navehq/nave/hub/plan"
	"github.com/navehq/nave/hub/store"
)

// Options are what a Platform is made of.
type Options struct {
	Source *folder.Source
	Dir    string
	// Clusters is a folder with one folder a cluster: each is registered, though
	// no Cluster object names it; "" for none.
	Clusters  string
	Board     *board.Board
	Store     *store.Folder
	Authority *identity.Authority
	// Ended is told of each order whose time is over; nil tells nobody.
	Ended func(*v1alpha1.Operation)
	Log   *slog.Logger
	Now   func() time.Time
}

// Platform is what the platform team says. It is safe for concurrent use.
type Platform struct {
	opts Options

	mu       sync.Mutex
	gossip   *gossipKeys
	set      objects.Set
	orders   fleet.Orders
	hosts    []table.Host
	tenants  map[string]bool
	drills   []*v1alpha1.Drill
	frozen   bool
	folders  []string
	problems map[string][]objects.Problem
}

// New takes up the orders that stand.
func New(opts Options) *Platform {
	return &Platform{
		opts: opts, set: objects.NewSet(), orders: fleet.Orders{}, tenants: map[string]bool{},
		problems: map[string][]objects.Problem{},
	}
}

// Start reads everything once, with the orders and the gossip keys that were kept.
func (p *Platform) Start(orders fleet.Orders, state string) (err error) {
	if p.gossip, err = openGossip(filepath.Join(state, "gossip.json")); err != nil {
		return err
	}
	maps.Copy(p.orders, orders)
	for name := range orders {
		if strings.HasSuffix(name, string(Drill)) { // no drill outlives its hub
			if err := p.forget(name); err != nil {
				return err
			}
		}
	}
	scan, err := p.opts.Source.Scan()
	if err != nil {
		return fmt.Errorf("read the platform's objects: %w", err)
	}
	if p.implied(); p.problems["clusters"] != nil { // nobody shall be forgotten for that
		return fmt.Errorf("look for clusters: %s", p.problems["clusters"][0].Message)
	}
	p.take(scan, nil)
	return nil
}

// Run follows the folder, the ends of orders and revocations until ctx ends.
func (p *Platform) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		changed := p.opts.Authority.Changed()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-changed:
				changed = p.opts.Authority.Changed()
			}
			p.Refresh()
		}
	}()
	err := p.opts.Source.Watch(ctx, func(scan folder.Scan, err error) {
		p.take(scan, err)
	})
	<-done
	return err
}

// take takes what the folder holds; where it cannot be read, what was read before
// stays.
func (p *Platform) take(scan folder.Scan, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.opts.Log.Error("read the platform's objects", "err", err)
		p.problems["folder"] = p.opts.Source.Failed(err)
		return
	}
	p.set = scan.Set
	p.problems["folder"], p.problems["objects"] = nil, scan.Problems
	p.obey()
}

// Refresh looks again at what changes without a file: hosts.yaml's CA files, the
// ends of orders, revocations.
func (p *Platform) Refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.obey()
}

// expire drops the orders whose time is over.
func (p *Platform) expire() {
	for _, name := range slices.Sorted(maps.Keys(p.orders)) {
		o := p.orders[name]
		if fleet.InForce(o, p.opts.Now()) {
			continue
		}
		if err := p.opts.Store.SetOperation(name, nil); err != nil {
			p.opts.Log.Error("forget an order whose time is over", "order", name, "err", err)
			continue
		}
		p.orders = maps.Clone(p.orders)
		delete(p.orders, name)
		if p.opts.Ended != nil {
			p.opts.Ended(o)
		}
	}
}

// obey tells the board; what is the same as before changes nothing there.
func (p *Platform) obey() {
	p.expire()
	if hosts, problems, ok := ReadHosts(p.opts.Dir); ok {
		p.hosts, p.problems["hosts"] = hosts, problems
	} else {
		p.problems["hosts"] = problems
	}
	read := fleet.ReadPlatform(p.set, p.orders, p.implied(), p.opts.Now())
	p.problems["platform"] = read.Problems
	p.drills, p.frozen = read.Drills, read.Settings.Frozen
	read.Settings.Hosts = p.hosts
	p.revoke(&read.Settings)
	edits := []plan.Edit{plan.PutSettings(read.Settings), plan.PutFailover(read.Failover)}
	now := map[string]bool{}
	for _, t := range read.Tenants {
		now[t.Name] = true
		edits = append(edits, plan.PutTenant(t))
	}
	for name := range p.tenants {
		if !now[name] {
			edits = append(edits, plan.DropTenant(name))
		}
	}
	p.tenants = now
	p.opts.Board.SetClusters(read.Clusters)
	p.opts.Board.Edit(edits...)
}

// revoke has the fleet refuse what is revoked: everybody is told of it, gossip is
// sealed with another key, and the hub's own streams end. What a revoked cluster
// declared before stays, until the cluster itself is taken away.
func (p *Platform) revoke(s *assignment.Fleet) {
	s.Revoked = p.opts.Authority.Revoked()
	keys, err := p.gossip.under(s.Revoked, p.opts.Now())
	if err != nil {
		p.opts.Log.Error("seal gossip with another key", "err", err)
	}
	s.GossipKeys = keys
	p.problems["revoked"] = nil
	for _, c := range p.opts.Authority.Clusters() {
		if !c.Revoked {
			continue
		}
		p.opts.Board.Disconnect(c.Name, pki.ErrRevoked)
		p.problems["revoked"] = append(p.problems["revoked"], objects.Problem{
			Cluster: c.Name, Object: "Cluster " + c.Name, Reason: "Revoked",
			Message: "its identity is revoked: its spoke and its proxies are refused, and what it had declared stays as it was",
			Remedy:  "remove its state and let it join again with the token of `nave token create --cluster " + c.Name + "`, or take the cluster away",
		})
	}
}

// implied are the clusters that have a folder; while those cannot be listed, the
// ones that had one.
func (p *Platform) implied() []string {
	if p.opts.Clusters == "" {
		return nil
	}
	list, err := os.ReadDir(p.opts.Clusters)
	p.problems["clusters"] = nil
	if err != nil {
		p.problems["clusters"] = []objects.Problem{{Object: "folder clusters", Reason: "Unreadable", Message: err.Error(),
			Remedy: "let the folder be read; the clusters that were in it stay"}}
		return p.folders
	}
	p.folders = nil
	for _, x := range list {
		info, err := os.Stat(filepath.Join(p.opts.Clusters, x.Name())) // follows links
		if err == nil && info.IsDir() && len(validation.IsDNS1123Label(x.Name())) == 0 {
			p.folders = append(p.folders, x.Name())
		}
	}
	return p.folders
}

// Giver is who gives an order. What a person orders outlives a drill's order of the
// same kind.
type Giver string

// The givers; their orders are told apart by their names.
const (
	Person Giver = ""
	Drill  Giver = ".drill"
)

// Order puts an order in force and keeps it; ended is the one that it replaces.
func (p *Platform) Order(by Giver, kind v1alpha1.OperationKind, cluster, who, why string, life time.Duration) (ended []*v1alpha1.Operation, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if kind != v1alpha1.OperationFreeze && !slices.ContainsFunc(p.opts.Board.Clusters(), func(c fleet.Cluster) bool { return c.Name == cluster }) {
		return nil, fmt.Errorf("%s cluster %q: there is no such cluster", strings.ToLower(string(kind)), cluster)
	}
	o := &v1alpha1.Operation{Spec: v1alpha1.OperationSpec{Kind: kind, Cluster: v1alpha1.ClusterName(cluster), Who: who, Why: why}}
	o.Name = orderName(by, kind, cluster)
	o.CreationTimestamp = metav1.Time{Time: p.opts.Now()}
	if life > 0 {
		o.Spec.ExpiresAt = &metav1.Time{Time: p.opts.Now().Add(life)}
	}
	if err := p.opts.Store.SetOperation(o.Name, o); err != nil {
		return nil, err
	}
	if was := p.orders[o.Name]; was != nil && fleet.InForce(was, p.opts.Now()) {
		ended = append(ended, was)
	}
	p.orders = maps.Clone(p.orders)
	p.orders[o.Name] = o
	p.obey()
	return ended, nil
}

// Recall takes orders back: a drill its own, a person all of them. It gives those
// that it took back.
func (p *Platform) Recall(by Giver, cluster string, kinds ...v1alpha1.OperationKind) (ended []*v1alpha1.Operation, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.orders = maps.Clone(p.orders)
	givers := []Giver{Drill}
	if by == Person {
		givers = []Giver{Person, Drill}
	}
	for _, kind := range kinds {
		for _, giver := range givers {
			name := orderName(giver, kind, cluster)
			was := p.orders[name]
			if err := p.forget(name); err != nil {
				return ended, err
			}
			if was != nil {
				ended = append(ended, was)
			}
		}
	}
	p.obey()
	return ended, nil
}

// Frozen tells whether automation is frozen, by declaration or by order.
func (p *Platform) Frozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen
}

// forget drops an order, if there is one; the caller has cloned the orders.
func (p *Platform) forget(name string) error {
	if p.orders[name] == nil {
		return nil
	}
	if err := p.opts.Store.SetOperation(name, nil); err != nil {
		return err
	}
	delete(p.orders, name)
	return nil
}

func orderName(by Giver, kind v1alpha1.OperationKind, cluster string) string {
	return strings.ToLower(string(kind)) + "-" + cluster + string(by)
}

// Orders lists the orders in force by name.
func (p *Platform) Orders() []*v1alpha1.Operation {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*v1alpha1.Operation
	for _, name := range slices.Sorted(maps.Keys(p.orders)) {
		if fleet.InForce(p.orders[name], p.opts.Now()) {
			out = append(out, p.orders[name])
		}
	}
	return out
}

// Problems are what is wrong in the platform team's files.
func (p *Platform) Problems() []objects.Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []objects.Problem
	for _, place := range slices.Sorted(maps.Keys(p.problems)) {
		out = append(out, p.problems[place]...)
	}
	return out
}

// Drills are those that are declared.
func (p *Platform) Drills() []*v1alpha1.Drill {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.drills)
}

package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/navehq/nave/api/assignment"
	"github.com/navehq/nave/api/atomicfile"
	"github.com/navehq/nave/api/v1alpha1"
	"github.com/navehq/nave/api/wire"
	"github.com/navehq/nave/hub/audit"
	"github.com/navehq/nave/hub/board"
	"github.com/navehq/nave/hub/drill"
	"github.com/navehq/nave/hub/platform"
	"github.com/navehq/nave/hub/rehearse"
)

// byDrill is who orders what a drill orders.
const byDrill = "drill"

var (
	errNoSupervisor = errors.New("no supervisor is connected; mode Kill works in a fleet that `nave up` runs")
	errNoSpoke      = errors.New("its spoke is not connected to the hub")
)

func (h *Hub) openDrills() error {
	path := filepath.Join(h.opts.State, "drills.json")
	kept := map[string]v1alpha1.DrillStatus{}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the reports of drills: %w", err)
	}
	if err == nil && json.Unmarshal(data, &kept) != nil {
		kept = map[string]v1alpha1.DrillStatus{}
		h.deps.Log.Warn("begin without the reports of drills, which cannot be read", "kept", path+".bad")
		if err := os.Rename(path, path+".bad"); err != nil {
			return fmt.Errorf("set the reports of drills aside: %w", err)
		}
	}
	h.drills = rehearse.New(rehearse.Options{
		Facts: h.drillFacts, Find: h.findDrill, Ask: h.askSpoke, Lose: h.lose, Restore: h.restore,
		Keep: func(name string, s v1alpha1.DrillStatus) {
			kept[name] = s
			if err := keepJSON(path, kept); err != nil {
				h.deps.Log.Error("keep the report of a drill", "drill", name, "err", err)
			}
		},
		Log: h.deps.Log, Now: h.deps.Now, Registry: h.deps.Registry,
	}, kept)
	return nil
}

func keepJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.ReplaceSynced(path, data)
}

func (h *Hub) findDrill(name string) (*v1alpha1.Drill, bool) {
	for _, d := range h.platform.Drills() {
		if d.Name == name {
			return d, true
		}
	}
	return nil, false
}

func (h *Hub) drillFacts() drill.Facts {
	f := drill.Facts{Supervised: h.supervisor.Load() != nil, Frozen: h.platform.Frozen()}
	for _, m := range h.board.Members() {
		f.Clusters = append(f.Clusters, drill.ClusterFact{
			Name: m.Cluster.Name, Region: m.Cluster.Region, Lease: m.Lease, State: m.Cluster.State, Proxies: readyProxies(m),
		})
	}
	return f
}

// readyProxies counts a cluster's proxies that serve.
func readyProxies(m board.Member) int {
	n := 0
	if m.Facts == nil || m.Lease == assignment.Lost {
		return 0
	}
	for _, p := range m.Facts.Proxies {
		if p.Ready {
			n++
		}
	}
	return n
}

// askSpoke asks a cluster's spoke over its stream.
func (h *Hub) askSpoke(ctx context.Context, cluster, path string, body []byte) ([]byte, error) {
	session := h.board.Session(cluster)
	if session == nil {
		return nil, fmt.Errorf("ask cluster %q: %w", cluster, errNoSpoke)
	}
	answer, err := session.Ask(ctx, path, body)
	if errors.Is(err, wire.ErrDisconnected) {
		err = fmt.Errorf("ask cluster %q: %w", cluster, errNoSpoke)
	}
	return answer, err
}

func (h *Hub) lose(ctx context.Context, mode v1alpha1.DrillMode, cluster, why string, life time.Duration) (err error) {
	defer func() {
		h.record(audit.Entry{Who: byDrill, What: strings.ToLower(string(mode)), On: cluster, Why: why}, err)
	}()
	switch mode {
	case v1alpha1.DrillModeCordon:
		_, err = h.platform.Order(platform.Drill, v1alpha1.OperationCordon, cluster, byDrill, why, life)
		return err
	case v1alpha1.DrillModeDrain:
		_, err = h.platform.Order(platform.Drill, v1alpha1.OperationDrain, cluster, byDrill, why, life)
		return err
	case v1alpha1.DrillModeKill:
		return h.supervise(ctx, "process/kill", cluster, life)
	}
	return fmt.Errorf("lose cluster %q: mode %s is not built", cluster, mode)
}

func (h *Hub) restore(ctx context.Context, mode v1alpha1.DrillMode, cluster string) (err error) {
	defer func() {
		h.record(audit.Entry{Who: byDrill, What: strings.ToLower(string(mode)) + " taken back", On: cluster}, err)
	}()
	switch mode {
	case v1alpha1.DrillModeCordon:
		_, err = h.platform.Recall(platform.Drill, cluster, v1alpha1.OperationCordon)
		return err
	case v1alpha1.DrillModeDrain:
		_, err = h.platform.Recall(platform.Drill, cluster, v1alpha1.OperationDrain)
		return err
	case v1alpha1.DrillModeKill:
		return h.supervise(ctx, "process/restart", cluster, 0)
	}
	return fmt.Errorf("restore cluster %q: mode %s is not built", cluster, mode)
}

// supervise has the supervisor do something to a cluster's processes, and undo it
// after life, if that is not 0.
func (h *Hub) supervise(ctx context.Context, path, cluster string, life time.Duration) error {
	session := h.supervisor.Load()
	if session == nil {
		return errNoSupervisor
	}
	body, err := json.Marshal(map[string]any{"cluster": cluster, "seconds": int(math.Ceil(life.Seconds()))})
	if err != nil {
		return err
	}
	if _, err := session.Ask(ctx, path, body); err != nil {
		return fmt.Errorf("ask the supervisor for %s of cluster %q: %w", path, cluster, err)
	}
	return nil
}

package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/navehq/nave/api/atomicfile"
)

// The loopback network is parted by the second byte: 127.(10+c).s.n is process
// n of cluster c, and 127.(100+12·v+c).s.n the same as cluster v sees it through
// the simulated network. The hub is 127.9.s.1. The slot s keeps the fleets of
// several folders on one machine apart.
const (
	hubBase     = 9
	clusterBase = 10
	maxSlots    = 250
	viewBase    = 100
	hubViewBase = 30
	maxClusters = 12
)

// addresses gives every process an address that it keeps.
type addresses struct {
	path string

	mu    sync.Mutex
	given given
}

type given struct {
	Slot      int                       `json:"slot,omitempty"`
	Clusters  map[string]int            `json:"clusters"`
	Processes map[string]map[string]int `json:"processes"`
}

func openAddresses(path string) (*addresses, error) {
	a := &addresses{path: path, given: given{Clusters: map[string]int{}, Processes: map[string]map[string]int{}}}
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return a, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &a.given)
	}
	if err != nil {
		return nil, fmt.Errorf("read the addresses of the fleet: %w", err)
	}
	return a, nil
}

// of is the address of a process of a cluster.
func (a *addresses) of(cluster, process string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.given.Clusters[cluster]
	if !ok {
		if c = free(a.given.Clusters); c >= maxClusters {
			return "", fmt.Errorf("give cluster %q an address: a folder holds at most %d clusters", cluster, maxClusters)
		}
		a.given.Clusters[cluster], a.given.Processes[cluster] = c, map[string]int{}
	}
	n, ok := a.given.Processes[cluster][process]
	if !ok {
		if n = free(a.given.Processes[cluster]); n > 250 {
			return "", fmt.Errorf("give process %q of cluster %q an address: there are none left", process, cluster)
		}
		a.given.Processes[cluster][process] = n
	}
	return address(clusterBase+c, a.given.Slot, n), a.save()
}

// forget gives the addresses of a cluster back, or of one process of it.
func (a *addresses) forget(cluster string, processes ...string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(processes) == 0 {
		delete(a.given.Clusters, cluster)
		delete(a.given.Processes, cluster)
	}
	for _, p := range processes {
		delete(a.given.Processes[cluster], p)
	}
	return a.save()
}

// retain gives back the addresses of all clusters but these.
func (a *addresses) retain(clusters []string) error {
	a.mu.Lock()
	known := slices.Collect(maps.Keys(a.given.Clusters))
	a.mu.Unlock()
	for _, name := range known {
		if slices.Contains(clusters, name) {
			continue
		}
		if err := a.forget(name); err != nil {
			return err
		}
	}
	return nil
}

func address(part, slot, n int) string { return fmt.Sprintf("127.%d.%d.%d", part, slot, n+1) }

// settle keeps the fleet's slot, or takes the next one whose hub's port nobody
// has; free tells whether an address can be bound. Where none can, it stays: the
// hub then says why.
func (a *addresses) settle(free func(ip string) bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range maxSlots {
		if slot := (a.given.Slot + i) % maxSlots; free(address(hubBase, slot, 0)) {
			a.given.Slot = slot
			break
		}
	}
	return a.save()
}

// hubFrom is the hub's address as a cluster sees it through the simulated network.
func (a *addresses) hubFrom(viewer string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return address(hubViewBase+a.given.Clusters[viewer], a.given.Slot, 0)
}

// hub is the hub's address.
func (a *addresses) hub() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return address(hubBase, a.given.Slot, 0)
}

func free(taken map[string]int) int {
	n := 0
	for used := values(taken); slices.Contains(used, n); {
		n++
	}
	return n
}

func values(m map[string]int) []int {
	out := make([]int, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

func (a *addresses) save() error {
	data, err := json.Marshal(a.given)
	if err == nil {
		err = atomicfile.ReplaceSynced(a.path, data)
	}
	if err != nil {
		return fmt.Errorf("keep the addresses of the fleet: %w", err)
	}
	return nil
}

// prefix is a cluster's part of the network, and as another cluster sees it.
func (a *addresses) prefix(cluster string) (own string, seen func(viewer string) string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.given.Clusters[cluster]
	return fmt.Sprintf("127.%d.0.0/16", clusterBase+c), func(viewer string) string {
		a.mu.Lock()
		defer a.mu.Unlock()
		return fmt.Sprintf("127.%d.0.0/16", viewBase+maxClusters*a.given.Clusters[viewer]+c)
	}
}

// list is every process of a cluster with its address.
func (a *addresses) list(cluster string) map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]string{}
	for name, n := range a.given.Processes[cluster] {
		out[name] = address(clusterBase+a.given.Clusters[cluster], a.given.Slot, n)
	}
	return out
}

// through is an address as seen within another prefix.
func through(address, prefix string) string {
	bytes, first := strings.Split(address, "."), strings.Split(prefix, ".")
	return strings.Join([]string{first[0], first[1], bytes[2], bytes[3]}, ".")
}

// lock keeps a second supervisor off the folder; a dead one's lock is taken over.
func lock(path string) (func(), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		data, _ := os.ReadFile(path)
		_ = file.Close()
		return nil, fmt.Errorf("%w, by process %s", errLocked, strings.TrimSpace(string(data)))
	}
	_ = file.Truncate(0)
	_, _ = file.WriteString(strconv.Itoa(os.Getpid())) // for people only
	return func() { _ = file.Close() }, nil
}
